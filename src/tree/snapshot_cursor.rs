//! Walks the tree for a snapshot, a chunk at a time, while writes go on (`DataTree.serialize`).
//!
//! What is written is fuzzy: each node as it was when the walk came by. That is enough, because
//! whoever loads the snapshot replays the log from the zxid at which the walk began, and replay
//! brings every node to the same end.
//!
//! Invariants:
//! 1. A parent is written before its children.
//! 2. Every node that exists from start to end is written once. One created after the start is left
//!    out: replay creates it. So a slot that was reused in the meantime cannot be mistaken for its
//!    former node, and whoever is written has parents that are written too.
//! 3. All chunks are of one tree: once another has taken its place the walk is over.

use std::sync::Arc;

use jute::{Acl, Field, Ustring};
use thiserror::Error;

use super::data_tree::DataTree;
use super::node_store::{Node, NodeIdx};
use crate::proto::{SessionId, Zxid};

/// The tree that is walked has given way to another, such as a leader's snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the database was replaced by another meanwhile")]
pub struct TreeReplaced;

/// A walk in progress.
pub struct SnapshotCursor {
    /// The identity of the tree.
    tree: Arc<()>,
    start: Zxid,
    next_slot: usize,
    /// One bit for each slot written.
    written: Vec<u64>,
    /// Path of the parent of the node written last: siblings often follow each other.
    parent: NodeIdx,
    parent_path: String,
    is_done: bool,
}

impl SnapshotCursor {
    /// Starts a walk and writes the head: the sessions with their timeouts in milliseconds, and the
    /// ACL cache.
    pub fn start(
        tree: &DataTree,
        sessions: impl ExactSizeIterator<Item = (SessionId, i32)>,
        out: &mut Vec<u8>,
    ) -> Self {
        (sessions.len() as i32).write(out);
        for (session, timeout_ms) in sessions {
            session.0.write(out);
            timeout_ms.write(out);
        }
        let lists: Vec<_> = tree.acls.iter().collect();
        (lists.len() as i32).write(out);
        for (number, list) in lists {
            number.write(out);
            list.iter().map(Acl::from).collect::<Vec<_>>().write(out);
        }
        Self {
            tree: tree.identity.clone(),
            start: tree.last_processed,
            next_slot: 0,
            written: Vec::new(),
            parent: NodeIdx::ROOT,
            parent_path: String::new(),
            is_done: false,
        }
    }

    /// zxid the walk began at: the snapshot's name.
    pub fn zxid(&self) -> Zxid {
        self.start
    }

    /// Whether this is the tree that is walked.
    ///
    /// # Errors
    /// It is another.
    pub fn check(&self, tree: &DataTree) -> Result<(), TreeReplaced> {
        if Arc::ptr_eq(&self.tree, &tree.identity) { Ok(()) } else { Err(TreeReplaced) }
    }

    /// Writes some more nodes, looking at no more than `slots`; false once the end is written.
    ///
    /// # Errors
    /// The tree is another; nothing is written.
    pub fn next_chunk(
        &mut self,
        tree: &DataTree,
        slots: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, TreeReplaced> {
        self.check(tree)?;
        if self.is_done {
            return Ok(false);
        }
        let end = tree.nodes.slots().min(self.next_slot + slots);
        for slot in self.next_slot..end {
            if let Some((idx, node)) = tree.nodes.slot(slot)
                && node.stat.czxid <= self.start.0
            {
                self.write_with_ancestors(tree, idx, out);
            }
        }
        self.next_slot = end;
        if end == tree.nodes.slots() {
            Ustring::from("/").write(out);
            self.is_done = true;
        }
        Ok(true)
    }

    fn write_with_ancestors(&mut self, tree: &DataTree, idx: NodeIdx, out: &mut Vec<u8>) {
        let mut waiting = vec![idx];
        while let Some(&next) = waiting.last() {
            match tree.nodes.parent(next) {
                _ if self.is_written(next) => {}
                Some(parent) if !self.is_written(parent) => {
                    waiting.push(parent);
                    continue;
                }
                parent => {
                    self.write_node(tree, next, parent, out);
                    self.mark_written(next);
                }
            }
            waiting.pop();
        }
    }

    fn write_node(
        &mut self,
        tree: &DataTree,
        idx: NodeIdx,
        parent: Option<NodeIdx>,
        out: &mut Vec<u8>,
    ) {
        let node = tree.nodes.get(idx);
        match parent {
            None => Ustring::from("").write(out),
            Some(parent) => {
                // The slot of the parent known may have changed hands between chunks, but not the
                // path of one that has a child to be written.
                if parent != self.parent {
                    self.parent_path = tree.nodes.path(parent);
                    self.parent = parent;
                }
                write_path(&self.parent_path, node, out);
            }
        }
        node.data().write(out);
        i64::from(node.acl).write(out);
        node.stat.write(out);
    }

    fn is_written(&self, idx: NodeIdx) -> bool {
        let word = self.written.get(idx.slot() / 64);
        word.is_some_and(|word| word & (1 << (idx.slot() % 64)) != 0)
    }

    fn mark_written(&mut self, idx: NodeIdx) {
        let word = idx.slot() / 64;
        if word >= self.written.len() {
            self.written.resize(word + 1, 0);
        }
        self.written[word] |= 1 << (idx.slot() % 64);
    }
}

fn write_path(parent_path: &str, node: &Node, out: &mut Vec<u8>) {
    let name = node.name_bytes();
    let len = parent_path.len() + 1 + name.len();
    (len as i32).write(out);
    out.extend_from_slice(parent_path.as_bytes());
    out.push(b'/');
    out.extend_from_slice(name);
}
