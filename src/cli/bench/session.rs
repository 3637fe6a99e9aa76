//! Sessions made with blocking sockets: the handshake of every connection, and a client for the steps before and
//! after a measurement.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use jute::{ConnectRequest, ConnectResponse, Field, GetChildrenResponse, ReplyHeader};

use super::error::BenchError;
use super::request;
use crate::proto::{ErrorCode, OpCode, Xid};

/// How long a blocking step waits for the server.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest reply taken, in bytes: the names of some millions of children.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// Handshakes under way at once; below the accept backlog that servers ask for.
const HANDSHAKES_AT_ONCE: usize = 50;

/// Where a server is, and what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// host:port as given.
    pub(super) name: String,
    /// The first address it resolves to.
    pub(super) address: SocketAddr,
    /// Session timeout asked for, in milliseconds.
    pub(super) session_timeout_ms: i32,
}

impl Target {
    /// Resolves `name`, host:port.
    pub(super) fn resolve(name: &str, session_timeout_ms: i32) -> Result<Self, BenchError> {
        let refuse = |reason: String| BenchError::Connect { server: name.into(), reason };
        let address = name
            .to_socket_addrs()
            .map_err(|e| refuse(format!("{e}; give host:port")))?
            .next()
            .ok_or_else(|| refuse("the name has no address".into()))?;
        Ok(Self { name: name.into(), address, session_timeout_ms })
    }

    /// Opens one session.
    pub(super) fn connect(&self) -> Result<Session, BenchError> {
        self.start().and_then(|stream| self.finish(stream))
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
                passwd: Some(&[0; 16]),
                ..ConnectRequest::default()
            };
            let mut frame = vec![0; 4];
            connect.write(&mut frame);
            request::end_frame(0, &mut frame);
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
        let response =
            ConnectResponse::from_bytes(&frame).map_err(|e| self.no_session(e.to_string()))?;
        if response.time_out <= 0 {
            return Err(self.no_session("the server refused it".into()));
        }
        Ok(Session { stream, timeout_ms: response.time_out as u32, next_xid: 1 })
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
    /// Session timeout granted, in milliseconds.
    pub(super) timeout_ms: u32,
    next_xid: Xid,
}

impl Session {
    /// Sends one request and gives the body of its reply, or the error code in it.
    pub(super) fn call<'a>(
        &mut self,
        op: OpCode,
        record: &impl Field<'a>,
    ) -> Result<Result<Vec<u8>, i32>, BenchError> {
        let xid = self.next_xid;
        self.next_xid += 1;
        let mut frame = Vec::new();
        request::frame(xid, op, record, &mut frame);
        let mut exchange = || -> io::Result<Vec<u8>> {
            self.stream.write_all(&frame)?;
            read_frame(&mut self.stream)
        };
        let mut body = exchange().map_err(BenchError::io(format!("{op:?} request")))?;
        let header = ReplyHeader::from_bytes(&body)
            .map_err(|e| BenchError::Protocol(format!("reply to {op:?}: {e}")))?;
        if header.xid != xid {
            let text = format!("reply to {op:?} has xid {}, {xid} was asked", header.xid);
            return Err(BenchError::Protocol(text));
        }
        Ok(if header.err == 0 { Ok(body.split_off(16)) } else { Err(header.err) })
    }

    /// Creates `path` and what is missing above it.
    pub(super) fn make_path(&mut self, path: &str) -> Result<(), BenchError> {
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            let step = &path[..end];
            let reply = self.call(OpCode::Create, &request::create_record(step, b""))?;
            match reply {
                Ok(_) => {}
                Err(code) if code == ErrorCode::NodeExists.code() => {}
                Err(code) => return Err(refused(format!("create of {step}"), code)),
            }
        }
        Ok(())
    }

    /// Names of the children of `path`, or `None` if it does not exist.
    pub(super) fn children(&mut self, path: &str) -> Result<Option<Vec<String>>, BenchError> {
        match self.call(OpCode::GetChildren, &request::children_record(path))? {
            Ok(body) => {
                let response = GetChildrenResponse::from_bytes(&body)
                    .map_err(|e| BenchError::Protocol(format!("children of {path}: {e}")))?;
                Ok(Some(response.children.into_iter().map(|name| name.into_owned()).collect()))
            }
            Err(code) if code == ErrorCode::NoNode.code() => Ok(None),
            Err(code) => Err(refused(format!("getChildren of {path}"), code)),
        }
    }

    /// Ends the session and waits for the server's word.
    pub(super) fn close(mut self) -> Result<(), BenchError> {
        let mut frame = Vec::new();
        request::bare_frame(self.next_xid, OpCode::CloseSession, &mut frame);
        self.stream
            .write_all(&frame)
            .and_then(|()| read_frame(&mut self.stream))
            .map(drop)
            .map_err(BenchError::io("closeSession"))
    }
}

/// An error code a step did not expect.
pub(super) fn refused(what: String, code: i32) -> BenchError {
    BenchError::Refused { what, code: code_name(code) }
}

/// An error code by number and, where it is known, name.
pub(super) fn code_name(code: i32) -> String {
    use ErrorCode::*;
    const LIKELY: [ErrorCode; 13] = [
        RuntimeInconsistency,
        MarshallingError,
        Unimplemented,
        BadArguments,
        NoNode,
        NoAuth,
        NodeExists,
        NotEmpty,
        SessionExpired,
        SessionMoved,
        NotReadOnly,
        QuotaExceeded,
        ThrottledOp,
    ];
    match LIKELY.into_iter().find(|known| known.code() == code) {
        Some(known) => format!("{code} ({known})"),
        None => code.to_string(),
    }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > REPLY_BYTES_MAX {
        let text = format!("a reply of {length} bytes; is this a ZooKeeper server?");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
