//! Removes containers that lost their last child and TTL nodes whose time is over
//! (`ContainerManager`).
//!
//! Every so often the tree is searched for candidates; they are then deleted one by one, no faster
//! than so many a minute, each through a deleteContainer request that checks again.

use std::collections::VecDeque;

use crate::proto::Millis;
use crate::tree::{DataTree, EphemeralType};

/// How nodes are searched for and deleted.
#[derive(Debug, Clone, Copy)]
pub struct ContainerOptions {
    /// Time between searches (`znode.container.checkIntervalMs`).
    pub check_interval_ms: Millis,
    /// Deletions a minute (`znode.container.maxPerMinute`).
    pub per_minute_max: i64,
    /// Age at which a container that never had a child goes too; 0 for never
    /// (`znode.container.maxNeverUsedIntervalMs`).
    pub never_used_ms_max: Millis,
}

/// The manager.
pub struct ContainerManager {
    options: ContainerOptions,
    next_check: Millis,
    candidates: VecDeque<String>,
    next_deletion: Millis,
}

impl ContainerManager {
    /// A manager whose first search is one interval after `now`, by the monotonic clock.
    pub fn new(options: ContainerOptions, now: Millis) -> Self {
        let next_check = now + options.check_interval_ms;
        Self { options, next_check, candidates: VecDeque::new(), next_deletion: now }
    }

    /// When [`Self::next`] may have something to do.
    pub fn deadline(&self) -> Millis {
        if self.candidates.is_empty() { self.next_check } else { self.next_deletion }
    }

    /// The next node to delete, if there is one and it is time; `wall` is in milliseconds since
    /// 1970.
    pub fn next(&mut self, tree: &DataTree, now: Millis, wall: Millis) -> Option<String> {
        if self.candidates.is_empty() && now >= self.next_check {
            self.candidates = self.search(tree, wall);
            self.next_check = now + self.options.check_interval_ms;
        }
        if self.candidates.is_empty() || now < self.next_deletion {
            return None;
        }
        self.next_deletion = now + 60_000 / self.options.per_minute_max.max(1);
        self.candidates.pop_front()
    }

    fn search(&self, tree: &DataTree, wall: Millis) -> VecDeque<String> {
        let is_due = |path: &String| {
            let Some(node) = tree.node(path) else { return false };
            let stat = node.stored_stat();
            if node.child_count() > 0 {
                return false;
            }
            let rules = tree.options().ephemeral_rules;
            match rules.classify(stat.ephemeral_owner) {
                // A container that never had a child stays: its creator is about to make one.
                Ok(EphemeralType::Container) if stat.cversion > 0 => true,
                Ok(EphemeralType::Container) => {
                    let oldest = self.options.never_used_ms_max;
                    oldest > 0 && wall - stat.mtime > oldest
                }
                Ok(EphemeralType::Ttl(ttl)) => ttl != 0 && wall - stat.mtime > ttl,
                _ => false,
            }
        };
        tree.containers().chain(tree.ttls()).filter(is_due).collect()
    }
}
