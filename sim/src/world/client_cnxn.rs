//! Connections of clients, and their server's side of them, as `gamekeeper::server::net` has it in
//! `server_cnxn`: who asks for a session is handed to the engine, reads are answered from the tree
//! at once unless a request of the connection is with the engine, and everything else goes there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use gamekeeper::auth::{Identity, ip_identity};
use gamekeeper::engine::{ConnectAttempt, Input};
use gamekeeper::processor::{ClientRequest, ReadBatch, RequestKind, ServerMode, classify};
use gamekeeper::proto::frame::next_frame;
use gamekeeper::proto::{OpCode, SessionId, Zxid};
use gamekeeper::server::net::opening::ConnectFrame;
use gamekeeper::session::{Arrival, ClientCnxn, CnxnId, Owner, Transport, clamp_timeout_ms};
use jute::{Field, Reader, RequestHeader};

use super::{Piece, World};
use crate::plan::{FRAME_BYTES_MAX, TICK_MS};
use crate::queue::{End, Event, ProcessId, Time};
use crate::violation::Violation;

/// The world takes what waits in an outbox itself.
struct NoSocket;

impl Transport for NoSocket {
    fn flush(&self, _cnxn: &ClientCnxn) {}
    fn resume(&self) {}
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Connecting,
    Serving,
}

/// A client's connection to a server.
pub struct ClientLink {
    client: usize,
    server: ProcessId,
    /// The server's side; none if nobody listens there.
    cnxn: Option<Arc<ClientCnxn>>,
    phase: Phase,
    /// What the server has read and not handled.
    input: BytesMut,
    /// What the client has read and not handled.
    replies: BytesMut,
    to_client: VecDeque<(Time, Piece)>,
    to_server: VecDeque<(Time, Piece)>,
    /// Whether the client still has it.
    is_client_here: bool,
    /// Chance of its own, so that the order in which connections are served changes nothing.
    random: Rng,
}

impl World {
    /// A client connects to a server. What it sends, and what it is told, has this number.
    pub fn connect_client(&mut self, client: usize, server: usize) -> u64 {
        let number = self.number();
        let is_administrator = self.clients[client].is_administrator;
        let process = self.servers[server].process.as_ref();
        let id = ProcessId { server, life: process.map_or(u32::MAX, |process| process.id.life) };
        let cnxn = process.map(|process| {
            let peer = ([10, 1, 0, client as u8], 4_000).into();
            let mut identities = vec![ip_identity(peer)];
            if is_administrator {
                identities.push(Identity::new("super", ""));
            }
            let identities: Arc<[Identity]> = identities.into();
            let cnxn = ClientCnxn::new(CnxnId(number), peer, identities, 0, Box::new(NoSocket));
            let cnxn = Arc::new(cnxn);
            process.state.cnxns.add(cnxn.clone());
            cnxn
        });
        let is_refused = cnxn.is_none();
        let link = ClientLink {
            client,
            server: id,
            cnxn,
            phase: Phase::Opening,
            input: BytesMut::new(),
            replies: BytesMut::new(),
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            is_client_here: true,
            random: Rng::with_seed(self.plan.seed ^ number << 20),
        };
        self.links.insert(number, link);
        if is_refused {
            self.send_on_link(number, End::Callee, Piece::Close);
        }
        number
    }

    /// Sends bytes of a client.
    pub fn send_of_client(&mut self, number: u64, bytes: Bytes) {
        self.send_on_link(number, End::Caller, Piece::Bytes(bytes));
    }

    /// A client closes its connection, or lets it go without a word.
    pub fn leave_link(&mut self, number: u64, is_told: bool) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.is_client_here = false;
        if link.cnxn.is_none() {
            self.links.remove(&number);
        } else if is_told {
            self.send_on_link(number, End::Caller, Piece::Close);
        }
    }

    fn send_on_link(&mut self, number: u64, from: End, piece: Piece) {
        let (delay, slowness, now) = (self.plan.delay, self.slowness, self.queue.now());
        let Some(link) = self.links.get_mut(&number) else { return };
        let arrives = now + 50 + link.random.u64(..delay) * slowness;
        let queue = match from {
            End::Caller => &mut link.to_server,
            End::Callee => &mut link.to_client,
        };
        let arrives = arrives.max(queue.back().map_or(0, |(at, _)| *at));
        queue.push_back((arrives, piece));
        self.queue.at(arrives, Event::ClientCnxn(number, from.other()));
    }

    /// Something arrives at an end of a client's connection.
    pub(super) fn on_link(&mut self, number: u64, end: End) {
        let now = self.queue.now();
        let Some(link) = self.links.get(&number) else { return };
        if self.cut_clients.contains(&link.client) {
            // What the heal of the network plans brings it.
            return;
        }
        let id = link.server;
        if end == End::Callee && self.is_put_off(id, Event::ClientCnxn(number, end)) {
            return;
        }
        loop {
            let Some(link) = self.links.get_mut(&number) else { return };
            let queue = match end {
                End::Caller => &mut link.to_client,
                End::Callee => &mut link.to_server,
            };
            let Some((_, piece)) = queue.pop_front_if(|(at, _)| *at <= now) else { return };
            match (end, piece) {
                (End::Caller, Piece::Bytes(bytes)) => self.on_reply_bytes(number, &bytes),
                (End::Caller, _) => {
                    let client = link.client;
                    let is_here = link.is_client_here;
                    self.links.remove(&number);
                    if is_here {
                        self.on_link_closed(client, number);
                    }
                }
                (End::Callee, Piece::Bytes(bytes)) => {
                    link.input.extend_from_slice(&bytes);
                    self.serve(number);
                }
                (End::Callee, _) => self.retire(number),
            }
        }
    }

    fn on_reply_bytes(&mut self, number: u64, bytes: &[u8]) {
        let link = self.links.get_mut(&number).expect("it is there");
        link.replies.extend_from_slice(bytes);
        while let Some(link) = self.links.get_mut(&number).filter(|link| link.is_client_here) {
            let client = link.client;
            match next_frame(&mut link.replies, FRAME_BYTES_MAX) {
                Ok(Some(frame)) => self.on_frame(client, number, &frame),
                Ok(None) => return,
                Err(error) => {
                    let text = format!("client {client} gets a frame of {error:?}");
                    return self.judge(Err(Violation::new("wire", text)));
                }
            }
        }
    }

    /// Serves what has been read of a connection.
    fn serve(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let (id, phase) = (link.server, link.phase);
        let Some(cnxn) = link.cnxn.clone() else { return };
        match phase {
            Phase::Opening => {
                if let Ok(Some(frame)) = next_frame(&mut link.input, FRAME_BYTES_MAX) {
                    link.phase = Phase::Connecting;
                    self.open(number, id, &cnxn, &frame);
                }
            }
            Phase::Connecting if !cnxn.is_established() => {}
            Phase::Connecting | Phase::Serving => {
                link.phase = Phase::Serving;
                self.serve_requests(number, id, &cnxn);
            }
        }
    }

    fn open(&mut self, number: u64, id: ProcessId, cnxn: &Arc<ClientCnxn>, frame: &[u8]) {
        let now = self.queue.now();
        let clock = self.servers[id.server].clock(now);
        let Some(process) = self.process(id) else { return };
        let Ok(connect) = ConnectFrame::decode(frame) else {
            panic!("clients of the simulation speak the protocol");
        };
        let last_processed = process.state.database.read().tree.last_processed();
        let accepts_read_only = connect.read_only == Some(true);
        let is_served = match process.state.mode() {
            ServerMode::NotServing => false,
            ServerMode::ReadOnly => accepts_read_only,
            _ => true,
        };
        if !is_served || Zxid(connect.last_zxid_seen) > last_processed {
            return self.retire(number);
        }
        let (min, max) = (2 * TICK_MS as i32, 20 * TICK_MS as i32);
        let attempt = ConnectAttempt {
            cnxn: cnxn.clone(),
            session: SessionId(connect.session_id),
            password: connect.password,
            timeout_ms: clamp_timeout_ms(connect.timeout_ms, min, max),
            has_read_only: connect.read_only.is_some(),
            accepts_read_only,
            at: clock.monotonic,
        };
        self.post(id, Input::Connect(attempt));
    }

    fn serve_requests(&mut self, number: u64, id: ProcessId, cnxn: &Arc<ClientCnxn>) {
        let now = self.queue.now();
        let clock = self.servers[id.server].clock(now);
        let Some(state) = self.process(id).map(|process| process.state.clone()) else { return };
        let Some(session) = cnxn.session.get() else { return };
        let is_alive = session.handle.touch(clock.monotonic);
        let identities = cnxn.identities();
        let mut reads: Option<ReadBatch<'_>> = None;
        let mut inputs = Vec::new();
        let link = self.links.get_mut(&number).expect("it is served");
        while let Ok(Some(frame)) = next_frame(&mut link.input, FRAME_BYTES_MAX) {
            let frame = frame.freeze();
            let mut reader = Reader::new(&frame);
            let header = RequestHeader::read(&mut reader).expect("clients speak the protocol");
            let body_at = reader.position();
            if !is_alive || cnxn.outbox().is_closing() {
                continue;
            }
            let op = OpCode::from_code(header.kind).expect("clients speak the protocol");
            let arrival = Arrival { xid: header.xid, op, at: clock.monotonic };
            if classify(Some(op)) == RequestKind::Read && cnxn.unfinished() == 0 {
                let hold = reads.get_or_insert_with(|| ReadBatch::begin(&state, clock.monotonic));
                let mut outbox = cnxn.outbox();
                hold.answer(cnxn, &mut outbox, &identities, arrival, &frame[body_at..]);
                continue;
            }
            cnxn.add_unfinished();
            state.add_in_process(1);
            inputs.push(Input::Request(ClientRequest {
                cnxn: Some(cnxn.clone()),
                session: session.id,
                owner: Owner::ME,
                identities: identities.clone(),
                arrival,
                body: frame.slice(body_at..),
            }));
        }
        reads.into_iter().for_each(ReadBatch::end);
        for input in inputs {
            self.post(id, input);
        }
        self.flush_client(cnxn);
    }

    /// Sends what waits for a client.
    pub(super) fn flush_client(&mut self, cnxn: &Arc<ClientCnxn>) {
        let number = cnxn.id.0;
        let (bytes, is_closing) = {
            let mut outbox = cnxn.outbox();
            (outbox.take(), outbox.is_closing())
        };
        if self.links.get(&number).is_none_or(|link| link.cnxn.is_none()) {
            return;
        }
        if !bytes.is_empty() {
            self.send_on_link(number, End::Callee, Piece::Bytes(bytes.freeze()));
        }
        if is_closing {
            self.retire(number);
        }
    }

    /// A connection may be read on: its session is established, or a request is answered.
    pub(super) fn resume_client(&mut self, cnxn: &Arc<ClientCnxn>) {
        self.flush_client(cnxn);
        self.serve(cnxn.id.0);
    }

    /// A server's side of a connection is over.
    fn retire(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(cnxn) = link.cnxn.take() else { return };
        let id = link.server;
        if link.is_client_here {
            self.send_on_link(number, End::Callee, Piece::Close);
        } else {
            self.links.remove(&number);
        }
        cnxn.outbox().close();
        if let Some(process) = self.process(id) {
            process.state.cnxns.remove(cnxn.id);
            process.state.watches.remove_all(cnxn.id);
            self.post(id, Input::Disconnected(cnxn));
        }
    }

    /// The connections of a process that is gone.
    pub(super) fn close_links_of(&mut self, id: ProcessId) {
        let ours = self.links.iter().filter(|(_, link)| link.server == id);
        let numbers: Vec<u64> = ours.map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.retire(number));
    }

    /// What waited for a client's network arrives.
    pub(super) fn go_on_with_links(&mut self, client: usize) {
        let ours = self.links.iter().filter(|(_, link)| link.client == client);
        let numbers: Vec<u64> = ours.map(|(number, _)| *number).collect();
        for number in numbers {
            for end in [End::Caller, End::Callee] {
                let delay = self.delay();
                self.queue.after(delay, Event::ClientCnxn(number, end));
            }
        }
    }
}
