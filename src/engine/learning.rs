//! A member that follows or observes a leader, and serves clients through it
//! (`FollowerZooKeeperServer`, `ObserverZooKeeperServer`, `FollowerRequestProcessor`).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashMap;

use super::core::{Core, close};
use super::input::{
    ConnectAttempt, Effect, GlobalSessions, LearnerEvent, Now, SessionsDescription,
};
use super::latencies::log_latency;
use super::observer_master::{Forward, ObserverMaster};
use super::quorum_peer::{EnsembleOptions, Known, Over};
use crate::auth::Identity;
use crate::mutation::{self, Mutation};
use crate::op::session_upgrade::creates_ephemeral;
use crate::persistence::LogBatch;
use crate::processor::{
    ClientRequest, CommitProcessor, CommitSource, Finished, RequestKind, ServerMode, Unanswered,
    classify,
};
use crate::proto::{
    AuthInfo, ErrorCode, HostPort, Millis, OpCode, Packet, PacketType, SessionId, Sid, TxnEntry,
    Zxid,
};
use crate::quorum::{
    ConnectId, Learner, LearnerCnxnId, LearnerOptions, LearnerOutput, LearnerType, ProposalLog,
    QuorumEffect, touched_sessions,
};
use crate::session::{Arrival, ClientCnxn, LearnerSessionTracker, check_password};

/// A learner and its clients.
pub(super) struct Learning {
    learner: Learner,
    ensemble: Arc<EnsembleOptions>,
    connect_id: ConnectId,
    sessions: LearnerSessionTracker,
    commit: CommitProcessor,
    /// This server's observers, if it may have some.
    master: Option<ObserverMaster>,
    /// Who asked for the syncs that the leader has not answered: an observer, or a client of this
    /// server.
    syncs: VecDeque<Option<LearnerCnxnId>>,
    tick_time_ms: i32,
    /// Clients whose session the leader is asked about.
    revalidating: HashMap<SessionId, ConnectAttempt>,
    /// When the leader was last told which sessions were heard of.
    last_ping: Millis,
    /// When it began to take over the leader's history.
    synchronises_since: Millis,
    /// The last transaction known to be committed.
    committed: Zxid,
    /// The last one that is counted as such.
    counted: Zxid,
    /// What must be applied before clients are served: the leader's snapshot is not of one moment,
    /// and only what it sent up to UPTODATE makes the tree whole.
    serves_from: Option<Zxid>,
    /// The proposals and the last flushed one as they were before the cut that was asked for.
    uncut: Option<(ProposalLog, Zxid)>,
    /// Why it is over, once it is.
    over: Option<Over>,
}

/// What a learner begins with.
pub(super) struct LearningStart {
    /// The leader, or a follower that serves observers.
    pub leader: Sid,
    /// Where it may be reached.
    pub addresses: Vec<HostPort>,
    /// Whether only a snapshot helps.
    pub wants_snapshot: bool,
    /// The attempt to connect.
    pub connect_id: ConnectId,
    /// Milliseconds of a tick.
    pub tick_time_ms: i32,
}

impl Learning {
    pub(super) fn new(
        core: &Core,
        ensemble: &Arc<EnsembleOptions>,
        known: Known<'_>,
        log: &ProposalLog,
        start: LearningStart,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let Known { epochs, configs } = known;
        let LearningStart { leader, addresses, wants_snapshot, connect_id, tick_time_ms } = start;
        let options = LearnerOptions {
            my_id: ensemble.my_id,
            init_limit_ms: ensemble.init_limit_ms,
            sync_limit_ms: ensemble.sync_limit_ms,
            multi_address: ensemble.rules.multi_address,
            wants_snapshot,
            initial_counter: ensemble.member.initial_counter,
        };
        let id = connect_id;
        effects.push(Effect::Quorum(QuorumEffect::Connect { id, leader, addresses }));
        let last_logged = log.last_zxid();
        let configs = configs.clone();
        Self {
            learner: Learner::new(options, configs, leader, epochs, last_logged),
            ensemble: ensemble.clone(),
            connect_id,
            sessions: ensemble.member.learner_tracker(ensemble.my_id, tick_time_ms, now.wall),
            commit: CommitProcessor::default(),
            master: None,
            syncs: VecDeque::new(),
            tick_time_ms,
            revalidating: HashMap::default(),
            last_ping: now.monotonic,
            synchronises_since: now.monotonic,
            committed: core.last_processed(),
            counted: core.last_processed(),
            serves_from: None,
            uncut: None,
            over: None,
        }
    }

    /// Whom it follows.
    pub(super) fn leader(&self) -> Sid {
        self.learner.leader
    }

    /// Whether a snapshot of the leader has taken the place of everything.
    pub(super) fn has_snapshot(&self) -> bool {
        self.learner.has_snapshot()
    }

    /// The disk cannot make the cut: everything is as it was before, and this leader is left.
    pub(super) fn on_cannot_truncate(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        reason: String,
        effects: &mut Vec<Effect>,
    ) {
        let (uncut, flushed) = self.uncut.take().expect("a cut was asked for");
        *log = uncut;
        core.flushed = flushed;
        let mut out = Vec::new();
        self.learner.give_up(reason.clone(), &mut out);
        effects.extend(effects_of(out));
        self.over = Some(Over { reason, successor: None });
    }

    /// Why it is over, once it is.
    pub(super) fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    pub(super) fn learner_type(&self) -> LearnerType {
        self.learner.learner_type()
    }

    pub(super) fn known(&self) -> Known<'_> {
        let epochs = (self.learner.accepted_epoch(), self.learner.current_epoch());
        Known { epochs, configs: self.learner.configs() }
    }

    pub(super) fn describe_sessions(&self, core: &Core) -> SessionsDescription {
        let global = GlobalSessions::Timeouts(core.global_sessions());
        SessionsDescription { local: self.sessions.local_expiry(), global }
    }

    pub(super) fn on_learner_event(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        now: Now,
        event: LearnerEvent,
        effects: &mut Vec<Effect>,
    ) {
        let mut out = Vec::new();
        let mine = self.learner.cnxn().map(|cnxn| cnxn.id);
        let is_mine = match &event {
            LearnerEvent::Packet(id, _) | LearnerEvent::Closed(id, _) => mine == Some(*id),
            LearnerEvent::Accepted(_)
            | LearnerEvent::HistoryFound(..)
            | LearnerEvent::ListenFailed(_) => false,
            _ => true,
        };
        if !is_mine && let Some(master) = &mut self.master {
            let forward = master.on_event(core, log, now, Some(event), effects);
            self.forward(forward, effects);
            return;
        }
        match event {
            LearnerEvent::Accepted(cnxn) => {
                effects.push(Effect::Quorum(QuorumEffect::Close(cnxn)));
            }
            LearnerEvent::Connected(id, cnxn) if id == self.connect_id && mine.is_none() => {
                self.learner.on_connected(cnxn, &mut out);
            }
            LearnerEvent::Connected(_, cnxn) => {
                effects.push(Effect::Quorum(QuorumEffect::Close(cnxn)));
            }
            LearnerEvent::ConnectFailed(id, reason) if id == self.connect_id => {
                self.learner.give_up(reason, &mut out);
            }
            LearnerEvent::Packet(id, packet) if mine == Some(id) => {
                if packet.kind == PacketType::LeaderInfo {
                    self.synchronises_since = now.monotonic;
                }
                self.learner.on_packet(packet, &mut out);
            }
            LearnerEvent::Snapshot(id, snapshot) if mine == Some(id) => match snapshot {
                Ok(database) => {
                    let zxid = database.tree.last_processed();
                    // They would miss events, and a snapshot does not tell what came of requests.
                    core.end_clients(effects);
                    if mutation::is_on(Mutation::ServeSnapshotInMemory) {
                        *core.state.database.write() = *database;
                    } else {
                        effects.push(Effect::InstallSnapshot { database });
                    }
                    log.reset(zxid);
                    core.flushed = zxid;
                    self.committed = zxid;
                    self.learner.on_snapshot_installed();
                }
                Err(reason) => {
                    self.learner.give_up(format!("cannot read the snapshot: {reason}"), &mut out);
                }
            },
            LearnerEvent::Closed(id, reason) if mine == Some(id) => {
                self.learner.give_up(reason, &mut out);
            }
            LearnerEvent::ConnectFailed(..)
            | LearnerEvent::Packet(..)
            | LearnerEvent::Snapshot(..)
            | LearnerEvent::Closed(..)
            | LearnerEvent::HistoryFound(..)
            | LearnerEvent::ListenFailed(_)
            | LearnerEvent::ReadTaken(_) => {}
        }
        self.carry_out(core, log, now, out, effects);
    }

    /// A batch goes to the log.
    pub(super) fn on_append(
        &self,
        core: &Core,
        batch: &Arc<LogBatch>,
        log: &mut ProposalLog,
        now: Now,
    ) {
        let before = log.last_zxid();
        log.append(batch, core.last_processed());
        if self.learner.is_active() && self.learner.learner_type() == LearnerType::Participant {
            let metrics = &core.state.metrics;
            let proposed = log.range(before, log.last_zxid());
            let count = log_latency(&metrics.proposal_latency, proposed, now);
            metrics.learner_proposal_received_count.increment(count);
        }
    }

    /// A batch is on disk, which held what comes after `before`.
    pub(super) fn on_flushed(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        now: Now,
        (before, zxid): (Zxid, Zxid),
        effects: &mut Vec<Effect>,
    ) {
        if self.learner.is_active() && self.learner.learner_type() == LearnerType::Participant {
            let acked = log.range(before, zxid);
            log_latency(&core.state.metrics.proposal_ack_creation_latency, acked, now);
        }
        let mut out = Vec::new();
        self.learner.on_flushed(zxid, &mut out);
        self.carry_out(core, log, now, out, effects);
        self.finish(core, log, now, effects);
    }

    fn carry_out(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        now: Now,
        out: Vec<LearnerOutput>,
        effects: &mut Vec<Effect>,
    ) {
        for output in out {
            match output {
                LearnerOutput::Do(effect) => effects.push(Effect::Quorum(effect)),
                LearnerOutput::TruncateTo(zxid) => self.keep_up_to(core, log, zxid, effects),
                LearnerOutput::Propose(entry) => {
                    if let Err(reason) = self.propose(core, now, &entry) {
                        let mut more = Vec::new();
                        self.learner.give_up(reason, &mut more);
                        self.carry_out(core, log, now, more, effects);
                        return;
                    }
                }
                LearnerOutput::Commit(zxid) => {
                    self.committed = zxid;
                    let Core { last, kept, .. } = core;
                    let claim = |session, xid, last: &mut _| kept.claim(session, xid, last);
                    self.commit.commit(zxid, now.monotonic, last, claim);
                }
                LearnerOutput::FlushLog => {
                    if !core.sync.batch().is_empty() {
                        let batch = core.take_batch();
                        log.append(&batch.0, core.last_processed());
                        core.append(batch, effects);
                    }
                }
                LearnerOutput::Activate => {
                    // The tree may be another one by now.
                    core.show_config(self.learner.configs().committed(), now);
                    self.serves_from = Some(self.committed);
                    self.counted = self.committed;
                    core.last.set_source(CommitSource::Leader);
                    self.serve_if_whole(core, now, effects);
                }
                LearnerOutput::Sync => self.synced(core, effects),
                LearnerOutput::Revalidated { session, is_valid } => {
                    let master = self.master.as_mut();
                    let is_done =
                        |m: &mut ObserverMaster| m.revalidated(session, is_valid, effects);
                    if !master.is_some_and(is_done) {
                        self.revalidated(core, now, session, is_valid, effects);
                    }
                }
                LearnerOutput::Ping(zxid) => {
                    let since = std::mem::replace(&mut self.last_ping, now.monotonic);
                    let of_observers =
                        self.master.iter_mut().flat_map(ObserverMaster::take_touched);
                    let touched = self.sessions.touched_since(since).chain(of_observers);
                    let data = touched_sessions(touched);
                    self.send(Packet::with_data(PacketType::Ping, zxid, data), effects);
                }
                LearnerOutput::GiveUp(reason) => {
                    let successor = self.learner.successor();
                    if successor.is_some() {
                        // Who asked for the reconfig is told before all connections end.
                        self.finish(core, log, now, effects);
                    }
                    self.over = Some(Over { reason, successor });
                }
            }
        }
    }

    /// The leader has our history up to `zxid`, so it is committed; the rest is cut off.
    fn keep_up_to(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        zxid: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        let applied = core.last_processed();
        if zxid < log.last_zxid() && !core.is_logging {
            // What is on disk is older than that, or another history.
            let reason = "the leader has its history cut, which is not on disk: start it again";
            effects.push(Effect::Exit(reason.into()));
        } else if zxid < log.last_zxid() {
            self.uncut = Some((log.clone(), core.flushed));
            let reload = zxid < applied && !mutation::is_on(Mutation::KeepUncommitted);
            if reload {
                core.end_clients(effects);
            }
            effects.push(Effect::TruncateLog { to: zxid, reload });
            log.truncate(zxid);
            core.flushed = core.flushed.min(zxid);
        }
        core.push_logged(log.range(applied, zxid));
        self.committed = zxid;
    }

    fn propose(&mut self, core: &mut Core, now: Now, bytes: &Bytes) -> Result<(), String> {
        let entry = TxnEntry::decode(bytes)
            .map_err(|error| format!("a proposal cannot be decoded: {error}"))?;
        let range = core.sync.batch().push(|out| out.extend_from_slice(bytes));
        core.sync.added(now.monotonic, range.len());
        self.commit.propose(&entry, range);
        Ok(())
    }

    /// Applies and answers what is committed and on disk.
    pub(super) fn finish(
        &mut self,
        core: &mut Core,
        log: &ProposalLog,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        // Until the leader serves, its history is not known to be committed, whatever it sends: it
        // may be gone again with this leader.
        if core.is_halted || !self.learner.is_active() {
            return;
        }
        self.count_commits(core, log, now);
        let up_to = self.committed.min(core.flushed);
        let Finished { created, created_local, closed, .. } = core.apply(now, up_to, effects);
        self.serve_if_whole(core, now, effects);
        if let Some(master) = &mut self.master {
            master.inform(core.last_processed(), log, self.learner.configs(), effects);
        }
        for session in created.into_iter().map(|(session, _)| session).chain(created_local) {
            core.session_created(session, effects);
        }
        core.sessions_closed(closed, &mut self.sessions, effects);
    }

    /// Counts the commits that have come, of what has gone to the log.
    fn count_commits(&mut self, core: &Core, log: &ProposalLog, now: Now) {
        let metrics = &core.state.metrics;
        let up_to = self.committed.min(log.last_zxid());
        if up_to > self.counted {
            let committed = log.range(self.counted, up_to);
            let count = log_latency(&metrics.commit_propagation_latency, committed, now);
            metrics.learner_commit_received_count.increment(count);
            metrics.request_commit_queued.increment(count);
            self.counted = up_to;
        }
    }

    /// Lets clients come once the tree is whole.
    fn serve_if_whole(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let Some(from) = self.serves_from else { return };
        let applied = core.last_processed();
        if from > applied {
            return;
        }
        self.serves_from = None;
        let took_ms = now.monotonic - self.synchronises_since;
        let metrics = &core.state.metrics;
        match self.learner.learner_type() {
            LearnerType::Participant => metrics.follower_sync_time.record(took_ms as f64),
            LearnerType::Observer => metrics.observer_sync_time.record(took_ms as f64),
        }
        core.state.database.write().tree.set_whole();
        core.state.set_mode(match self.learner.learner_type() {
            LearnerType::Participant => ServerMode::Follower,
            LearnerType::Observer => ServerMode::Observer,
        });
        let port = self.ensemble.member.observer_master_port;
        let configs = self.learner.configs().clone();
        if let (Some(port), LearnerType::Participant) = (port, self.learner.learner_type()) {
            let (ensemble, tick) = (&self.ensemble, self.tick_time_ms);
            let at = (self.learner.current_epoch(), applied);
            self.master =
                Some(ObserverMaster::new(ensemble, (port, tick), configs, at, now, effects));
        }
        let leader = self.learner.leader;
        tracing::info!(%leader, zxid = %applied, "synchronised with the leader");
        self.take_over_clients(core, now, effects);
    }

    fn take_over_clients(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let (sessions, epoch) = (&mut self.sessions, self.learner.current_epoch());
        let adopt = |session, handle: &_| sessions.adopt(session, handle);
        for request in core.take_over_clients(now, epoch, adopt, effects) {
            self.on_request(core, request, effects);
        }
    }

    /// Whether clients are served.
    pub(super) fn serves(&self) -> bool {
        self.learner.is_active() && self.serves_from.is_none()
    }

    pub(super) fn on_connect(
        &mut self,
        core: &mut Core,
        now: Now,
        attempt: ConnectAttempt,
        effects: &mut Vec<Effect>,
    ) {
        if !self.serves() {
            close(attempt.cnxn, effects);
            return;
        }
        let (session, timeout_ms) = (attempt.session, attempt.timeout_ms);
        if session == SessionId(0) {
            let (session, handle, is_local) = self.sessions.create(timeout_ms, now.monotonic);
            core.bind(&attempt.cnxn, session, handle);
            if is_local {
                core.create_local(session, attempt);
                return;
            }
            let arrival = Arrival { xid: 0, op: OpCode::CreateSession, at: attempt.at };
            let request = ClientRequest::without_record(attempt.cnxn.clone(), session, arrival);
            self.commit.write(request, None);
            core.connecting.insert(session, attempt);
            self.request(session, arrival, Some(&[]), &timeout_ms.to_be_bytes(), effects);
            return;
        }
        core.close_old_cnxn(session, effects);
        if !check_password(session, &attempt.password) {
            core.session_reopened(&attempt, false, effects);
            return;
        }
        core.state.metrics.connection_revalidate_count.increment(1);
        if self.sessions.is_local(session) {
            let handle = self.sessions.touch_local(session, timeout_ms, now.monotonic);
            let is_valid = handle.is_some();
            if let Some(handle) = handle {
                core.bind(&attempt.cnxn, session, handle);
            }
            core.session_reopened(&attempt, is_valid, effects);
            return;
        }
        if let Some(earlier) = self.revalidating.insert(session, attempt) {
            close(earlier.cnxn, effects);
        }
        self.send(Packet::revalidate(session, timeout_ms), effects);
    }

    /// Sends on what observers ask for.
    fn forward(&mut self, forward: Vec<Forward>, effects: &mut Vec<Effect>) {
        for forward in forward {
            let packet = match forward {
                Forward::Packet(packet) => packet,
                Forward::Sync(observer, packet) => {
                    self.syncs.push_back(Some(observer));
                    packet
                }
            };
            self.send(packet, effects);
        }
    }

    /// The leader has answered the oldest sync.
    fn synced(&mut self, core: &mut Core, effects: &mut Vec<Effect>) {
        match (self.syncs.pop_front(), &mut self.master) {
            (Some(Some(observer)), Some(master)) => {
                master.synced(observer, self.committed, effects);
            }
            _ => {
                core.state.metrics.request_commit_queued.increment(1);
                if !self.commit.synced(&mut core.last) {
                    tracing::warn!("the leader answers a sync that nobody asked for");
                }
            }
        }
    }

    /// The leader has said whether a session lives.
    fn revalidated(
        &mut self,
        core: &mut Core,
        now: Now,
        session: SessionId,
        is_valid: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(attempt) = self.revalidating.remove(&session) else {
            tracing::warn!(%session, "the leader answers for a session that nobody asked about");
            return;
        };
        if is_valid {
            let handle = self.sessions.track(session, attempt.timeout_ms, now.monotonic);
            core.bind(&attempt.cnxn, session, handle);
        }
        core.session_reopened(&attempt, is_valid, effects);
    }

    pub(super) fn on_disconnected(&mut self, core: &Core, cnxn: &ClientCnxn) {
        core.forget_if_gone(cnxn, &mut self.sessions);
    }

    pub(super) fn on_request(
        &mut self,
        core: &mut Core,
        request: ClientRequest,
        effects: &mut Vec<Effect>,
    ) {
        if !self.serves() {
            core.kept.push(request);
            return;
        }
        let ClientRequest { session, arrival, .. } = request;
        match classify(Some(arrival.op)) {
            RequestKind::Read => self.commit.read(request, &mut core.last),
            RequestKind::Sync => {
                self.request(session, arrival, Some(&request.identities), &request.body, effects);
                self.syncs.push_back(None);
                self.commit.sync(request);
            }
            _ if arrival.op == OpCode::CloseSession && self.sessions.is_local(session) => {
                self.sessions.set_closing(session);
                self.commit.close_local(session, request.cnxn, arrival, &mut core.last);
            }
            _ => {
                let refusal = self.upgrade_if_needed(core, &request, effects);
                self.request(session, arrival, Some(&request.identities), &request.body, effects);
                self.commit.write(request, refusal);
            }
        }
    }

    /// Makes a local session a global one before it creates an ephemeral node, or says what its
    /// client is to be told if that is off. The leader refuses the request then, as it does not
    /// know the session.
    fn upgrade_if_needed(
        &mut self,
        core: &Core,
        request: &ClientRequest,
        effects: &mut Vec<Effect>,
    ) -> Option<ErrorCode> {
        let ClientRequest { cnxn, session, arrival, body, .. } = request;
        let (session, cnxn) = (*session, cnxn.as_ref()?);
        if !self.sessions.is_local(session)
            || !creates_ephemeral(arrival.op, body, core.state.max_buffer_bytes)
        {
            return None;
        }
        if !self.ensemble.member.local_sessions_upgrading {
            return Some(ErrorCode::EphemeralOnLocalSession);
        }
        let timeout_ms = self.sessions.upgrade(session, &cnxn.session.get()?.handle)?;
        tracing::info!(%session, "upgrading a local session");
        core.state.add_local_sessions(-1);
        let arrival = Arrival { xid: 0, op: OpCode::CreateSession, at: arrival.at };
        self.request(session, arrival, None, &timeout_ms.to_be_bytes(), effects);
        self.commit.upgrade(session);
        None
    }

    pub(super) fn deadline(&self) -> Millis {
        let master = self.master.as_ref().map(ObserverMaster::deadline);
        self.sessions.next_deadline().into_iter().chain(master).min().unwrap_or(Millis::MAX)
    }

    /// Does what fell due.
    pub(super) fn rest(
        &mut self,
        core: &mut Core,
        log: &ProposalLog,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(master) = &mut self.master
            && master.deadline() <= now.monotonic
        {
            let forward = master.on_event(core, log, now, None, effects);
            self.forward(forward, effects);
        }
        for session in self.sessions.expire_due(now.monotonic) {
            core.state.metrics.stale_sessions_expired.increment(1);
            tracing::info!(%session, "local session expired");
            let arrival = Arrival { xid: 0, op: OpCode::CloseSession, at: now.monotonic };
            self.commit.close_local(session, None, arrival, &mut core.last);
        }
    }

    /// Asks the leader for something (REQUEST).
    fn request(
        &self,
        session: SessionId,
        arrival: Arrival,
        identities: Option<&[Identity]>,
        body: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let auth_info = |identity: &Identity| AuthInfo {
            scheme: identity.scheme.to_string(),
            id: identity.id.to_string(),
        };
        let authinfo = identities.map(|identities| identities.iter().map(auth_info).collect());
        let packet = Packet::request(session, (arrival.xid, arrival.op.code()), body, authinfo);
        self.send(packet, effects);
    }

    fn send(&self, packet: Packet, effects: &mut Vec<Effect>) {
        let mut out = Vec::new();
        self.learner.send(packet, &mut out);
        effects.extend(effects_of(out));
    }

    /// It is over. Gives the requests that are not answered.
    pub(super) fn end(&mut self, effects: &mut Vec<Effect>) -> Vec<Unanswered> {
        let mut out = Vec::new();
        self.learner.give_up("this server looks for a leader".into(), &mut out);
        effects.extend(effects_of(out));
        if let Some(mut master) = self.master.take() {
            master.end(effects);
        }
        self.revalidating.drain().for_each(|(_, attempt)| close(attempt.cnxn, effects));
        self.commit.abandon().collect()
    }
}

/// What is to be done outside, where nothing else can have come of an input.
fn effects_of(out: Vec<LearnerOutput>) -> impl Iterator<Item = Effect> {
    out.into_iter().filter_map(|output| match output {
        LearnerOutput::Do(effect) => Some(Effect::Quorum(effect)),
        _ => None,
    })
}
