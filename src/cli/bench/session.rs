//! Where a server is, and sessions opened there with blocking sockets before a measurement.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use jute::ConnectRequest;

use super::error::BenchError;
use crate::client::wire;
use crate::client::{Config, ConnectString, ZooKeeper};
use crate::proto::ErrorCode;
use crate::proto::PASSWORD_BYTES;

/// How long a blocking step waits for the server.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an address may take to show that somebody listens there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest reply taken before and after a measurement, in bytes: the names of some millions of
/// children.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// Handshakes under way at once; at most the accept backlog that servers ask for.
const HANDSHAKES_AT_ONCE: usize = 50;

/// Where a server is, and what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// host:port as given.
    pub(super) name: String,
    /// The first of its addresses that takes connections.
    pub(super) address: SocketAddr,
    connect: ConnectString,
    session_timeout_ms: i32,
}

impl Target {
    /// Resolves `name`, host:port or a host alone, and sees that somebody listens there.
    pub(super) fn resolve(name: &str, session_timeout_ms: i32) -> Result<Self, BenchError> {
        let refuse = |reason: String| BenchError::Connect { server: name.into(), reason };
        let connect = ConnectString::parse(name).map_err(|e| refuse(e.to_string()))?;
        let [server] = &connect.servers[..] else {
            return Err(refuse("give one server, not several".into()));
        };
        if !connect.chroot.is_empty() {
            return Err(refuse("give a path with --root, not with the server".into()));
        }
        let addresses = (server.host.as_str(), server.port)
            .to_socket_addrs()
            .map_err(|e| refuse(e.to_string()))?;
        let mut why = "the name has no address".to_owned();
        let mut listens = |address: &SocketAddr| {
            let probe = TcpStream::connect_timeout(address, PROBE_TIMEOUT);
            probe.map_err(|e| why = e.to_string()).is_ok()
        };
        let found = addresses.into_iter().find(|address| listens(address));
        let address = found.ok_or_else(|| refuse(why))?;
        Ok(Self { name: name.into(), address, connect, session_timeout_ms })
    }

    /// A client for the steps before and after a measurement.
    pub(super) fn client(&self) -> Result<ZooKeeper, BenchError> {
        let config = Config {
            connect: self.connect.clone(),
            session_timeout_ms: self.session_timeout_ms,
            can_be_read_only: false,
            max_frame_bytes: REPLY_BYTES_MAX,
            request_timeout: Some(STEP_TIMEOUT),
        };
        let client = ZooKeeper::connect(config, |_| {}).map_err(BenchError::io("a client"))?;
        match client.wait_connected(STEP_TIMEOUT) {
            true => Ok(client),
            false => Err(self.no_session("it does not answer".into())),
        }
    }

    /// Opens `count` sessions, some at once; each is a session or why there is none.
    pub(super) fn connect_all(&self, count: usize) -> Vec<Result<Session, BenchError>> {
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            let wave = HANDSHAKES_AT_ONCE.min(count - sessions.len());
            let started: Vec<_> = (0..wave).map(|_| self.start()).collect();
            sessions.extend(started.into_iter().map(|stream| self.finish(stream?)));
        }
        sessions
    }

    fn start(&self) -> Result<TcpStream, BenchError> {
        let open = || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect_timeout(&self.address, STEP_TIMEOUT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(STEP_TIMEOUT))?;
            let connect = ConnectRequest {
                time_out: self.session_timeout_ms,
                passwd: Some(&[0; PASSWORD_BYTES]),
                ..ConnectRequest::default()
            };
            let mut frame = BytesMut::new();
            wire::put_connect_request(&mut frame, &connect);
            stream.write_all(&frame)?;
            Ok(stream)
        };
        open().map_err(|e| self.no_session(e.to_string()))
    }

    fn finish(&self, mut stream: TcpStream) -> Result<Session, BenchError> {
        let frame = read_frame(&mut stream).map_err(|e| {
            self.no_session(match e.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                    "the server closed the connection; is maxClientCnxns too low?".into()
                }
                _ => e.to_string(),
            })
        })?;
        match wire::read_connect_response(&frame).map_err(|e| self.no_session(e.to_string()))? {
            Some(grant) => Ok(Session { stream, timeout_ms: grant.timeout_ms as u32 }),
            None => Err(self.no_session("the server refused it".into())),
        }
    }

    fn no_session(&self, reason: String) -> BenchError {
        BenchError::Connect { server: self.name.clone(), reason }
    }
}

/// A session whose socket still blocks.
#[derive(Debug)]
pub(super) struct Session {
    /// The connection.
    pub(super) stream: TcpStream,
    /// Session timeout granted, in milliseconds; more than 0.
    pub(super) timeout_ms: u32,
}

/// An error code by number and, where it is known, name.
pub(super) fn code_name(code: i32) -> String {
    match ErrorCode::from_code(code) {
        Some(known) => format!("{code} ({known})"),
        None => code.to_string(),
    }
}

/// The first frame of a connection.
fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    /// Longer than any connect response.
    const CONNECT_RESPONSE_BYTES_MAX: usize = 1024;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > CONNECT_RESPONSE_BYTES_MAX {
        let text = "it does not answer as a ZooKeeper server does";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
