//! Accepts client connections and hands them to the workers (`NIOServerCnxnFactory`); the port is
//! `client_port`'s.
//!
//! Each worker is a thread with an event loop of its own; a connection stays with the worker it was
//! given to.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tracing::{error, warn};

use super::ServerContext;
use super::listener::listen;
use super::server_cnxn;
use crate::server::config::ListenAddress;
use crate::server::memory;
use crate::session::CnxnId;

/// Connections that may wait to be accepted unless `clientPortListenBacklog` says otherwise.
const BACKLOG_DEFAULT: i32 = 1024;

/// Threads of each worker that work out four-letter words; more words wait.
const WORD_THREADS_MAX: usize = 2;

/// Accepted connections on their way to a worker.
type Accepted = (std::net::TcpStream, SocketAddr, AddressSlot);

/// Opens the port clients connect to.
pub(super) fn bind(
    context: &ServerContext,
    address: ListenAddress,
) -> io::Result<std::net::TcpListener> {
    let backlog = match context.config.client_port_listen_backlog {
        backlog if backlog > 0 => backlog,
        _ => BACKLOG_DEFAULT,
    };
    let ip = address.ip.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
    listen(SocketAddr::new(ip, address.port), backlog)
}

/// Accepts connections and gives each to the next worker.
pub(super) struct Acceptor {
    context: Arc<ServerContext>,
    addresses: AddressCounts,
    hand_overs: Vec<mpsc::UnboundedSender<Accepted>>,
    next: usize,
}

impl Acceptor {
    /// Starts so many workers; they end with the process.
    pub(super) fn start(context: Arc<ServerContext>, workers: usize) -> io::Result<Self> {
        let mut hand_overs = Vec::with_capacity(workers);
        for number in 0..workers {
            let (hand_over, accepted) = mpsc::unbounded_channel();
            hand_overs.push(hand_over);
            spawn(format!("worker-{number}"), work(context.clone(), accepted))?;
        }
        let limits = &context.config.limits;
        let addresses = AddressCounts::new(limits.max_client_cnxns, limits.max_cnxns);
        Ok(Self { context, addresses, hand_overs, next: 0 })
    }

    /// Waits for one connection. Nothing is lost if that is given up.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        let accepted = accept_one(&self.context, listener, &self.addresses).await;
        if let Some(accepted) = accepted {
            self.next = (self.next + 1) % self.hand_overs.len();
            // The workers end with the process.
            let _ = self.hand_overs[self.next].send(accepted);
        }
    }
}

/// Runs a future on a thread of its own, which ends with the process.
pub(super) fn spawn(
    name: String,
    future: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WORD_THREADS_MAX)
        .build()?;
    thread::Builder::new().name(name).spawn(move || {
        LocalSet::new().block_on(&runtime, future);
    })?;
    Ok(())
}

async fn work(context: Arc<ServerContext>, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    tokio::task::spawn_local(memory::keep_giving_back());
    while let Some((stream, peer, slot)) = accepted.recv().await {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%peer, "cannot serve a connection: {error}");
                continue;
            }
        };
        let id = CnxnId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let context = context.clone();
        tokio::task::spawn_local(async move {
            server_cnxn::serve(context, stream, peer, id).await;
            drop(slot);
        });
    }
}

async fn accept_one(
    context: &ServerContext,
    listener: &TcpListener,
    addresses: &AddressCounts,
) -> Option<Accepted> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            // Most likely there are no more file descriptors: give connections time to end.
            error!("cannot accept a connection: {error}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            return None;
        }
    };
    let slot = match addresses.take(peer.ip()) {
        Ok(slot) => slot,
        Err(reason) => {
            context.state.metrics.connection_rejected.increment(1);
            warn!(%peer, "connection refused: {reason}");
            return None;
        }
    };
    let prepare = || {
        let socket = SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_keepalive(context.config.limits.client_tcp_keep_alive)
    };
    let prepared = prepare().and_then(|()| stream.into_std());
    match prepared {
        // An IPv4 client is one, whatever socket it came through.
        Ok(stream) => Some((stream, SocketAddr::new(peer.ip().to_canonical(), peer.port()), slot)),
        Err(error) => {
            warn!(%peer, "cannot serve a connection: {error}");
            None
        }
    }
}

/// How many connections there are, from each address and in all.
#[derive(Clone)]
struct AddressCounts {
    counts: Arc<Mutex<HashMap<IpAddr, i32>>>,
    per_address_max: i32,
    total_max: i32,
}

/// A connection's place in the counts, given back when it ends.
struct AddressSlot {
    counts: AddressCounts,
    address: IpAddr,
}

impl AddressCounts {
    fn new(per_address_max: i32, total_max: i32) -> Self {
        Self { counts: Arc::default(), per_address_max, total_max }
    }

    fn take(&self, address: IpAddr) -> Result<AddressSlot, String> {
        let address = address.to_canonical();
        let mut counts = self.counts.lock();
        let total: i32 = if self.total_max > 0 { counts.values().sum() } else { 0 };
        if self.total_max > 0 && total >= self.total_max {
            return Err(format!("{total} connections already, maxCnxns is {}", self.total_max));
        }
        let count = counts.entry(address).or_default();
        if self.per_address_max > 0 && *count >= self.per_address_max {
            let max = self.per_address_max;
            return Err(format!("{count} connections from {address}, maxClientCnxns is {max}"));
        }
        *count += 1;
        Ok(AddressSlot { counts: self.clone(), address })
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut counts = self.counts.counts.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
