//! Quotas as the tree keeps them (`DataTree.pTrie` and what uses it, `ZooKeeperServer.checkQuota`).
//!
//! A quota on P is a node `zookeeper_limits` at `/zookeeper/quota/P`; beside it `zookeeper_stats`
//! holds what is used. Statistics are kept by each server for itself: they change without a
//! transaction and are counted anew when a snapshot is loaded.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

use super::data_tree::DataTree;
use super::quota::{
    InvalidStats, QUOTA_ROOT, QuotaNode, StatsTrack, exceeded, limit_path, stat_path,
};

impl DataTree {
    /// Every quota whose nodes can be read: the path it is on, its limits, and what is used.
    pub fn quotas(&self) -> impl Iterator<Item = (&str, StatsTrack, StatsTrack)> {
        self.quotas.iter().filter_map(|prefix| {
            let read =
                |path: &str| StatsTrack::parse(self.node(path)?.data().unwrap_or_default()).ok();
            Some((&**prefix, read(&limit_path(prefix))?, read(&stat_path(prefix))?))
        })
    }

    /// Whether a request that adds so many bytes and nodes at `path` is refused by a hard quota
    /// above it; a soft one is only logged. As in ZooKeeper, requests that are still on their way
    /// do not count.
    ///
    /// # Errors
    /// The text of the quota cannot be read, which spoils the request.
    pub(crate) fn exceeds_quota(
        &self,
        path: &str,
        bytes_diff: i64,
        count_diff: i64,
    ) -> Result<bool, InvalidStats> {
        let Some(prefix) = self.quota_prefix(path) else { return Ok(false) };
        let (limits, used) = (self.node(&limit_path(prefix)), self.node(&stat_path(prefix)));
        let Some(limits) = limits else { return Ok(false) };
        let limits = StatsTrack::parse(limits.data().unwrap_or_default())?;
        let is_limited = |diff, soft, hard| diff != 0 && (soft > -1 || hard > -1);
        if !is_limited(count_diff, limits.count(), limits.count_hard_limit())
            && !is_limited(bytes_diff, limits.bytes(), limits.byte_hard_limit())
        {
            return Ok(false);
        }
        let Some(used) = used else {
            warn_rarely(&format!("the quota on {prefix} has no statistics: it is not enforced"));
            return Ok(false);
        };
        let used = StatsTrack::parse(used.data().unwrap_or_default())?;
        let exceeded = exceeded(&limits, &used, count_diff, bytes_diff);
        exceeded.iter().for_each(|limit| warn_rarely(&format!("Quota exceeded: {prefix} {limit}")));
        Ok(exceeded.iter().any(|limit| limit.hard))
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
            Err(error) => warn_rarely(&format!("{prefix}: {error}")),
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

    /// Writes past [`DataTree::set_data`]: the nodes of quotas are not in the digest, and neither
    /// does Apache's count of the tree's bytes follow their statistics.
    fn write_stats(&mut self, path: &str, used: &StatsTrack) {
        match self.lookup(path) {
            Some(idx) => self.nodes.get_mut(idx).set_data(Some(used.to_string().as_bytes())),
            None => warn!("no node {path} to keep the statistics of a quota in"),
        }
    }
}

/// Logs the first, second, fourth, eighth warning and so on: clients at their limits must not fill
/// the log (`RateLogger`).
fn warn_rarely(message: &str) {
    static WARNINGS: AtomicU64 = AtomicU64::new(0);
    let number = WARNINGS.fetch_add(1, Ordering::Relaxed) + 1;
    if number.is_power_of_two() {
        warn!("{message} (warning {number} about quotas)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::path;
    use crate::tree::TreeOptions;
    use crate::tree::acl_cache::OPEN_ACL;
    use crate::tree::node_store::NodeIdx;

    fn tree() -> DataTree {
        DataTree::new(TreeOptions::default())
    }

    /// Does to quotas what the creation of a node does.
    fn create(tree: &mut DataTree, path: &str, data: &str) {
        let parent = path::parent(path).and_then(|parent| tree.lookup(parent));
        let parent = parent.unwrap_or(NodeIdx::ROOT);
        tree.insert_node(parent, path, Some(data.as_bytes()), OPEN_ACL, Default::default());
        tree.quota_node_created(path);
        tree.count_quota(path, data.len() as i64, 1);
    }

    fn delete(tree: &mut DataTree, path: &str) {
        let idx = tree.lookup(path).expect(path);
        let bytes = tree.nodes.get(idx).data_len() as i64;
        tree.remove_node(idx, path);
        tree.quota_node_deleted(path);
        tree.count_quota(path, -bytes, -1);
    }

    fn text(tree: &DataTree, path: &str) -> String {
        let data = tree.node(path).and_then(|node| node.data()).expect(path);
        String::from_utf8_lossy(data).into_owned()
    }

    /// A tree with `/a` and `/a/b`, of 5 bytes together, and a quota on `/a`.
    fn with_quota(limits: &str) -> DataTree {
        let mut tree = tree();
        create(&mut tree, "/a", "12");
        create(&mut tree, "/a/b", "345");
        create(&mut tree, "/zookeeper/quota/a", "");
        create(&mut tree, "/zookeeper/quota/a/zookeeper_limits", limits);
        create(&mut tree, "/zookeeper/quota/a/zookeeper_stats", "anything");
        tree
    }

    const STATS: &str = "/zookeeper/quota/a/zookeeper_stats";

    #[test]
    fn a_new_quota_counts_what_is_there_and_then_what_changes() {
        let mut tree = with_quota("count=5,bytes=10");
        assert_eq!(text(&tree, STATS), "count=2,bytes=5");
        create(&mut tree, "/a/b/c", "6789");
        create(&mut tree, "/ab", "elsewhere");
        assert_eq!(text(&tree, STATS), "count=3,bytes=9");
        delete(&mut tree, "/a/b/c");
        assert_eq!(text(&tree, STATS), "count=2,bytes=5");
        delete(&mut tree, "/zookeeper/quota/a/zookeeper_limits");
        create(&mut tree, "/a/b/d", "1");
        assert_eq!(text(&tree, STATS), "count=2,bytes=5");
    }

    #[test]
    fn counting_leaves_the_digest_and_the_other_text_alone() {
        let mut tree = with_quota("count=5,bytes=10");
        let digest = tree.tree_digest();
        tree.count_quota("/a", 1, 0);
        assert_eq!((text(&tree, STATS).as_str(), tree.tree_digest()), ("count=2,bytes=6", digest));
        let stats = tree.lookup(STATS).expect(STATS);
        tree.nodes.get_mut(stats).set_data(Some(b"no quota"));
        tree.count_quota("/a", 1, 0);
        assert_eq!(text(&tree, STATS), "no quota");
        assert!(tree.exceeds_quota("/a", 1000, 1).is_err());
    }

    #[test]
    fn the_nearest_quota_counts() {
        let mut tree = with_quota("count=5,bytes=10");
        create(&mut tree, "/zookeeper/quota/a/b", "");
        create(&mut tree, "/zookeeper/quota/a/b/zookeeper_limits", "count=1,bytes=1");
        create(&mut tree, "/zookeeper/quota/a/b/zookeeper_stats", "");
        create(&mut tree, "/a/b/c", "6");
        assert_eq!(text(&tree, "/zookeeper/quota/a/b/zookeeper_stats"), "count=2,bytes=4");
        assert_eq!(text(&tree, STATS), "count=2,bytes=5");
    }

    #[test]
    fn loading_counts_anew() {
        let mut tree = with_quota("count=5,bytes=10");
        tree.quotas.clear();
        let stats = tree.lookup(STATS).expect(STATS);
        tree.nodes.get_mut(stats).set_data(Some(b"count=77,bytes=77"));
        tree.load_quotas();
        assert_eq!(text(&tree, STATS), "count=2,bytes=5");
        create(&mut tree, "/a/c", "6");
        assert_eq!(text(&tree, STATS), "count=3,bytes=6");
    }

    #[test]
    fn only_hard_limits_forbid() {
        let tree = with_quota("count=2,bytes=5");
        assert!(!tree.exceeds_quota("/a/new", 100, 1).unwrap());
        let tree = with_quota("count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=2");
        assert!(tree.exceeds_quota("/a/new", 0, 1).unwrap());
        assert!(tree.exceeds_quota("/a", 6, 0).unwrap());
        assert!(!tree.exceeds_quota("/a", 5, 0).unwrap());
        assert!(!tree.exceeds_quota("/ab", 100, 100).unwrap());
    }
}
