//! What transactions prepared but not yet applied will make of the tree
//! (`ZooKeeperServer.outstandingChanges`).
//!
//! Preparing a request looks at the tree through these records, so that a request sees what all
//! earlier ones will have done. Records leave when their transaction has been applied.
//!
//! Invariants:
//! 1. `by_path` holds, for each path, the record of the newest transaction that changes it.
//! 2. `digest` is the digest the tree will have once everything recorded is applied.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use jute::StatPersisted;

use super::acl_cache::AclList;
use super::data_tree::DataTree;
use super::digest;
use crate::proto::Zxid;

/// Records there is room for while none waits; what a burst of large multis took is given back.
const EMPTY_CAPACITY_MAX: usize = 16 << 10;

/// A node as it will be after a transaction (`ZooKeeperServer.ChangeRecord`).
#[derive(Debug, Clone)]
pub struct ChangeRecord {
    /// Its status.
    pub stat: StatPersisted,
    /// Its children.
    pub child_count: usize,
    /// Its access control list.
    pub acl: AclList,
    /// Bytes of its data.
    pub data_len: usize,
    /// First part of its digest, over path and data.
    digest_prefix: u32,
}

impl ChangeRecord {
    /// A node about to be created.
    pub fn new(path: &str, stat: StatPersisted, acl: AclList, data: Option<&[u8]>) -> Self {
        Self {
            stat,
            child_count: 0,
            acl,
            data_len: data.map_or(0, <[u8]>::len),
            digest_prefix: digest::prefix(path, data),
        }
    }

    /// Gives it new data.
    pub fn set_data(&mut self, path: &str, data: Option<&[u8]>) {
        self.data_len = data.map_or(0, <[u8]>::len);
        self.digest_prefix = digest::prefix(path, data);
    }
}

struct Pending {
    zxid: Zxid,
    /// None if the node will be gone.
    record: Option<ChangeRecord>,
}

/// The records.
#[derive(Default)]
pub struct OutstandingChanges {
    by_path: HashMap<Arc<str>, Pending>,
    in_order: VecDeque<(Zxid, Arc<str>)>,
    digest: u64,
    /// While a multi is prepared: what its changes replaced, the oldest first.
    undo: Option<Undo>,
}

struct Undo {
    digest: u64,
    in_order_len: usize,
    replaced: Vec<(Arc<str>, Option<Pending>)>,
}

impl OutstandingChanges {
    /// The node at this path as it will be; none if it does not or will not exist.
    pub fn record(&self, tree: &DataTree, path: &str) -> Option<ChangeRecord> {
        let path = canonical(path);
        if let Some(pending) = self.by_path.get(path) {
            return pending.record.clone();
        }
        let node = tree.node(path)?;
        Some(ChangeRecord {
            stat: node.stored_stat().clone(),
            child_count: node.child_count(),
            acl: node.acl().clone(),
            data_len: node.data().map_or(0, <[u8]>::len),
            digest_prefix: node.digest_prefix(),
        })
    }

    /// Whether the node at this path will exist.
    pub fn exists(&self, tree: &DataTree, path: &str) -> bool {
        let path = canonical(path);
        match self.by_path.get(path) {
            Some(pending) => pending.record.is_some(),
            None => tree.contains(path),
        }
    }

    /// The transaction `zxid` makes the node what `record` says, or deletes it.
    pub fn put(&mut self, tree: &DataTree, zxid: Zxid, path: &str, record: Option<ChangeRecord>) {
        let path = canonical(path);
        if tree.options().digest_enabled && digest::counts(path) {
            if self.in_order.is_empty() {
                self.digest = tree.tree_digest();
            }
            let before = self.record(tree, path);
            let node_digest =
                |record: &ChangeRecord| digest::of_node(record.digest_prefix, &record.stat);
            let before = before.as_ref().map_or(0, node_digest);
            let after = record.as_ref().map_or(0, node_digest);
            self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        } else if self.in_order.is_empty() {
            self.digest = tree.tree_digest();
        }
        let path: Arc<str> = path.into();
        self.in_order.push_back((zxid, path.clone()));
        let replaced = self.by_path.insert(path.clone(), Pending { zxid, record });
        if let Some(undo) = &mut self.undo {
            undo.replaced.push((path, replaced));
        }
    }

    /// Digest of the tree once everything recorded is applied.
    pub fn digest(&self, tree: &DataTree) -> u64 {
        if self.in_order.is_empty() { tree.tree_digest() } else { self.digest }
    }

    /// Paths that will be created, changed or deleted, with what will be there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&ChangeRecord>)> {
        self.by_path.iter().map(|(path, pending)| (&**path, pending.record.as_ref()))
    }

    /// Starts the changes of a multi: [`Self::roll_back`] takes them all back, [`Self::keep`] keeps
    /// them.
    pub fn begin(&mut self) {
        assert!(self.undo.is_none(), "a multi holds no multi");
        self.undo = Some(Undo {
            digest: self.digest,
            in_order_len: self.in_order.len(),
            replaced: Vec::new(),
        });
    }

    /// Keeps the changes of a multi.
    pub fn keep(&mut self) {
        self.undo = None;
    }

    /// Takes back the changes of a multi (`PrepRequestProcessor.rollbackPendingChanges`).
    pub fn roll_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        self.digest = undo.digest;
        self.in_order.truncate(undo.in_order_len);
        for (path, replaced) in undo.replaced.into_iter().rev() {
            match replaced {
                Some(pending) => self.by_path.insert(path, pending),
                None => self.by_path.remove(&path),
            };
        }
    }

    /// Everything up to `zxid` has been applied.
    pub fn applied(&mut self, zxid: Zxid) {
        while let Some((_, path)) = self.in_order.pop_front_if(|(of, _)| *of <= zxid) {
            if self.by_path.get(&path).is_some_and(|pending| pending.zxid <= zxid) {
                self.by_path.remove(&path);
            }
        }
        if self.in_order.is_empty() && self.by_path.capacity() > EMPTY_CAPACITY_MAX {
            self.by_path = HashMap::default();
            self.in_order = VecDeque::new();
        }
    }

    /// Records that wait.
    pub fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }
}

fn canonical(path: &str) -> &str {
    if path == "/" { "" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::data_tree::TreeOptions;

    fn node(path: &str) -> Option<ChangeRecord> {
        let acl: AclList = Vec::new().into();
        Some(ChangeRecord::new(path, StatPersisted::default(), acl, None))
    }

    #[test]
    fn a_rolled_back_multi_leaves_no_trace() {
        let tree = DataTree::new(TreeOptions::default());
        let mut changes = OutstandingChanges::default();
        changes.put(&tree, Zxid(1), "/a", node("/a"));
        let digest = changes.digest(&tree);
        changes.begin();
        changes.put(&tree, Zxid(2), "/a", None);
        changes.put(&tree, Zxid(2), "/b", node("/b"));
        assert!(!changes.exists(&tree, "/a") && changes.exists(&tree, "/b"));
        changes.roll_back();
        assert!(changes.exists(&tree, "/a") && !changes.exists(&tree, "/b"));
        assert_eq!(changes.digest(&tree), digest);
        assert_eq!(changes.len(), 1);
    }

    #[test]
    fn applied_records_leave_and_newer_ones_stay() {
        let tree = DataTree::new(TreeOptions::default());
        let mut changes = OutstandingChanges::default();
        changes.put(&tree, Zxid(1), "/a", node("/a"));
        changes.put(&tree, Zxid(2), "/a", None);
        changes.put(&tree, Zxid(2), "/b", node("/b"));
        changes.applied(Zxid(1));
        assert!(!changes.exists(&tree, "/a") && changes.exists(&tree, "/b"));
        changes.applied(Zxid(2));
        assert!(changes.is_empty());
        assert_eq!(changes.iter().count(), 0);
    }
}
