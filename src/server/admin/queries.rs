//! The answers to administrators' questions, as types: the four-letter words print them, and so can
//! whatever else administrators ask through.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::environment;
pub use super::monitor::monitor;
use crate::engine::{GlobalSessions, Input};
use crate::proto::{Millis, SessionId, Xid, Zxid};
use crate::server::clock;
use crate::server::net::ServerContext;
use crate::session::{ClientCnxn, CnxnId};
use crate::watch::WatchesSummary;

/// How long the engine may take to answer, for example while a disk is slow.
const ENGINE_ANSWER_MAX: Duration = Duration::from_secs(10);

/// The server's settings (`ZooKeeperServerConf`).
#[derive(Debug, Clone)]
pub struct Conf {
    /// The port clients connect to.
    pub client_port: u16,
    /// The port clients connect to with TLS, -1 if there is none.
    pub secure_client_port: i32,
    /// Where snapshots are.
    pub data_dir: PathBuf,
    /// Where transaction logs are.
    pub data_log_dir: PathBuf,
    /// The basic unit of time.
    pub tick_time_ms: i32,
    /// Connections from one address.
    pub max_client_cnxns: i32,
    /// Shortest session timeout.
    pub min_session_timeout_ms: i32,
    /// Longest session timeout.
    pub max_session_timeout_ms: i32,
    /// Connections that may wait to be accepted, -1 for the system's choice.
    pub client_port_listen_backlog: i32,
    /// Its number in the ensemble, 0 without one.
    pub server_id: i64,
}

/// The server's settings.
pub fn conf(context: &ServerContext) -> Conf {
    let config = &context.config;
    let (min_session_timeout_ms, max_session_timeout_ms) = config.session.limits_ms();
    Conf {
        client_port: context.admin.client_port().unwrap_or(0),
        secure_client_port: config.secure_client_address.map_or(-1, |address| address.port.into()),
        data_dir: context.admin.snapshots.clone(),
        data_log_dir: context.admin.logs.clone(),
        tick_time_ms: config.tick_time_ms,
        max_client_cnxns: config.limits.max_client_cnxns,
        min_session_timeout_ms,
        max_session_timeout_ms,
        client_port_listen_backlog: config.client_port_listen_backlog,
        server_id: config
            .quorum
            .my_id
            .filter(|_| config.quorum.is_distributed())
            .map_or(0, |id| id.0),
    }
}

/// What the server runs in, in Apache's order.
pub fn environment() -> Vec<(&'static str, String)> {
    environment::list()
}

/// Bytes of the files under the data directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirSizes {
    /// Where snapshots are.
    pub data_dir_bytes: u64,
    /// Where transaction logs are.
    pub log_dir_bytes: u64,
}

/// Measures the data directories.
pub fn dirs(context: &ServerContext) -> DirSizes {
    DirSizes {
        data_dir_bytes: dir_bytes(&context.admin.snapshots),
        log_dir_bytes: dir_bytes(&context.admin.logs),
    }
}

/// Bytes of a file, or of all below a directory; 0 for what is not there any more.
fn dir_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return path.metadata().map_or(0, |metadata| metadata.len());
    };
    entries.flatten().map(|entry| dir_bytes(&entry.path())).sum()
}

/// What the server has done and holds (`ServerStats`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerStats {
    /// Shortest latency.
    pub min_latency_ms: Millis,
    /// Mean latency, rounded to four decimals.
    pub avg_latency_ms: f64,
    /// Longest latency.
    pub max_latency_ms: Millis,
    /// Packets received.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Client connections.
    pub connections: usize,
    /// Requests being worked on.
    pub outstanding_requests: i64,
    /// zxid of the last transaction applied.
    pub last_processed_zxid: Zxid,
    /// Nodes; the root counts twice.
    pub node_count: usize,
}

/// What the server's mode is called.
pub fn server_state(context: &ServerContext) -> &'static str {
    context.state.mode().name()
}

/// What the server has done and holds.
pub fn server_stats(context: &ServerContext) -> ServerStats {
    let (state, stats) = (&context.state, &context.state.stats);
    let (last_processed_zxid, node_count) = {
        let tree = &state.database.read().tree;
        (tree.last_processed(), tree.node_count())
    };
    ServerStats {
        min_latency_ms: stats.min_latency(),
        avg_latency_ms: stats.avg_latency(),
        max_latency_ms: stats.max_latency(),
        packets_received: stats.packets_received(),
        packets_sent: stats.packets_sent(),
        connections: state.cnxns.len(),
        outstanding_requests: state.in_process(),
        last_processed_zxid,
        node_count,
    }
}

/// Starts the server's counts anew.
pub fn reset_server_stats(context: &ServerContext) {
    let state = &context.state;
    state.stats.reset();
    state.reads.reset();
    state.writes.reset();
    context.admin.registry.reset();
}

/// One client connection (`ServerCnxn.getConnectionInfo`).
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The client's address.
    pub peer: SocketAddr,
    /// What the server waits for: 1 to read, 4 to write, the sum for both.
    pub interest_ops: u8,
    /// Requests not answered yet.
    pub outstanding_requests: u32,
    /// Packets received.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Its session and what was done in it, once it has one.
    pub session: Option<SessionInfo>,
}

/// What a connection has done in its session; times are in milliseconds.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// The session.
    pub id: SessionId,
    /// The last operation.
    pub last_operation: &'static str,
    /// When the connection was made, since 1970.
    pub established: Millis,
    /// The session's timeout.
    pub timeout_ms: i32,
    /// Number of the last request answered, below 0 if there was none.
    pub last_cxid: Xid,
    /// zxid of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply was sent, by the monotonic clock.
    pub last_response: Millis,
    /// How long it took.
    pub last_latency: Millis,
    /// The shortest.
    pub min_latency: Millis,
    /// The mean, without decimals.
    pub avg_latency: Millis,
    /// The longest.
    pub max_latency: Millis,
}

/// All client connections, in the order they were made; `asker` is the one that asks.
pub fn connections(context: &ServerContext, asker: CnxnId) -> Vec<ConnectionInfo> {
    let cnxns = sorted_cnxns(context);
    cnxns.iter().map(|cnxn| connection_info(cnxn, cnxn.id == asker)).collect()
}

fn sorted_cnxns(context: &ServerContext) -> Vec<std::sync::Arc<ClientCnxn>> {
    let mut cnxns = context.state.cnxns.all();
    cnxns.sort_unstable_by_key(|cnxn| cnxn.id);
    cnxns
}

fn connection_info(cnxn: &ClientCnxn, is_asker: bool) -> ConnectionInfo {
    let outbox = cnxn.outbox();
    let stats = outbox.stats.clone();
    let interest_ops = match (is_asker || outbox.is_closing(), outbox.is_empty()) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 5,
    };
    drop(outbox);
    let session = cnxn.session.get().map(|session| SessionInfo {
        id: session.id,
        last_operation: stats.last_op,
        established: stats.established,
        timeout_ms: session.handle.timeout_ms(),
        last_cxid: stats.last_cxid,
        last_zxid: stats.last_zxid,
        last_response: stats.last_response,
        last_latency: stats.last_latency,
        min_latency: if stats.count == 0 { 0 } else { stats.min_latency },
        avg_latency: stats.total_latency.checked_div(stats.count as i64).unwrap_or(0),
        max_latency: stats.max_latency,
    });
    ConnectionInfo {
        peer: cnxn.peer,
        interest_ops,
        outstanding_requests: cnxn.unfinished(),
        packets_received: stats.packets_received,
        packets_sent: stats.packets_sent,
        session,
    }
}

/// Starts the counts of all connections anew.
pub fn reset_connection_stats(context: &ServerContext) {
    context.state.cnxns.all().iter().for_each(|cnxn| cnxn.outbox().stats.reset());
}

/// Sessions, their ephemerals and connections, by when they end; times are in milliseconds since
/// 1970.
#[derive(Debug)]
pub struct Dump {
    /// Sessions that only this server knows by the time at which they expire; none if there may be
    /// none.
    pub local: Option<BTreeMap<Millis, Vec<SessionId>>>,
    /// The others.
    pub global: GlobalSessions,
    /// Paths of the ephemerals of each session.
    pub ephemerals: BTreeMap<SessionId, BTreeSet<String>>,
    /// Address and session of each connection by the time at which it is closed unless a packet
    /// comes.
    pub connections: BTreeMap<Millis, Vec<(SocketAddr, SessionId)>>,
}

/// What the engine answers; none if it is stopping.
pub(super) fn ask_engine<T: Send + 'static>(
    context: &ServerContext,
    question: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> Input,
) -> Option<T> {
    let (answer, answered) = mpsc::channel();
    context.mailbox.post(question(Box::new(move |described| {
        // Who asked may have given up.
        let _ = answer.send(described);
    })));
    answered.recv_timeout(ENGINE_ANSWER_MAX).ok()
}

/// What ends when; none if the engine is stopping.
pub fn dump(context: &ServerContext) -> Option<Dump> {
    let described = ask_engine(context, Input::DescribeSessions)?;
    let now = clock::now();
    let since_1970 = |time: Millis| time - now.monotonic + now.wall;
    let dated = |expiry: BTreeMap<Millis, Vec<SessionId>>| {
        expiry.into_iter().map(|(time, sessions)| (since_1970(time), sessions)).collect()
    };
    let local = described.local.map(dated);
    let global = match described.global {
        GlobalSessions::Expiry(expiry) => GlobalSessions::Expiry(dated(expiry)),
        timeouts => timeouts,
    };
    let ephemerals = {
        let tree = &context.state.database.read().tree;
        let sorted = |(session, paths): (_, Vec<String>)| (session, paths.into_iter().collect());
        tree.sessions_with_ephemerals().map(sorted).collect()
    };
    let sessionless = Millis::from(context.config.limits.sessionless_cnxn_timeout_ms.max(1));
    let mut connections = BTreeMap::<_, Vec<_>>::new();
    for cnxn in sorted_cnxns(context) {
        let closes_at = match cnxn.session.get() {
            Some(session) => session.handle.expires_at(),
            None => cnxn.outbox().stats.established - now.wall + now.monotonic + sessionless,
        };
        let bucket = (closes_at.div_euclid(sessionless) + 1) * sessionless;
        let sharing = connections.entry(since_1970(bucket)).or_default();
        sharing.push((cnxn.peer, cnxn.session_id()));
    }
    Some(Dump { local, global, ephemerals, connections })
}

/// How many data watches there are.
pub fn watch_summary(context: &ServerContext) -> WatchesSummary {
    context.state.watches.summary()
}

/// Sessions with data watches and the paths they watch.
pub fn watches_by_session(context: &ServerContext) -> BTreeMap<SessionId, BTreeSet<String>> {
    let mut by_cnxn = Vec::new();
    context.state.watches.for_each_connection(|cnxn, paths| {
        by_cnxn.push((cnxn, paths.iter().map(|path| (*path).to_owned()).collect()));
    });
    let session = |(cnxn, paths)| Some((context.state.cnxns.get(cnxn)?.session_id(), paths));
    by_cnxn.into_iter().filter_map(session).collect()
}

/// Paths with data watches and the sessions that watch them.
pub fn watches_by_path(context: &ServerContext) -> BTreeMap<String, BTreeSet<SessionId>> {
    let mut by_path = Vec::new();
    context.state.watches.for_each_path(|path, cnxns| {
        by_path.push((path.to_owned(), cnxns.to_vec()));
    });
    let session = |cnxn| Some(context.state.cnxns.get(cnxn)?.session_id());
    let sessions = |cnxns: Vec<CnxnId>| cnxns.into_iter().filter_map(session).collect();
    by_path.into_iter().map(|(path, cnxns)| (path, sessions(cnxns))).collect()
}

/// The digests the tree had, one for every so many transactions, the oldest first.
pub fn digests(context: &ServerContext) -> Vec<(Zxid, u64)> {
    let database = context.state.database.read();
    database.tree.digest_log().map(|entry| (entry.zxid, entry.digest)).collect()
}
