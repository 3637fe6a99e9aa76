//! A member that leads, and serves clients of its own and of its learners
//! (`LeaderZooKeeperServer`, `ProposalRequestProcessor`).

use std::sync::Arc;

use super::EngineOptions;
use super::core::{Core, close};
use super::hand_over::HandOver;
use super::input::{
    ConnectAttempt, Effect, GlobalSessions, LearnerEvent, Now, SessionsDescription,
};
use super::latencies::{count_sync, log_latency};
use super::primary::Primary;
use super::quorum_peer::{EnsembleOptions, Known, Over};
use super::zxid_rollover::{self, ZxidRollover};
use jute::{Field, Reader, ReconfigRequest};

use crate::auth::Identity;
use crate::persistence::LogBatch;
use crate::processor::{ClientRequest, CommitSource, Finished, RequestKind, ServerMode, classify};
use crate::proto::{ErrorCode, Millis, OpCode, Sid, Zxid};
use crate::quorum::{
    History, Leader, LeaderDescription, LeaderOptions, LeaderOutput, LearnerCnxnId, LearnerRequest,
    ProposalLog, QuorumEffect,
};
use crate::session::{Arrival, LeaderSessionTracker, Owner, SessionTracker, first_session_id};

/// A leader and its clients.
pub(super) struct Leading {
    leader: Leader,
    /// Who orders writes, once the leader is established.
    primary: Option<Primary>,
    /// How many numbers are left to the epoch.
    rollover: ZxidRollover,
    /// The last transaction known to be committed.
    committed: Zxid,
    ensemble: Arc<EnsembleOptions>,
    options: EngineOptions,
    /// Set once it ends on purpose.
    hand_over: Option<HandOver>,
    /// Why it is over, once it is.
    over: Option<Over>,
    /// Whether a reconfig waits in the batch that is not proposed yet.
    is_reconfig_in_batch: bool,
}

impl Leading {
    pub(super) fn new(
        core: &mut Core,
        ensemble: &Arc<EnsembleOptions>,
        options: EngineOptions,
        known: Known<'_>,
        log: &mut ProposalLog,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let leader_options = LeaderOptions {
            my_id: ensemble.my_id,
            tick_ms: options.tick_time_ms.into(),
            init_limit_ms: ensemble.init_limit_ms,
            sync_limit_ms: ensemble.sync_limit_ms,
            wait_for_epoch_ms_max: ensemble.member.wait_for_epoch_ms_max,
            snap_syncs_max: ensemble.member.snap_syncs_max,
            diff_syncs_max: ensemble.member.diff_syncs_max,
            force_snapshot_sync: ensemble.member.force_snapshot_sync,
            rules: ensemble.rules,
        };
        let mut out = Vec::new();
        let (epochs, configs) = (known.epochs, known.configs.clone());
        let last_logged = log.last_zxid();
        let leader =
            Leader::new(leader_options, configs, epochs, last_logged, now.monotonic, &mut out);
        let mut leading = Self {
            leader,
            primary: None,
            rollover: ZxidRollover::new(Zxid::ZERO, now.monotonic),
            committed: core.last_processed(),
            ensemble: ensemble.clone(),
            options,
            hand_over: None,
            over: None,
            is_reconfig_in_batch: false,
        };
        leading.carry_out(core, log, now, out, effects);
        leading
    }

    /// Whether clients may be served.
    pub(super) fn is_established(&self) -> bool {
        self.primary.is_some()
    }

    pub(super) fn describe(&self, now: Now) -> LeaderDescription {
        self.leader.describe(now.monotonic)
    }

    /// Why it is over, once it is.
    pub(super) fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    pub(super) fn known(&self) -> Known<'_> {
        let epochs = (self.leader.accepted_epoch(), self.leader.current_epoch());
        Known { epochs, configs: self.leader.configs() }
    }

    pub(super) fn describe_sessions(&self) -> SessionsDescription {
        match &self.primary {
            Some(primary) => primary.describe_sessions(),
            None => SessionsDescription {
                local: None,
                global: GlobalSessions::Expiry(Default::default()),
            },
        }
    }

    pub(super) fn deadline(&self) -> Millis {
        let own = match (&self.hand_over, &self.primary) {
            (Some(hand_over), _) => hand_over.ends_at,
            (None, Some(primary)) => primary.deadline(),
            (None, None) => Millis::MAX,
        };
        self.leader.deadline().min(own)
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
        match event {
            LearnerEvent::Accepted(cnxn) => self.leader.on_accepted(cnxn, now.monotonic),
            LearnerEvent::Packet(id, packet) => {
                let history = History { log, applied: core.last_processed() };
                self.leader.on_packet(now.monotonic, id, packet, history, &mut out);
            }
            LearnerEvent::HistoryFound(id, found) => {
                let history = History { log, applied: core.last_processed() };
                self.leader.on_history_found(now.monotonic, id, found, history, &mut out);
            }
            LearnerEvent::Closed(id, _) => self.leader.on_closed(id),
            LearnerEvent::Connected(_, cnxn) => {
                effects.push(Effect::Quorum(QuorumEffect::Close(cnxn)));
            }
            LearnerEvent::ListenFailed(reason) => self.leader.give_up(reason, &mut out),
            LearnerEvent::ConnectFailed(..)
            | LearnerEvent::Snapshot(..)
            | LearnerEvent::ReadTaken(_) => {}
        }
        self.carry_out(core, log, now, out, effects);
    }

    /// A server looks for a leader.
    pub(super) fn on_looking(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        now: Now,
        sid: Sid,
        effects: &mut Vec<Effect>,
    ) {
        let mut out = Vec::new();
        self.leader.on_looking(now.monotonic, sid, &mut out);
        self.carry_out(core, log, now, out, effects);
    }

    /// A batch goes to the log: learners are to log it too.
    pub(super) fn on_append(
        &mut self,
        core: &Core,
        batch: &Arc<LogBatch>,
        log: &mut ProposalLog,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let before = log.last_zxid();
        log.append(batch, core.last_processed());
        for proposal in log.range(before, log.last_zxid()) {
            core.state.stats.proposed(proposal.entry.len());
        }
        core.state.metrics.proposal_count.increment(batch.count() as u64);
        let mut out = Vec::new();
        self.leader.propose(now.monotonic, log, &mut out);
        self.is_reconfig_in_batch = false;
        effects.extend(effects_of(out));
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
        let acked = log.range(before, zxid);
        log_latency(&core.state.metrics.proposal_ack_creation_latency, acked, now);
        let mut out = Vec::new();
        self.leader.on_flushed(zxid, log, &mut out);
        self.carry_out(core, log, now, out, effects);
    }

    /// No more inputs are at hand, so that one commit answers all the acknowledgements there were.
    pub(super) fn rest(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let mut out = Vec::new();
        self.leader.on_time(now.monotonic, &mut out);
        self.leader.commit(log, &mut out);
        self.carry_out(core, log, now, out, effects);
        self.hand_over_if_due(now);
        if let (Some(primary), None) = (&mut self.primary, &self.hand_over) {
            primary.rest(core, now);
        }
    }

    /// Ends before the numbers of the epoch do.
    fn hand_over_if_due(&mut self, now: Now) {
        let Some(primary) = &self.primary else { return };
        if self.rollover.is_due(primary.last_zxid(), now.monotonic) {
            self.hand_over(zxid_rollover::REASON, now);
        }
    }

    fn epoch_start(&self) -> Zxid {
        Zxid(self.leader.epoch() << 32)
    }

    /// Who may prepare another transaction.
    fn may_prepare(&mut self, now: Now) -> Option<&mut Primary> {
        let last = self.primary.as_ref()?.last_zxid();
        if self.rollover.is_over(last) {
            self.hand_over(zxid_rollover::REASON, now);
        }
        self.primary.as_mut().filter(|_| self.hand_over.is_none())
    }

    /// Begins to end on purpose; nothing if it leads nobody yet.
    pub(super) fn hand_over(&mut self, reason: &'static str, now: Now) {
        if self.primary.is_some() && self.hand_over.is_none() {
            tracing::info!("handing over the leadership: {reason}");
            self.hand_over = Some(HandOver::new(reason, now.monotonic));
        }
    }

    /// Whether it ends on purpose.
    pub(super) fn is_handing_over(&self) -> bool {
        self.hand_over.is_some()
    }

    /// Ends on purpose once nothing is outstanding any more.
    pub(super) fn end_if_handed_over(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(hand_over) = &self.hand_over else { return };
        let is_drained = core.sync.batch().is_empty() && core.last.is_empty();
        if is_drained || now.monotonic >= hand_over.ends_at {
            let reason = format!("the leadership is handed over: {}", hand_over.reason);
            let mut out = Vec::new();
            self.leader.give_up(reason, &mut out);
            self.carry_out(core, log, now, out, effects);
        }
    }

    fn carry_out(
        &mut self,
        core: &mut Core,
        log: &mut ProposalLog,
        now: Now,
        out: Vec<LeaderOutput>,
        effects: &mut Vec<Effect>,
    ) {
        for output in out {
            match output {
                LeaderOutput::Do(effect) => effects.push(Effect::Quorum(effect)),
                LeaderOutput::Synchronising { by_snapshot, begins, in_flight } => {
                    count_sync(&core.state.metrics, by_snapshot, begins, in_flight);
                }
                LeaderOutput::Established => self.establish(core, log, now, effects),
                LeaderOutput::Committed(zxid) => {
                    let metrics = &core.state.metrics;
                    let committed = log.range(self.committed, zxid);
                    let count = log_latency(&metrics.quorum_ack_latency, committed, now);
                    metrics.commit_count.increment(count);
                    metrics.request_commit_queued.increment(count);
                    self.committed = zxid;
                    self.finish(core, now, effects);
                }
                LeaderOutput::Request(request) => {
                    self.on_learner_request(core, now, request, effects);
                }
                LeaderOutput::Touch { session, timeout_ms } => {
                    if let Some(primary) = &mut self.primary {
                        primary.sessions.global.touch(session, timeout_ms, now.monotonic);
                    }
                }
                LeaderOutput::Revalidate { from, session, timeout_ms } => {
                    core.state.metrics.revalidate_count.increment(1);
                    let Some(primary) = &mut self.primary else { continue };
                    let valid = primary.revalidate(now, session, timeout_ms, owner_of(from));
                    if valid {
                        // Its client has gone there. What the old connection still asks for
                        // would be refused, reads too.
                        core.close_old_cnxn(session, effects);
                    }
                    let mut more = Vec::new();
                    self.leader.revalidated(from, session, valid, &mut more);
                    self.carry_out(core, log, now, more, effects);
                }
                LeaderOutput::GiveUp(reason) => {
                    self.over = Some(Over { reason, successor: self.leader.successor() });
                }
            }
        }
    }

    /// A quorum has this server's history: it is committed, and clients are served.
    fn establish(
        &mut self,
        core: &mut Core,
        log: &ProposalLog,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (applied, last_logged) = (core.last_processed(), log.last_zxid());
        core.push_logged(log.range(applied, last_logged));
        self.committed = last_logged;
        core.last.set_source(CommitSource::Me);
        let Finished { closed, .. } = core.apply(now, last_logged, effects);
        for (session, asked_by) in closed {
            core.session_closed(session, asked_by, effects);
        }
        let (my_id, tick_time_ms) = (self.ensemble.my_id, self.options.tick_time_ms);
        let member = &self.ensemble.member;
        let global = SessionTracker::new(tick_time_ms, first_session_id(my_id.0, now.wall));
        let sessions = match member.local_tracker(my_id, tick_time_ms, now.wall) {
            Some(local) => LeaderSessionTracker::with_local(global, local, my_id.0),
            None => LeaderSessionTracker::new(global),
        };
        let may_upgrade = member.local_sessions_upgrading;
        let epoch = self.leader.epoch();
        let start = Zxid(self.epoch_start().0 | i64::from(member.initial_counter));
        self.rollover = ZxidRollover::new(start, now.monotonic);
        // The history may hold older ones, and what was pending is in force now.
        core.show_config(self.leader.configs().committed(), now);
        self.primary = Some(Primary::new(core, sessions, may_upgrade, &self.options, start, now));
        if self.ensemble.member.leader_serves {
            core.state.stats.reset_proposals();
            core.state.set_mode(ServerMode::Leader);
        }
        tracing::info!(epoch, zxid = %last_logged, "leading");
        if self.ensemble.member.leader_serves {
            self.take_over_clients(core, now, effects);
        } else {
            core.end_clients(effects);
        }
    }

    fn take_over_clients(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let Some(primary) = &mut self.primary else { return };
        let adopt = |session, handle: &_| primary.sessions.global.adopt(session, handle);
        for request in core.take_over_clients(now, self.leader.epoch(), adopt, effects) {
            self.on_request(core, now, request);
        }
    }

    fn on_learner_request(
        &mut self,
        core: &mut Core,
        now: Now,
        request: LearnerRequest,
        effects: &mut Vec<Effect>,
    ) {
        // What comes too late is dropped: the end of the role tells the learner and its clients.
        let Some(primary) = self.may_prepare(now) else { return };
        let LearnerRequest { from, session, xid, op, body, authinfo } = request;
        let owner = owner_of(from);
        let Some(op) = OpCode::from_code(op) else {
            tracing::warn!(%session, "a learner asks for something of unknown type {op}");
            return;
        };
        let arrival = Arrival { xid, op, at: now.monotonic };
        match (op, classify(Some(op))) {
            (OpCode::CreateSession, _) => {
                let Some(timeout) = body.first_chunk::<4>() else { return };
                let timeout_ms = i32::from_be_bytes(*timeout);
                primary.create_session_of(core, now, (session, timeout_ms), xid, owner);
            }
            (OpCode::Sync, _) => {
                // The start of an epoch is no transaction, wherever its numbers begin.
                let last = primary.last_zxid();
                let last = if self.rollover.is_start(last) { self.epoch_start() } else { last };
                let mut out = Vec::new();
                self.leader.sync(from, last, &mut out);
                effects.extend(effects_of(out));
            }
            (OpCode::DeleteContainer, _) | (_, RequestKind::Write) => {
                let ids = authinfo.iter().map(|auth| Identity::new(&auth.scheme, &auth.id));
                let identities = ids.collect();
                let request =
                    ClientRequest { cnxn: None, session, owner, identities, arrival, body };
                self.prepare(core, now, request);
            }
            _ => tracing::warn!(%session, "a learner asks for {op:?}, which is no write"),
        }
    }

    pub(super) fn on_connect(
        &mut self,
        core: &mut Core,
        now: Now,
        attempt: ConnectAttempt,
        effects: &mut Vec<Effect>,
    ) {
        match self.may_prepare(now) {
            Some(primary) => primary.on_connect(core, now, attempt, effects),
            None => close(attempt.cnxn, effects),
        }
    }

    pub(super) fn on_request(&mut self, core: &mut Core, now: Now, request: ClientRequest) {
        if self.may_prepare(now).is_none() {
            core.kept.push(request);
        } else if request.arrival.op == OpCode::Reconfig {
            self.prepare(core, now, request);
        } else if let Some(primary) = &mut self.primary {
            primary.on_request(core, now, request);
        }
    }

    /// Makes a transaction of a write. What a reconfig makes of the members only a leader knows.
    fn prepare(&mut self, core: &mut Core, now: Now, request: ClientRequest) {
        let Some(primary) = &mut self.primary else { return };
        if request.arrival.op != OpCode::Reconfig {
            return primary.prepare(core, now, request);
        }
        let version = primary.last_zxid().next();
        let mut reader = Reader::with_limit(&request.body, core.state.max_buffer_bytes);
        let config = match ReconfigRequest::read(&mut reader) {
            _ if self.is_reconfig_in_batch => Err(ErrorCode::ReconfigInProgress),
            Ok(wanted) => self.leader.new_config(now.monotonic, &wanted, version),
            Err(_) => Err(ErrorCode::MarshallingError),
        };
        self.is_reconfig_in_batch |= primary.prepare_reconfig(core, now, request, &config);
    }

    /// Applies and answers what is committed and on disk.
    pub(super) fn finish(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        if let Some(primary) = &mut self.primary {
            let up_to = self.committed.min(core.flushed);
            primary.finish(core, now, up_to, effects);
        }
    }

    /// It is over: the learners are told by the end of their connections.
    pub(super) fn end(&mut self, effects: &mut Vec<Effect>) {
        let mut out = Vec::new();
        self.leader.give_up("this server looks for a leader".into(), &mut out);
        effects.extend(effects_of(out));
    }
}

/// A learner as an owner of sessions.
fn owner_of(learner: LearnerCnxnId) -> Owner {
    Owner(learner.0 + 1)
}

/// What is to be done outside, where nothing else can have come of an input.
pub(super) fn effects_of(out: Vec<LeaderOutput>) -> impl Iterator<Item = Effect> {
    out.into_iter().filter_map(|output| match output {
        LeaderOutput::Do(effect) => Some(Effect::Quorum(effect)),
        _ => None,
    })
}
