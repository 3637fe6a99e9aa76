//! The history that the ensemble delivers, and what the tree was after each transaction of it: what
//! every server and every answer is held against.
//!
//! It grows when the first server applies a transaction. The tree is the real one, of its own.

use std::collections::BTreeMap;

use bytes::Bytes;
use gamekeeper::processor::ZkDatabase;
use gamekeeper::proto::path::parent;
use gamekeeper::proto::{EventType, SessionId, TxnBody, TxnEntry, Xid, Zxid};
use gamekeeper::tree::{TreeEvent, TreeObserver};
use jute::Stat;

use crate::database;

/// A transaction that was delivered.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Its zxid.
    pub zxid: Zxid,
    /// Header, transaction and digest.
    pub entry: Bytes,
    /// Who asked for it.
    pub session: SessionId,
    /// Number of the request in its session.
    pub xid: Xid,
    /// The error that it stands for, 0 if it is none.
    pub error: i32,
    /// Digest of the tree after it.
    pub digest: u64,
}

/// A node after a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeVersion {
    /// Its data.
    pub data: Bytes,
    /// Its status.
    pub stat: Stat,
    /// Names of its children, in order.
    pub children: Vec<String>,
}

/// Something that happened to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The transaction.
    pub zxid: Zxid,
    /// What: created, deleted, data changed, or children changed.
    pub kind: EventType,
}

/// The history.
pub struct Reference {
    history: Vec<Delivered>,
    /// Where each session became one of the ensemble.
    sessions: BTreeMap<SessionId, Zxid>,
    database: ZkDatabase,
    versions: BTreeMap<String, Vec<(Zxid, Option<NodeVersion>)>>,
    changes: BTreeMap<String, Vec<Change>>,
    /// Nodes that change themselves or whose children do, in the order of transactions.
    all_changes: Vec<(String, Change)>,
}

#[derive(Default)]
struct Observed(Vec<(String, EventType)>);

impl TreeObserver for Observed {
    fn on_event(&mut self, event: TreeEvent<'_>) {
        let (path, kind) = match event {
            TreeEvent::Created { path, .. } => (path, EventType::NodeCreated),
            TreeEvent::Deleted { path, .. } => (path, EventType::NodeDeleted),
            TreeEvent::DataChanged { path, .. } => (path, EventType::NodeDataChanged),
        };
        self.0.push((path.to_owned(), kind));
        if kind != EventType::NodeDataChanged
            && let Some(parent) = parent(path)
        {
            self.0.push((parent.to_owned(), EventType::NodeChildrenChanged));
        }
    }
}

/// A history of nothing.
impl Default for Reference {
    fn default() -> Self {
        Self {
            history: Vec::new(),
            sessions: BTreeMap::new(),
            database: database::empty(),
            versions: BTreeMap::new(),
            changes: BTreeMap::new(),
            all_changes: Vec::new(),
        }
    }
}

impl Reference {
    /// All of it.
    pub fn history(&self) -> &[Delivered] {
        &self.history
    }

    /// The last transaction.
    pub fn last(&self) -> Zxid {
        self.history.last().map_or(Zxid::ZERO, |delivered| delivered.zxid)
    }

    /// The database after it.
    pub fn database(&self) -> &ZkDatabase {
        &self.database
    }

    /// Whether a session was one of the ensemble by then: before, it is a server's own.
    pub fn has_session(&self, session: SessionId, zxid: Zxid) -> bool {
        self.sessions.get(&session).is_some_and(|since| *since <= zxid)
    }

    /// The transaction with this zxid.
    pub fn get(&self, zxid: Zxid) -> Option<&Delivered> {
        let at = self.history.binary_search_by_key(&zxid, |delivered| delivered.zxid);
        at.ok().map(|at| &self.history[at])
    }

    /// Whether a history may end there: at nothing, or at a transaction of it.
    pub fn has(&self, zxid: Zxid) -> bool {
        zxid == Zxid::ZERO || self.get(zxid).is_some()
    }

    /// The digest of the tree after this transaction of it.
    pub fn digest(&self, zxid: Zxid) -> u64 {
        match self.get(zxid) {
            Some(delivered) => delivered.digest,
            None => database::empty().tree.tree_digest(),
        }
    }

    /// A node as it was after `zxid`.
    pub fn node(&self, path: &str, zxid: Zxid) -> Option<&NodeVersion> {
        let versions = self.versions.get(path)?;
        let end = versions.partition_point(|(at, _)| *at <= zxid);
        versions[..end].last()?.1.as_ref()
    }

    /// What happened to a node, and to its children, in (`after`, `up_to`].
    pub fn changes(&self, path: &str, after: Zxid, up_to: Zxid) -> &[Change] {
        let Some(changes) = self.changes.get(path) else { return &[] };
        let start = changes.partition_point(|change| change.zxid <= after);
        let end = changes.partition_point(|change| change.zxid <= up_to);
        &changes[start..end.max(start)]
    }

    /// What happened at all in (`after`, `up_to`], in its order.
    pub fn all_changes(&self, after: Zxid, up_to: Zxid) -> &[(String, Change)] {
        let start = self.all_changes.partition_point(|(_, change)| change.zxid <= after);
        let end = self.all_changes.partition_point(|(_, change)| change.zxid <= up_to);
        &self.all_changes[start..end.max(start)]
    }

    /// Adds a transaction.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn add(&mut self, zxid: Zxid, bytes: &Bytes) -> Result<(), String> {
        let entry = TxnEntry::decode(bytes).map_err(|error| error.to_string())?;
        if let TxnBody::CreateSession(_) = entry.body {
            self.sessions.entry(SessionId(entry.header.client_id)).or_insert(zxid);
        }
        let mut observed = Observed::default();
        let _ = self.database.apply(&entry, &mut observed);
        for (path, kind) in &observed.0 {
            let change = Change { zxid, kind: *kind };
            self.changes.entry(path.clone()).or_default().push(change);
            self.all_changes.push((path.clone(), change));
        }
        for (path, _) in observed.0 {
            self.keep_version(path, zxid);
        }
        self.history.push(Delivered {
            zxid,
            entry: bytes.clone(),
            session: SessionId(entry.header.client_id),
            xid: entry.header.cxid,
            error: error_of(&entry.body),
            digest: self.database.tree.tree_digest(),
        });
        Ok(())
    }

    fn keep_version(&mut self, path: String, zxid: Zxid) {
        let version = self.database.tree.node(&path).map(|node| {
            let mut children: Vec<_> = node.children().map(str::to_owned).collect();
            children.sort_unstable();
            let data = Bytes::copy_from_slice(node.data().unwrap_or_default());
            NodeVersion { data, stat: node.stat(), children }
        });
        let versions = self.versions.entry(path).or_default();
        match versions.last_mut() {
            Some((at, last)) if *at == zxid => *last = version,
            _ => versions.push((zxid, version)),
        }
    }
}

/// The error of a transaction, of a multi that of the part that failed; 0 if there is none.
fn error_of(body: &TxnBody<'_>) -> i32 {
    match body {
        TxnBody::Error(txn) => txn.err,
        TxnBody::Multi(parts) => {
            let mut errors = parts.iter().map(error_of);
            errors.find(|error| *error != 0).unwrap_or(0)
        }
        _ => 0,
    }
}
