//! Connections between a leader and its learners: streams of bytes that keep their order, stall
//! while the network is cut, and end when an end closes, falls silent or dies
//! (`gamekeeper::server::net::LearnerCnxnFactory` over sockets).

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use gamekeeper::engine::{Input, LearnerEvent};
use gamekeeper::persistence::look_up;
use gamekeeper::proto::{Millis, Packet, PacketType, Zxid};
use gamekeeper::quorum::{HistoryPlan, LearnerCnxn, LearnerCnxnId, LearnerTransport};
use gamekeeper::server::net::{LearnerHistory, history_plan};
use gamekeeper::server::storage::receive_snapshot;

use super::disk_work::FILES_DIR;
use super::driver::push_packet;
use super::process::{Connecting, Listens, Process};
use super::{Piece, World};
use crate::database::{Walk, tree_options};
use crate::history::Record;
use crate::plan::{FRAME_BYTES_MAX, INIT_LIMIT_MS};
use crate::queue::{End, Event, MS, ProcessId, SECOND, Time};
use crate::sim_disk::SimDisk;
use crate::violation::Violation;

/// Tries to connect, and the pause between two.
const TRIES_MAX: u32 = 5;
const TRY_PAUSE: Time = SECOND / 10;

/// How long a try takes that nobody answers.
const TRY_TIMEOUT: Time = 2 * SECOND;

/// Slots of the tree, or bytes of the log, in a piece that is sent to a learner.
const SLOTS_PER_PIECE: usize = 16;
const BYTES_PER_PIECE: usize = 1_000;

/// The world takes what waits in an outbox itself.
struct NoSocket;

impl LearnerTransport for NoSocket {
    fn flush(&self, _cnxn: &LearnerCnxn) {}
}

/// One end of a stream.
struct StreamEnd {
    process: ProcessId,
    cnxn: Arc<LearnerCnxn>,
    /// Whether the engine knows it.
    is_known: bool,
    is_open: bool,
    input: BytesMut,
    /// The snapshot that is coming in.
    snapshot: Option<(Zxid, Vec<u8>)>,
    heard: Time,
    limit: Time,
    incoming: VecDeque<(Time, Piece)>,
}

/// A connection between a learner and a leader.
pub struct Stream {
    caller: StreamEnd,
    callee: StreamEnd,
}

impl Stream {
    fn end(&mut self, end: End) -> &mut StreamEnd {
        match end {
            End::Caller => &mut self.caller,
            End::Callee => &mut self.callee,
        }
    }

    /// The servers at its ends.
    pub fn servers(&self) -> (usize, usize) {
        (self.caller.process.server, self.callee.process.server)
    }
}

/// What a learner is being sent past the outbox.
pub struct SyncJob {
    cnxn: Arc<LearnerCnxn>,
    what: SyncContent,
}

enum SyncContent {
    /// With the history that it stands for.
    Snapshot(Walk, Vec<Record>),
    /// Of the log.
    History(LearnerHistory<SimDisk>),
}

impl World {
    pub(super) fn listens(&mut self, id: ProcessId) -> &mut Listens {
        &mut self.process(id).expect("it carries out its effects").listens
    }

    /// A learner tries to connect.
    pub(super) fn try_to_connect(&mut self, id: ProcessId, attempt: u64) {
        let Some(process) = self.process(id) else { return };
        let Some(connecting) = process.connecting.take_if(|c| c.attempt == attempt) else { return };
        let leader = connecting.leader;
        let passes = self.passes(id.server, leader) && self.passes(leader, id.server);
        let listens = |process: &&Process| match connecting.as_observers {
            true => process.listens.to_observers,
            false => process.listens.to_learners,
        };
        let listening = self.servers[leader].process.as_ref().filter(listens);
        match listening.map(|leader| leader.id) {
            Some(leader) if passes => self.connect(id, leader, &connecting),
            _ if connecting.tries + 1 >= TRIES_MAX => {
                let event = LearnerEvent::ConnectFailed(connecting.id, "no answer".into());
                self.post(id, Input::Learner(event));
            }
            _ => {
                let pause = if passes { TRY_PAUSE } else { TRY_TIMEOUT };
                let process = self.process(id).expect("it was just there");
                let tries = connecting.tries + 1;
                process.connecting = Some(Connecting { tries, ..connecting });
                self.queue.after(pause, Event::Connect(id, attempt));
            }
        }
    }

    fn connect(&mut self, caller: ProcessId, callee: ProcessId, connecting: &Connecting) {
        let number = self.number();
        let now = self.queue.now();
        let end = |world: &mut Self, id: ProcessId, end: End, peer: ProcessId| {
            let process = world.process(id).expect("it runs");
            let cnxn_id = process.next_cnxn();
            process.cnxns.insert(cnxn_id, (number, end));
            let peer = ([10, 0, 0, peer.server as u8 + 1], 2_888).into();
            let cnxn = Arc::new(LearnerCnxn::new(cnxn_id, peer, Box::new(NoSocket)));
            let limit = INIT_LIMIT_MS as Time * MS;
            world.queue.after(limit, Event::Silence(number, end));
            StreamEnd {
                process: id,
                cnxn,
                is_known: end == End::Caller,
                is_open: true,
                input: BytesMut::new(),
                snapshot: None,
                heard: now,
                limit,
                incoming: VecDeque::new(),
            }
        };
        let stream = Stream {
            caller: end(self, caller, End::Caller, callee),
            callee: end(self, callee, End::Callee, caller),
        };
        let cnxn = stream.caller.cnxn.clone();
        self.streams.insert(number, stream);
        self.process(caller).expect("it runs").wanted = Some(cnxn.id);
        self.note(format_args!("server {} connects to {}", caller.server, callee.server));
        let event = LearnerEvent::Connected(connecting.id, cnxn);
        self.post(caller, Input::Learner(event));
    }

    /// A learner gives up connecting, and the connection if there is one.
    pub(super) fn cancel_connect(&mut self, id: ProcessId) {
        let process = self.process(id).expect("it carries out its effects");
        process.connecting = None;
        if let Some(wanted) = process.wanted.take()
            && let Some(&(stream, end)) = process.cnxns.get(&wanted)
        {
            self.close_end(stream, end, "another leader is looked for");
        }
    }

    /// Sends what waits in an outbox.
    pub(super) fn flush_learner(&mut self, id: ProcessId, cnxn: &LearnerCnxn) {
        let Some((stream, end)) = self.find_cnxn(id, cnxn.id) else { return };
        let (pieces, is_closing) = {
            let mut outbox = cnxn.outbox();
            (outbox.take(), outbox.is_closing())
        };
        for bytes in pieces {
            self.send(stream, end, Piece::Bytes(bytes));
        }
        if is_closing {
            self.close_end(stream, end, "closed here");
        }
    }

    pub(super) fn set_read_timeout(&mut self, id: ProcessId, cnxn: &LearnerCnxn, limit_ms: Millis) {
        let Some((stream, end)) = self.find_cnxn(id, cnxn.id) else { return };
        let limit = limit_ms as Time * MS;
        self.streams.get_mut(&stream).expect("it is open").end(end).limit = limit;
        self.queue.after(limit, Event::Silence(stream, end));
    }

    fn find_cnxn(&mut self, id: ProcessId, cnxn: LearnerCnxnId) -> Option<(u64, End)> {
        let (stream, end) = *self.process(id)?.cnxns.get(&cnxn)?;
        self.streams.get_mut(&stream)?.end(end).is_open.then_some((stream, end))
    }

    /// Sends a piece from one end to the other.
    fn send(&mut self, number: u64, from: End, piece: Piece) {
        let arrives = self.queue.now() + self.delay();
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let other = stream.end(from.other());
        let last = other.incoming.back().map_or(0, |(at, _)| *at);
        let arrives = arrives.max(last);
        other.incoming.push_back((arrives, piece));
        self.queue.at(arrives, Event::Stream(number, from.other()));
    }

    /// Something arrives at an end.
    pub(super) fn on_stream(&mut self, number: u64, end: End) {
        let now = self.queue.now();
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let from = stream.end(end.other()).process.server;
        let receiver = stream.end(end).process;
        if !self.passes(from, receiver.server) {
            // What the heal of the network plans brings it.
            return;
        }
        if self.is_put_off(receiver, Event::Stream(number, end)) {
            return;
        }
        loop {
            let Some(stream) = self.streams.get_mut(&number) else { return };
            let here = stream.end(end);
            let Some((_, piece)) = here.incoming.pop_front_if(|(at, _)| *at <= now) else { return };
            if !here.is_open {
                continue;
            }
            here.heard = now;
            match piece {
                Piece::Bytes(bytes) => self.on_bytes(number, end, &bytes),
                Piece::SnapshotEnd(history) => self.on_snapshot_end(number, end, history),
                Piece::Close => self.close_end(number, end, "the peer closed it"),
            }
        }
    }

    fn on_bytes(&mut self, number: u64, end: End, bytes: &[u8]) {
        let here = self.streams.get_mut(&number).expect("it is open").end(end);
        let (id, cnxn_id) = (here.process, here.cnxn.id);
        if let Some((_, snapshot)) = &mut here.snapshot {
            return snapshot.extend_from_slice(bytes);
        }
        here.input.extend_from_slice(bytes);
        loop {
            let here = self.streams.get_mut(&number).expect("it is open").end(end);
            let packet = match Packet::decode(&mut here.input, FRAME_BYTES_MAX) {
                Ok(Some(packet)) => packet,
                Ok(None) => return,
                Err(error) => {
                    let text = format!("server {} cannot read a packet: {error}", id.server);
                    return self.judge(Err(Violation::new("wire", text)));
                }
            };
            if packet.kind == PacketType::Snap {
                assert!(here.input.is_empty(), "a snapshot follows in pieces of its own");
                here.snapshot = Some((packet.zxid, Vec::new()));
            }
            if !here.is_known {
                here.is_known = true;
                let cnxn = here.cnxn.clone();
                let listens = self.process(id).map(|process| process.listens).unwrap_or_default();
                if !listens.to_learners && !listens.to_observers {
                    return self.close_end(number, end, "learners are listened for no more");
                }
                self.post(id, Input::Learner(LearnerEvent::Accepted(cnxn)));
            }
            if packet.kind != PacketType::Ping {
                let (kind, zxid) = (packet.kind, packet.zxid);
                self.note(format_args!("server {} hears {kind:?} 0x{zxid}", id.server));
            }
            self.post(id, Input::Learner(LearnerEvent::Packet(cnxn_id, packet)));
        }
    }

    fn on_snapshot_end(&mut self, number: u64, end: End, history: Vec<Record>) {
        let here = self.streams.get_mut(&number).expect("it is open").end(end);
        let (id, cnxn_id) = (here.process, here.cnxn.id);
        let (zxid, bytes) = here.snapshot.take().expect("a snapshot comes in");
        match receive_snapshot(&mut &bytes[..], zxid, tree_options()) {
            Ok((database, _)) => {
                if let Some(process) = self.process(id) {
                    process.received = history;
                }
                let event = LearnerEvent::Snapshot(cnxn_id, Ok(Box::new(database)));
                self.post(id, Input::Learner(event));
            }
            Err(reason) => {
                let text = format!("server {} cannot read a snapshot: {reason}", id.server);
                self.judge(Err(Violation::new("wire", text)));
            }
        }
    }

    /// An end may have heard nothing for too long.
    pub(super) fn on_silence(&mut self, number: u64, end: End) {
        let now = self.queue.now();
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let here = stream.end(end);
        let (id, ends_at) = (here.process, here.heard + here.limit);
        if !here.is_open {
            return;
        }
        if ends_at > now {
            self.queue.at(ends_at, Event::Silence(number, end));
        } else if !self.is_put_off(id, Event::Silence(number, end)) {
            self.close_end(number, end, "nothing was heard for too long");
        }
    }

    /// Closes an end; the other one hears of it.
    pub(super) fn close_end(&mut self, number: u64, end: End, reason: &str) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let here = stream.end(end);
        if !std::mem::replace(&mut here.is_open, false) {
            return;
        }
        let (id, cnxn_id, is_known) = (here.process, here.cnxn.id, here.is_known);
        let is_over = !stream.end(end.other()).is_open;
        if is_over {
            self.streams.remove(&number);
        } else {
            self.send(number, end, Piece::Close);
        }
        if let Some(process) = self.process(id) {
            process.cnxns.remove(&cnxn_id);
            self.note(format_args!("server {} closes a stream: {reason}", id.server));
            if is_known {
                let event = LearnerEvent::Closed(cnxn_id, reason.into());
                self.post(id, Input::Learner(event));
            }
        }
    }

    /// Closes both ends at once; what is under way is lost.
    pub(super) fn reset_stream(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.caller.incoming.clear();
            stream.callee.incoming.clear();
            self.close_end(number, End::Caller, "reset");
            self.close_end(number, End::Callee, "reset");
        }
    }

    /// The ends of a process that is gone.
    pub(super) fn close_streams_of(&mut self, id: ProcessId) {
        let numbers: Vec<u64> = self.streams.keys().copied().collect();
        for number in numbers {
            for end in [End::Caller, End::Callee] {
                let stream = self.streams.get_mut(&number);
                if stream.is_some_and(|stream| stream.end(end).process == id) {
                    self.close_end(number, end, "the process is gone");
                }
            }
        }
    }

    /// What waited for the network to be whole arrives.
    pub(super) fn go_on_with_streams(&mut self) {
        let numbers: Vec<u64> = self.streams.keys().copied().collect();
        for number in numbers {
            for end in [End::Caller, End::Callee] {
                let delay = self.delay();
                self.queue.after(delay, Event::Stream(number, end));
            }
        }
    }

    /// Sends a learner SNAP and the database as it is now, piece by piece while it changes.
    pub(super) fn send_snapshot(&mut self, id: ProcessId, cnxn: &Arc<LearnerCnxn>) {
        let process = self.process(id).expect("it carries out its effects");
        let walk = Walk::begin(&process.state.database.read());
        let history = self.servers[id.server].history.up_to(walk.zxid());
        push_packet(cnxn, PacketType::Snap, walk.zxid());
        self.begin_sync(id, cnxn, SyncContent::Snapshot(walk, history));
    }

    /// Sends a learner transactions from the log, each with its commit.
    pub(super) fn send_history(
        &mut self,
        id: ProcessId,
        cnxn: &Arc<LearnerCnxn>,
        after: Zxid,
        up_to: Zxid,
    ) {
        let disk = &self.servers[id.server].disk;
        match LearnerHistory::open(disk, Path::new(FILES_DIR), after, up_to) {
            Ok(history) => self.begin_sync(id, cnxn, SyncContent::History(history)),
            Err(reason) => {
                if let Some((stream, end)) = self.find_cnxn(id, cnxn.id) {
                    self.close_end(stream, end, &reason);
                }
            }
        }
    }

    fn begin_sync(&mut self, id: ProcessId, cnxn: &Arc<LearnerCnxn>, what: SyncContent) {
        self.flush_learner(id, cnxn);
        cnxn.outbox().hold();
        let job = self.number();
        let process = self.process(id).expect("it carries out its effects");
        process.syncs.insert(job, SyncJob { cnxn: cnxn.clone(), what });
        let delay = self.delay();
        self.queue.after(delay, Event::Sync(id, job));
    }

    /// Sends the next piece.
    pub(super) fn go_on_with_sync(&mut self, id: ProcessId, number: u64) {
        if self.is_put_off(id, Event::Sync(id, number)) {
            return;
        }
        let Some(process) = self.process(id) else { return };
        let Some(mut job) = process.syncs.remove(&number) else { return };
        let state = process.state.clone();
        let Some((stream, end)) = self.find_cnxn(id, job.cnxn.id) else { return };
        let is_more = match &mut job.what {
            SyncContent::Snapshot(walk, history) => {
                let next = walk.go_on(&state.database.read(), SLOTS_PER_PIECE);
                let Ok(is_more) = next else {
                    return self.close_end(stream, end, "the database was replaced");
                };
                self.send(stream, end, Piece::Bytes(walk.take().into()));
                if !is_more {
                    self.send(stream, end, Piece::Bytes(Walk::leaders_end().into()));
                    let history = std::mem::take(history);
                    self.send(stream, end, Piece::SnapshotEnd(history));
                }
                is_more
            }
            SyncContent::History(history) => match history.next_piece(BYTES_PER_PIECE) {
                Ok(Some(piece)) => {
                    self.send(stream, end, Piece::Bytes(piece));
                    true
                }
                Ok(None) => false,
                Err(reason) => return self.close_end(stream, end, &reason),
            },
        };
        if is_more {
            self.process(id).expect("it runs").syncs.insert(number, job);
            let delay = self.delay();
            self.queue.after(delay, Event::Sync(id, number));
        } else {
            job.cnxn.outbox().release();
            self.flush_learner(id, &job.cnxn);
        }
    }

    /// Looks whether the log can bring a learner up to date.
    pub(super) fn find_history(
        &mut self,
        id: ProcessId,
        cnxn: &LearnerCnxn,
        last: Zxid,
        up_to: Zxid,
    ) {
        let disk = &self.servers[id.server].disk;
        let plan = look_up(disk, Path::new(FILES_DIR), last, up_to)
            .ok()
            .and_then(|found| history_plan(last, up_to, &found, self.plan.history_bytes_max).ok());
        let plan = plan.unwrap_or(HistoryPlan::Snap);
        self.post(id, Input::Learner(LearnerEvent::HistoryFound(cnxn.id, plan)));
    }
}
