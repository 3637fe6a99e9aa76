//! The links between the members of an ensemble, which can be cut and healed.
//!
//! Each ordered pair of members has two small proxies, one for the quorum port and one for the
//! election port: member 1's zoo.cfg names member 2 at the proxies of the pair (1, 2), and itself
//! at its real ports. It needs no rights on the machine, unlike network namespaces. Which
//! addresses the members then really use:
//!
//! - A learner connects to the leader at the address in its own zoo.cfg: the proxy.
//! - An election connection begins with the sender's own address, and who has the larger id calls
//!   back there: the proxy puts the address of the pair's opposite proxy in its place
//!   ([`super::proxied_stream::AddressRewriter`]).
//! - NEWLEADER and notifications carry the text of the sender's configuration, with the sender's
//!   proxies. Members ignore it while `reconfigEnabled` is false, and take it only when its version
//!   is higher than their own; so no reconfig on proxied links. Each member has its own text
//!   in `/zookeeper/config`, which comparisons of trees leave out.
//!
//! A cut is of one direction, whoever opened the connection. [`Cut::Drop`] holds bytes back, and
//! they arrive after healing if both ends still wait, as TCP would send them again; a new
//! connection opens at the proxy and gets no further while either direction is cut. [`Cut::Close`]
//! ends connections, and closes new ones at once.
//!
//! A proxy accepts before it knows whether the member behind it listens. A learner that is early at
//! its new leader would take the end of such a connection for the leader's end, where it tries a
//! refused one again: so the proxy does the trying for it (`REFUSED_LIMIT`).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::ports::MemberPorts;
use super::proxied_stream::{AddressRewriter, SyncKind, SyncWatcher};

/// Bytes that a proxy forwards at a time.
const CHUNK: usize = 64 << 10;

/// For how long a proxy tries to connect to a quorum port that nobody listens at, and how often: a
/// learner tries five times, 100 ms apart (`leaderConnectDelayDuringRetryMs`).
const REFUSED_LIMIT: Duration = Duration::from_millis(500);
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// How a link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing is forwarded, and nobody is told.
    Drop,
    /// Connections end, and new ones are closed at once.
    Close,
}

/// The two ports between servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Plane {
    Quorum,
    Election,
}

/// How a learner was synchronised, as seen on the wire.
#[derive(Debug, Clone, Copy)]
pub struct SyncSeen {
    /// When.
    pub at: Instant,
    /// Who led, by index.
    pub leader: usize,
    /// Who learned, by index.
    pub learner: usize,
    /// What the leader sent first.
    pub kind: SyncKind,
}

/// All links of an ensemble.
#[derive(Debug)]
pub struct Links {
    size: usize,
    proxies: HashMap<(usize, usize, Plane), SocketAddr>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cuts: HashMap<(usize, usize), Cut>,
    connections: Vec<(usize, usize, Weak<Connection>)>,
    syncs: Vec<SyncSeen>,
    ended: bool,
}

/// Both sockets of a forwarded connection.
#[derive(Debug)]
struct Connection {
    near: TcpStream,
    far: TcpStream,
}

impl Connection {
    fn close(&self) {
        // Either may be closed already.
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }
}

impl Links {
    /// Links between members with these ports.
    pub(super) fn new(ports: &[MemberPorts]) -> Self {
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let mut listeners = Vec::new();
        let mut proxies = HashMap::new();
        for from in 0..ports.len() {
            for to in (0..ports.len()).filter(|to| *to != from) {
                for plane in [Plane::Quorum, Plane::Election] {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                    let address = listener.local_addr().expect("its address");
                    proxies.insert((from, to, plane), address);
                    listeners.push((from, to, plane, listener));
                }
            }
        }
        for (from, to, plane, listener) in listeners {
            let port = match plane {
                Plane::Quorum => ports[to].quorum,
                Plane::Election => ports[to].election,
            };
            let proxy = Proxy {
                from,
                to,
                plane,
                target: (Ipv4Addr::LOCALHOST, port).into(),
                call_back: proxies[&(to, from, Plane::Election)].to_string(),
                shared: Arc::clone(&shared),
            };
            thread::spawn(move || proxy.accept(&listener));
        }
        Self { size: ports.len(), proxies, shared }
    }

    /// The quorum and election ports at which `from` finds `to`.
    pub fn ports(&self, from: usize, to: usize) -> (u16, u16) {
        let port = |plane| self.proxies[&(from, to, plane)].port();
        (port(Plane::Quorum), port(Plane::Election))
    }

    /// Cuts what goes from one member to another.
    pub fn cut(&self, from: usize, to: usize, cut: Cut) {
        let mut state = self.shared.lock();
        state.cuts.insert((from, to), cut);
        if cut == Cut::Close {
            let pair = |a, b| (a, b) == (from, to) || (a, b) == (to, from);
            let connections = state.connections.iter().filter(|(a, b, _)| pair(*a, *b));
            connections.filter_map(|(_, _, weak)| weak.upgrade()).for_each(|each| each.close());
        }
        self.shared.changed.notify_all();
    }

    /// Cuts both directions between two members.
    pub fn cut_pair(&self, a: usize, b: usize, cut: Cut) {
        self.cut(a, b, cut);
        self.cut(b, a, cut);
    }

    /// Cuts a member off from all others.
    pub fn isolate(&self, member: usize, cut: Cut) {
        (0..self.size).filter(|other| *other != member).for_each(|other| {
            self.cut_pair(member, other, cut);
        });
    }

    /// Heals every link.
    pub fn heal_all(&self) {
        self.shared.lock().cuts.clear();
        self.shared.changed.notify_all();
    }

    /// Every synchronisation of a learner since the start.
    pub fn syncs(&self) -> Vec<SyncSeen> {
        self.shared.lock().syncs.clone()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        let connections = std::mem::take(&mut state.connections);
        connections.iter().filter_map(|(_, _, weak)| weak.upgrade()).for_each(|each| each.close());
        drop(state);
        self.shared.changed.notify_all();
        for address in self.proxies.values() {
            // Wakes the listener, which then finds that all is over.
            let _ = TcpStream::connect(address);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock held")
    }

    /// A connection opens only where both directions are whole; false when it must not.
    fn wait_both_open(&self, from: usize, to: usize) -> bool {
        loop {
            if !self.wait_open(from, to) || !self.wait_open(to, from) {
                return false;
            }
            let state = self.lock();
            if !state.cuts.contains_key(&(from, to)) && !state.cuts.contains_key(&(to, from)) {
                return true;
            }
        }
    }

    /// Waits while `from` -> `to` drops; false when the connection has to end.
    fn wait_open(&self, from: usize, to: usize) -> bool {
        let mut state = self.lock();
        loop {
            match state.cuts.get(&(from, to)) {
                _ if state.ended => return false,
                None => return true,
                Some(Cut::Close) => return false,
                Some(Cut::Drop) => {
                    state = self.changed.wait(state).expect("no thread panics with the lock held");
                }
            }
        }
    }
}

/// One listener: connections that `from` opens to a port of `to`.
struct Proxy {
    from: usize,
    to: usize,
    plane: Plane,
    target: SocketAddr,
    call_back: String,
    shared: Arc<Shared>,
}

impl Proxy {
    fn accept(self, listener: &TcpListener) {
        let proxy = Arc::new(self);
        for near in listener.incoming() {
            if proxy.shared.lock().ended {
                return;
            }
            let Ok(near) = near else { continue };
            let proxy = Arc::clone(&proxy);
            thread::spawn(move || proxy.serve(near));
        }
    }

    fn connect(&self) -> Option<TcpStream> {
        let deadline = Instant::now() + REFUSED_LIMIT;
        loop {
            match TcpStream::connect(self.target) {
                Ok(far) => return Some(far),
                Err(_) if self.plane == Plane::Quorum && Instant::now() < deadline => {
                    thread::sleep(REFUSED_PAUSE);
                }
                Err(_) => return None,
            }
        }
    }

    fn serve(&self, near: TcpStream) {
        let (from, to, shared) = (self.from, self.to, &self.shared);
        if !shared.wait_both_open(from, to) || hung_up(&near) {
            return;
        }
        let Some(far) = self.connect() else { return };
        let sockets = [near.set_nodelay(true), far.set_nodelay(true)];
        if sockets.iter().any(Result::is_err) {
            return;
        }
        let connection = Arc::new(Connection { near, far });
        {
            let mut state = shared.lock();
            state.connections.retain(|(_, _, weak)| weak.strong_count() > 0);
            state.connections.push((from, to, Arc::downgrade(&connection)));
            // A cut that came meanwhile did not see this connection.
            let closed = |pair| state.cuts.get(&pair) == Some(&Cut::Close);
            if state.ended || closed((from, to)) || closed((to, from)) {
                return;
            }
        }
        let back = Arc::clone(&connection);
        let (plane, shared_back) = (self.plane, Arc::clone(shared));
        let backward = thread::spawn(move || {
            let mut watcher = SyncWatcher::default();
            pump(&back.far, &back.near, &shared_back, (to, from), |bytes| {
                if plane == Plane::Quorum
                    && let Some(kind) = watcher.feed(bytes)
                {
                    let seen = SyncSeen { at: Instant::now(), leader: to, learner: from, kind };
                    shared_back.lock().syncs.push(seen);
                }
                bytes.to_vec()
            });
        });
        let mut rewriter = AddressRewriter::new(self.call_back.clone());
        pump(&connection.near, &connection.far, shared, (from, to), |bytes| match plane {
            Plane::Quorum => bytes.to_vec(),
            Plane::Election => rewriter.feed(bytes),
        });
        backward.join().expect("the other direction");
    }
}

/// Forwards one direction until it ends, and then ends it on the other side too.
fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
    direction: (usize, usize),
    mut through: impl FnMut(&[u8]) -> Vec<u8>,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = from.read(&mut chunk).unwrap_or(0);
        // The end of a connection is held back like its bytes.
        if !shared.wait_open(direction.0, direction.1) {
            break;
        }
        if count == 0 {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        if to.write_all(&through(&chunk[..count])).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Whether the other side has closed a connection that nothing was read from.
fn hung_up(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let ended = matches!(stream.peek(&mut [0]), Ok(0));
    stream.set_nonblocking(false).is_err() || ended
}
