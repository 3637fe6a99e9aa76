//! The quorum port, from either end: the thread "quorum" with all connections between a leader and
//! its learners, and the engine's handle on it (`Leader.LearnerCnxAcceptor`, the sockets of
//! `LearnerHandler` and `Learner`).
//!
//! 1. No call of the handle waits for the network.
//! 2. What happens on a connection is told in its order: first that it is
//!    [`LearnerEvent::Accepted`] or [`LearnerEvent::Connected`], last, once, that it is
//!    [`LearnerEvent::Closed`].
//! 3. Reading stops while the engine has not come by what was read before ([`ReadReceipt`]).

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tracing::info;

use super::learner_cnxn_acceptor::{self, Strangers};
use super::learner_connector;
use super::learner_reader::{self, Side};
use super::learner_socket::{LearnerSocket, SocketTransport};
use super::learner_sync_sender::{self, HistoryDirs, PastOutbox};
use crate::processor::{ServerState, ZkDatabase};
use crate::proto::quorum_packet::put_packet;
use crate::proto::{HostPort, Millis, Packet, PacketType, Zxid};
use crate::quorum::{ConnectId, HistoryPlan, LearnerCnxn, LearnerCnxnId};
use crate::tree::TreeOptions;

/// Threads of the quorum thread's runtime that resolve names.
const BLOCKING_THREADS_MAX: usize = 8;

/// How connections are made and read.
#[derive(Debug, Clone)]
pub struct LearnerCnxnOptions {
    /// Where learners are listened for at first: this server's quorum addresses.
    pub quorum_addresses: Vec<HostPort>,
    /// Whether to listen on their ports on all addresses (`quorumListenOnAllIPs`).
    pub listen_on_all_ips: bool,
    /// Silence allowed on a connection until the engine says otherwise, and the time a stranger has
    /// to introduce itself, in milliseconds (`initLimit` ticks).
    pub init_limit_ms: Millis,
    /// Time to connect to a leader, tries and pauses included, in milliseconds
    /// (`connectToLearnerMasterLimit` or else `initLimit` ticks).
    pub connect_limit_ms: Millis,
    /// Pause between two tries, in milliseconds (`leaderConnectDelayDuringRetryMs`).
    pub connect_retry_delay_ms: Millis,
    /// Whether packets to a leader are sent without waiting for more (`follower.nodelay`).
    pub follower_nodelay: bool,
    /// Whether packets to learners are (`leader.nodelay`).
    pub leader_nodelay: bool,
    /// Longest body of a packet, in bytes (`jute.maxbuffer` and its extra).
    pub packet_bytes_max: usize,
    /// How the tree of a received snapshot is made.
    pub tree_options: TreeOptions,
    /// What learners' history is read from.
    pub history: HistoryDirs,
}

/// What happened at the quorum port.
pub enum LearnerEvent {
    /// Learners are listened for at these addresses.
    Listening(Vec<SocketAddr>),
    /// They cannot be.
    ListenFailed(String),
    /// A learner has connected, and introduces itself with the packet that follows.
    Accepted(Arc<LearnerCnxn>),
    /// There is a connection to the leader, of this attempt.
    Connected(ConnectId, Arc<LearnerCnxn>),
    /// There is none, for these reasons.
    ConnectFailed(ConnectId, String),
    /// A packet came.
    Packet(LearnerCnxnId, Packet),
    /// The snapshot behind a SNAP packet came, or cannot be read; then Closed follows. A connection
    /// that ends before is just Closed.
    Snapshot(LearnerCnxnId, Result<Box<ZkDatabase>, String>),
    /// How the log on disk brings a learner up to date.
    HistoryFound(LearnerCnxnId, HistoryPlan),
    /// What was sent past the outbox is all written, and the outbox released.
    Sent(LearnerCnxnId),
    /// It could not be read from the disk; Closed follows.
    SendFailed(LearnerCnxnId, String),
    /// The connection is over.
    Closed(LearnerCnxnId, String),
    /// To be dropped where the engine comes by.
    Receipt(ReadReceipt),
}

/// Comes behind the packets of one read. While too many of a connection are not dropped, nothing
/// more is read from it.
#[derive(Debug)]
pub struct ReadReceipt {
    pub(super) _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for LearnerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening(addresses) => write!(f, "Listening({addresses:?})"),
            Self::ListenFailed(reason) => write!(f, "ListenFailed({reason})"),
            Self::Accepted(cnxn) => write!(f, "Accepted({cnxn:?})"),
            Self::Connected(_, cnxn) => write!(f, "Connected({cnxn:?})"),
            Self::ConnectFailed(_, reason) => write!(f, "ConnectFailed({reason})"),
            Self::Packet(id, packet) => write!(f, "Packet({id}, {packet:?})"),
            Self::Snapshot(id, result) => {
                write!(f, "Snapshot({id}, {:?})", result.as_ref().map(|_| "a database"))
            }
            Self::HistoryFound(id, plan) => write!(f, "HistoryFound({id}, {plan:?})"),
            Self::Sent(id) => write!(f, "Sent({id})"),
            Self::SendFailed(id, reason) => write!(f, "SendFailed({id}, {reason})"),
            Self::Closed(id, reason) => write!(f, "Closed({id}, {reason})"),
            Self::Receipt(_) => write!(f, "Receipt"),
        }
    }
}

/// Where events go, those of one read together.
pub(super) type EventSink = Box<dyn Fn(Vec<LearnerEvent>) + Send + Sync>;

/// What the handle and the tasks of the quorum thread share.
pub(super) struct Shared {
    pub(super) options: LearnerCnxnOptions,
    sink: EventSink,
    next_id: AtomicU64,
    cnxns: Mutex<Cnxns>,
    pub(super) strangers: Strangers,
    /// Where learners are listened for.
    pub(super) quorum_addresses: Mutex<Vec<HostPort>>,
}

#[derive(Default)]
struct Cnxns {
    sockets: HashMap<LearnerCnxnId, Arc<LearnerSocket>>,
    /// The connection to a leader that is wanted.
    wanted: Option<LearnerCnxnId>,
}

/// What the quorum thread is told.
enum Command {
    /// On the quorum addresses' hosts, on this port or their own.
    Listen(Option<u16>),
    StopListening,
    Connect(ConnectId, LearnerCnxnId, Vec<HostPort>),
    Cancel,
    Send(Arc<LearnerCnxn>, PastOutbox),
}

/// The engine's handle. Dropped, it ends every connection.
pub struct LearnerCnxnFactory {
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
}

impl LearnerCnxnFactory {
    /// Starts the quorum thread; `sink` is called on it and must not wait.
    pub fn start(
        options: LearnerCnxnOptions,
        sink: impl Fn(Vec<LearnerEvent>) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            quorum_addresses: Mutex::new(options.quorum_addresses.clone()),
            options,
            sink: Box::new(sink),
            next_id: AtomicU64::new(1),
            cnxns: Mutex::default(),
            strangers: Strangers::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let (commands, to_do) = unbounded_channel();
        let of_thread = shared.clone();
        thread::Builder::new().name("quorum".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, obey(of_thread, to_do));
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { shared, commands })
    }

    /// Listens at these addresses from the next [`Self::listen`] on.
    pub fn set_quorum_addresses(&self, addresses: Vec<HostPort>) {
        *self.shared.quorum_addresses.lock() = addresses;
    }

    /// Lets learners connect; [`LearnerEvent::Listening`] or [`LearnerEvent::ListenFailed`]
    /// follows.
    pub fn listen(&self) {
        self.tell(Command::Listen(None));
    }

    /// Likewise lets observers connect on this port (`observerMasterPort`).
    pub fn listen_for_observers(&self, port: u16) {
        self.tell(Command::Listen(Some(port)));
    }

    /// Lets no more learners connect, and those go that have not introduced themselves. One that
    /// just did may still be announced.
    pub fn stop_listening(&self) {
        self.tell(Command::StopListening);
    }

    /// Connects to a leader at whichever of the addresses answers first, and gives up what was
    /// connecting before. [`LearnerEvent::Connected`] or [`LearnerEvent::ConnectFailed`] follows.
    pub fn connect(&self, attempt: ConnectId, addresses: Vec<HostPort>) {
        let id = self.shared.next_id();
        self.shared.want(Some(id));
        self.tell(Command::Connect(attempt, id, addresses));
    }

    /// Gives up connecting, and the connection if there is one already. Its events that are on
    /// their way still come.
    pub fn cancel(&self) {
        self.shared.want(None);
        self.tell(Command::Cancel);
    }

    /// From now on the connection ends after so long a silence, in milliseconds.
    pub fn set_read_timeout(&self, cnxn: LearnerCnxnId, limit_ms: Millis) {
        if let Some(socket) = self.shared.socket(cnxn) {
            socket.set_read_timeout(duration(limit_ms));
        }
    }

    /// Closes the connection at once; what waits in its outbox is lost.
    pub fn close(&self, cnxn: LearnerCnxnId, reason: &str) {
        if let Some(socket) = self.shared.socket(cnxn) {
            socket.finish(reason);
        }
    }

    /// Sends SNAP and a snapshot of the database as it is now, and holds the outbox meanwhile: what
    /// is queued already goes first. Returns the snapshot's zxid. [`LearnerEvent::Sent`] follows.
    pub fn send_snapshot(&self, cnxn: &Arc<LearnerCnxn>, state: Arc<ServerState>) -> Zxid {
        let (zxid, pieces) = learner_sync_sender::snapshot(state);
        let mut packet = BytesMut::new();
        put_packet(PacketType::Snap, zxid, None, &mut packet);
        let mut outbox = cnxn.outbox();
        outbox.push(packet.freeze());
        outbox.hold();
        drop(outbox);
        self.tell(Command::Send(cnxn.clone(), pieces));
        zxid
    }

    /// Looks how the log on disk brings a learner from `last` to `up_to`, which is on disk;
    /// [`LearnerEvent::HistoryFound`] follows.
    pub fn find_history(&self, cnxn: &Arc<LearnerCnxn>, last: Zxid, up_to: Zxid) {
        let dirs = self.shared.options.history.clone();
        let (shared, id) = (self.shared.clone(), cnxn.id);
        learner_sync_sender::find_history(dirs, last, up_to, move |plan| {
            shared.emit(vec![LearnerEvent::HistoryFound(id, plan)]);
        });
    }

    /// Sends the transactions in (`after`, `up_to`] from the log on disk, each with its commit.
    /// Holds the outbox meanwhile: what is queued already, DIFF or TRUNC, goes first.
    /// [`LearnerEvent::Sent`] follows.
    pub fn send_history(&self, cnxn: &Arc<LearnerCnxn>, after: Zxid, up_to: Zxid) {
        cnxn.outbox().hold();
        let logs = self.shared.options.history.logs.clone();
        let pieces = learner_sync_sender::history(logs, after, up_to);
        self.tell(Command::Send(cnxn.clone(), pieces));
    }

    fn tell(&self, command: Command) {
        // Without the thread there is nothing left to do.
        let _ = self.commands.send(command);
    }
}

impl Shared {
    pub(super) fn next_id(&self) -> LearnerCnxnId {
        LearnerCnxnId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn emit(&self, events: Vec<LearnerEvent>) {
        (self.sink)(events);
    }

    fn socket(&self, id: LearnerCnxnId) -> Option<Arc<LearnerSocket>> {
        self.cnxns.lock().sockets.get(&id).cloned()
    }

    /// The core's and the shell's half of a new connection.
    pub(super) fn add(
        &self,
        id: LearnerCnxnId,
        peer: SocketAddr,
        socket: &Arc<LearnerSocket>,
    ) -> Arc<LearnerCnxn> {
        self.cnxns.lock().sockets.insert(id, socket.clone());
        Arc::new(LearnerCnxn::new(id, peer, Box::new(SocketTransport(socket.clone()))))
    }

    pub(super) fn remove(&self, id: LearnerCnxnId) {
        self.cnxns.lock().sockets.remove(&id);
    }

    /// How many connections the engine may know.
    pub(super) fn count(&self) -> usize {
        self.cnxns.lock().sockets.len()
    }

    fn want(&self, id: Option<LearnerCnxnId>) {
        let mut cnxns = self.cnxns.lock();
        let before = std::mem::replace(&mut cnxns.wanted, id);
        let given_up = before.and_then(|before| cnxns.sockets.get(&before).cloned());
        drop(cnxns);
        if let Some(socket) = given_up {
            socket.finish("another leader is looked for");
        }
    }

    fn is_wanted(&self, id: LearnerCnxnId) -> bool {
        self.cnxns.lock().wanted == Some(id)
    }
}

pub(super) fn duration(ms: Millis) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// The quorum thread.
async fn obey(shared: Arc<Shared>, mut to_do: UnboundedReceiver<Command>) {
    let mut listening: Option<JoinHandle<()>> = None;
    let mut connecting: Option<JoinHandle<()>> = None;
    while let Some(command) = to_do.recv().await {
        match command {
            Command::Listen(port) => {
                let task = spawn_local(learner_cnxn_acceptor::listen(shared.clone(), port));
                replace(&mut listening, Some(task)).await;
            }
            Command::StopListening => {
                replace(&mut listening, None).await;
                shared.strangers.turn_away();
            }
            Command::Connect(attempt, id, addresses) => {
                let task = spawn_local(connect(shared.clone(), (attempt, id), addresses));
                replace(&mut connecting, Some(task)).await;
            }
            Command::Cancel => replace(&mut connecting, None).await,
            Command::Send(cnxn, pieces) => {
                if let Some(socket) = shared.socket(cnxn.id) {
                    spawn_local(learner_sync_sender::send(shared.clone(), cnxn, socket, pieces));
                }
            }
        }
    }
    let sockets: Vec<_> = shared.cnxns.lock().sockets.values().cloned().collect();
    sockets.iter().for_each(|socket| socket.finish("this server stops"));
}

/// Ends the task before; when this returns it has let go what it held, such as a port.
async fn replace(task: &mut Option<JoinHandle<()>>, next: Option<JoinHandle<()>>) {
    if let Some(before) = std::mem::replace(task, next) {
        before.abort();
        let _ = before.await;
    }
}

/// Connects to a leader. Once there is a connection, a task of its own has it: this one may be
/// ended at any time.
async fn connect(
    shared: Arc<Shared>,
    (attempt, id): (ConnectId, LearnerCnxnId),
    addresses: Vec<HostPort>,
) {
    match learner_connector::connect(&shared.options, &addresses).await {
        Ok((stream, peer)) if shared.is_wanted(id) => {
            info!("connected to the leader at {peer}");
            spawn_local(serve_leader(shared, (attempt, id), stream, peer));
        }
        // Given up meanwhile.
        Ok(_) => {}
        Err(reason) => shared.emit(vec![LearnerEvent::ConnectFailed(attempt, reason)]),
    }
}

async fn serve_leader(
    shared: Arc<Shared>,
    (attempt, id): (ConnectId, LearnerCnxnId),
    stream: TcpStream,
    peer: SocketAddr,
) {
    let (read_half, write_half) = stream.into_split();
    let timeout = duration(shared.options.init_limit_ms);
    let socket = Arc::new(LearnerSocket::new(write_half, timeout));
    let cnxn = shared.add(id, peer, &socket);
    shared.emit(vec![LearnerEvent::Connected(attempt, cnxn.clone())]);
    if !shared.is_wanted(id) {
        socket.finish("another leader is looked for");
    }
    learner_reader::serve(&shared, &cnxn, &socket, read_half, Side::Learner).await;
}

#[cfg(test)]
mod tests;
