//! Where quotas are kept, and how (`Quotas`, `StatsTrack`).

use std::collections::BTreeMap;

use super::error::CliError;

/// Above all quotas.
pub(super) const QUOTA_NODE: &str = "/zookeeper/quota";
/// Name of the node with the limits of a subtree.
pub(super) const LIMIT_NODE: &str = "zookeeper_limits";
/// Name of the node with the use of a subtree.
pub(super) const STAT_NODE: &str = "zookeeper_stats";

/// Node under which the quota of a path is kept.
pub(super) fn quota_path(path: &str) -> String {
    format!("{QUOTA_NODE}{path}")
}

/// Node with the limits of a path.
pub(super) fn limit_path(path: &str) -> String {
    format!("{QUOTA_NODE}{path}/{LIMIT_NODE}")
}

/// Node with the use of a path.
pub(super) fn stat_path(path: &str) -> String {
    format!("{QUOTA_NODE}{path}/{STAT_NODE}")
}

/// Path whose quota is kept under a node.
pub(super) fn trim_quota_path(quota_path: &str) -> &str {
    quota_path.strip_prefix(QUOTA_NODE).unwrap_or(quota_path)
}

/// Limits of a subtree, or its use: numbers of nodes and bytes, -1 where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StatsTrack(BTreeMap<String, i64>);

impl StatsTrack {
    pub(super) const COUNT: &str = "count";
    pub(super) const BYTES: &str = "bytes";
    pub(super) const COUNT_HARD_LIMIT: &str = "countHardLimit";
    pub(super) const BYTE_HARD_LIMIT: &str = "byteHardLimit";

    /// Reads what such a node holds.
    pub(super) fn parse(data: Option<&[u8]>) -> Result<Self, CliError> {
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let pairs = text.split([',', ';']).filter(|pair| !pair.is_empty());
        let read = |pair: &str| {
            // `bytes=5=` is how old parsers are kept away from newer fields.
            let mut parts = pair.split('=');
            let key = parts.next()?.to_owned();
            let value = parts.next().filter(|value| !value.is_empty()).unwrap_or("-1");
            Some((key, value.parse().ok()?))
        };
        let values: Option<BTreeMap<String, i64>> = pairs.map(read).collect();
        let bad = || CliError::new(format!("\"{text}\" is no quota"));
        values.map(Self).ok_or_else(bad)
    }

    /// No limits at all, each of them written out.
    pub(super) fn unlimited() -> Self {
        let keys = [Self::COUNT, Self::BYTES, Self::COUNT_HARD_LIMIT, Self::BYTE_HARD_LIMIT];
        Self(keys.map(|key| (key.to_owned(), -1)).into())
    }

    /// Nothing used.
    pub(super) fn unused() -> Self {
        Self([Self::COUNT, Self::BYTES].map(|key| (key.to_owned(), 0)).into())
    }

    /// A number, -1 if there is none.
    pub(super) fn get(&self, key: &str) -> i64 {
        self.0.get(key).copied().unwrap_or(-1)
    }

    /// Sets a number.
    pub(super) fn set(&mut self, key: &str, value: i64) {
        self.0.insert(key.to_owned(), value);
    }

    /// Takes over the numbers of `other` that are none of -1.
    pub(super) fn merge(&mut self, other: &Self) {
        let set = other.0.iter().filter(|(_, value)| **value > -1);
        self.0.extend(set.map(|(key, value)| (key.clone(), *value)));
    }
}

/// As it is stored. Count and bytes come first and an extra `=` follows them, for the parsers of
/// 3.4 and before.
impl std::fmt::Display for StatsTrack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "count={},bytes={}", self.get(Self::COUNT), self.get(Self::BYTES))?;
        let others =
            self.0.iter().filter(|(key, _)| ![Self::COUNT, Self::BYTES].contains(&&***key));
        let mut others = others.peekable();
        if others.peek().is_some() {
            f.write_str("=")?;
        }
        others.try_for_each(|(key, value)| write!(f, ";{key}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_written_and_read_as_java_does() {
        let mut track = StatsTrack::unlimited();
        track.set(StatsTrack::COUNT, 5);
        let text = "count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1";
        assert_eq!(track.to_string(), text);
        assert_eq!(StatsTrack::parse(Some(text.as_bytes())), Ok(track));
        assert_eq!(StatsTrack::unused().to_string(), "count=0,bytes=0");
        assert_eq!(StatsTrack::parse(Some(b"count=3,bytes=")).unwrap().get("bytes"), -1);
        assert_eq!(StatsTrack::parse(None), Ok(StatsTrack::default()));
        assert!(StatsTrack::parse(Some(b"nonsense=x")).is_err());
    }

    #[test]
    fn merging_keeps_what_is_not_set() {
        let mut old = StatsTrack::parse(Some(b"count=5,bytes=7")).unwrap();
        let mut new = StatsTrack::unlimited();
        new.set(StatsTrack::BYTES, 9);
        old.merge(&new);
        assert_eq!(old.to_string(), "count=5,bytes=9");
    }
}
