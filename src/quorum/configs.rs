//! The configurations a member knows: the last committed one and the last one it has seen proposed
//! (`QuorumPeer.setQuorumVerifier`, `setLastSeenQuorumVerifier`).
//!
//! Invariants:
//! 1. The committed configuration only ever gives way to a newer one.
//! 2. While one is pending, that is, seen with a later version than the committed one, whatever
//!    needs a quorum needs one of each.
//! 3. Without `reconfigEnabled` both stay what they were at the start.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::quorum_server::LearnerType;
use super::quorum_verifier::QuorumVerifier;
use crate::mutation::{self, Mutation};
use crate::proto::{HostPort, Sid};

/// The committed and the last seen configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configs {
    committed: Arc<QuorumVerifier>,
    last_seen: Arc<QuorumVerifier>,
    is_enabled: bool,
}

impl Configs {
    /// The configurations of a server that starts: the one of its files, and the one it had seen
    /// proposed before it ended, which counts if it is newer. `is_enabled` is `reconfigEnabled`.
    #[must_use]
    pub fn new(
        committed: Arc<QuorumVerifier>,
        last_seen: Option<Arc<QuorumVerifier>>,
        is_enabled: bool,
    ) -> Self {
        let newer = last_seen.filter(|seen| is_enabled && seen.version() > committed.version());
        let last_seen = newer.unwrap_or_else(|| committed.clone());
        Self { committed, last_seen, is_enabled }
    }

    /// The last committed configuration (`getQuorumVerifier`).
    #[must_use]
    pub fn committed(&self) -> &Arc<QuorumVerifier> {
        &self.committed
    }

    /// The last proposed one, or the committed one (`getLastSeenQuorumVerifier`).
    #[must_use]
    pub fn last_seen(&self) -> &Arc<QuorumVerifier> {
        &self.last_seen
    }

    /// The last proposed one, if it is newer than the committed one.
    #[must_use]
    pub fn pending(&self) -> Option<&Arc<QuorumVerifier>> {
        (self.last_seen.version() > self.committed.version()).then_some(&self.last_seen)
    }

    /// Whether configurations may change at all (`reconfigEnabled`).
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// A configuration was proposed, or is the leader's last one: it takes the place of the one
    /// seen before, even of a later one, which the leader does not have. Whether something changed.
    pub fn set_last_seen(&mut self, config: Arc<QuorumVerifier>) -> bool {
        if !self.is_enabled || config.version() == self.last_seen.version() {
            return false;
        }
        if config.version() < self.last_seen.version() {
            let dropped = self.last_seen.version();
            tracing::warn!("the configuration {dropped:x} was proposed in vain");
        }
        self.last_seen = config;
        true
    }

    /// A configuration is committed. The one before, if it is newer.
    pub fn set_committed(&mut self, config: Arc<QuorumVerifier>) -> Option<Arc<QuorumVerifier>> {
        if !self.is_enabled || config.version() <= self.committed.version() {
            return None;
        }
        if config.version() > self.last_seen.version() {
            self.last_seen = config.clone();
        }
        Some(std::mem::replace(&mut self.committed, config))
    }

    /// Whether these servers are enough to decide, in each configuration that counts.
    #[must_use]
    pub fn contain_quorum(&self, servers: &BTreeSet<Sid>) -> bool {
        if mutation::is_on(Mutation::OldQuorumIsEnough) {
            return self.committed.contains_quorum(servers);
        }
        self.committed.contains_quorum(servers)
            && self.pending().is_none_or(|pending| pending.contains_quorum(servers))
    }

    /// The part a server plays: whoever is not listed as an observer follows, if only to join, and
    /// whether it votes is another question (`QuorumPeer.updateLearnerType`).
    #[must_use]
    pub fn learner_type(&self, sid: Sid) -> LearnerType {
        learner_type(&self.committed, sid)
    }

    /// Where a member listens for learners, by the committed configuration, or else by the pending
    /// one; nothing if it is no member.
    #[must_use]
    pub fn quorum_addresses(&self, sid: Sid) -> Vec<HostPort> {
        let mut addresses = self.committed.quorum_addresses(sid);
        if addresses.is_empty() {
            addresses = self.last_seen.quorum_addresses(sid);
        }
        addresses
    }
}

/// What a change of the committed configuration means for a server that follows a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigChange {
    /// It goes on.
    Minor,
    /// Its own part is another one, or its leader is (`processReconfig` returns true).
    Major,
}

/// Judges the change from `before` to `after` (`QuorumPeer.processReconfig`): with the leader that
/// was named along with it, or else by whether `leader` is one still, at the same address.
#[must_use]
pub(super) fn judge_change(
    before: &QuorumVerifier,
    after: &QuorumVerifier,
    my_id: Sid,
    leader: Sid,
    named: Option<Sid>,
) -> ConfigChange {
    if before.has_same_members(after) {
        return ConfigChange::Minor;
    }
    let is_role_changed = learner_type(before, my_id) != learner_type(after, my_id);
    let is_leader_changed = match named {
        Some(named) => named != leader,
        None => !leads_on(before, after, leader),
    };
    if is_role_changed || is_leader_changed { ConfigChange::Major } else { ConfigChange::Minor }
}

/// Whether a server votes in both configurations and listens for learners at the same addresses.
#[must_use]
pub(super) fn leads_on(before: &QuorumVerifier, after: &QuorumVerifier, leader: Sid) -> bool {
    let set = |config: &QuorumVerifier| -> BTreeSet<HostPort> {
        config.quorum_addresses(leader).into_iter().collect()
    };
    before.is_voter(leader) && after.is_voter(leader) && set(before) == set(after)
}

fn learner_type(config: &QuorumVerifier, sid: Sid) -> LearnerType {
    match config.observers().any(|observer| observer == sid) {
        true => LearnerType::Observer,
        false => LearnerType::Participant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, version: i64) -> Arc<QuorumVerifier> {
        let text = format!("{text}\nversion={version:x}");
        Arc::new(QuorumVerifier::from_text(&text, false).unwrap())
    }

    const THREE: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2";

    fn configs(version: i64) -> Configs {
        Configs::new(config(THREE, version), None, true)
    }

    fn set(ids: &[i64]) -> BTreeSet<Sid> {
        ids.iter().copied().map(Sid).collect()
    }

    #[test]
    fn a_pending_configuration_needs_its_quorum_too() {
        let mut configs = configs(5);
        let next = config("server.1=a:1:2\nserver.4=d:1:2\nserver.5=e:1:2", 9);
        assert!(configs.pending().is_none() && configs.contain_quorum(&set(&[1, 2])));
        assert!(configs.set_last_seen(next.clone()) && configs.pending() == Some(&next));
        assert!(!configs.contain_quorum(&set(&[1, 2])) && !configs.contain_quorum(&set(&[1, 4])));
        assert!(configs.contain_quorum(&set(&[1, 2, 4])));
        assert_eq!(configs.set_committed(next.clone()).unwrap().version(), 5);
        assert!(configs.pending().is_none() && configs.contain_quorum(&set(&[4, 5])));
        assert!(configs.set_committed(config(THREE, 9)).is_none(), "known already");
        assert!(configs.set_committed(config(THREE, 8)).is_none(), "older");
        assert_eq!(configs.committed(), &next);
    }

    #[test]
    fn one_that_the_leader_lacks_is_forgotten() {
        let mut configs = configs(5);
        configs.set_last_seen(config("server.4=d:1:2", 9));
        assert!(configs.set_last_seen(config(THREE, 5)));
        assert!(configs.pending().is_none());
        // A later one is known to be committed: it is the last one, too.
        configs.set_committed(config(THREE, 20));
        assert_eq!(configs.last_seen().version(), 20);
    }

    #[test]
    fn what_was_seen_before_a_crash_counts_if_it_is_newer() {
        let seen = |version, is_enabled| {
            let seen = Some(config("server.4=d:1:2", version));
            Configs::new(config(THREE, 5), seen, is_enabled).last_seen().version()
        };
        assert_eq!((seen(9, true), seen(4, true), seen(9, false)), (9, 5, 5));
    }

    #[test]
    fn nothing_changes_without_reconfig_enabled() {
        let mut configs = Configs::new(config(THREE, 0), None, false);
        assert!(!configs.set_last_seen(config("server.4=d:1:2", 9)));
        assert!(configs.set_committed(config("server.4=d:1:2", 9)).is_none());
        assert_eq!((configs.committed().version(), configs.last_seen().version()), (0, 0));
    }

    #[test]
    fn a_part_or_a_leader_that_changes_is_major() {
        use ConfigChange::{Major, Minor};
        let before = config(THREE, 1);
        let judge = |after: &str, my_id, named: Option<i64>| {
            judge_change(&before, &config(after, 2), Sid(my_id), Sid(1), named.map(Sid))
        };
        let observer = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer";
        assert_eq!(judge(observer, 3, Some(1)), Major);
        assert_eq!(judge(observer, 2, Some(1)), Minor);
        let without_leader = "server.2=b:1:2\nserver.3=c:1:2";
        assert_eq!((judge(without_leader, 2, None), judge(without_leader, 2, Some(3))), {
            (Major, Major)
        });
        let moved = "server.1=a:7:2\nserver.2=b:1:2\nserver.3=c:1:2";
        assert_eq!((judge(moved, 2, None), judge(moved, 2, Some(1))), (Major, Minor));
        // Whoever is removed goes on as one who does not vote.
        assert_eq!(judge("server.1=a:1:2\nserver.2=b:1:2", 3, Some(1)), Minor);
        assert_eq!(judge(THREE, 3, Some(2)), Minor, "the same members under another number");
    }
}
