//! A blocking client of the wire protocol, pipelined, that shows every byte's meaning and hides
//! nothing: no reconnecting, no pings, no chroot. It shares the records of `jute` with the server
//! and nothing else, so that a mistake of the server is not made here again.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jute::{
    Acl, AuthPacket, ConnectRequest, ConnectResponse, CreateRequest, CreateTtlRequest,
    ExistsRequest, Field, Id, ReplyHeader, RequestHeader, WatcherEvent,
};

/// Opcodes (`ZooDefs.OpCode`) that the harness sends.
pub mod op {
    #![allow(missing_docs, reason = "named as in ZooDefs.OpCode")]
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
    pub const AUTH: i32 = 100;
    pub const CLOSE_SESSION: i32 = -11;
}

/// Create modes (`CreateMode`).
pub mod mode {
    #![allow(missing_docs, reason = "named as in CreateMode")]
    pub const PERSISTENT: i32 = 0;
    pub const EPHEMERAL: i32 = 1;
    pub const PERSISTENT_SEQUENTIAL: i32 = 2;
    pub const EPHEMERAL_SEQUENTIAL: i32 = 3;
    pub const CONTAINER: i32 = 4;
    pub const PERSISTENT_WITH_TTL: i32 = 5;
    pub const PERSISTENT_SEQUENTIAL_WITH_TTL: i32 = 6;
}

/// xid of a notification, of an answer to a ping and of one to an auth packet.
const NOTIFICATION_XID: i32 = -1;
const PING_XID: i32 = -2;
const AUTH_XID: i32 = -4;

/// Longest frame that is believed, in bytes.
const FRAME_MAX: usize = 64 << 20;

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Requests of [`create_nodes`] on the way at a time.
const CREATE_WINDOW: usize = 200;

/// All permissions for anyone (`ZooDefs.Ids.OPEN_ACL_UNSAFE`).
pub fn open_acl() -> Vec<Acl<'static>> {
    vec![acl(31, "world", "anyone")]
}

/// One entry of an ACL.
pub fn acl<'a>(perms: i32, scheme: &'a str, id: &'a str) -> Acl<'a> {
    Acl { perms, id: Id { scheme: scheme.into(), id: id.into() } }
}

/// What identifies a session to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: i64,
    /// Its password.
    pub password: Vec<u8>,
    /// The timeout that the server granted, in milliseconds.
    pub timeout_ms: i32,
}

impl Session {
    /// One that there is not yet, with this timeout.
    pub fn new(timeout_ms: i32) -> Self {
        Self { id: 0, password: vec![0; 16], timeout_ms }
    }

    /// The one that a server has granted; none if it has refused.
    pub fn granted(answer: &[u8]) -> Option<Self> {
        let answer = ConnectResponse::from_bytes(answer).ok()?;
        let password = answer.passwd.unwrap_or_default().to_vec();
        let (id, timeout_ms) = (answer.session_id, answer.time_out);
        (timeout_ms > 0).then_some(Self { id, password, timeout_ms })
    }
}

/// An answer: its header, and the record behind it, empty on most errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The header.
    pub header: ReplyHeader,
    /// The bytes behind the header.
    pub body: Vec<u8>,
}

impl Reply {
    /// The record of an answer that must be a success.
    pub fn record<'a, T: Field<'a>>(&'a self) -> T {
        assert_eq!(self.header.err, 0, "an answer that must be a success");
        T::from_bytes(&self.body).expect("the record that the operation answers with")
    }
}

/// A notification of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `EventType`.
    pub kind: i32,
    /// Where.
    pub path: String,
}

/// A connection with a session.
#[derive(Debug)]
pub struct RawClient {
    input: BufReader<TcpStream>,
    output: Vec<u8>,
    xid: i32,
    session: Session,
    events: VecDeque<Event>,
}

impl RawClient {
    /// Opens a new session.
    pub fn connect(address: SocketAddr, timeout_ms: i32) -> io::Result<Self> {
        Self::resume(address, &Session::new(timeout_ms), 0)
    }

    /// Goes on with a session; the error kind is `ConnectionRefused` when the session is gone.
    pub fn resume(address: SocketAddr, session: &Session, last_zxid: i64) -> io::Result<Self> {
        Self::resume_within(address, session, last_zxid, ANSWER_LIMIT)
    }

    /// [`Self::resume`] where the connection and each answer may take so long, for servers that may
    /// be frozen or cut off. A session with id 0 is a new one.
    pub fn resume_within(
        address: SocketAddr,
        session: &Session,
        last_zxid: i64,
        limit: Duration,
    ) -> io::Result<Self> {
        let (client, frame) = Self::ask(address, session, last_zxid, false, limit)?;
        let answer = ConnectResponse::from_bytes(&frame).map_err(io::Error::other)?;
        if answer.time_out <= 0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the session is gone"));
        }
        Ok(client)
    }

    /// Asks for a session, of a server that takes no writes if `read_only`; gives the answer's
    /// frame as it came. If it grants one, that is the client's.
    pub fn ask(
        address: SocketAddr,
        session: &Session,
        last_zxid: i64,
        read_only: bool,
        limit: Duration,
    ) -> io::Result<(Self, Vec<u8>)> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        let mut client = Self {
            input: BufReader::with_capacity(1 << 16, stream),
            output: Vec::new(),
            xid: 0,
            session: session.clone(),
            events: VecDeque::new(),
        };
        client.put_frame(|out| {
            ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: last_zxid,
                time_out: session.timeout_ms,
                session_id: session.id,
                passwd: Some(&session.password),
                read_only,
            }
            .write(out);
        });
        client.flush()?;
        let frame = client.read_frame()?;
        client.session = Session::granted(&frame).unwrap_or(client.session);
        Ok((client, frame))
    }

    /// Changes how long an answer may take.
    pub fn set_answer_limit(&mut self, limit: Duration) -> io::Result<()> {
        self.input.get_ref().set_read_timeout(Some(limit))
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Queues a request and gives its xid; [`Self::flush`] sends what is queued.
    pub fn queue<'a>(&mut self, opcode: i32, request: &impl Field<'a>) -> i32 {
        self.queue_bytes(opcode, &request.to_vec())
    }

    /// [`Self::queue`] for a request that is encoded already, such as a multi.
    pub fn queue_bytes(&mut self, opcode: i32, request: &[u8]) -> i32 {
        self.xid += 1;
        let xid = self.xid;
        self.put_frame(|out| {
            RequestHeader { xid, kind: opcode }.write(out);
            out.extend_from_slice(request);
        });
        xid
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> io::Result<()> {
        self.input.get_mut().write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// The next answer to a request; notifications on the way are kept for [`Self::next_event`].
    pub fn receive(&mut self) -> io::Result<Reply> {
        loop {
            let frame = self.read_frame()?;
            let mut reader = jute::Reader::new(&frame);
            let header = ReplyHeader::read(&mut reader).map_err(io::Error::other)?;
            match header.xid {
                PING_XID => continue,
                NOTIFICATION_XID => {
                    let event = WatcherEvent::read(&mut reader).map_err(io::Error::other)?;
                    self.events.push_back(Event { kind: event.kind, path: event.path.into() });
                }
                _ => return Ok(Reply { header, body: reader.rest().to_vec() }),
            }
        }
    }

    /// Sends one request and waits for its answer.
    pub fn call<'a>(&mut self, opcode: i32, request: &impl Field<'a>) -> io::Result<Reply> {
        let xid = self.queue(opcode, request);
        self.flush()?;
        let reply = self.receive()?;
        assert_eq!(reply.header.xid, xid, "answers come in the order of their requests");
        Ok(reply)
    }

    /// Sends many requests, at most `window` on the way at a time, and hands each answer with its
    /// request's index to `each`.
    pub fn pipeline(
        &mut self,
        count: usize,
        window: usize,
        mut request: impl FnMut(&mut Self, usize),
        mut each: impl FnMut(usize, Reply),
    ) -> io::Result<()> {
        let mut sent = 0;
        for received in 0..count {
            if sent == received {
                let until = count.min(sent + window);
                (sent..until).for_each(|index| request(self, index));
                sent = until;
                self.flush()?;
            }
            each(received, self.receive()?);
        }
        Ok(())
    }

    /// The oldest notification that arrived and was not yet taken.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Proves an identity, such as `digest` and `user:password`.
    pub fn add_auth(&mut self, scheme: &str, credentials: &str) -> io::Result<Reply> {
        let packet =
            AuthPacket { kind: 0, scheme: Some(scheme.into()), auth: Some(credentials.as_bytes()) };
        self.put_frame(|out| {
            RequestHeader { xid: AUTH_XID, kind: op::AUTH }.write(out);
            packet.write(out);
        });
        self.flush()?;
        self.receive()
    }

    /// Queues the creation of a node by the opcode that its mode asks for.
    pub fn queue_create(
        &mut self,
        path: &str,
        data: &[u8],
        acl: Vec<Acl<'_>>,
        flags: i32,
        ttl_ms: i64,
    ) {
        let (path, data) = (path.into(), Some(data));
        match flags {
            mode::PERSISTENT_WITH_TTL | mode::PERSISTENT_SEQUENTIAL_WITH_TTL => {
                let request = CreateTtlRequest { path, data, acl, flags, ttl: ttl_ms };
                self.queue(op::CREATE_TTL, &request)
            }
            mode::CONTAINER => {
                self.queue(op::CREATE_CONTAINER, &CreateRequest { path, data, acl, flags })
            }
            _ => self.queue(op::CREATE, &CreateRequest { path, data, acl, flags }),
        };
    }

    /// Whether there is such a node.
    pub fn exists(&mut self, path: &str) -> io::Result<bool> {
        let reply = self.call(op::EXISTS, &ExistsRequest { path: path.into(), watch: false })?;
        Ok(reply.header.err == 0)
    }

    /// Closes the session and the connection.
    pub fn close(mut self) -> io::Result<()> {
        self.xid += 1;
        let xid = self.xid;
        self.put_frame(|out| RequestHeader { xid, kind: op::CLOSE_SESSION }.write(out));
        self.flush()?;
        self.receive().map(drop)
    }

    fn put_frame(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.output.len();
        self.output.extend([0; 4]);
        write(&mut self.output);
        let length = u32::try_from(self.output.len() - start - 4).expect("a frame of sane size");
        self.output[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_MAX {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        let mut frame = vec![0; length];
        self.input.read_exact(&mut frame)?;
        Ok(frame)
    }
}

/// Creates nodes with this prefix and a number behind it, in a session of its own, and waits for
/// every answer.
pub fn create_nodes(server: SocketAddr, prefix: &str, count: usize) {
    let mut client = RawClient::connect(server, 30_000).expect("a session");
    let request = |client: &mut RawClient, number: usize| {
        let path = format!("{prefix}{number}");
        client.queue_create(&path, b"data", open_acl(), mode::PERSISTENT, 0);
    };
    let each = |number, reply: Reply| {
        assert_eq!(reply.header.err, 0, "the answer to create {number} at {prefix}");
    };
    client.pipeline(count, CREATE_WINDOW, request, each).expect("answers");
    client.close().expect("the session is closed");
}
