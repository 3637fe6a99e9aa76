//! A session that outlives its connections, as a real client's does: it goes from member to member
//! until one takes it, and notes what must never happen on the way.
//!
//! Checked with every answer: its zxid is never below one that this session has seen.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use jute::{Field, SyncRequest};

use super::Trouble;
use crate::raw_client::{RawClient, Reply, Session, op};
use crate::rng::Rng;

/// Pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(10);

/// Error of an answer for a session that is over, or that has moved on.
const SESSION_EXPIRED: i32 = -112;
const SESSION_MOVED: i32 = -118;

/// Whether there is an answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// There is.
    Reply(Reply),
    /// The request was sent, or part of it; the connection was lost before its answer.
    Unknown,
}

/// A session that ended against its client's will.
#[derive(Debug, Clone, Copy)]
pub struct Expired {
    /// When the client learned of it.
    pub at: Instant,
    /// How long it had been without an answer then.
    pub silent: Duration,
    /// The timeout that the session had.
    pub timeout: Duration,
}

/// A client's session on an ensemble.
#[derive(Debug)]
pub struct ClusterSession {
    members: Vec<SocketAddr>,
    next: usize,
    timeout_ms: i32,
    client: Option<RawClient>,
    session: Option<Session>,
    last_zxid: i64,
    last_answer: Instant,
    /// Connections made, the first not counted.
    pub reconnects: usize,
    /// The sessions that were lost.
    pub expired: Vec<Expired>,
    /// What must not happen and did.
    pub troubles: Vec<Trouble>,
}

impl ClusterSession {
    /// A session that is opened by the first call; the seed picks the member tried first.
    pub fn new(members: &[SocketAddr], timeout_ms: i32, seed: u64) -> Self {
        Self {
            members: members.to_vec(),
            next: Rng::new(seed).below(members.len()),
            timeout_ms,
            client: None,
            session: None,
            last_zxid: 0,
            last_answer: Instant::now(),
            reconnects: 0,
            expired: Vec::new(),
            troubles: Vec::new(),
        }
    }

    /// Id of the session, once there is one.
    pub fn id(&self) -> Option<i64> {
        self.session.as_ref().map(|session| session.id)
    }

    /// Connects if it is not connected; false if `until` came first.
    pub fn connect(&mut self, until: Instant) -> bool {
        while self.client.is_none() {
            if Instant::now() >= until {
                return false;
            }
            // In turn, so that a frozen member costs its limit only once.
            self.next = (self.next + 1) % self.members.len();
            self.try_member(self.members[self.next]);
            if self.client.is_none() {
                thread::sleep(PAUSE);
            }
        }
        true
    }

    fn try_member(&mut self, member: SocketAddr) {
        let session = self.session.clone().unwrap_or_else(|| Session::new(self.timeout_ms));
        let timeout = Duration::from_millis(self.timeout_ms as u64);
        let connected = RawClient::resume_within(member, &session, self.last_zxid, timeout / 6);
        // A third of the timeout is what ZooKeeper's own clients wait for an answer at most.
        match connected.and_then(|mut c| c.set_answer_limit(timeout / 3).map(|()| c)) {
            Ok(client) => {
                self.reconnects += usize::from(self.session.is_some());
                self.session = Some(client.session().clone());
                self.client = Some(client);
                self.last_answer = Instant::now();
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && is_answer(&e) => {
                self.note_expired(session.timeout_ms);
            }
            Err(_) => {}
        }
    }

    fn note_expired(&mut self, timeout_ms: i32) {
        let timeout = Duration::from_millis(timeout_ms as u64);
        let silent = self.last_answer.elapsed();
        self.expired.push(Expired { at: Instant::now(), silent, timeout });
        self.session = None;
        self.client = None;
        self.last_answer = Instant::now();
    }

    /// Sends a request on the connection there is; call [`Self::connect`] first.
    pub fn call<'a>(&mut self, opcode: i32, request: &impl Field<'a>) -> Answer {
        let client = self.client.as_mut().expect("a call on a connected session");
        let reply = match client.call(opcode, request) {
            Ok(reply) => reply,
            Err(_) => {
                self.client = None;
                return Answer::Unknown;
            }
        };
        let zxid = reply.header.zxid;
        if zxid > 0 && zxid < self.last_zxid {
            self.troubles.push(Trouble::new(format!(
                "session {:#x} has seen zxid {:#x} and got an answer with {zxid:#x}",
                self.id().unwrap_or(0),
                self.last_zxid
            )));
        }
        self.last_zxid = self.last_zxid.max(zxid);
        match reply.header.err {
            SESSION_EXPIRED => self.note_expired(self.timeout_ms),
            SESSION_MOVED => self.client = None,
            _ => self.last_answer = Instant::now(),
        }
        Answer::Reply(reply)
    }

    /// `sync` on the connection there is; false if it was lost.
    pub fn sync(&mut self) -> bool {
        let request = SyncRequest { path: Some("/".into()) };
        match self.call(op::SYNC, &request) {
            Answer::Reply(reply) => reply.header.err == 0,
            Answer::Unknown => false,
        }
    }

    /// Ends the session; whether that was answered.
    pub fn close(mut self) -> bool {
        self.client.take().is_some_and(|client| client.close().is_ok())
    }
}

/// Whether the server said it: the refusal of a connection by the system has an error number.
fn is_answer(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}
