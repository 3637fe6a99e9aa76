//! The clients: each has a session, goes from server to server with it, asks, watches, and notes
//! what it is told. Every answer is judged when it comes.

mod administrator;
pub mod request;
pub mod watches;
pub mod workload;

use std::collections::VecDeque;

use bytes::Bytes;
use fastrand::Rng;
use gamekeeper::proto::{EventType, SessionId, XID_PING, Xid, Zxid};
use jute::{ConnectResponse, Field, Reader, ReplyHeader, WatcherEvent};

use crate::oracle::Answer;
use crate::queue::{Event, MS, SECOND, Time};
use crate::violation::Violation;
use crate::world::World;
use request::{Request, connect_frame};
use watches::ArmedWatches;
use workload::Step;

/// Timeouts that clients ask for, in milliseconds.
const TIMEOUTS_MS: [i32; 3] = [1_500, 3_000, 6_000];

/// Requests of a client that wait for their answers, at most.
const UNANSWERED_MAX: usize = 12;

/// A request on its way.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its number in the session.
    pub xid: Xid,
    /// What it asks for.
    pub request: Request,
    /// When it was made.
    pub at: Time,
    /// When the sync right before it was made.
    pub synced_at: Option<Time>,
    /// The epoch of the server that is asked, which may go over to another one before the answer
    /// comes.
    pub epoch: i64,
}

/// A client.
pub struct Client {
    /// Its number.
    pub index: usize,
    /// Its session, 0 while it has none.
    pub session: SessionId,
    /// The newest zxid it has seen in this session.
    pub seen: Zxid,
    /// The zxid of its last write in this session.
    pub last_write: Zxid,
    /// Its watches.
    pub watches: ArmedWatches,
    /// The server it is connected to.
    pub server: usize,
    /// Requests that wait for their answers.
    pub asked: VecDeque<Asked>,
    /// Whether it only keeps its session alive.
    pub is_idle: bool,
    /// Whether its server serves reads only; then the session is that server's alone.
    pub is_read_only: bool,
    /// Whether it changes the members.
    pub is_administrator: bool,
    password: Vec<u8>,
    timeout_ms: i32,
    link: Option<u64>,
    is_established: bool,
    /// The zxid it left its watches again with, until that is answered.
    resetting: Option<Zxid>,
    next_xid: Xid,
    heard: Time,
    sent: Time,
    next_step: Time,
    pause: Time,
    random: Rng,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(index: usize, pause: Time, random: Rng) -> Self {
        Self {
            index,
            session: SessionId(0),
            seen: Zxid::ZERO,
            last_write: Zxid::ZERO,
            watches: ArmedWatches::default(),
            server: 0,
            asked: VecDeque::new(),
            is_idle: true,
            is_read_only: false,
            is_administrator: false,
            password: vec![0; 16],
            timeout_ms: TIMEOUTS_MS[index % TIMEOUTS_MS.len()],
            link: None,
            is_established: false,
            resetting: None,
            next_xid: 1,
            heard: 0,
            sent: 0,
            next_step: 0,
            pause,
            random,
        }
    }

    /// Whether it has a session and a connection.
    pub fn is_connected(&self) -> bool {
        self.is_established
    }

    fn forget_session(&mut self) {
        self.session = SessionId(0);
        self.password = vec![0; 16];
        self.seen = Zxid::ZERO;
        self.last_write = Zxid::ZERO;
        self.watches = ArmedWatches::default();
        self.next_xid = 1;
    }

    fn timeout(&self) -> Time {
        self.timeout_ms as Time * MS
    }
}

impl World {
    /// A client has something to do.
    pub(crate) fn on_client_timer(&mut self, index: usize) {
        let now = self.queue.now();
        let client = &mut self.clients[index];
        if client.link.is_none() {
            let set_up = self.servers.iter().enumerate().filter(|(_, s)| s.is_set_up());
            let set_up: Vec<usize> = set_up.map(|(server, _)| server).collect();
            let server = set_up[client.random.usize(..set_up.len())];
            let frame = connect_frame(
                client.seen,
                client.timeout_ms,
                (client.session.0, &client.password),
                // What is asked for while nothing fails is to be done.
                client.session.0 == 0 && !client.is_administrator && self.is_failing,
            );
            client.server = server;
            client.heard = now;
            client.sent = now;
            let link = self.connect_client(index, server);
            self.clients[index].link = Some(link);
            self.send_of_client(link, frame);
        } else if now - client.heard > client.timeout() * 2 / 3 {
            self.leave(index, true);
        } else if client.is_established {
            if now - client.sent > client.timeout() / 3 {
                self.ask(index, Request::Ping, None);
            }
            let client = &mut self.clients[index];
            if !client.is_idle
                && now >= client.next_step
                && client.asked.len() < UNANSWERED_MAX
                && self.oracle.wants_requests()
            {
                client.next_step = now + client.random.u64(..2 * client.pause);
                self.step(index);
            }
        }
        let client = &mut self.clients[index];
        let wait = match client.link {
            None => 20 * MS + client.random.u64(..200 * MS),
            Some(_) => client.timeout() / 6,
        };
        let next = if client.is_idle || client.next_step <= now {
            now + wait.min(client.pause + MS)
        } else {
            client.next_step.min(now + wait)
        };
        self.queue.at(next, Event::Client(index));
    }

    fn step(&mut self, index: usize) {
        if self.clients[index].is_administrator {
            if self.is_failing && self.clients[index].asked.is_empty() {
                self.administer(index);
            }
            return;
        }
        let serial = self.number();
        match workload::choose(&mut self.clients[index].random, serial) {
            Step::Ask(requests) => {
                let now = self.queue.now();
                let mut synced_at = None;
                for request in requests {
                    let is_sync = matches!(request, Request::Sync(_));
                    self.ask(index, request, synced_at);
                    synced_at = is_sync.then_some(now);
                }
            }
            Step::Move => self.leave(index, true),
            Step::Close => self.ask(index, Request::CloseSession, None),
            Step::Die => {
                self.leave(index, false);
                let client = &mut self.clients[index];
                self.trace.line(
                    self.queue.now(),
                    format_args!("client {index} dies, session {}", client.session),
                );
                client.forget_session();
            }
        }
    }

    /// Makes a request.
    pub(crate) fn ask(&mut self, index: usize, request: Request, synced_at: Option<Time>) {
        let now = self.queue.now();
        let client = &mut self.clients[index];
        let Some(link) = client.link else { return };
        let xid = match &request {
            Request::Ping => XID_PING,
            Request::SetWatches(_) => -8,
            _ => {
                client.next_xid += 1;
                client.next_xid - 1
            }
        };
        let frame = request.frame(xid, &client.watches);
        client.sent = now;
        let session = client.session;
        if !matches!(request, Request::Ping | Request::SetWatches(_)) {
            self.trace.line(now, format_args!("client {index} asks {xid}: {request:?}"));
            self.oracle.asked(session, xid, &request, now);
        }
        let client = &mut self.clients[index];
        let epoch = self.servers[client.server].history.current_epoch;
        client.asked.push_back(Asked { xid, request, at: now, synced_at, epoch });
        self.send_of_client(link, frame);
    }

    /// A client lets its connection go.
    fn leave(&mut self, index: usize, is_told: bool) {
        if let Some(link) = self.clients[index].link {
            self.leave_link(link, is_told);
            self.disconnected(index);
        }
    }

    /// A client's connection was closed by its server.
    pub(crate) fn on_link_closed(&mut self, index: usize, link: u64) {
        if self.clients[index].link == Some(link) {
            self.disconnected(index);
        }
    }

    fn disconnected(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if std::mem::take(&mut client.is_read_only) {
            client.forget_session();
        }
        client.link = None;
        client.is_established = false;
        client.resetting = None;
        client.asked.clear();
    }

    /// A frame comes to a client.
    pub(crate) fn on_frame(&mut self, index: usize, link: u64, frame: &[u8]) {
        let now = self.queue.now();
        let client = &mut self.clients[index];
        if client.link != Some(link) {
            return;
        }
        client.heard = now;
        if !client.is_established {
            return self.on_connected(index, frame);
        }
        let mut reader = Reader::new(frame);
        let Ok(header) = ReplyHeader::read(&mut reader) else {
            let text = format!("client {index} gets a reply without a header");
            return self.judge(Err(Violation::new("wire", text)));
        };
        if header.xid == -1 {
            return self.on_event(index, Zxid(header.zxid), reader);
        }
        let Some(asked) = client.asked.pop_front().filter(|asked| asked.xid == header.xid) else {
            let text = format!("client {index} gets reply {} out of its turn", header.xid);
            return self.judge(Err(Violation::new("session_order", text)));
        };
        let body = Bytes::copy_from_slice(&frame[reader.position()..]);
        self.on_answer(index, &asked, &header, &body);
    }

    fn on_connected(&mut self, index: usize, frame: &[u8]) {
        let now = self.queue.now();
        let Ok(response) = ConnectResponse::from_bytes(frame) else {
            let text = format!("client {index} cannot read the answer to its connect request");
            return self.judge(Err(Violation::new("wire", text)));
        };
        let client = &mut self.clients[index];
        let (before, session) = (client.session, SessionId(response.session_id));
        if response.time_out <= 0 {
            self.note(format_args!("client {index}: session {before} has expired"));
            let verdict = self.oracle.refused(before);
            self.judge(verdict);
            let client = &mut self.clients[index];
            client.forget_session();
            return self.leave(index, true);
        }
        client.is_established = true;
        client.session = session;
        client.is_read_only = response.read_only;
        client.password = response.passwd.unwrap_or_default().to_vec();
        client.timeout_ms = response.time_out;
        client.next_step = now + client.random.u64(..client.pause);
        let (server, is_read_only) = (client.server, client.is_read_only);
        let only = if is_read_only { ", for reads only" } else { "" };
        self.note(format_args!("client {index} has session {session} at server {server}{only}"));
        let client = &mut self.clients[index];
        if before.0 != 0 && !client.watches.is_empty() {
            client.resetting = Some(client.seen);
            client.watches.events.clear();
            let seen = client.seen;
            self.ask(index, Request::SetWatches(seen), None);
        }
    }

    fn on_event(&mut self, index: usize, zxid: Zxid, mut reader: Reader<'_>) {
        let Ok(event) = WatcherEvent::read(&mut reader) else {
            let text = format!("client {index} cannot read an event");
            return self.judge(Err(Violation::new("wire", text)));
        };
        let kind = [
            EventType::NodeCreated,
            EventType::NodeDeleted,
            EventType::NodeDataChanged,
            EventType::NodeChildrenChanged,
        ];
        let Some(kind) = kind.into_iter().find(|kind| *kind as i32 == event.kind) else {
            let text = format!("client {index} gets an event of type {}", event.kind);
            return self.judge(Err(Violation::new("wire", text)));
        };
        let event = watches::Event { zxid, kind, path: event.path.to_string() };
        self.note(format_args!("client {index} is told {kind:?} of {} 0x{zxid}", event.path));
        let client = &mut self.clients[index];
        let is_resetting = client.resetting.is_some();
        let verdict = self.oracle.told(client, event, is_resetting);
        self.judge(verdict);
    }

    fn on_answer(&mut self, index: usize, asked: &Asked, header: &ReplyHeader, body: &Bytes) {
        let now = self.queue.now();
        let error = match &asked.request {
            Request::CheckAndSet(..) if header.err == 0 => request::multi_error(body),
            _ => header.err,
        };
        let answer = Answer { zxid: Zxid(header.zxid), error, body, at: now };
        if !matches!(asked.request, Request::Ping | Request::SetWatches(_)) {
            let xid = asked.xid;
            self.note(format_args!("client {index} gets {xid}: {error}, 0x{}", answer.zxid));
        }
        let resetting = match asked.request {
            Request::SetWatches(_) => self.clients[index].resetting.take(),
            _ => None,
        };
        let client = &mut self.clients[index];
        let verdict = self.oracle.answered(client, asked, &answer, resetting);
        self.judge(verdict);
        if asked.request == Request::CloseSession {
            let client = &mut self.clients[index];
            client.forget_session();
            self.leave(index, true);
        }
    }

    /// Whether every client is connected and waits for nothing.
    pub fn are_clients_quiet(&self) -> bool {
        self.clients.iter().all(|client| client.is_established && client.asked.is_empty())
    }

    /// Has all clients only keep their sessions alive, or do their work again.
    pub fn set_clients_idle(&mut self, is_idle: bool) {
        let now = self.queue.now();
        for client in &mut self.clients {
            client.is_idle = is_idle;
            client.next_step = now + client.random.u64(..SECOND / 2);
        }
    }
}
