//! A follower that serves observers (`ObserverMaster`): to them it is a leader that has nothing to
//! propose. It brings them to its own history, and then sends them on what it learns to be
//! committed.

use super::{Leader, LeaderOptions, LeaderOutput, Phase};
use crate::proto::{Millis, Zxid};
use crate::quorum::configs::Configs;
use crate::quorum::effect::QuorumEffect;
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
            is_observer_master: true,
            phase: Phase::Broadcast,
            next_ping: now + options.tick_ms / 2,
            epoch,
            committed: applied,
            ..Self::without_learners(options, configs, (epoch, epoch), applied, now)
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
