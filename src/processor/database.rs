//! What reads and writes share (`ZKDatabase`): the tree and the sessions under one lock, the
//! watches, and the connections that may have to be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use foldhash::HashMap;
use parking_lot::{Mutex, RwLock};

use super::ServerStats;
use crate::auth::ProviderRegistry;
use crate::proto::SessionId;
use crate::proto::{TxnBody, TxnEntry};
use crate::session::{ClientCnxn, CnxnId};
use crate::stats::{NamespaceTraffic, ServerMetrics};
use crate::tree::{Applied, DataTree, TreeObserver};
use crate::watch::Watches;

/// What transactions change.
pub struct ZkDatabase {
    /// The tree.
    pub tree: DataTree,
    /// Sessions that transactions created and did not close, with their timeouts in milliseconds
    /// (`sessionsWithTimeouts`).
    pub sessions: HashMap<SessionId, i32>,
}

impl ZkDatabase {
    /// Applies a transaction to tree and sessions.
    pub fn apply<'a>(
        &mut self,
        entry: &'a TxnEntry<'_>,
        observer: &mut impl TreeObserver,
    ) -> Applied<'a> {
        let session = SessionId(entry.header.client_id);
        match &entry.body {
            TxnBody::CreateSession(txn) => {
                self.sessions.insert(session, txn.time_out);
            }
            TxnBody::CloseSession(_) => {
                self.sessions.remove(&session);
            }
            _ => {}
        }
        self.tree.apply(entry, observer)
    }
}

/// Connections by number.
#[derive(Default)]
pub struct CnxnRegistry {
    cnxns: Mutex<HashMap<CnxnId, Arc<ClientCnxn>>>,
}

impl CnxnRegistry {
    /// A connection was made.
    pub fn add(&self, cnxn: Arc<ClientCnxn>) {
        self.cnxns.lock().insert(cnxn.id, cnxn);
    }

    /// It is gone.
    pub fn remove(&self, cnxn: CnxnId) {
        self.cnxns.lock().remove(&cnxn);
    }

    /// The connection with this number.
    pub fn get(&self, cnxn: CnxnId) -> Option<Arc<ClientCnxn>> {
        self.cnxns.lock().get(&cnxn).cloned()
    }

    /// All connections.
    pub fn all(&self) -> Vec<Arc<ClientCnxn>> {
        self.cnxns.lock().values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cnxns.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the server is to its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerMode {
    /// It serves nobody: it looks for a leader, or catches up with one.
    NotServing,
    /// It serves alone.
    Standalone,
    /// It leads an ensemble.
    Leader,
    /// It follows a leader.
    Follower,
    /// It observes.
    Observer,
    /// It is cut off from its ensemble, and serves reads to those who asked for no more.
    ReadOnly,
}

impl ServerMode {
    const ALL: [Self; 6] = [
        Self::NotServing,
        Self::Standalone,
        Self::Leader,
        Self::Follower,
        Self::Observer,
        Self::ReadOnly,
    ];

    /// As `srvr` and `mntr` name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotServing => "none",
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Everything that the engine and the workers share.
pub struct ServerState {
    /// Tree and sessions: shared for reads, exclusive for each batch of transactions.
    pub database: RwLock<ZkDatabase>,
    /// Watches; registered under the shared lock, fired under the exclusive one.
    pub watches: Watches,
    /// Schemes and permissions.
    pub auth: ProviderRegistry,
    /// Connections.
    pub cnxns: CnxnRegistry,
    /// Counts.
    pub stats: ServerStats,
    /// What is counted beyond that.
    pub metrics: ServerMetrics,
    /// What is read under each top-level node.
    pub reads: NamespaceTraffic,
    /// What is written there.
    pub writes: NamespaceTraffic,
    /// Longest string or buffer inside a request, in bytes.
    pub max_buffer_bytes: usize,
    in_process: AtomicI64,
    local_sessions: AtomicI64,
    mode: AtomicU8,
}

impl ServerState {
    /// The state of a server that has served nobody yet, and whose metrics nobody keeps.
    pub fn new(database: ZkDatabase, auth: ProviderRegistry, max_buffer_bytes: usize) -> Self {
        Self {
            database: RwLock::new(database),
            watches: Watches::new(),
            auth,
            cnxns: CnxnRegistry::default(),
            stats: ServerStats::new(),
            metrics: ServerMetrics::noop(),
            reads: NamespaceTraffic::default(),
            writes: NamespaceTraffic::default(),
            max_buffer_bytes,
            in_process: AtomicI64::new(0),
            local_sessions: AtomicI64::new(0),
            mode: AtomicU8::new(ServerMode::NotServing as u8),
        }
    }

    /// With metrics that are kept.
    pub fn with_metrics(self, metrics: ServerMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// What the server is to its clients.
    pub fn mode(&self) -> ServerMode {
        ServerMode::ALL[usize::from(self.mode.load(Ordering::Acquire))]
    }

    /// That has changed.
    pub fn set_mode(&self, mode: ServerMode) {
        self.mode.store(mode as u8, Ordering::Release);
    }

    /// Requests of clients that are with the engine.
    pub fn in_process(&self) -> i64 {
        self.in_process.load(Ordering::Relaxed)
    }

    /// Sessions that only this server knows.
    pub fn local_sessions(&self) -> i64 {
        self.local_sessions.load(Ordering::Relaxed)
    }

    /// So many more of them there are, or fewer.
    pub fn add_local_sessions(&self, more: i64) {
        self.local_sessions.fetch_add(more, Ordering::Relaxed);
    }

    /// So many more are, or fewer.
    pub fn add_in_process(&self, more: i64) {
        self.in_process.fetch_add(more, Ordering::Relaxed);
    }
}
