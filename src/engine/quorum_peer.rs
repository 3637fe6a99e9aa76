//! A member of an ensemble (`QuorumPeer`): it looks for a leader, becomes one or follows one, and
//! looks again when that is over.
//!
//! ```text
//!          elected                     given up
//! Looking ---------> Leading, Learning ---------> Looking
//!                     ^    a reconfig has named a new leader, or given this server another part
//!                     +---- Leading, Learning
//! ```
//!
//! Invariants:
//! 1. What is logged survives the end of a role; what is applied is known to be committed
//!    (ZOOKEEPER-2678).
//! 2. At the end of a role every client's connection ends, at once or if no leader is found for a
//!    while ([`super::kept_clients`]): none waits for an answer that nobody will give, and none
//!    goes on reading from a server that is cut off unless it has asked for that.
//! 3. No task outlives its role (ZOOKEEPER-4712): connections of an earlier one are told by their
//!    numbers, and what they bring is dropped.

use std::sync::Arc;

use super::EngineOptions;
use super::core::{Core, close};
use super::input::{
    ConnectAttempt, Effect, ElectionEvent, GlobalSessions, LearnerEvent, Now, QuorumDescription,
    SessionsDescription,
};
use super::leading::Leading;
use super::learner_masters::LearnerMasters;
use super::learning::{Learning, LearningStart};
use super::member_options::MemberOptions;
use super::read_only::ReadOnly;
use crate::persistence::LogBatch;
use crate::processor::{ClientRequest, CommitSource, ServerMode};
use crate::proto::{HostPort, Millis, ServerState, Sid, Zxid};
use crate::quorum::{
    Configs, ConnectId, Elected, ElectionOptions, ElectionOutput, FastLeaderElection, InitialVote,
    LearnerType, ProposalLog, QuorumEffect, QuorumVerifier, ReconfigRules, Vote,
};
use crate::session::ClientCnxn;

/// What a member knows of its ensemble.
#[derive(Debug, Clone)]
pub struct EnsembleOptions {
    /// This server.
    pub my_id: Sid,
    /// Who belongs to the ensemble, and what a quorum is, as it is on disk.
    pub configs: Configs,
    /// Which configurations are accepted.
    pub rules: ReconfigRules,
    /// Time to find a quorum and to synchronise, in milliseconds (`initLimit` ticks).
    pub init_limit_ms: Millis,
    /// Longest silence, in milliseconds (`syncLimit` ticks).
    pub sync_limit_ms: Millis,
    /// How a leader is elected.
    pub election: ElectionOptions,
    /// What else it may be told.
    pub member: MemberOptions,
    /// `acceptedEpoch` as it is on disk.
    pub accepted_epoch: i64,
    /// `currentEpoch` as it is on disk.
    pub current_epoch: i64,
}

enum Part {
    Looking,
    Leading(Box<Leading>),
    Learning(Box<Learning>),
}

/// A member.
pub(super) struct QuorumPeer {
    ensemble: Arc<EnsembleOptions>,
    options: EngineOptions,
    /// Accepted and current epoch, as they are on disk.
    epochs: (i64, i64),
    /// As they are on disk.
    configs: Configs,
    election: FastLeaderElection,
    log: ProposalLog,
    part: Part,
    /// While it is looking, if it may serve reads then.
    read_only: Option<ReadOnly>,
    looks_since: Millis,
    /// Since when it has neither led nor followed anybody.
    unavailable_since: Option<Millis>,
    /// When it begins to look, if it waits before.
    looks_at: Option<Millis>,
    random: fastrand::Rng,
    /// Which servers this one has observed.
    masters: LearnerMasters,
    /// When it connects to the server that it is to observe, if it waits before.
    observes_at: Option<(Millis, Sid, Vec<HostPort>)>,
    /// The last attempt to connect to a leader.
    connect_id: ConnectId,
    /// Set once the server is to stop: it takes part in nothing more.
    is_retiring: bool,
    /// Whether only a leader's snapshot can bring this server to the leader's history.
    wants_snapshot: bool,
}

impl QuorumPeer {
    pub(super) fn new(
        core: &mut Core,
        ensemble: EnsembleOptions,
        options: EngineOptions,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let member = &ensemble.member;
        core.is_logging = is_logging(&ensemble, &ensemble.configs);
        let log = ProposalLog::new(core.last_processed())
            .with_count_max(member.commit_log_count)
            .with_initial_counter(member.initial_counter);
        let mut peer = Self {
            epochs: (ensemble.accepted_epoch, ensemble.current_epoch),
            election: FastLeaderElection::new(
                ensemble.my_id,
                ensemble.election,
                ensemble.configs.clone(),
            ),
            configs: ensemble.configs.clone(),
            ensemble: Arc::new(ensemble),
            options,
            log,
            random: fastrand::Rng::with_seed(options.seed),
            looks_at: None,
            part: Part::Looking,
            read_only: None,
            looks_since: now.monotonic,
            unavailable_since: Some(now.monotonic),
            masters: LearnerMasters::default(),
            observes_at: None,
            connect_id: ConnectId::default(),
            is_retiring: false,
            wants_snapshot: false,
        };
        peer.look(core, now, effects);
        peer
    }

    /// The last transaction in this server's log.
    pub(super) fn last_logged(&self) -> Zxid {
        self.log.last_zxid()
    }

    pub(super) fn deadline(&self) -> Millis {
        let part = match &self.part {
            Part::Leading(leading) => leading.deadline(),
            Part::Looking if self.is_retiring => return Millis::MAX,
            Part::Learning(learning) => learning.deadline(),
            Part::Looking => self.read_only.as_ref().map_or(Millis::MAX, ReadOnly::deadline),
        };
        let observes_at = self.observes_at.as_ref().map(|(at, ..)| *at);
        let waits = self.looks_at.into_iter().chain(observes_at);
        let election = self.election.deadline().into_iter().chain(waits);
        election.fold(part, Millis::min)
    }

    pub(super) fn describe(&self, now: Now) -> QuorumDescription {
        QuorumDescription {
            verifier: self.configs.committed().clone(),
            leader: match &self.part {
                Part::Learning(learning) => Some(learning.leader()),
                Part::Looking | Part::Leading(_) => None,
            },
            leading: match &self.part {
                Part::Leading(leading) => Some(leading.describe(now)),
                Part::Looking | Part::Learning(_) => None,
            },
        }
    }

    pub(super) fn describe_sessions(&self, core: &Core) -> SessionsDescription {
        match (&self.part, &self.read_only) {
            (Part::Looking, None) => SessionsDescription {
                local: None,
                global: GlobalSessions::Timeouts(Default::default()),
            },
            (Part::Looking, Some(read_only)) => read_only.describe_sessions(core),
            (Part::Leading(leading), _) => leading.describe_sessions(),
            (Part::Learning(learning), _) => learning.describe_sessions(core),
        }
    }

    pub(super) fn on_election(
        &mut self,
        core: &mut Core,
        now: Now,
        event: ElectionEvent,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_retiring && matches!(self.part, Part::Looking) {
            return;
        }
        let mut out = Vec::new();
        if let ElectionEvent::Notification { from, notification } = &event
            && notification.state == ServerState::Looking
            && let Part::Leading(leading) = &mut self.part
        {
            leading.on_looking(core, &mut self.log, now, *from, effects);
        }
        let elected = match event {
            ElectionEvent::Notification { from, notification } => {
                self.election.on_notification(now.monotonic, from, &notification, &mut out)
            }
            ElectionEvent::Link { sid, link } => {
                self.election.on_link(now.monotonic, sid, link, &mut out)
            }
            ElectionEvent::CannotListen(reason) => {
                effects.push(Effect::Exit(reason));
                None
            }
        };
        self.carry_out_election(core, now, out, elected, effects);
        self.look_if_over(core, now, effects);
    }

    /// Sends what an election wants sent, and takes the part it found. A newer configuration comes
    /// first: with other members the election begins anew.
    fn carry_out_election(
        &mut self,
        core: &mut Core,
        now: Now,
        out: Vec<ElectionOutput>,
        elected: Option<Elected>,
        effects: &mut Vec<Effect>,
    ) {
        let mut has_other_members = false;
        for output in out {
            match output {
                ElectionOutput::Send { to, message } => {
                    effects.push(Effect::Quorum(QuorumEffect::SendElection { to, message }));
                }
                ElectionOutput::NewerConfig(config) => {
                    has_other_members |= self.adopt(core, now, Arc::from(config), effects);
                }
            }
        }
        if has_other_members {
            self.look(core, now, effects);
        } else {
            self.take_part(core, now, elected, effects);
        }
    }

    /// Takes over a newer configuration that another server says is committed. Whether it has other
    /// members.
    fn adopt(
        &mut self,
        core: &Core,
        now: Now,
        config: Arc<QuorumVerifier>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(before) = self.configs.set_committed(config.clone()) else { return false };
        tracing::info!("another server has the newer configuration {:x}", config.version());
        effects.push(Effect::Quorum(QuorumEffect::StoreConfigs(self.configs.clone())));
        self.election.set_configs(self.configs.clone());
        core.show_config(&config, now);
        !before.has_same_members(&config)
    }

    pub(super) fn on_learner_event(
        &mut self,
        core: &mut Core,
        now: Now,
        event: LearnerEvent,
        effects: &mut Vec<Effect>,
    ) {
        let log = &mut self.log;
        match &mut self.part {
            Part::Looking => {
                if let LearnerEvent::Accepted(cnxn) | LearnerEvent::Connected(_, cnxn) = event {
                    effects.push(Effect::Quorum(QuorumEffect::Close(cnxn)));
                }
            }
            Part::Leading(leading) => leading.on_learner_event(core, log, now, event, effects),
            Part::Learning(learning) => learning.on_learner_event(core, log, now, event, effects),
        }
        self.look_if_over(core, now, effects);
    }

    /// A batch goes to the log.
    pub(super) fn on_append(
        &mut self,
        core: &Core,
        batch: &Arc<LogBatch>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let log = &mut self.log;
        match &mut self.part {
            Part::Looking => unreachable!("nobody adds to the log while looking for a leader"),
            Part::Leading(leading) => leading.on_append(core, batch, log, now, effects),
            Part::Learning(learning) => learning.on_append(core, batch, log, now),
        }
    }

    /// A batch is on disk: what comes after the first of these transactions, up to the second.
    pub(super) fn on_flushed(
        &mut self,
        core: &mut Core,
        now: Now,
        batch: (Zxid, Zxid),
        effects: &mut Vec<Effect>,
    ) {
        let log = &mut self.log;
        match &mut self.part {
            Part::Looking => {}
            Part::Leading(leading) => leading.on_flushed(core, log, now, batch, effects),
            Part::Learning(learning) => learning.on_flushed(core, log, now, batch, effects),
        }
        self.look_if_over(core, now, effects);
    }

    /// The disk cannot make the cut that the leader asked for.
    pub(super) fn on_cannot_truncate(
        &mut self,
        core: &mut Core,
        now: Now,
        reason: String,
        effects: &mut Vec<Effect>,
    ) {
        if let Part::Learning(learning) = &mut self.part {
            learning.on_cannot_truncate(core, &mut self.log, reason, effects);
            self.wants_snapshot = true;
        }
        self.look_if_over(core, now, effects);
    }

    pub(super) fn on_connect(
        &mut self,
        core: &mut Core,
        now: Now,
        attempt: ConnectAttempt,
        effects: &mut Vec<Effect>,
    ) {
        match (&mut self.part, &mut self.read_only) {
            (Part::Looking, None) => close(attempt.cnxn, effects),
            (Part::Looking, Some(read_only)) => read_only.on_connect(core, now, attempt, effects),
            (Part::Leading(leading), _) => leading.on_connect(core, now, attempt, effects),
            (Part::Learning(learning), _) => learning.on_connect(core, now, attempt, effects),
        }
    }

    pub(super) fn on_disconnected(&mut self, core: &Core, cnxn: &ClientCnxn) {
        if let Part::Learning(learning) = &mut self.part {
            learning.on_disconnected(core, cnxn);
        }
        if let Some(read_only) = &mut self.read_only {
            read_only.on_disconnected(core, cnxn);
        }
    }

    pub(super) fn on_request(
        &mut self,
        core: &mut Core,
        now: Now,
        request: ClientRequest,
        effects: &mut Vec<Effect>,
    ) {
        match (&mut self.part, &mut self.read_only) {
            (Part::Looking, _) if core.kept.is_keeping() => core.kept.push(request),
            // Its connection is being closed.
            (Part::Looking, None) => core.state.add_in_process(-1),
            (Part::Looking, Some(read_only)) => read_only.on_request(core, request),
            (Part::Leading(leading), _) => leading.on_request(core, now, request),
            (Part::Learning(learning), _) => learning.on_request(core, request, effects),
        }
    }

    /// Does what fell due.
    pub(super) fn rest(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        if core.is_halted {
            return;
        }
        if self.is_retiring && matches!(self.part, Part::Looking) {
            return;
        }
        if core.kept.deadline().is_some_and(|until| until <= now.monotonic) {
            tracing::info!("clients have waited for a leader long enough");
            core.end_clients(effects);
        }
        if self.looks_at.is_some_and(|looks_at| looks_at <= now.monotonic) {
            self.begin_election(core, now, effects);
        }
        if let Some((_, sid, addresses)) = self.observes_at.take_if(|(at, ..)| *at <= now.monotonic)
        {
            self.learn(core, now, (sid, addresses), effects);
        }
        let mut out = Vec::new();
        let elected = self.election.on_time(now.monotonic, &mut out);
        self.carry_out_election(core, now, out, elected, effects);
        match &mut self.part {
            Part::Looking => {
                if let Some(read_only) = &mut self.read_only {
                    read_only.rest(core, now);
                }
            }
            Part::Leading(leading) => leading.rest(core, &mut self.log, now, effects),
            Part::Learning(learning) => learning.rest(core, &self.log, now, effects),
        }
        self.look_if_over(core, now, effects);
    }

    /// Applies and answers what is committed and on disk.
    pub(super) fn finish(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        match &mut self.part {
            Part::Looking => {
                if let Some(read_only) = &mut self.read_only {
                    read_only.finish(core, now, effects);
                }
            }
            Part::Leading(leading) => {
                leading.finish(core, now, effects);
                leading.end_if_handed_over(core, &mut self.log, now, effects);
            }
            Part::Learning(learning) => learning.finish(core, &self.log, now, effects),
        }
        self.look_if_over(core, now, effects);
    }

    /// The election is over: leads or follows.
    fn take_part(
        &mut self,
        core: &mut Core,
        now: Now,
        elected: Option<Elected>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Elected { state, leader, .. }) = elected else { return };
        assert!(matches!(self.part, Part::Looking), "who is not looking is not elected");
        if let Some(read_only) = self.read_only.take() {
            read_only.end(core, effects);
        }
        let took_ms = now.monotonic - self.looks_since;
        tracing::info!(%leader, ?state, took_ms, "the election is over");
        if state != ServerState::Observing {
            core.state.metrics.election_time.record(took_ms as f64);
        }
        self.begin(core, now, state, leader, effects);
    }

    /// Begins to lead, or to learn from `leader`.
    fn begin(
        &mut self,
        core: &mut Core,
        now: Now,
        state: ServerState,
        leader: Sid,
        effects: &mut Vec<Effect>,
    ) {
        let is_logging = is_logging(&self.ensemble, &self.configs);
        if is_logging && !core.is_logging {
            // An observer that wrote nothing votes from here on: its disk has to have everything.
            effects.push(Effect::StoreDatabase);
            core.flushed = core.last_processed();
            self.log.reset(core.flushed);
        }
        core.is_logging = is_logging;
        match state {
            ServerState::Leading => {
                let known = Known { epochs: self.epochs, configs: &self.configs };
                let (ensemble, log, options) = (&self.ensemble, &mut self.log, self.options);
                let leading = Leading::new(core, ensemble, options, known, log, now, effects);
                self.part = Part::Leading(Box::new(leading));
                self.look_if_over(core, now, effects);
            }
            ServerState::Following => {
                let addresses = self.configs.quorum_addresses(leader);
                self.learn(core, now, (leader, addresses), effects);
            }
            ServerState::Observing => self.observe(core, now, leader, effects),
            ServerState::Looking => unreachable!("an election ends in a role"),
        }
    }

    /// Observes the leader, or a follower that serves observers; at once or after a while.
    fn observe(&mut self, core: &mut Core, now: Now, leader: Sid, effects: &mut Vec<Effect>) {
        let (configs, member) = (&self.configs, &self.ensemble.member);
        let (sid, addresses, waits) = match member.observer_master_port {
            Some(port) => self.masters.next(configs.committed(), port, &mut self.random),
            None => (leader, configs.quorum_addresses(leader), true),
        };
        let delay_ms_max = member.observer_reconnect_delay_ms;
        if waits && delay_ms_max > 0 {
            let at = now.monotonic + self.random.i64(0..delay_ms_max);
            self.observes_at = Some((at, sid, addresses));
        } else {
            self.learn(core, now, (sid, addresses), effects);
        }
    }

    /// Follows or observes the server at these addresses.
    fn learn(
        &mut self,
        core: &mut Core,
        now: Now,
        (leader, addresses): (Sid, Vec<HostPort>),
        effects: &mut Vec<Effect>,
    ) {
        self.connect_id.0 += 1;
        let known = Known { epochs: self.epochs, configs: &self.configs };
        let start = LearningStart {
            leader,
            addresses,
            wants_snapshot: self.wants_snapshot,
            connect_id: self.connect_id,
            tick_time_ms: self.options.tick_time_ms,
        };
        let (ensemble, log) = (&self.ensemble, &self.log);
        let learning = Learning::new(core, ensemble, known, log, start, now, effects);
        self.part = Part::Learning(Box::new(learning));
        self.look_if_over(core, now, effects);
    }

    fn look_if_over(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let (over, Known { epochs, configs }) = match &self.part {
            Part::Looking => return,
            Part::Leading(leading) => (leading.over(), leading.known()),
            Part::Learning(learning) => {
                self.wants_snapshot &= !learning.has_snapshot();
                (learning.over(), learning.known())
            }
        };
        let over = over.map(|over| (over.reason.clone(), over.successor));
        if *configs != self.configs {
            self.configs = configs.clone();
            self.election.set_configs(self.configs.clone());
        }
        let is_new_epoch = epochs.1 != self.epochs.1;
        self.epochs = epochs;
        if is_new_epoch {
            self.election.update_election_vote(epochs.1);
        }
        self.count_time_unavailable(core, now);
        match over {
            None => {}
            Some((reason, _)) if self.is_retiring => {
                tracing::info!("leaving the ensemble: {reason}");
                self.leave(core, now, effects);
            }
            Some((reason, None)) => {
                tracing::warn!("looking for a leader: {reason}");
                self.look(core, now, effects);
            }
            Some((reason, Some(leader))) => {
                tracing::warn!("taking another part: {reason}");
                self.succeed(core, now, leader, effects);
            }
        }
    }

    /// How long it has served nobody, once it does.
    fn count_time_unavailable(&mut self, core: &Core, now: Now) {
        let (is_available, is_leader) = match &self.part {
            Part::Looking => (false, false),
            Part::Leading(leading) => (leading.is_established(), true),
            Part::Learning(learning) => (learning.serves(), false),
        };
        if is_available && let Some(since) = self.unavailable_since.take() {
            let took_ms = (now.monotonic - since) as f64;
            core.state.metrics.unavailable_time.record(took_ms);
            if is_leader {
                core.state.metrics.leader_unavailable_time.record(took_ms);
            }
        }
    }

    /// The server is to stop: if it leads, it hands over first.
    pub(super) fn retire(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        self.is_retiring = true;
        match &mut self.part {
            Part::Looking => self.leave(core, now, effects),
            Part::Leading(leading) => leading.hand_over("this server is to stop", now),
            Part::Learning(_) => {}
        }
    }

    /// Whether nobody depends on this server: it does not lead, or leads nobody yet.
    pub(super) fn may_stop(&self) -> bool {
        !matches!(&self.part, Part::Leading(leading) if leading.is_handing_over())
    }

    /// Takes part in nothing more. The election port goes first: who then looks for a leader finds
    /// out at once that this server has no vote to wait for.
    fn leave(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::Quorum(QuorumEffect::StopElection));
        self.end_part(core, now, effects);
    }

    /// A reconfig has named the leader: no election is needed (`QuorumPeer.updateServerState`).
    fn succeed(&mut self, core: &mut Core, now: Now, leader: Sid, effects: &mut Vec<Effect>) {
        self.end_part(core, now, effects);
        let state = match self.configs.learner_type(self.ensemble.my_id) {
            _ if leader == self.ensemble.my_id => ServerState::Leading,
            LearnerType::Participant => ServerState::Following,
            LearnerType::Observer => ServerState::Observing,
        };
        let (zxid, peer_epoch) = (self.log.last_zxid(), self.epochs.1);
        // There was no round.
        self.election.settle(state, Vote { leader, zxid, round: -1, peer_epoch });
        self.begin(core, now, state, leader, effects);
    }

    /// Gives up whatever role there was, and looks for a leader.
    fn look(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let mut delay_ms_max = 0;
        if let Part::Learning(learning) = &self.part
            && learning.learner_type() == LearnerType::Observer
        {
            delay_ms_max = self.ensemble.member.observer_election_delay_ms;
        }
        self.end_part(core, now, effects);
        if delay_ms_max > 0 {
            // Observers that lost their leader should not all come back at once.
            self.looks_at = Some(now.monotonic + self.random.i64(0..delay_ms_max));
        } else {
            self.begin_election(core, now, effects);
        }
    }

    fn begin_election(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        self.looks_at = None;
        self.looks_since = now.monotonic;
        self.unavailable_since.get_or_insert(now.monotonic);
        core.state.metrics.looking_count.increment(1);
        let tick = self.options.tick_time_ms;
        let may_read = self.ensemble.member.read_only_mode;
        self.read_only = may_read.then(|| ReadOnly::new(core, &self.ensemble, tick, now));
        let mut out = Vec::new();
        let initial = InitialVote { zxid: self.log.last_zxid(), peer_epoch: self.epochs.1 };
        let elected = self.election.look(now.monotonic, initial, &mut out);
        self.carry_out_election(core, now, out, elected, effects);
    }

    fn end_part(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let mode = core.state.mode();
        let was_serving = !matches!(mode, ServerMode::NotServing | ServerMode::ReadOnly);
        core.state.set_mode(ServerMode::NotServing);
        core.last.set_source(CommitSource::Disk);
        if let Some(read_only) = self.read_only.take() {
            read_only.end(core, effects);
        }
        let left = match std::mem::replace(&mut self.part, Part::Looking) {
            Part::Looking => Vec::new(),
            Part::Leading(mut leading) => {
                leading.end(effects);
                Vec::new()
            }
            Part::Learning(mut learning) => learning.end(effects),
        };
        if self.is_retiring || !(was_serving || core.kept.is_keeping()) {
            core.end_role(left, effects);
        } else {
            let until = now.monotonic + Millis::from(self.options.tick_time_ms);
            core.end_role_and_keep_clients(left, (until, self.epochs.1), effects);
        }
        core.show_config(self.configs.committed(), now);
    }
}

/// Whether a member in this part writes to disk.
fn is_logging(ensemble: &EnsembleOptions, configs: &Configs) -> bool {
    ensemble.member.sync_enabled || configs.learner_type(ensemble.my_id) == LearnerType::Participant
}

/// What a member knows that outlives its part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Accepted and current epoch, as they are on disk.
    pub epochs: (i64, i64),
    /// The configurations.
    pub configs: &'a Configs,
}

/// The end of a part.
#[derive(Debug)]
pub(super) struct Over {
    /// Why.
    pub reason: String,
    /// Who leads next, if that is settled.
    pub successor: Option<Sid>,
}
