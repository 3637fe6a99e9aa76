//! Puts one server through a script, step by step, and writes down all that it answered.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::normaliser::Normaliser;
use super::reply_shape::{Decoder, ReplyShape};
use super::script::{Hello, Password, Request, Script, SessionChoice, Step};
use super::value::Value;
use crate::wire::{Body, Connection, Received};

/// How long a server may keep a request unanswered before the runner gives it up, on a loaded
/// machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Frames after which a step is given up: a server that sends without end.
const FRAMES_PER_STEP_MAX: usize = 100_000;

/// xid of a notification, and of a ping and its reply.
const NOTIFICATION_XID: i32 = -1;
const PING_XID: i32 = -2;
const PING: i32 = 11;
const CLOSE_SESSION: i32 = -11;
const AUTH_FAILED: i32 = -115;

/// One thing that a connection saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// The answer to a connect request.
    Connected(Value),
    /// The answer to a request.
    Reply(Value),
    /// A notification.
    Event(Value),
    /// The answer to the ping at the end of a step.
    Ping(Value),
    /// The server closed the connection.
    Closed,
    /// An answer did not come in time.
    Silence,
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(value) => write!(f, "connected {value}"),
            Self::Reply(value) => write!(f, "reply     {value}"),
            Self::Event(value) => write!(f, "event     {value}"),
            Self::Ping(value) => write!(f, "ping      {value}"),
            Self::Closed => f.write_str("closed by the server"),
            Self::Silence => f.write_str("SILENCE"),
        }
    }
}

/// What every connection saw in one step, by slot; a slot that saw nothing is left out.
pub type StepRecord = Vec<(usize, Vec<Observed>)>;

/// A server that a script can restart.
pub trait Restart {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// Ends it, with SIGKILL or with SIGTERM, and starts it again on its data.
    fn restart(&mut self, killed: bool);
}

/// Runs the script; gives one record for each of its steps.
pub fn run(server: &mut impl Restart, script: &Script) -> Vec<StepRecord> {
    let mut runner = Runner {
        server,
        connections: HashMap::new(),
        sessions: HashMap::new(),
        normaliser: Normaliser::default(),
    };
    script.steps.iter().map(|step| runner.step(step)).collect()
}

struct Runner<'a, S> {
    server: &'a mut S,
    connections: HashMap<usize, Connection>,
    /// Id and password of each session that the script opened and the server granted.
    sessions: HashMap<usize, (i64, Vec<u8>)>,
    normaliser: Normaliser,
}

impl<S: Restart> Runner<'_, S> {
    fn step(&mut self, step: &Step) -> StepRecord {
        let mut seen: HashMap<usize, Vec<Observed>> = HashMap::new();
        match step {
            Step::Drop { slot } => {
                self.connections.remove(slot);
            }
            Step::Restart { killed } => {
                self.connections.clear();
                self.server.restart(*killed);
            }
            Step::Garbage { slot, bytes } => {
                if let Some(connection) = self.connections.get_mut(slot) {
                    connection.send(bytes);
                }
            }
            Step::Send { slot, requests } => {
                if let Some(connection) = self.connections.get_mut(slot) {
                    connection.send(&frames(requests));
                    seen.insert(*slot, self.replies(*slot, requests));
                }
            }
            Step::Connect { slot, hello, then } => {
                self.connections.remove(slot);
                let mut connection = Connection::open(self.server.address(), PATIENCE)
                    .expect("a server that accepts");
                connection.send(&[self.hello_frame(hello), frames(then)].concat());
                self.connections.insert(*slot, connection);
                let mut observed = vec![self.connected(*slot, hello)];
                if matches!(observed[0], Observed::Connected(_)) {
                    observed.extend(self.replies(*slot, then));
                }
                seen.insert(*slot, observed);
            }
        }
        if let Some(slot) = step.slot()
            && let Some(observed) = seen.get_mut(&slot)
            && announces_close(step, observed)
        {
            observed.extend(self.last_words(slot));
        }
        self.barrier(&mut seen);
        if ends_session(step) {
            seen.values_mut().for_each(|observed| sort_events(observed));
        }
        let mut record: StepRecord = seen.into_iter().filter(|(_, o)| !o.is_empty()).collect();
        record.sort();
        record
    }

    fn hello_frame(&self, hello: &Hello) -> Vec<u8> {
        let zeros = || vec![0; 16];
        let (id, own) = match hello.session {
            SessionChoice::New(_) => (0, zeros()),
            SessionChoice::Unknown(id) => (id, zeros()),
            SessionChoice::Resume(session) => {
                self.sessions.get(&session).cloned().unwrap_or((0, zeros()))
            }
        };
        let password = match &hello.password {
            Password::Right => Some(own),
            Password::Other(password) => password.clone(),
        };
        let body = Body::new()
            .int(0)
            .long(hello.last_zxid)
            .int(hello.timeout_ms)
            .long(id)
            .bytes(password.as_deref());
        let mut bytes = match hello.read_only {
            Some(byte) => body.byte(byte),
            None => body,
        }
        .into_bytes();
        bytes.truncate(bytes.len().saturating_sub(hello.cut));
        Connection::frame(&bytes)
    }

    fn connected(&mut self, slot: usize, hello: &Hello) -> Observed {
        let frame = match self.receive(slot) {
            Ok(frame) => frame,
            Err(ending) => return ending,
        };
        if let SessionChoice::New(session) = hello.session
            && let Some((id, password)) = id_and_password(&frame)
        {
            self.sessions.insert(session, (id, password));
        }
        Observed::Connected(Decoder::new(&frame, &mut self.normaliser).connect_response())
    }

    /// Everything up to the last reply.
    fn replies(&mut self, slot: usize, requests: &[Request]) -> Vec<Observed> {
        let mut observed = Vec::new();
        let mut waiting = requests.iter();
        let mut next = waiting.next();
        while let Some(request) = next {
            match self.receive(slot) {
                Err(ending) => {
                    observed.push(ending);
                    return observed;
                }
                Ok(frame) if xid(&frame) == NOTIFICATION_XID => observed.push(self.event(&frame)),
                Ok(frame) => {
                    let decoder = Decoder::new(&frame, &mut self.normaliser);
                    observed.push(Observed::Reply(decoder.reply(request.reply_shape())));
                    next = waiting.next();
                }
            }
            assert!(observed.len() < FRAMES_PER_STEP_MAX, "a server that sends without end");
        }
        observed
    }

    /// What comes before the server closes a connection that it said it would.
    fn last_words(&mut self, slot: usize) -> Vec<Observed> {
        let mut observed = Vec::new();
        while observed.len() < FRAMES_PER_STEP_MAX {
            match self.receive(slot) {
                Ok(frame) => observed.push(self.event(&frame)),
                Err(ending) => {
                    observed.push(ending);
                    break;
                }
            }
        }
        observed
    }

    /// Waits until a ping has come back on every connection, so that whatever the step made the
    /// server send has arrived.
    fn barrier(&mut self, seen: &mut HashMap<usize, Vec<Observed>>) {
        let ping = [PING_XID.to_be_bytes(), PING.to_be_bytes()].concat();
        let ping = Connection::frame(&ping);
        self.connections.values_mut().for_each(|connection| connection.send(&ping));
        let mut slots: Vec<usize> = self.connections.keys().copied().collect();
        slots.sort_unstable();
        for slot in slots {
            let observed = seen.entry(slot).or_default();
            loop {
                match self.receive(slot) {
                    Err(ending) => {
                        observed.push(ending);
                        break;
                    }
                    Ok(frame) if xid(&frame) == NOTIFICATION_XID => {
                        observed.push(self.event(&frame));
                    }
                    Ok(frame) => {
                        let decoder = Decoder::new(&frame, &mut self.normaliser);
                        let reply = decoder.reply(ReplyShape::Empty);
                        if xid(&frame) == PING_XID {
                            observed.push(Observed::Ping(reply));
                            break;
                        }
                        observed.push(Observed::Reply(reply));
                    }
                }
                assert!(observed.len() < FRAMES_PER_STEP_MAX, "a server that sends without end");
            }
        }
    }

    fn event(&mut self, frame: &[u8]) -> Observed {
        Observed::Event(Decoder::new(frame, &mut self.normaliser).reply(ReplyShape::Empty))
    }

    /// The next frame; a connection that gave none is over.
    fn receive(&mut self, slot: usize) -> Result<Vec<u8>, Observed> {
        let received = match self.connections.get_mut(&slot) {
            Some(connection) => connection.receive(),
            None => Received::Closed,
        };
        let ending = match received {
            Received::Frame(frame) => return Ok(frame),
            Received::Closed => Observed::Closed,
            Received::Silence => Observed::Silence,
        };
        self.connections.remove(&slot);
        Err(ending)
    }
}

fn frames(requests: &[Request]) -> Vec<u8> {
    requests.iter().flat_map(Request::frame).collect()
}

fn xid(frame: &[u8]) -> i32 {
    frame.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

/// Where a connect response has them.
fn id_and_password(frame: &[u8]) -> Option<(i64, Vec<u8>)> {
    let id = i64::from_be_bytes(*frame.get(8..16)?.first_chunk()?);
    (id != 0).then(|| (id, frame.get(20..36).unwrap_or_default().to_vec()))
}

/// Whether a session's ephemerals may go in this step, in the order of a Java hash set.
fn ends_session(step: &Step) -> bool {
    step.requests().iter().any(|request| request.opcode == CLOSE_SESSION)
}

/// Whether the answers to a step say that the server closes the connection next; it takes a moment
/// to do so, in which it may or may not answer another request.
fn announces_close(step: &Step, observed: &[Observed]) -> bool {
    match (step, observed.last()) {
        (_, Some(Observed::Connected(response))) => {
            response.field("timeout") == Some(&Value::Int(0))
        }
        (_, Some(Observed::Reply(reply))) => {
            ends_session(step)
                || reply.field("zxid") == Some(&Value::Long(-1))
                || reply.field("err") == Some(&Value::Int(AUTH_FAILED))
        }
        _ => false,
    }
}

/// Puts the events between two replies in one order.
fn sort_events(observed: &mut [Observed]) {
    let is_event = |o: &Observed| matches!(o, Observed::Event(_));
    observed
        .chunk_by_mut(|a, b| is_event(a) && is_event(b))
        .filter(|run| is_event(&run[0]))
        .for_each(<[Observed]>::sort);
}
