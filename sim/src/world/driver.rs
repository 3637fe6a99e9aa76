//! The second driver: it gives an engine its inputs and carries out its effects as
//! `gamekeeper::server::driver` and `ensemble` do, strictly in their order, with a simulated disk
//! and network. Nothing else of a process goes on while it waits for its disk, but connections are
//! read and reads are answered, as by the threads of the shell.

use std::sync::Arc;

use bytes::BytesMut;
use gamekeeper::auth::{AuthOptions, ProviderRegistry};
use gamekeeper::engine::{Effect, Engine, EnsembleOptions, Input, LearnerEvent};
use gamekeeper::processor::{ServerMode, ServerState};
use gamekeeper::proto::{Millis, Packet, PacketType};
use gamekeeper::quorum::{LearnerCnxn, QuorumEffect, ReconfigRules};

use super::World;
use super::membership::{server_of, sid_of};
use super::process::{Connecting, DiskWork, Listens, Process};
use crate::plan::{FRAME_BYTES_MAX, INIT_LIMIT_MS, OBSERVER_MASTER_PORT, SYNC_LIMIT_MS};
use crate::queue::{Event, MS, ProcessId, SECOND, Time};

/// Longest time the loop sleeps, in milliseconds, as in the driver of the server.
const SLEEP_MS_MAX: Millis = 500;

/// The same while others take over, in milliseconds.
const RETIRING_SLEEP_MS_MAX: Millis = 5;

/// How long a process takes to look into its mailbox.
const WAKE: Time = 30;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessEnd {
    /// By itself.
    Exit,
    /// Amid whatever it does.
    Kill,
    /// With the power of its server.
    PowerLoss,
}

impl World {
    /// Starts a server's process: it restores its database and looks for a leader.
    pub(super) fn start(&mut self, index: usize) {
        let now = self.queue.now();
        let id = ProcessId { server: index, life: self.servers[index].lives };
        let server = &mut self.servers[index];
        assert!(server.process.is_none(), "one process at a time");
        server.starts = false;
        let files = server.config_files.as_ref().expect("it is set up");
        let configs = files.load(self.plan.has_reconfigs);
        if !configs.committed().members().servers.contains_key(&sid_of(index)) {
            self.note(format_args!("server {index} is no member and does not start"));
            self.correct_config_file(index);
            return self.plan_start(index, SECOND);
        }
        server.lives += 1;
        let (database, files) = match self.open_files(index) {
            Ok(opened) => opened,
            Err(error) => return self.cannot_start(index, &error),
        };
        let last = database.tree.last_processed();
        let (accepted_epoch, current_epoch) = (files.epochs.accepted(), files.epochs.current());
        let server = &mut self.servers[index];
        let auth = ProviderRegistry::new(AuthOptions::default());
        let state = Arc::new(ServerState::new(database, auth, FRAME_BYTES_MAX));
        let ensemble = EnsembleOptions {
            my_id: sid_of(index),
            configs: configs.clone(),
            rules: ReconfigRules { standalone_enabled: true, multi_address: false },
            init_limit_ms: INIT_LIMIT_MS,
            sync_limit_ms: SYNC_LIMIT_MS,
            election: self.plan.election(),
            member: self.plan.member(),
            accepted_epoch,
            current_epoch,
        };
        let options = self.plan.engine(server.random.u64(..));
        let mut effects = Vec::new();
        let clock = server.clock(now);
        let engine = Engine::member(state.clone(), ensemble, options, clock, &mut effects);
        server.process = Some(Process::new(id, engine, state, files, configs, effects, now));
        self.note(format_args!(
            "server {index} starts with 0x{last}, epochs {accepted_epoch} and {current_epoch}"
        ));
        self.wake(id, WAKE);
    }

    /// The process, if it still runs.
    pub(super) fn process(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.servers[id.server].process.as_mut().filter(|process| process.id == id)
    }

    /// Leaves an input in a process's mailbox.
    pub(super) fn post(&mut self, id: ProcessId, input: Input) {
        if let Some(process) = self.process(id) {
            process.mailbox.push_back(input);
            self.wake(id, WAKE);
        }
    }

    /// Puts off what a process would do now if it gets no processor time.
    pub(super) fn is_put_off(&mut self, id: ProcessId, event: Event) -> bool {
        let now = self.queue.now();
        let until = self.process(id).map_or(now, |process| process.paused_until);
        if until > now {
            self.queue.at(until, event);
        }
        until > now
    }

    /// Has a process look into its mailbox in a while.
    fn wake(&mut self, id: ProcessId, delay: Time) {
        let now = self.queue.now();
        let Some(process) = self.process(id) else { return };
        let at = (now + delay).max(process.paused_until);
        if process.wakes_at.is_none_or(|planned| planned > at) {
            process.wakes_at = Some(at);
            self.queue.at(at, Event::Step(id));
        }
    }

    /// A process looks into its mailbox.
    pub(super) fn on_step(&mut self, id: ProcessId) {
        let now = self.queue.now();
        let Some(process) = self.process(id) else { return };
        if process.wakes_at != Some(now) {
            return;
        }
        process.wakes_at = None;
        if process.paused_until > now {
            return self.wake(id, 0);
        }
        if process.disk_work.is_none() {
            process.has_rested = false;
            self.go_on(id);
        }
    }

    /// The loop of the driver, until there is nothing to do or the disk is waited for.
    pub(super) fn go_on(&mut self, id: ProcessId) {
        let now = self.queue.now();
        loop {
            let clock = self.servers[id.server].clock(now);
            let Some(process) = self.process(id) else { return };
            if process.disk_work.is_some() {
                return;
            }
            if let Some(effect) = process.effects.pop_front() {
                self.carry_out(id, effect);
            } else if !process.more.is_empty() {
                process.effects.extend(process.more.drain(..));
            } else if let Some(input) = process.inputs.pop_front() {
                process.engine.step(clock, input, &mut process.more);
                self.observe(id);
            } else if !process.has_rested {
                process.has_rested = process.mailbox.is_empty();
                if process.has_rested {
                    process.engine.rest(clock, &mut process.more);
                    self.observe(id);
                } else {
                    std::mem::swap(&mut process.inputs, &mut process.mailbox);
                }
            } else if process.is_retiring && process.engine.may_stop() {
                let _ = process.files.log.flush();
                return self.end_process(id);
            } else {
                let longest =
                    if process.is_retiring { RETIRING_SLEEP_MS_MAX } else { SLEEP_MS_MAX };
                let wait = (process.engine.deadline() - clock.monotonic).clamp(0, longest);
                return self.wake(id, wait as Time * MS);
            }
            if self.violation.is_some() {
                return;
            }
        }
    }

    fn carry_out(&mut self, id: ProcessId, effect: Effect) {
        match effect {
            Effect::Append { batch, .. } => {
                let server = &mut self.servers[id.server];
                let process = server.process.as_ref().expect("it carries out its effects");
                if process.state.mode() == ServerMode::Leader {
                    let entries = batch.entry_ranges().map(|(zxid, at)| (zxid, &batch.bytes()[at]));
                    let verdict = self.oracle.broadcast(id.server, entries, &process.configs);
                    if verdict.is_err() {
                        return self.judge(verdict);
                    }
                }
                server.history.append(&batch);
                let zxid = batch.last_zxid().expect("a batch holds something");
                let process = server.process.as_mut().expect("it carries out its effects");
                match process.files.log.append(&batch) {
                    Ok(()) => self.begin_disk_work(id, DiskWork::Flush(zxid)),
                    Err(error) => self.fail(id, &error),
                }
            }
            Effect::TruncateLog { to, reload } => {
                self.begin_disk_work(id, DiskWork::Truncate { to, reload });
            }
            Effect::InstallSnapshot { database } => {
                self.begin_disk_work(id, DiskWork::Install(database));
            }
            Effect::StoreDatabase => unreachable!("every server here writes its log"),
            Effect::Quorum(effect) => self.carry_out_quorum(id, effect),
            Effect::Exit(reason) => {
                self.note(format_args!("server {} exits: {reason}", id.server));
                self.give_up(id);
            }
            Effect::RollLog => {
                let process = self.process(id).expect("it carries out its effects");
                if let Err(error) = process.files.log.roll() {
                    self.fail(id, &error);
                }
            }
            Effect::TakeSnapshot => self.take_snapshot(id),
            Effect::Flush(cnxn) => self.flush_client(&cnxn),
            Effect::Resume(cnxn) => self.resume_client(&cnxn),
        }
    }

    fn carry_out_quorum(&mut self, id: ProcessId, effect: QuorumEffect) {
        match effect {
            QuorumEffect::Send(cnxn, packets) => {
                cnxn.outbox().push(packets);
                self.flush_learner(id, &cnxn);
            }
            QuorumEffect::Close(cnxn) => {
                cnxn.outbox().close();
                self.flush_learner(id, &cnxn);
            }
            QuorumEffect::ReadTimeout(cnxn, limit_ms) => {
                self.set_read_timeout(id, &cnxn, limit_ms);
            }
            QuorumEffect::SetAcceptedEpoch(epoch) => {
                self.begin_disk_work(id, DiskWork::SetAcceptedEpoch(epoch));
            }
            QuorumEffect::SetCurrentEpoch(epoch) => {
                self.begin_disk_work(id, DiskWork::SetCurrentEpoch(epoch));
            }
            QuorumEffect::StoreConfigs(configs) => {
                self.store_configs(id, configs);
            }
            QuorumEffect::Listen => self.listens(id).to_learners = true,
            QuorumEffect::ListenForObservers(_) => self.listens(id).to_observers = true,
            QuorumEffect::StopListening => *self.listens(id) = Listens::default(),
            QuorumEffect::Connect { id: connect_id, leader, addresses } => {
                self.cancel_connect(id);
                if addresses.is_empty() {
                    let event = LearnerEvent::ConnectFailed(connect_id, "no address".into());
                    return self.post(id, Input::Learner(event));
                }
                let attempt = self.number();
                let leader = server_of(leader);
                let as_observers = addresses.iter().all(|at| at.port == OBSERVER_MASTER_PORT);
                let id_of_engine = connect_id;
                let connecting =
                    Connecting { id: id_of_engine, attempt, leader, as_observers, tries: 0 };
                let process = self.process(id).expect("it carries out its effects");
                process.connecting = Some(connecting);
                let delay = self.delay();
                self.queue.after(delay, Event::Connect(id, attempt));
            }
            QuorumEffect::CancelConnect => self.cancel_connect(id),
            QuorumEffect::SendSnapshot(cnxn) => self.send_snapshot(id, &cnxn),
            QuorumEffect::FindHistory { cnxn, last, up_to } => {
                self.find_history(id, &cnxn, last, up_to);
            }
            QuorumEffect::SendHistory { cnxn, after, up_to } => {
                self.send_history(id, &cnxn, after, up_to);
            }
            QuorumEffect::SendElection { to, message } => self.send_vote(id, to, message),
            QuorumEffect::StopElection => {
                let process = self.process(id).expect("it carries out its effects");
                process.takes_votes = false;
            }
        }
    }

    /// The disk cannot be written: the process ends.
    pub(super) fn fail(&mut self, id: ProcessId, error: &dyn std::fmt::Display) {
        self.note(format_args!("server {} cannot write: {error}", id.server));
        self.give_up(id);
    }

    /// The process cannot go on: clients are told by the end of their connections, and it ends.
    fn give_up(&mut self, id: ProcessId) {
        let now = self.queue.now();
        let server = &mut self.servers[id.server];
        let clock = server.clock(now);
        let process = server.process.as_mut().expect("it writes");
        let mut effects = Vec::new();
        process.engine.step(clock, Input::LogFailed, &mut effects);
        for effect in effects {
            if let Effect::Flush(cnxn) = effect {
                self.flush_client(&cnxn);
            }
        }
        self.end_process(id);
    }

    /// A server's process is told to stop, and hands over what it does first.
    pub(super) fn retire_process(&mut self, index: usize) {
        if let Some(process) = &mut self.servers[index].process
            && !process.is_retiring
        {
            process.is_retiring = true;
            let id = process.id;
            self.note(format_args!("server {index} is told to stop"));
            self.post(id, Input::Retire);
        }
    }

    /// The process ends by itself and is started again after a while.
    pub(super) fn end_process(&mut self, id: ProcessId) {
        self.stop(id.server, ProcessEnd::Exit);
        let delay = self.random.u64(SECOND / 10..2 * SECOND);
        self.plan_start(id.server, delay);
    }

    /// A server's process is gone, and with it, if the power is lost, what was not flushed.
    pub(super) fn stop(&mut self, index: usize, end: ProcessEnd) {
        if end != ProcessEnd::Exit {
            self.die_amid_disk_work(index);
        }
        let server = &mut self.servers[index];
        let Some(process) = server.process.take() else { return };
        self.ended_amid_reconfig += usize::from(process.configs.pending().is_some());
        let id = process.id;
        drop(process);
        let files = server.config_files.as_mut().expect("it is set up");
        match end {
            ProcessEnd::Exit | ProcessEnd::Kill => {
                server.disk.kill();
                files.kill(&mut server.random);
            }
            ProcessEnd::PowerLoss => {
                server.disk.lose_power();
                files.lose_power(&mut server.random);
            }
        }
        self.note(format_args!("server {index} ends: {end:?}"));
        self.oracle.stopped(index);
        self.close_streams_of(id);
        self.close_links_of(id);
    }

    /// Has a server start in a while.
    pub(super) fn plan_start(&mut self, index: usize, delay: Time) {
        let server = &mut self.servers[index];
        if server.is_set_up() && server.process.is_none() && !server.starts {
            server.starts = true;
            self.queue.after(delay, Event::Start(index));
        }
    }

    /// Holds what a process has just done against the invariants.
    pub(super) fn observe(&mut self, id: ProcessId) {
        let server = &self.servers[id.server];
        let Some(process) = &server.process else { return };
        let seen = (process.state.mode(), process.state.database.read().tree.last_processed());
        if seen == process.seen {
            return;
        }
        let before = process.seen;
        let verdict = self.oracle.observe(id.server, before, seen, &mut self.servers);
        let process = self.process(id).expect("it was just there");
        process.seen = seen;
        if before.0 != seen.0 {
            self.note(format_args!("server {} is {} at 0x{}", id.server, seen.0.name(), seen.1));
        }
        self.judge(verdict);
    }
}

/// Queues a packet without a body.
pub(super) fn push_packet(cnxn: &LearnerCnxn, kind: PacketType, zxid: gamekeeper::proto::Zxid) {
    let mut packet = BytesMut::new();
    Packet::bare(kind, zxid).encode(&mut packet);
    cnxn.outbox().push(packet.freeze());
}
