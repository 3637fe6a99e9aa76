//! Connections over which servers elect: one between any two, kept by the one with the larger id
//! (`QuorumCnxManager`).
//!
//! 1. The connection that the larger id opened survives. The smaller one's is closed once its
//!    address is known, and the larger connects back.
//! 2. A newer connection of a server takes the place of the older.
//! 3. Of the messages that wait for a server only the newest is kept, and the last one that was
//!    sent is sent again over a new connection, since nobody knows whether it arrived.
//! 4. Whoever calls a [`QuorumCnxHandle`] never waits: commands are state that the manager's own
//!    thread reads when it is woken.
//! 5. What a stranger sends costs a line in the log and at most one of [`HANDSHAKES_MAX`] places,
//!    of which the oldest is given up for a new one.

mod link;
mod listener;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tracing::{debug, info, warn};

use crate::proto::{HostPort, InitialMessage, Notification, Sid};
use crate::quorum::QuorumMembers;
use crate::server::config::ServerConfig;

/// Connections that have not introduced themselves yet.
const HANDSHAKES_MAX: usize = 64;

/// Open connections to servers that are no members, such as those that want to join.
const STRANGERS_MAX: usize = 256;

/// Threads for looking up names.
const LOOKUP_THREADS_MAX: usize = 8;

/// Settings of the connections of an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumCnxOptions {
    /// Id of this server.
    pub my: Sid,
    /// How long connecting may take, with the lookup of the name (`cnxTimeout`).
    pub connect_timeout: Duration,
    /// How long a peer may take to introduce itself, and its system to confirm what it is sent
    /// (`quorumCnxnTimeoutMs`, else `syncLimit`).
    pub handshake_timeout: Duration,
    /// Attempts to listen at a port, one second apart; 0 for no end (`electionPortBindRetry`).
    pub port_bind_retry: u32,
    /// Whether ports are opened on all addresses (`quorumListenOnAllIPs`).
    pub listen_on_all_ips: bool,
    /// Whether TCP probes silent connections (`tcpKeepAlive`).
    pub tcp_keep_alive: bool,
    /// Whether peers are told all addresses and reached at any of theirs
    /// (`multiAddress.enabled`).
    pub multi_address: bool,
}

impl QuorumCnxOptions {
    /// What a configuration says of them, for the server with this id.
    #[must_use]
    pub fn new(config: &ServerConfig, my: Sid) -> Self {
        let (quorum, election) = (&config.quorum, &config.quorum.election);
        let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let handshake_timeout_ms = match election.quorum_cnxn_timeout_ms {
            given if given > 0 => i64::from(given),
            _ => i64::from(quorum.sync_limit_ticks) * i64::from(config.tick_time_ms),
        };
        Self {
            my,
            connect_timeout: ms(election.cnx_timeout_ms.into()),
            handshake_timeout: ms(handshake_timeout_ms),
            port_bind_retry: election.election_port_bind_retry,
            listen_on_all_ips: quorum.quorum_listen_on_all_ips,
            tcp_keep_alive: election.tcp_keep_alive,
            multi_address: quorum.multi_address_enabled,
        }
    }
}

/// The election addresses of all servers of these configurations, see [`ElectionAddresses`].
#[must_use]
pub fn election_addresses<'a>(
    configs: impl IntoIterator<Item = &'a QuorumMembers>,
) -> ElectionAddresses {
    let mut addresses = ElectionAddresses::new();
    for server in configs.into_iter().flat_map(|members| members.servers.values()) {
        let known = addresses.entry(server.id).or_default();
        for address in server.election_addresses() {
            if !known.contains(&address) {
                known.push(address);
            }
        }
    }
    addresses
}

/// Where the election ports of an ensemble are, this server's among them; of a server in both the
/// configuration in force and the next one, those of both.
pub type ElectionAddresses = BTreeMap<Sid, Vec<HostPort>>;

/// What the manager tells. It is told on the manager's thread, which waits for whoever is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElectionEvent {
    /// A message has come from a server.
    Notification {
        /// The server; a negative id stands for an observer that has none.
        from: Sid,
        /// What it says.
        notification: Notification,
    },
    /// There is a connection to this server, perhaps in the place of another.
    Up(Sid),
    /// There is none any more.
    Down(Sid),
    /// An attempt to connect has failed.
    Unreachable(Sid),
    /// No election port could be opened: this server cannot take part (Apache's exits with 14).
    CannotListen(String),
}

/// Gives commands to the manager; see the fourth invariant.
#[derive(Debug, Clone)]
pub struct QuorumCnxHandle {
    commands: Arc<Commands>,
}

#[derive(Debug, Default)]
struct Commands {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// Commands that were given and not seen yet; later ones take the place of earlier ones.
#[derive(Debug, Default)]
struct Waiting {
    messages: BTreeMap<Sid, Bytes>,
    addresses: Option<ElectionAddresses>,
    is_stopping: bool,
}

impl QuorumCnxHandle {
    /// Sends the body of a message to a server, and connects to it if there is no connection; it
    /// takes the place of one that waits.
    pub fn send(&self, to: Sid, message: Bytes) {
        self.command(|waiting| drop(waiting.messages.insert(to, message)));
    }

    /// Other servers or other addresses. Connections stay; ports of this server's that are no
    /// longer named are closed, new ones opened.
    pub fn set_addresses(&self, addresses: ElectionAddresses) {
        self.command(|waiting| waiting.addresses = Some(addresses));
    }

    /// Closes everything and ends the manager.
    pub fn stop(&self) {
        self.command(|waiting| waiting.is_stopping = true);
    }

    fn command(&self, give: impl FnOnce(&mut Waiting)) {
        give(&mut self.commands.waiting.lock());
        self.commands.wake.notify_one();
    }
}

/// The manager, not running yet.
pub struct QuorumCnxManager {
    options: QuorumCnxOptions,
    commands: Arc<Commands>,
    tell: Box<dyn Fn(ElectionEvent) + Send>,
}

impl QuorumCnxManager {
    /// A manager of connections between these servers that tells what happens with `tell`.
    pub fn new(
        options: QuorumCnxOptions,
        addresses: ElectionAddresses,
        tell: impl Fn(ElectionEvent) + Send + 'static,
    ) -> (Self, QuorumCnxHandle) {
        let commands = Arc::<Commands>::default();
        let handle = QuorumCnxHandle { commands: commands.clone() };
        handle.set_addresses(addresses);
        (Self { options, commands, tell: Box::new(tell) }, handle)
    }

    /// Runs it on a thread of its own, which ends when it is stopped.
    pub fn start(self) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUP_THREADS_MAX)
            .build()?;
        thread::Builder::new().name("election".to_owned()).spawn(move || {
            runtime.block_on(self.run());
            // A lookup of a name may take long, and nobody waits for it any more.
            runtime.shutdown_background();
        })
    }

    /// Runs until it is stopped; everything it began ends with it. Any current-thread runtime will
    /// do.
    pub async fn run(self) {
        let Self { options, commands, tell } = self;
        let net = Rc::new(Net { options, tell, state: RefCell::default() });
        LocalSet::new()
            .run_until(async {
                loop {
                    let waiting = std::mem::take(&mut *commands.waiting.lock());
                    if waiting.is_stopping {
                        break;
                    }
                    if let Some(addresses) = waiting.addresses {
                        net.set_addresses(addresses);
                    }
                    for (to, message) in waiting.messages {
                        net.send(to, message);
                    }
                    commands.wake.notified().await;
                }
            })
            .await;
    }
}

/// What all tasks of the manager share; they run on one thread, and nobody holds the state while
/// waiting or while telling.
struct Net {
    options: QuorumCnxOptions,
    tell: Box<dyn Fn(ElectionEvent) + Send>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    addresses: ElectionAddresses,
    peers: BTreeMap<Sid, Peer>,
    listeners: BTreeMap<HostPort, AbortHandle>,
    handshakes: VecDeque<(u64, AbortHandle)>,
    /// Given out to handshakes and links.
    last_number: u64,
    /// Observers without an id that have connected so far.
    nameless: i64,
}

/// What is known of another server.
#[derive(Default)]
struct Peer {
    /// The newest message, if it was not sent yet.
    newest: Option<Bytes>,
    last_sent: Option<Bytes>,
    link: Option<Link>,
    is_connecting: bool,
}

/// An open connection.
struct Link {
    number: u64,
    task: AbortHandle,
    wake: Rc<Notify>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Forgets a server that is no member and has no connection.
    fn forget_stranger(&mut self, sid: Sid) {
        let is_member = self.addresses.contains_key(&sid);
        let is_idle = |peer: &Peer| peer.link.is_none() && !peer.is_connecting;
        if !is_member && self.peers.get(&sid).is_some_and(is_idle) {
            self.peers.remove(&sid);
        }
    }
}

impl Net {
    fn set_addresses(self: &Rc<Self>, addresses: ElectionAddresses) {
        let own = addresses.get(&self.options.my).cloned().unwrap_or_default();
        let wildcard = |address: HostPort| HostPort::new("::", address.port);
        let wanted: BTreeSet<HostPort> = match self.options.listen_on_all_ips {
            true => own.into_iter().map(wildcard).collect(),
            false => own.into_iter().collect(),
        };
        let mut state = self.state.borrow_mut();
        state.addresses = addresses;
        for sid in state.peers.keys().copied().collect::<Vec<_>>() {
            state.forget_stranger(sid);
        }
        state.listeners.retain(|address, task| {
            let keep = wanted.contains(address);
            if !keep {
                info!(%address, "closing an election port");
                task.abort();
            }
            keep
        });
        for address in wanted {
            state.listeners.entry(address).or_insert_with_key(|address| {
                spawn_local(listener::keep_open(self.clone(), address.clone())).abort_handle()
            });
        }
    }

    /// A listener has given up its port.
    fn on_listener_end(&self, address: &HostPort, reason: String) {
        let mut state = self.state.borrow_mut();
        state.listeners.remove(address);
        let is_last = state.listeners.is_empty();
        drop(state);
        if is_last {
            (self.tell)(ElectionEvent::CannotListen(reason));
        }
    }

    fn send(self: &Rc<Self>, to: Sid, message: Bytes) {
        let mut state = self.state.borrow_mut();
        let known = state.addresses.get(&to).cloned();
        if known.is_none() && !state.peers.contains_key(&to) {
            debug!(sid = %to, "no address to send to");
            return;
        }
        let peer = state.peers.entry(to).or_default();
        peer.newest = Some(message);
        match (&peer.link, known) {
            (Some(link), _) => link.wake.notify_one(),
            (None, Some(addresses)) => {
                drop(state);
                self.connect(to, addresses, Vec::new());
            }
            (None, None) => {}
        }
    }

    /// Connects to a server, unless there is a connection or an attempt under way; at the other
    /// addresses, if there are any, when these do not answer.
    fn connect(self: &Rc<Self>, sid: Sid, addresses: Vec<HostPort>, others: Vec<HostPort>) {
        let mut state = self.state.borrow_mut();
        let peer = state.peers.entry(sid).or_default();
        if peer.link.is_some() || peer.is_connecting {
            return;
        }
        peer.is_connecting = true;
        drop(state);
        let net = self.clone();
        spawn_local(async move {
            let mut opened = link::open(&net, sid, addresses).await;
            if opened.is_err() && !others.is_empty() {
                opened = link::open(&net, sid, others).await;
            }
            if let Ok(stream) = &mut opened
                && sid > net.options.my
                && let Err(error) = link::taken(&net, stream).await
            {
                opened = Err(error);
            }
            let mut state = net.state.borrow_mut();
            let peer = state.peers.entry(sid).or_default();
            peer.is_connecting = false;
            let is_linked = peer.link.is_some();
            state.forget_stranger(sid);
            drop(state);
            match opened {
                Ok(stream) if sid < net.options.my => net.keep(sid, stream, BytesMut::new()),
                Ok(_) => debug!(%sid, "introduced to a larger id, which connects back"),
                Err(error) => {
                    info!(%sid, "cannot connect to the election port: {error}");
                    if !is_linked {
                        (net.tell)(ElectionEvent::Unreachable(sid));
                    }
                }
            }
        });
    }

    /// A connection has come in.
    fn accept(self: &Rc<Self>, stream: TcpStream) {
        let Ok(peer) = stream.peer_addr() else { return };
        let mut state = self.state.borrow_mut();
        if state.handshakes.len() >= HANDSHAKES_MAX
            && let Some((_, oldest)) = state.handshakes.pop_front()
        {
            warn!(%peer, "too many connections that do not introduce themselves: oldest closed");
            oldest.abort();
        }
        let number = state.number();
        let net = self.clone();
        let task = spawn_local(async move {
            let introduced = link::introduced(&net, stream).await;
            net.state.borrow_mut().handshakes.retain(|(other, _)| *other != number);
            match introduced {
                Ok((stream, rest, message)) => net.on_introduced(stream, rest, message),
                Err(error) => warn!(%peer, "closing an election connection: {error}"),
            }
        });
        state.handshakes.push_back((number, task.abort_handle()));
    }

    /// A server has introduced itself (`QuorumCnxManager.handleConnection`).
    fn on_introduced(self: &Rc<Self>, stream: TcpStream, rest: BytesMut, message: InitialMessage) {
        let InitialMessage { mut sid, addresses } = message;
        if sid == InitialMessage::OBSERVER_ID {
            let mut state = self.state.borrow_mut();
            state.nameless += 1;
            sid = Sid(-state.nameless);
            info!(%sid, "an observer without an id gets one");
        } else if sid == self.options.my {
            warn!(%sid, "a connection from a server with this server's own id is closed");
            return;
        } else if sid < self.options.my {
            // It may have restarted, so that a connection to it is one to its past.
            self.unlink(sid, None);
            drop(stream);
            let configured = self.state.borrow().addresses.get(&sid).cloned().unwrap_or_default();
            match (addresses.is_empty(), configured.is_empty()) {
                (true, true) => warn!(%sid, "no address to connect back to"),
                (true, false) => self.connect_back(sid, configured, Vec::new()),
                // It may have moved and not know its own address yet.
                (false, _) => self.connect_back(sid, addresses, configured),
            }
            return;
        }
        self.keep(sid, stream, rest);
    }

    fn connect_back(self: &Rc<Self>, sid: Sid, addresses: Vec<HostPort>, others: Vec<HostPort>) {
        if self.has_room_for(sid) {
            self.connect(sid, addresses, others);
        }
    }

    /// Whether a server is a member, or strangers are few.
    fn has_room_for(&self, sid: Sid) -> bool {
        let state = self.state.borrow();
        let is_stranger = |sid: &Sid| !state.addresses.contains_key(sid);
        let strangers = state.peers.keys().filter(|sid| is_stranger(sid)).count();
        let has_room = !is_stranger(&sid) || strangers < STRANGERS_MAX;
        if !has_room {
            warn!(%sid, "too many connections of servers that are no members: refused");
        }
        has_room
    }

    /// Makes a connection the one to a server.
    fn keep(self: &Rc<Self>, sid: Sid, stream: TcpStream, rest: BytesMut) {
        if !self.has_room_for(sid) {
            return;
        }
        let mut state = self.state.borrow_mut();
        let number = state.number();
        let peer = state.peers.entry(sid).or_default();
        if peer.newest.is_none() {
            peer.newest = peer.last_sent.clone();
        }
        let wake = Rc::new(Notify::new());
        // What waits is sent at once.
        wake.notify_one();
        let (net, woken) = (self.clone(), wake.clone());
        let task = spawn_local(async move {
            let error = link::serve(&net, sid, stream, rest, woken).await;
            info!(%sid, "an election connection ended: {error}");
            net.unlink(sid, Some(number));
        });
        peer.link = Some(Link { number, task: task.abort_handle(), wake });
        drop(state);
        (self.tell)(ElectionEvent::Up(sid));
    }

    /// Closes the connection to a server, or only the one of this number.
    fn unlink(&self, sid: Sid, number: Option<u64>) {
        let mut state = self.state.borrow_mut();
        let Some(peer) = state.peers.get_mut(&sid) else { return };
        let is_meant = |link: &mut Link| number.is_none_or(|number| number == link.number);
        let Some(link) = peer.link.take_if(is_meant) else { return };
        state.forget_stranger(sid);
        drop(state);
        drop(link);
        (self.tell)(ElectionEvent::Down(sid));
    }

    /// The message to send to a server next; it counts as sent.
    fn take_newest(&self, sid: Sid) -> Option<Bytes> {
        let mut state = self.state.borrow_mut();
        let peer = state.peers.get_mut(&sid)?;
        let message = peer.newest.take()?;
        peer.last_sent = Some(message.clone());
        Some(message)
    }
}
