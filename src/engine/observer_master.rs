//! A follower's observers (`ObserverMaster`, and its part of `Follower`): what their clients ask
//! for goes on to the leader as if they were this server's own, and the answers come back.
//!
//! 1. An observer is sent only what is in this server's tree.
//! 2. The leader answers what it is asked in order; so an answer is given to whom it belongs by its
//!    place.

use std::collections::VecDeque;

use foldhash::HashMap;

use super::core::Core;
use super::input::{Effect, LearnerEvent, Now};
use super::latencies::count_sync;
use super::leading::effects_of;
use super::quorum_peer::EnsembleOptions;
use crate::proto::{Millis, OpCode, Packet, SessionId, Zxid};
use crate::quorum::{
    Configs, History, Leader, LeaderOptions, LeaderOutput, LearnerCnxnId, LearnerRequest,
    ProposalLog, QuorumEffect,
};

/// The master of a follower's observers.
pub(super) struct ObserverMaster {
    master: Leader,
    /// Sessions that observers have heard of, with their timeouts in milliseconds, which the leader
    /// is to be told.
    touched: HashMap<SessionId, i32>,
    /// Sessions that the leader was asked about, and which observer wants to know.
    revalidating: VecDeque<(SessionId, LearnerCnxnId)>,
}

/// Something that goes on to the leader.
pub(super) enum Forward {
    /// This packet.
    Packet(Packet),
    /// This request of a sync; the observer waits for its answer.
    Sync(LearnerCnxnId, Packet),
}

impl ObserverMaster {
    /// Begins to listen for observers.
    pub(super) fn new(
        ensemble: &EnsembleOptions,
        (port, tick_time_ms): (u16, i32),
        configs: Configs,
        (epoch, applied): (i64, Zxid),
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let options = LeaderOptions {
            my_id: ensemble.my_id,
            tick_ms: tick_time_ms.into(),
            init_limit_ms: ensemble.init_limit_ms,
            sync_limit_ms: ensemble.sync_limit_ms,
            wait_for_epoch_ms_max: None,
            snap_syncs_max: ensemble.member.snap_syncs_max,
            diff_syncs_max: ensemble.member.diff_syncs_max,
            force_snapshot_sync: ensemble.member.force_snapshot_sync,
            rules: ensemble.rules,
        };
        effects.push(Effect::Quorum(QuorumEffect::ListenForObservers(port)));
        Self {
            master: Leader::observer_master(options, configs, epoch, applied, now.monotonic),
            touched: HashMap::default(),
            revalidating: VecDeque::new(),
        }
    }

    pub(super) fn deadline(&self) -> Millis {
        self.master.deadline()
    }

    /// Something has happened on an observer's connection, or time has passed; what the leader is
    /// to be asked comes of it.
    pub(super) fn on_event(
        &mut self,
        core: &Core,
        log: &ProposalLog,
        now: Now,
        event: Option<LearnerEvent>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Forward> {
        let mut out = Vec::new();
        let (time, history) = (now.monotonic, History { log, applied: core.last_processed() });
        match event {
            None => self.master.on_time(time, &mut out),
            Some(LearnerEvent::Accepted(cnxn)) => self.master.on_accepted(cnxn, time),
            Some(LearnerEvent::Packet(id, packet)) => {
                self.master.on_packet(time, id, packet, history, &mut out);
            }
            Some(LearnerEvent::HistoryFound(id, found)) => {
                self.master.on_history_found(time, id, found, history, &mut out);
            }
            Some(LearnerEvent::Closed(id, _)) => self.master.on_closed(id),
            Some(LearnerEvent::ListenFailed(reason)) => {
                tracing::error!("observers are not served: {reason}");
            }
            Some(_) => {}
        }
        let mut forward = Vec::new();
        for output in out {
            match output {
                LeaderOutput::Do(effect) => effects.push(Effect::Quorum(effect)),
                LeaderOutput::Request(request) => forward.push(forwarded(request)),
                LeaderOutput::Touch { session, timeout_ms } => {
                    self.touched.insert(session, timeout_ms);
                }
                LeaderOutput::Revalidate { from, session, timeout_ms } => {
                    core.state.metrics.revalidate_count.increment(1);
                    self.revalidating.push_back((session, from));
                    forward.push(Forward::Packet(Packet::revalidate(session, timeout_ms)));
                }
                LeaderOutput::Synchronising { by_snapshot, begins, in_flight } => {
                    count_sync(&core.state.metrics, by_snapshot, begins, in_flight);
                }
                LeaderOutput::GiveUp(reason) => tracing::info!("observers are let go: {reason}"),
                LeaderOutput::Established | LeaderOutput::Committed(_) => {
                    unreachable!("only a leader is established and commits")
                }
            }
        }
        forward
    }

    /// This server has applied what it can, and these are its configurations.
    pub(super) fn inform(
        &mut self,
        applied: Zxid,
        log: &ProposalLog,
        configs: &Configs,
        effects: &mut Vec<Effect>,
    ) {
        let mut out = Vec::new();
        self.master.set_configs(configs, &mut out);
        self.master.inform(applied, log, &mut out);
        effects.extend(effects_of(out));
    }

    /// The leader has answered an observer's sync, behind commits up to `committed`.
    pub(super) fn synced(
        &mut self,
        from: LearnerCnxnId,
        committed: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        let mut out = Vec::new();
        self.master.sync(from, committed, &mut out);
        effects.extend(effects_of(out));
    }

    /// The leader has said whether a session lives. False if no observer has asked.
    pub(super) fn revalidated(
        &mut self,
        session: SessionId,
        is_valid: bool,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let next = self.revalidating.pop_front_if(|(asked, _)| *asked == session);
        let Some((_, from)) = next else { return false };
        let mut out = Vec::new();
        self.master.revalidated(from, session, is_valid, &mut out);
        effects.extend(effects_of(out));
        true
    }

    /// Sessions heard of since this was last asked.
    pub(super) fn take_touched(&mut self) -> impl Iterator<Item = (SessionId, i32)> {
        std::mem::take(&mut self.touched).into_iter()
    }

    /// This server follows no more.
    pub(super) fn end(&mut self, effects: &mut Vec<Effect>) {
        let mut out = Vec::new();
        self.master.give_up("this server looks for a leader".into(), &mut out);
        effects.extend(effects_of(out));
    }
}

/// An observer's request as this server's own.
fn forwarded(request: LearnerRequest) -> Forward {
    let LearnerRequest { from, session, xid, op, body, authinfo } = request;
    let packet = Packet::request(session, (xid, op), &body, Some(authinfo));
    if OpCode::from_code(op) == Some(OpCode::Sync) {
        Forward::Sync(from, packet)
    } else {
        Forward::Packet(packet)
    }
}
