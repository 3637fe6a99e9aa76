//! The text of quota nodes and what it limits (`StatsTrack`, `Quotas`,
//! `ZooKeeperServer.checkQuota`).
//!
//! A quota on `/p` is two nodes: `/zookeeper/quota/p/zookeeper_limits` says what it may hold, and
//! `/zookeeper/quota/p/zookeeper_stats`, which each server keeps up to date, what it holds.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::proto::java;

/// Above all quota nodes.
pub const QUOTA_ROOT: &str = "/zookeeper/quota";
/// Name of a node that limits.
pub const LIMIT_NODE: &str = "zookeeper_limits";
/// Name of a node that counts.
pub const STAT_NODE: &str = "zookeeper_stats";

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD_LIMIT: &str = "countHardLimit";
const BYTE_HARD_LIMIT: &str = "byteHardLimit";

/// The path of the node that limits what is at and below `path`.
pub fn limit_path(path: &str) -> String {
    format!("{QUOTA_ROOT}{path}/{LIMIT_NODE}")
}

/// The path of the node that counts what is at and below `path`.
pub fn stat_path(path: &str) -> String {
    format!("{QUOTA_ROOT}{path}/{STAT_NODE}")
}

/// A node that makes a quota, with the path the quota is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaNode<'a> {
    /// `zookeeper_limits`.
    Limits(&'a str),
    /// `zookeeper_stats`.
    Stats(&'a str),
}

impl<'a> QuotaNode<'a> {
    /// What the node at `path` is to quotas; none for the others, and for one that would be a quota
    /// on nothing.
    pub fn at(path: &'a str) -> Option<Self> {
        let (on, name) = path.strip_prefix(QUOTA_ROOT)?.rsplit_once('/')?;
        match name {
            _ if !on.starts_with('/') => None,
            LIMIT_NODE => Some(Self::Limits(on)),
            STAT_NODE => Some(Self::Stats(on)),
            _ => None,
        }
    }
}

/// A text that Apache would fail to read, with an exception in whatever it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no quota text such as \"count=5,bytes=10\"")]
pub struct InvalidStats {
    text: String,
}

/// Limits or counts; what is not given is -1, which limits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatsTrack {
    /// Every key of the text, those included that mean nothing.
    values: BTreeMap<Box<str>, i64>,
}

impl StatsTrack {
    /// Reads the data of a quota node.
    ///
    /// # Errors If it is not of pairs `key=number` between commas or semicolons. What follows the
    /// number after another `=` is ignored, and `key==` is -1 if more follows.
    pub fn parse(data: &[u8]) -> Result<Self, InvalidStats> {
        let text = jute::decode_text(data);
        Self::parse_text(&text).ok_or_else(|| InvalidStats { text: text.into_owned() })
    }

    fn parse_text(text: &str) -> Option<Self> {
        const SEPARATORS: [char; 2] = [',', ';'];
        let mut values = BTreeMap::new();
        for pair in text.split(SEPARATORS).filter(|pair| !pair.is_empty()) {
            match java::split(pair, '=')[..] {
                [key, "", ..] => values.insert(key.into(), -1),
                [key, number, ..] => values.insert(key.into(), number.parse().ok()?),
                _ => return None,
            };
        }
        // Separators before the first pair are an empty pair to Java; elsewhere they are not.
        if text.starts_with(SEPARATORS) && !values.is_empty() {
            return None;
        }
        Some(Self { values })
    }

    /// Nodes: those there are, or the soft limit.
    pub fn count(&self) -> i64 {
        self.get(COUNT)
    }

    /// Bytes of data: those there are, or the soft limit.
    pub fn bytes(&self) -> i64 {
        self.get(BYTES)
    }

    /// Nodes there may be.
    pub fn count_hard_limit(&self) -> i64 {
        self.get(COUNT_HARD_LIMIT)
    }

    /// Bytes of data there may be.
    pub fn byte_hard_limit(&self) -> i64 {
        self.get(BYTE_HARD_LIMIT)
    }

    /// Sets [`Self::count`].
    pub fn set_count(&mut self, count: i64) {
        self.values.insert(COUNT.into(), count);
    }

    /// Sets [`Self::bytes`].
    pub fn set_bytes(&mut self, bytes: i64) {
        self.values.insert(BYTES.into(), bytes);
    }

    /// Sets [`Self::count_hard_limit`].
    pub fn set_count_hard_limit(&mut self, count: i64) {
        self.values.insert(COUNT_HARD_LIMIT.into(), count);
    }

    /// Sets [`Self::byte_hard_limit`].
    pub fn set_byte_hard_limit(&mut self, bytes: i64) {
        self.values.insert(BYTE_HARD_LIMIT.into(), bytes);
    }

    /// Counts nodes and bytes that come or go.
    pub fn add(&mut self, count_diff: i64, bytes_diff: i64) {
        self.set_count(self.count().wrapping_add(count_diff));
        self.set_bytes(self.bytes().wrapping_add(bytes_diff));
    }

    fn get(&self, key: &str) -> i64 {
        self.values.get(key).copied().unwrap_or(-1)
    }
}

/// The text as it is stored. The `=` without sense before further keys makes servers before 3.7
/// ignore them.
impl fmt::Display for StatsTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count(), self.bytes())?;
        let others = self.values.iter().filter(|(key, _)| ![COUNT, BYTES].contains(&&***key));
        for (at, (key, value)) in others.enumerate() {
            let start = if at == 0 { "=;" } else { ";" };
            write!(f, "{start}{key}={value}")?;
        }
        Ok(())
    }
}

/// A limit that a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Whether the request is to be refused; else it is only logged.
    pub hard: bool,
    /// What is limited, as in [`StatsTrack`]: `count` or `bytes`.
    what: &'static str,
    limit_name: &'static str,
    value: i64,
    limit: i64,
}

/// As Apache logs it after `Quota exceeded: ` and the path.
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, limit_name, limit, .. } = self;
        let kind = if self.hard { "hard" } else { "soft" };
        write!(f, "[current {what}={value}, {kind}{limit_name}={limit}]")
    }
}

/// The limits that a request would exceed which adds that many nodes and bytes to what is there:
/// nodes first, and nothing after the first hard one. A hard limit takes the place of the soft one.
/// What does not change is not looked at; but a request that makes data smaller is refused as long
/// as it stays above the limit.
pub fn exceeded(
    limits: &StatsTrack,
    current: &StatsTrack,
    count_diff: i64,
    bytes_diff: i64,
) -> Vec<Exceeded> {
    let check = |what, limit_name, current: i64, diff, soft_limit, hard_limit| {
        let hard = hard_limit > -1;
        let limit = if hard { hard_limit } else { soft_limit };
        let value = current.wrapping_add(diff);
        let exceeds = diff != 0 && limit > -1 && value > limit;
        exceeds.then_some(Exceeded { hard, what, limit_name, value, limit })
    };
    let hard_count = limits.count_hard_limit();
    let count = check(COUNT, "CountLimit", current.count(), count_diff, limits.count(), hard_count);
    let hard_bytes = limits.byte_hard_limit();
    let bytes = check(BYTES, "ByteLimit", current.bytes(), bytes_diff, limits.bytes(), hard_bytes);
    let bytes = bytes.filter(|_| !count.is_some_and(|count| count.hard));
    count.into_iter().chain(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(text: &str) -> StatsTrack {
        StatsTrack::parse(text.as_bytes()).expect(text)
    }

    /// What `new StatsTrack(text).toString()` gave in Java, and where it threw an exception.
    #[test]
    fn text_is_read_and_written_as_apache_does() {
        for (text, printed) in [
            ("", Some("count=-1,bytes=-1")),
            ("count=5,bytes=10", Some("count=5,bytes=10")),
            (
                "count=5,bytes=-1=;byteHardLimit=20;countHardLimit=-1",
                Some("count=5,bytes=-1=;byteHardLimit=20;countHardLimit=-1"),
            ),
            ("bytes=1", Some("count=-1,bytes=1")),
            (",", Some("count=-1,bytes=-1")),
            ("count=1,,;bytes=2;", Some("count=1,bytes=2")),
            (",count=1", None),
            ("count=", None),
            ("count==5", Some("count=-1,bytes=-1")),
            ("=5", Some("count=-1,bytes=-1=;=5")),
            ("=", None),
            ("count", None),
            ("count=x", None),
            ("count=+5", Some("count=5,bytes=-1")),
            ("count= 5", None),
            ("count=9223372036854775807", Some("count=9223372036854775807,bytes=-1")),
            ("count=9223372036854775808", None),
            ("foo=7,bar=8", Some("count=-1,bytes=-1=;bar=8;foo=7")),
            ("count=1,count=2", Some("count=2,bytes=-1")),
            ("count=1=2=3", Some("count=1,bytes=-1")),
            ("count=1\n", None),
            ("é=3", Some("count=-1,bytes=-1=;é=3")),
            ("byteHardLimit=4", Some("count=-1,bytes=-1=;byteHardLimit=4")),
            ("count=-0005", Some("count=-5,bytes=-1")),
            ("count=1;;", Some("count=1,bytes=-1")),
            ("count==,bytes=1", None),
            ("count==5=6", Some("count=-1,bytes=-1")),
        ] {
            let read = StatsTrack::parse(text.as_bytes());
            assert_eq!(read.ok().map(|read| read.to_string()).as_deref(), printed, "{text:?}");
        }
    }

    #[test]
    fn counting() {
        let mut stats = StatsTrack::default();
        stats.set_count(3);
        stats.set_bytes(10);
        stats.add(-1, 5);
        assert_eq!(stats.to_string(), "count=2,bytes=15");
    }

    #[test]
    fn paths_of_quota_nodes() {
        assert_eq!(limit_path("/a/b"), "/zookeeper/quota/a/b/zookeeper_limits");
        assert_eq!(stat_path("/a"), "/zookeeper/quota/a/zookeeper_stats");
        assert_eq!(QuotaNode::at(&limit_path("/a/b")), Some(QuotaNode::Limits("/a/b")));
        assert_eq!(QuotaNode::at(&stat_path("/a")), Some(QuotaNode::Stats("/a")));
        for path in [
            "/zookeeper/quota",
            "/zookeeper/quota/a",
            "/zookeeper/quota/zookeeper_limits",
            "/zookeeper/quotas/zookeeper_limits",
            "/zookeeper/zookeeper_limits",
            "/a/zookeeper_limits",
        ] {
            assert_eq!(QuotaNode::at(path), None, "{path}");
        }
    }

    fn told(limits: &str, current: &str, count_diff: i64, bytes_diff: i64) -> Vec<String> {
        let exceeded = exceeded(&track(limits), &track(current), count_diff, bytes_diff);
        exceeded.iter().map(Exceeded::to_string).collect()
    }

    #[test]
    fn what_exceeds() {
        let current = "count=5,bytes=100";
        let nothing: [&str; 0] = [];
        assert_eq!(told("count=6,bytes=200", current, 1, 100), nothing);
        assert_eq!(
            told("count=5,bytes=150", current, 1, 51),
            ["[current count=6, softCountLimit=5]", "[current bytes=151, softByteLimit=150]"]
        );
        assert_eq!(
            told("countHardLimit=5,byteHardLimit=100", current, 1, 1),
            ["[current count=6, hardCountLimit=5]"]
        );
        assert_eq!(
            told("count=5,byteHardLimit=0", current, 1, 1),
            ["[current count=6, softCountLimit=5]", "[current bytes=101, hardByteLimit=0]"]
        );
    }

    #[test]
    fn a_hard_limit_takes_the_place_of_the_soft_one() {
        assert!(told("count=1,countHardLimit=9", "count=5,bytes=0", 1, 0).is_empty());
    }

    #[test]
    fn only_what_changes_is_looked_at_even_if_it_shrinks() {
        assert!(told("count=1,bytes=1", "count=5,bytes=5", 0, 0).is_empty());
        assert_eq!(told("bytes=1", "count=5,bytes=5", 0, -1).len(), 1);
    }
}
