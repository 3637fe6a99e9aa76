//! What administrators are told of a leader (`LeaderZooKeeperServer.registerMetrics`).

use super::Leader;
use crate::proto::Millis;

/// A leader and its learners, as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderDescription {
    /// Connections of learners, however far they have come.
    pub learners: usize,
    /// Followers that are sent what is proposed.
    pub synced_followers: usize,
    /// Those of them that have no vote in the configuration in force.
    pub synced_non_voting_followers: usize,
    /// Observers that are sent what is committed.
    pub synced_observers: usize,
    /// Sync requests that wait for a commit.
    pub pending_syncs: usize,
    /// How long it has led, in milliseconds.
    pub uptime_ms: Millis,
}

impl Leader {
    /// What it is now.
    pub fn describe(&self, now: Millis) -> LeaderDescription {
        let forwarding = self.learners.values().filter(|learner| learner.is_forwarding());
        let followers = forwarding.clone().filter(|learner| learner.is_follower());
        let config = self.configs.committed();
        let non_voting = followers.clone().filter(|l| !config.is_voter(l.sid));
        let synced_followers = followers.count();
        LeaderDescription {
            learners: self.learners.len(),
            synced_followers,
            synced_non_voting_followers: non_voting.count(),
            synced_observers: forwarding.count() - synced_followers,
            pending_syncs: self.syncs.len(),
            uptime_ms: now - self.began,
        }
    }
}
