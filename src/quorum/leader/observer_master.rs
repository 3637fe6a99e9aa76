//! A follower that serves observers (`ObserverMaster`): to them it is a leader that has nothing to
//! propose. It brings them to its own history, and then sends them on what it learns to be
//! committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Leader, LeaderOptions, LeaderOutput, Phase};
use crate::proto::{Millis, Zxid};
use crate::quorum::configs::Configs;
use crate::quorum::effect::QuorumEffect;
use crate::quorum::learner_sync_throttler::LearnerSyncThrottler;
use crate::quorum::proposal_log::ProposalLog;

impl Leader {
    /// The master of a follower's observers, in the epoch of the follower's leader; the follower
    /// has applied everything up to `applied`.
    pub fn observer_master(
        options: LeaderOptions,
        configs: Configs,
        epoch: i64,
        applied: Zxid,
        now: Millis,
    ) -> Self {
        Self {
            options,
            configs,
            is_observer_master: true,
            phase: Phase::Broadcast,
            began: now,
            give_up_at: Millis::MAX,
            next_ping: now + options.tick_ms / 2,
            is_full_tick: false,
            accepted_epoch: epoch,
            current_epoch: epoch,
            epoch_max: epoch,
            epoch,
            last_logged: applied,
            learners: BTreeMap::new(),
            informed: BTreeSet::new(),
            promised: BTreeSet::new(),
            last_proposed: applied,
            flushed: applied,
            committed: applied,
            syncs: VecDeque::new(),
            snap_syncs: LearnerSyncThrottler::new(options.snap_syncs_max),
            diff_syncs: LearnerSyncThrottler::new(options.diff_syncs_max),
            handed_over_to: None,
        }
    }

    /// The follower's configuration may be another by now. Its observers hear of that when they
    /// come back.
    pub fn set_configs(&mut self, configs: &Configs, out: &mut Vec<LeaderOutput>) {
        if self.configs.committed().version() == configs.committed().version() {
            return;
        }
        self.configs = configs.clone();
        self.syncs.clear();
        for (id, observer) in std::mem::take(&mut self.learners) {
            self.end_sync(id);
            out.push(LeaderOutput::Do(QuorumEffect::Close(observer.cnxn)));
        }
    }

    /// The follower has applied everything up to `applied`: its observers may, too.
    pub fn inform(&mut self, applied: Zxid, log: &ProposalLog, out: &mut Vec<LeaderOutput>) {
        self.last_proposed = self.last_proposed.max(applied);
        self.commit_plain(log, applied, out);
    }
}
