//! Which sets of servers are enough to decide (`QuorumVerifier`, `QuorumMaj`,
//! `QuorumHierarchical`).
//!
//! 1. Only voters count; a set that holds others is judged without them.
//! 2. Any two quorums of the same verifier have a server in common.
//!
//! The oracle of a two-server ensemble (`QuorumOracleMaj`) is not among them.

use std::collections::{BTreeMap, BTreeSet};

use super::members::{MembersError, QuorumMembers};
use crate::proto::{HostPort, Sid};

/// Members and the rule that makes a quorum of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumVerifier {
    members: QuorumMembers,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// More than this many voters (`QuorumMaj`).
    Majority { half: usize },
    /// More than half of the weight in more than half of the groups that have any
    /// (`QuorumHierarchical`).
    Hierarchical {
        weights: BTreeMap<Sid, i64>,
        group_weights: BTreeMap<i64, i64>,
        groups_counted: usize,
    },
}

impl QuorumVerifier {
    /// The verifier of these members.
    #[must_use]
    pub fn new(members: QuorumMembers) -> Self {
        let rule = if members.hierarchical {
            let weights = members.hierarchical_weights();
            let mut group_weights: BTreeMap<i64, i64> = BTreeMap::new();
            for (sid, group) in &members.groups {
                let weight = weights.get(sid).copied().unwrap_or(0);
                let total = group_weights.entry(*group).or_default();
                *total = total.saturating_add(weight);
            }
            let groups_counted = group_weights.values().filter(|weight| **weight != 0).count();
            Rule::Hierarchical { weights, group_weights, groups_counted }
        } else {
            Rule::Majority { half: members.voters().count() / 2 }
        };
        Self { members, rule }
    }

    /// The verifier of a configuration text, see [`QuorumMembers::from_text`].
    pub fn from_text(text: &str, multi_address: bool) -> Result<Self, MembersError> {
        QuorumMembers::from_text(text, multi_address).map(Self::new)
    }

    /// The text of the configuration, as notifications, NEWLEADER and `/zookeeper/config` hold it.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.members.to_string()
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &QuorumMembers {
        &self.members
    }

    /// The version of the configuration.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.members.version
    }

    /// The same members in another version (`setVersion`).
    #[must_use]
    pub fn with_version(mut self, version: i64) -> Self {
        self.members.version = version;
        self
    }

    /// Where a member listens for learners; nothing if it is no member.
    #[must_use]
    pub fn quorum_addresses(&self, sid: Sid) -> Vec<HostPort> {
        let addresses = self.members.servers.get(&sid).map(|server| &server.addresses);
        let addresses = addresses.into_iter().flatten();
        addresses.map(|a| HostPort::new(a.host.clone(), a.quorum_port)).collect()
    }

    /// Whether a server votes.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.members.is_voter(sid)
    }

    /// The ids of the servers that vote.
    pub fn voters(&self) -> impl Iterator<Item = Sid> {
        self.members.voters().map(|server| server.id)
    }

    /// The ids of the servers that only learn.
    pub fn observers(&self) -> impl Iterator<Item = Sid> {
        self.members.observers().map(|server| server.id)
    }

    /// What the vote of a server weighs; in a hierarchy, 0 for one that has no weight.
    #[must_use]
    pub fn weight(&self, sid: Sid) -> i64 {
        match &self.rule {
            Rule::Majority { .. } => 1,
            Rule::Hierarchical { weights, .. } => weights.get(&sid).copied().unwrap_or(0),
        }
    }

    /// Whether these servers are enough to decide.
    #[must_use]
    pub fn contains_quorum(&self, servers: &BTreeSet<Sid>) -> bool {
        let voters = servers.iter().copied().filter(|sid| self.is_voter(*sid));
        match &self.rule {
            Rule::Majority { half } => voters.count() > *half,
            Rule::Hierarchical { weights, group_weights, groups_counted } => {
                let mut present: BTreeMap<i64, i64> = BTreeMap::new();
                for sid in voters {
                    if let Some(group) = self.members.groups.get(&sid) {
                        let total = present.entry(*group).or_default();
                        *total = total.saturating_add(weights.get(&sid).copied().unwrap_or(0));
                    }
                }
                let has_majority = |(group, weight): &(&i64, &i64)| {
                    group_weights.get(group).is_some_and(|total| **weight > total / 2)
                };
                present.iter().filter(has_majority).count() > groups_counted / 2
            }
        }
    }

    /// Whether both name the same servers, groups and weights, in whatever version. Java's `equals`
    /// also holds two configurations of one version for the same.
    #[must_use]
    pub fn has_same_members(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.members, &other.members);
        mine.servers == theirs.servers && mine.groups == theirs.groups && self.rule == other.rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier(text: &str) -> QuorumVerifier {
        QuorumVerifier::from_text(text, false).unwrap()
    }

    fn servers(ids: &[i64]) -> String {
        let line = |id| format!("server.{id}=h{id}:2888:3888:participant\n");
        ids.iter().map(line).collect()
    }

    fn quorums(verifier: &QuorumVerifier, ids: &[i64]) -> Vec<Vec<i64>> {
        let sets = (0u32..1 << ids.len()).map(|bits| {
            let chosen = ids.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
            chosen.map(|(_, id)| *id).collect::<Vec<_>>()
        });
        let set = |ids: &[i64]| ids.iter().copied().map(Sid).collect();
        sets.filter(|ids| verifier.contains_quorum(&set(ids))).collect()
    }

    #[test]
    fn a_majority_is_more_than_half_of_the_voters() {
        let text = format!("{}server.4=h:1:2:observer", servers(&[1, 2, 3]));
        let verifier = verifier(&text);
        let found = quorums(&verifier, &[1, 2, 3, 4, 5]);
        assert!(found.iter().all(|ids| ids.iter().filter(|id| **id < 4).count() >= 2));
        assert_eq!(found.len(), 4 * 4, "observers and strangers change nothing");
        assert_eq!((verifier.weight(Sid(1)), verifier.voters().count()), (1, 3));
        assert_eq!(verifier.observers().collect::<Vec<_>>(), [Sid(4)]);
        assert!(quorums(&super::tests::verifier(&servers(&[1, 2])), &[1, 2]) == [[1, 2]]);
    }

    #[test]
    fn a_hierarchy_needs_most_of_the_weight_in_most_groups() {
        let groups = "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9";
        let text = format!("{}{groups}", servers(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
        let nine = verifier(&text);
        let set = |ids: &[i64]| ids.iter().copied().map(Sid).collect();
        assert!(nine.contains_quorum(&set(&[1, 2, 4, 5])));
        assert!(!nine.contains_quorum(&set(&[1, 4, 7, 8, 9])));
        assert!(!nine.contains_quorum(&set(&[])));
        // A group without weight does not count, and who weighs nothing decides nothing.
        let weights = "weight.7=0\nweight.8=0\nweight.9=0\nweight.1=3";
        let weighted = verifier(&format!("{text}\n{weights}"));
        assert!(!weighted.contains_quorum(&set(&[1, 2, 3, 7, 8, 9])));
        assert!(weighted.contains_quorum(&set(&[1, 4, 5])));
        assert_eq!([1, 2, 7, 10].map(|sid| weighted.weight(Sid(sid))), [3, 1, 0, 0]);
    }

    #[test]
    fn any_two_quorums_share_a_server() {
        let ids = [1, 2, 3, 4, 5, 6];
        let texts = [
            servers(&ids),
            format!("{}group.1=1:2:3\ngroup.2=4:5\ngroup.3=6\nweight.4=2", servers(&ids)),
            format!("{}group.1=1:2:3\ngroup.2=4:5:6\nweight.1=0", servers(&ids)),
        ];
        for text in texts {
            let found = quorums(&verifier(&text), &ids);
            assert!(!found.is_empty());
            for (a, b) in found.iter().flat_map(|a| found.iter().map(move |b| (a, b))) {
                assert!(a.iter().any(|id| b.contains(id)), "{a:?} and {b:?} of {text}");
            }
        }
    }

    #[test]
    fn a_version_does_not_change_the_members() {
        let old = verifier(&servers(&[1, 2]));
        let new = old.clone().with_version(0x1f);
        assert!(old.has_same_members(&new) && old != new);
        assert!(new.to_text().ends_with("\nversion=1f"));
        assert!(!old.has_same_members(&verifier(&servers(&[1, 3]))));
        let grouped = verifier(&format!("{}group.1=1:2", servers(&[1, 2])));
        assert!(!old.has_same_members(&grouped));
    }
}
