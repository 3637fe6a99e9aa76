//! Listens for learners (`Leader.LearnerCnxAcceptor`).
//!
//! Whoever connects is a stranger until its first packet has introduced it. The engine hears of it
//! only then; a stranger that says something else, or nothing for too long, is logged with its
//! address and sent away, and so is the oldest where there are too many.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_local};
use tracing::{info, warn};

use super::LearnerEvent;
use super::learner_cnxn_factory::{Shared, duration};
use super::learner_reader::{self, Side};
use super::learner_socket::LearnerSocket;
use super::listener;
use crate::proto::HostPort;

/// Connections that may not have introduced themselves yet.
const STRANGERS_MAX: usize = 64;

/// Connections that may have.
const LEARNERS_MAX: usize = 4096;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Pause after an accept that failed, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that have not introduced themselves, oldest first.
#[derive(Default)]
pub(super) struct Strangers(Mutex<VecDeque<Arc<LearnerSocket>>>);

impl Strangers {
    fn add(&self, socket: Arc<LearnerSocket>) {
        let mut strangers = self.0.lock();
        let oldest = if strangers.len() >= STRANGERS_MAX { strangers.pop_front() } else { None };
        strangers.push_back(socket);
        drop(strangers);
        if let Some(oldest) = oldest {
            oldest.finish("too many connections have not introduced themselves");
        }
    }

    fn remove(&self, socket: &Arc<LearnerSocket>) {
        self.0.lock().retain(|stranger| !Arc::ptr_eq(stranger, socket));
    }

    /// Closes all of them.
    pub(super) fn turn_away(&self) {
        let strangers = std::mem::take(&mut *self.0.lock());
        strangers.iter().for_each(|socket| socket.finish("this server leads no more"));
    }
}

/// Listens until it is ended from outside, at the quorum addresses or on another port of theirs;
/// one that can be opened is enough.
pub(super) async fn listen(shared: Arc<Shared>, port: Option<u16>) {
    let on_all_ips = shared.options.listen_on_all_ips;
    let addresses = shared.quorum_addresses.lock().clone();
    // With one host for all, or one port, several may become the same.
    let wanted: BTreeSet<HostPort> = addresses
        .into_iter()
        .map(|HostPort { host, port: own_port }| {
            let host = if on_all_ips { "::".into() } else { host };
            HostPort::new(host, port.unwrap_or(own_port))
        })
        .collect();
    let mut listeners = BTreeMap::new();
    let mut problems = Vec::new();
    for address in &wanted {
        if let Err(error) = open(address, &mut listeners).await {
            problems.push(format!("cannot listen for learners at {address}: {error}"));
        }
    }
    if listeners.is_empty() {
        shared.emit(vec![LearnerEvent::ListenFailed(problems.join("; "))]);
        return;
    }
    problems.iter().for_each(|problem| warn!("{problem}"));
    let local = listeners.values().filter_map(|listener| listener.local_addr().ok()).collect();
    info!("listening for learners at {local:?}");
    shared.emit(vec![LearnerEvent::Listening(local)]);
    let mut accepting = JoinSet::new();
    for listener in listeners.into_values() {
        accepting.spawn_local(accept(shared.clone(), listener));
    }
    // They end with this task.
    while accepting.join_next().await.is_some() {}
}

/// Opens the first address of a name that can be, unless it is open already.
async fn open(
    address: &HostPort,
    listeners: &mut BTreeMap<SocketAddr, TcpListener>,
) -> io::Result<()> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for at in tokio::net::lookup_host((&*address.host, address.port)).await? {
        if listeners.contains_key(&at) {
            return Ok(());
        }
        match listener::listen(at, BACKLOG).and_then(TcpListener::from_std) {
            Ok(listener) => {
                listeners.insert(at, listener);
                return Ok(());
            }
            Err(error) => result = Err(error),
        }
    }
    result
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) if shared.count() >= LEARNERS_MAX => {
                warn!(%peer, "a learner is refused: there are {LEARNERS_MAX} already");
                drop(stream);
            }
            Ok((stream, peer)) => {
                spawn_local(serve(shared.clone(), stream, peer));
            }
            Err(error) => {
                warn!("cannot accept a learner: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(shared.options.leader_nodelay) {
        warn!(%peer, "a learner is gone already: {error}");
        return;
    }
    let (mut read_half, write_half) = stream.into_split();
    let timeout = duration(shared.options.init_limit_ms);
    let socket = Arc::new(LearnerSocket::new(write_half, timeout));
    shared.strangers.add(socket.clone());
    let introduced = tokio::select! {
        introduced = learner_reader::introduction(&mut read_half) => introduced,
        limit = socket.silent_for_too_long() => {
            Err(format!("it did not introduce itself within {} ms", limit.as_millis()))
        }
        reason = socket.over() => Err(reason),
    };
    shared.strangers.remove(&socket);
    let (first, input) = match introduced {
        Ok(introduced) => introduced,
        Err(reason) => {
            warn!(%peer, "closing a connection at the quorum port: {reason}");
            socket.finish(&reason);
            return;
        }
    };
    if socket.is_over() {
        return;
    }
    socket.heard();
    let id = shared.next_id();
    let cnxn = shared.add(id, peer, &socket);
    info!(%peer, "a learner introduces itself");
    shared.emit(vec![LearnerEvent::Accepted(cnxn.clone()), LearnerEvent::Packet(id, first)]);
    learner_reader::serve(&shared, &cnxn, &socket, read_half, Side::Leader(input)).await;
}
