//! Quotas as the tree keeps them (`DataTree.pTrie` and what uses it, `ZooKeeperServer.checkQuota`).
//!
//! A quota on P is a node `zookeeper_limits` at `/zookeeper/quota/P`; beside it `zookeeper_stats` holds what is
//! used. Statistics are kept by each server for itself: they change without a transaction and are counted anew
//! when a snapshot is loaded.

use tracing::warn;

use super::data_tree::DataTree;
use super::quota::{QUOTA_ROOT, QuotaNode, StatsTrack, exceeded, limit_path, stat_path};

impl DataTree {
    /// Every quota whose nodes can be read: the path it is on, its limits, and what is used.
    pub fn quotas(&self) -> impl Iterator<Item = (&str, StatsTrack, StatsTrack)> {
        self.quotas.iter().filter_map(|prefix| {
            let read =
                |path: &str| StatsTrack::parse(self.node(path)?.data().unwrap_or_default()).ok();
            Some((&**prefix, read(&limit_path(prefix))?, read(&stat_path(prefix))?))
        })
    }

    /// Whether a request that adds so many bytes and nodes at `path` is refused by a hard quota above it; a soft
    /// one is only logged. As in ZooKeeper, requests that are still on their way do not count.
    pub(crate) fn exceeds_quota(&self, path: &str, bytes_diff: i64, count_diff: i64) -> bool {
        let Some(prefix) = self.quota_prefix(path) else { return false };
        let read = |path: &str| StatsTrack::parse(self.node(path)?.data().unwrap_or_default()).ok();
        let (Some(limits), Some(used)) = (read(&limit_path(prefix)), read(&stat_path(prefix)))
        else {
            warn!("the quota on {prefix} has no readable limits or statistics: it is not enforced");
            return false;
        };
        let exceeded = exceeded(&limits, &used, count_diff, bytes_diff);
        exceeded.iter().for_each(|limit| warn!("Quota exceeded: {prefix} {limit}"));
        exceeded.iter().any(|limit| limit.hard)
    }

    /// Bytes and nodes came or went at `path`.
    pub(super) fn count_quota(&mut self, path: &str, bytes_diff: i64, count_diff: i64) {
        if self.quotas.is_empty() || (bytes_diff == 0 && count_diff == 0) {
            return;
        }
        let Some(prefix) = self.quota_prefix(path).map(stat_path) else { return };
        let Some(node) = self.node(&prefix) else { return };
        match StatsTrack::parse(node.data().unwrap_or_default()) {
            Ok(mut used) => {
                used.add(count_diff, bytes_diff);
                self.write_stats(&prefix, &used);
            }
            Err(error) => warn!("{prefix}: {error}"),
        }
    }

    /// A node was created; it may make a quota.
    pub(super) fn quota_node_created(&mut self, path: &str) {
        match QuotaNode::at(path) {
            Some(QuotaNode::Limits(prefix)) => {
                self.quotas.insert(prefix.into());
            }
            Some(QuotaNode::Stats(prefix)) => self.count_anew(prefix),
            None => {}
        }
    }

    /// A node was deleted; it may end a quota.
    pub(super) fn quota_node_deleted(&mut self, path: &str) {
        if let Some(QuotaNode::Limits(prefix)) = QuotaNode::at(path) {
            self.quotas.remove(prefix);
        }
    }

    /// Finds all quotas of a tree just loaded and counts what they limit (`setupQuota`).
    pub(super) fn load_quotas(&mut self) {
        let Some(root) = self.lookup(QUOTA_ROOT) else { return };
        let paths: Vec<String> = self.subtree(root).map(|idx| self.nodes.path(idx)).collect();
        for path in paths {
            if let Some(QuotaNode::Limits(prefix)) = QuotaNode::at(&path) {
                self.quotas.insert(prefix.into());
                self.count_anew(prefix);
            }
        }
    }

    /// The nearest path at or above `path` with a quota; the root has none.
    fn quota_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.quotas.is_empty() {
            return None;
        }
        let mut prefix = path;
        while !prefix.is_empty() {
            if self.quotas.contains(prefix) {
                return Some(prefix);
            }
            prefix = &prefix[..prefix.rfind('/')?];
        }
        None
    }

    /// Counts everything at and below `prefix` (`updateQuotaForPath`).
    fn count_anew(&mut self, prefix: &str) {
        let (mut count, mut bytes) = (0, 0);
        if let Some(top) = self.lookup(prefix) {
            for idx in self.subtree(top) {
                count += 1;
                bytes += self.nodes.get(idx).data_len() as i64;
            }
        }
        let mut used = StatsTrack::default();
        used.set_bytes(bytes);
        used.set_count(count);
        self.write_stats(&stat_path(prefix), &used);
    }

    fn write_stats(&mut self, path: &str, used: &StatsTrack) {
        match self.lookup(path) {
            Some(idx) => self.set_data(idx, path, Some(used.to_string().as_bytes()), |_| {}),
            None => warn!("no node {path} to keep the statistics of a quota in"),
        }
    }
}
