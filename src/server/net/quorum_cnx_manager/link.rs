//! One election connection: opening it, introducing oneself, and the messages
//! (`QuorumCnxManager.startConnection`, `SendWorker`, `RecvWorker`).

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::{ElectionEvent, Net};
use crate::proto::{HostPort, InitialMessage, Notification, Sid, notification};

/// Connects to a server, at whichever of its addresses answers first if it has several, and
/// introduces this one.
pub(super) async fn open(net: &Net, sid: Sid, addresses: Vec<HostPort>) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    for address in addresses {
        let limit = net.options.connect_timeout;
        attempts.spawn_local(async move {
            connect(&address, limit)
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
        });
    }
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    while let Some(attempt) = attempts.join_next().await {
        match attempt.map_err(io::Error::other).flatten() {
            Ok(mut stream) => {
                prepare(net, &stream)?;
                // A TLS handshake with the peer belongs here.
                let introduction = introduction(net).await;
                within(net.options.connect_timeout, stream.write_all(&introduction)).await?;
                // SASL with the peer `sid` belongs here, in the role of the client.
                return Ok(stream);
            }
            Err(error) => last_error = error,
        }
    }
    Err(io::Error::new(last_error.kind(), format!("server {sid}: {last_error}")))
}

/// Waits until a larger id has closed the connection, which it does to connect back. A reset means
/// that nobody took the connection: the port of a process that ends is the last to close.
pub(super) async fn taken(net: &Net, stream: &mut TcpStream) -> io::Result<()> {
    let closed = async {
        match stream.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            read => read.map(drop),
        }
    };
    within(net.options.connect_timeout, closed).await
}

/// The name is looked up anew each time, as a server may have moved.
async fn connect(address: &HostPort, limit: Duration) -> io::Result<TcpStream> {
    within(limit, TcpStream::connect((address.host.as_str(), address.port))).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it took too long");
    timeout(limit, work).await.map_err(late)?
}

fn prepare(net: &Net, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_keepalive(net.options.tcp_keep_alive)?;
    // A server that comes back to its network under another address would otherwise vote on
    // connections of the old one, which end only when TCP gives up after a quarter of an hour.
    socket.set_tcp_user_timeout(Some(net.options.handshake_timeout))
}

/// This server's introduction, with its addresses as numbers where they can be looked up, so that
/// a peer needs no name of it.
async fn introduction(net: &Net) -> bytes::Bytes {
    let my = net.options.my;
    let mut addresses = net.state.borrow().addresses.get(&my).cloned().unwrap_or_default();
    for address in &mut addresses {
        let found = lookup_host((address.host.as_str(), address.port)).await;
        if let Some(ip) = found.ok().and_then(|mut found| found.next()) {
            address.host = ip.ip().to_string();
        }
    }
    InitialMessage { sid: my, addresses }.encode(net.options.multi_address)
}

/// Reads who has opened a connection; what came behind that is given back too.
pub(super) async fn introduced(
    net: &Net,
    mut stream: TcpStream,
) -> io::Result<(TcpStream, BytesMut, InitialMessage)> {
    prepare(net, &stream)?;
    // A TLS handshake belongs here, after a look at the first bytes with `portUnification`.
    let mut input = BytesMut::new();
    let read = async {
        loop {
            let message = InitialMessage::decode(&mut input);
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            if let Some(message) = message.map_err(invalid)? {
                return Ok(message);
            }
            fill(&mut stream, &mut input).await?;
        }
    };
    let message = within(net.options.handshake_timeout, read).await?;
    // SASL belongs here, in the role of the server; `input` holds its first bytes.
    Ok((stream, input, message))
}

async fn fill(from: &mut (impl AsyncReadExt + Unpin), input: &mut BytesMut) -> io::Result<()> {
    match from.read_buf(input).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed it")),
        _ => Ok(()),
    }
}

/// Exchanges messages until the connection ends, and says why it did.
pub(super) async fn serve(
    net: &Net,
    sid: Sid,
    stream: TcpStream,
    rest: BytesMut,
    woken: Rc<Notify>,
) -> io::Error {
    let (from, to) = stream.into_split();
    tokio::select! {
        error = receive(net, sid, from, rest) => error,
        error = send(net, sid, to, &woken) => error,
    }
}

async fn receive(net: &Net, sid: Sid, mut from: OwnedReadHalf, mut input: BytesMut) -> io::Error {
    loop {
        match notification::next_message(&mut input) {
            Ok(Some(body)) => match Notification::decode(&body) {
                Ok(notification) => {
                    (net.tell)(ElectionEvent::Notification { from: sid, notification });
                }
                // Java passes over it too: a later version may know more.
                Err(error) => {
                    let peer = from.peer_addr().ok();
                    warn!(%sid, ?peer, "passing over a message: {error}");
                }
            },
            Ok(None) => {
                if let Err(error) = fill(&mut from, &mut input).await {
                    return error;
                }
            }
            Err(error) => {
                let peer = from.peer_addr().ok();
                warn!(%sid, ?peer, "closing an election connection: {error}");
                return io::Error::new(io::ErrorKind::InvalidData, error);
            }
        }
    }
}

async fn send(net: &Net, sid: Sid, mut to: OwnedWriteHalf, woken: &Notify) -> io::Error {
    loop {
        woken.notified().await;
        while let Some(message) = net.take_newest(sid) {
            let mut bytes = BytesMut::with_capacity(4 + message.len());
            bytes.put_u32(message.len() as u32);
            bytes.put_slice(&message);
            if let Err(error) = to.write_all(&bytes).await {
                return error;
            }
        }
    }
}
