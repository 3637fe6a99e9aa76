//! Who belongs to an ensemble, and as what (`QuorumVerifier.getAllMembers`, `QuorumMaj`,
//! `QuorumHierarchical`): read from the lines of a configuration, written as the text that servers
//! send each other.

use std::collections::BTreeMap;
use std::fmt;

use super::quorum_server::{LearnerType, QuorumServer};
use crate::proto::{Sid, properties};

/// Who belongs to an ensemble, from `zoo.cfg` or the dynamic configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuorumMembers {
    /// Every server by id.
    pub servers: BTreeMap<Sid, QuorumServer>,
    /// The group of each server; empty unless the quorum is hierarchical.
    pub groups: BTreeMap<Sid, i64>,
    /// The weights that are given; others are 1.
    pub weights: BTreeMap<Sid, i64>,
    /// Whether `group.N` or `weight.N` lines make the quorum hierarchical.
    pub hierarchical: bool,
    /// The version of the configuration, the zxid of the reconfig that made it.
    pub version: i64,
}

/// What is wrong with the lines of a configuration. Each names its line by its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// A value that cannot be read as what its key needs.
    #[error("{key} is not {expected}; write for example {key}={example}")]
    BadValue {
        /// The key of the line.
        key: String,
        /// What it needs, for example "a whole number".
        expected: &'static str,
        /// A value that would be accepted.
        example: &'static str,
    },
    /// A value that breaks a rule.
    #[error("{problem}; {fix}")]
    Refused {
        /// The key of the line.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// A key that does not end in a number.
    #[error("{key} does not end in the number of a server or group; write for example {example}")]
    BadKey {
        /// The key.
        key: String,
        /// A line that would be accepted.
        example: &'static str,
    },
    /// A text that is no list of settings.
    #[error(transparent)]
    Escape(#[from] properties::BadEscape),
    /// A text without a server that votes.
    #[error("no server of the configuration votes")]
    NoVoters,
}

impl MembersError {
    fn refused(key: &str, problem: String, fix: impl Into<String>) -> Self {
        Self::Refused { key: key.to_owned(), problem, fix: fix.into() }
    }
}

impl QuorumMembers {
    /// The servers that vote.
    pub fn voters(&self) -> impl Iterator<Item = &QuorumServer> {
        self.of_type(LearnerType::Participant)
    }

    /// The servers that only learn.
    pub fn observers(&self) -> impl Iterator<Item = &QuorumServer> {
        self.of_type(LearnerType::Observer)
    }

    fn of_type(&self, learner_type: LearnerType) -> impl Iterator<Item = &QuorumServer> {
        self.servers.values().filter(move |server| server.learner_type == learner_type)
    }

    /// Whether a server votes.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.servers.get(&sid).is_some_and(|server| server.learner_type == LearnerType::Participant)
    }

    /// Whether `key` belongs to a list of members, apart from its `version`.
    #[must_use]
    pub fn is_key(key: &str) -> bool {
        ["server.", "group", "weight"].iter().any(|stem| key.starts_with(stem))
    }

    /// Reads the `server.N`, `group.N`, `weight.N` and `version` lines among others.
    pub fn from_lines<'a>(
        lines: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        multi_address: bool,
    ) -> Result<Self, MembersError> {
        let with = |stem: &'static str| {
            let lines = lines.clone();
            lines.filter(move |(key, _)| key.starts_with(stem))
        };
        let mut members = Self::default();
        for (key, value) in with("server.") {
            let sid = Sid(id_of(key, "server.1=host1:2888:3888;2181")?);
            let server = QuorumServer::parse(sid, value).map_err(|problem| {
                let fix = format!("write for example {key}=host1:2888:3888;2181");
                MembersError::refused(key, format!("{key}={value}: {problem}"), fix)
            })?;
            if server.addresses.len() > 1 && !multi_address {
                return Err(MembersError::refused(
                    key,
                    format!("{key} has several addresses, but multiAddress.enabled is not true"),
                    "write multiAddress.enabled=true too",
                ));
            }
            if members.servers.insert(sid, server).is_some() {
                let problem = format!("{key} names server {sid} once more");
                return Err(MembersError::refused(key, problem, "keep one line for each server"));
            }
        }
        for (key, value) in with("group") {
            members.hierarchical = true;
            let group = id_of(key, "group.1=1:2:3")?;
            for sid in value.split(':') {
                let sid = sid.trim().parse().map(Sid).map_err(|_| MembersError::BadValue {
                    key: key.to_owned(),
                    expected: "a list of server ids with : between them",
                    example: "1:2:3",
                })?;
                if members.groups.insert(sid, group).is_some() {
                    let problem = format!("server {sid} is in several groups");
                    return Err(MembersError::refused(key, problem, "keep it in one"));
                }
            }
        }
        for (key, value) in with("weight") {
            members.hierarchical = true;
            let sid = Sid(id_of(key, "weight.1=1")?);
            let weight = value.parse().map_err(|_| MembersError::BadValue {
                key: key.to_owned(),
                expected: "a whole number",
                example: "1",
            })?;
            members.weights.insert(sid, weight);
        }
        if let Some((key, value)) = with("version").find(|(key, _)| *key == "version") {
            members.version =
                i64::from_str_radix(value, 16).map_err(|_| MembersError::BadValue {
                    key: key.to_owned(),
                    expected: "a hexadecimal number",
                    example: "0",
                })?;
        }
        members.check_groups(lines)?;
        Ok(members)
    }

    /// In a hierarchical quorum every voter has a group, and only voters and servers with a
    /// weight do.
    fn check_groups<'a>(
        &self,
        mut lines: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), MembersError> {
        if !self.hierarchical {
            return Ok(());
        }
        let mut key_of = |stem: &str, id: i64| {
            let found =
                lines.find(|(key, _)| key.starts_with(stem) && id_after_dot(key) == Some(id));
            found.unwrap_or_else(|| panic!("{stem}{id} was read from a line")).0
        };
        if let Some(server) = self.voters().find(|server| !self.groups.contains_key(&server.id)) {
            let id = server.id;
            let problem = format!("server {id} is not in a group");
            let fix = format!("add {id} to a group.N line");
            return Err(MembersError::refused(key_of("server.", id.0), problem, fix));
        }
        let mut members = self.groups.iter();
        match members.find(|(sid, _)| !self.is_voter(**sid) && !self.weights.contains_key(sid)) {
            None => Ok(()),
            Some((id, group)) => Err(MembersError::refused(
                key_of("group", *group),
                format!("server {id} of group {group} is not a voting server"),
                format!("remove it from the group or add a line server.{id}=..."),
            )),
        }
    }

    /// Reads the text of a configuration as a peer or a client sends it, or as it stands in
    /// `/zookeeper/config`. A text without a server that votes is refused: a server that took it
    /// could never elect a leader again.
    pub fn from_text(text: &str, multi_address: bool) -> Result<Self, MembersError> {
        let members = Self::from_any_text(text, multi_address)?;
        let has_voters = members.voters().next().is_some();
        has_voters.then_some(members).ok_or(MembersError::NoVoters)
    }

    /// The same, whether or not anybody votes.
    pub(super) fn from_any_text(text: &str, multi_address: bool) -> Result<Self, MembersError> {
        let mut lines = BTreeMap::new();
        for line in properties::parse(text)? {
            if !Self::is_key(&line.key) && line.key != "version" {
                let problem = format!("{} does not belong into a list of servers", line.key);
                let fix = "only server.N, group.N, weight.N and version lines do";
                return Err(MembersError::refused(&line.key, problem, fix));
            }
            lines.insert(line.key, line.value);
        }
        let lines = lines.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Self::from_lines(lines, multi_address)
    }

    /// The weight of each server that has one in a hierarchical quorum: given, or 1 of a voter.
    pub fn hierarchical_weights(&self) -> BTreeMap<Sid, i64> {
        let mut weights: BTreeMap<_, _> = self.voters().map(|server| (server.id, 1)).collect();
        weights.extend(&self.weights);
        weights
    }
}

/// The text of a configuration (`QuorumMaj.toString`, `QuorumHierarchical.toString`): servers,
/// groups, weights, and the version last, without a line end. Lines of a kind stand in the order of
/// their numbers, where Java has that of its hash table, the same for a few small numbers.
impl fmt::Display for QuorumMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sid, server) in &self.servers {
            writeln!(f, "server.{sid}={server}")?;
        }
        if self.hierarchical {
            let mut groups: BTreeMap<i64, String> = BTreeMap::new();
            for (sid, group) in &self.groups {
                let line = groups.entry(*group).or_default();
                if !line.is_empty() {
                    line.push(':');
                }
                line.push_str(&sid.to_string());
            }
            for (group, sids) in groups {
                writeln!(f, "group.{group}={sids}")?;
            }
            for (sid, weight) in self.hierarchical_weights() {
                writeln!(f, "weight.{sid}={weight}")?;
            }
        }
        write!(f, "version={:x}", self.version)
    }
}

/// The number after the first dot of a key; it may be written with zeros before it.
pub(crate) fn id_after_dot(key: &str) -> Option<i64> {
    key.split_once('.').and_then(|(_, id)| id.parse().ok())
}

fn id_of(key: &str, example: &'static str) -> Result<i64, MembersError> {
    id_after_dot(key).ok_or_else(|| MembersError::BadKey { key: key.to_owned(), example })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAJORITY: &str = "server.1=127.0.0.1:2888:3888:participant;0.0.0.0:2181\n\
                            server.2=zk2:2888:3888:participant\n\
                            server.10=zk10:2888:3888:observer\nversion=100000000";

    #[test]
    fn a_text_is_read_and_written_unchanged() {
        let members = QuorumMembers::from_text(MAJORITY, false).unwrap();
        assert_eq!((members.version, members.voters().count()), (1 << 32, 2));
        assert_eq!(members.to_string(), MAJORITY);
        let hierarchical = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\n\
                            server.3=c:1:2:participant\ngroup.1=1:2\ngroup.7=3\nweight.1=1\n\
                            weight.2=0\nweight.3=5\nversion=0";
        let members = QuorumMembers::from_text(hierarchical, false).unwrap();
        assert!(members.hierarchical);
        assert_eq!(members.to_string(), hierarchical);
    }

    #[test]
    fn a_text_that_would_harm_is_refused() {
        let refused = |text: &str| QuorumMembers::from_text(text, false).unwrap_err().to_string();
        for none in ["", "version=5", "server.1=a:1:2:observer", "#server.1=a:1:2"] {
            assert_eq!(refused(none), "no server of the configuration votes", "{none}");
        }
        for (bad, part) in [
            ("server.x=a:1:2", "server.x does not end"),
            ("server.1=a:1", "does not have the form"),
            ("server.1=a:1:2|b:1:2", "several addresses"),
            ("server.1=a:1:2\nserver.01=a:1:2", "once more"),
            ("server.1=a:1:2\nversion=x", "not a hexadecimal number"),
            ("server.1=a:1:2\ntickTime=5", "tickTime does not belong"),
            ("server.1=a:1:2\nweight.1=1", "server 1 is not in a group"),
            ("server.1=a:1:2\ngroup.1=1:2", "server 2 of group 1 is not"),
            ("server.1=a:1:2\ngroup.1=1:x", "a list of server ids"),
            ("server.1=a:1:2\ngroup.1=1\ngroup.2=1", "in several groups"),
            ("server.1=a:1:2\ngroup.1=1\nweight.1=z", "a whole number"),
            ("server.1=\\u12", "four hexadecimal digits"),
        ] {
            assert!(refused(bad).contains(part), "{bad}: {}", refused(bad));
        }
        assert!(QuorumMembers::from_text("server.1=a:1:2|b:1:2", true).is_ok());
    }
}
