//! The tree of znodes and what is kept beside it (`DataTree`).
//!
//! It is changed by one writer only, through [`DataTree::apply`](super::apply), and read in
//! parallel. It does no I/O, knows no watches and asks no clock.
//!
//! Invariants:
//! 1. `digest` is the sum over all nodes that count, while digests are on.
//! 2. A node is in `ephemerals`, `containers` or `ttls` exactly if its owner says so.
//! 3. Each node holds one use of its list in the ACL cache.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use jute::{Stat, StatPersisted};

use super::acl_cache::{AclCache, AclList, OPEN_ACL};
use super::digest;
use super::ephemeral_type::{EphemeralRules, EphemeralType};
use super::node_store::{Node, NodeIdx, NodeStore};
use super::quota::QUOTA_ROOT;
use crate::auth::AclEntry;
use crate::proto::path::CONFIG_PATH;
use crate::proto::{Millis, Perms, SessionId, Zxid};

/// A digest of the tree is remembered once in so many zxids (`DataTree.DIGEST_LOG_INTERVAL`).
const DIGEST_LOG_INTERVAL: i64 = 128;

/// So many are remembered (`DataTree.DIGEST_LOG_LIMIT`).
const DIGEST_LOG_LIMIT: usize = 1024;

/// How a tree is to behave; equal on all servers of an ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeOptions {
    /// Which kinds of short-lived nodes there are.
    pub ephemeral_rules: EphemeralRules,
    /// `zookeeper.digest.enabled`.
    pub digest_enabled: bool,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { ephemeral_rules: EphemeralRules::default(), digest_enabled: true }
    }
}

/// The digest the tree had right after a transaction (`DataTree.ZxidDigest`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZxidDigest {
    /// The transaction.
    pub zxid: Zxid,
    /// How it is computed.
    pub version: i32,
    /// The digest.
    pub digest: u64,
}

/// The tree.
pub struct DataTree {
    /// Tells it from every other tree, also from one that takes its place.
    pub(super) identity: Arc<()>,
    pub(super) nodes: NodeStore,
    pub(super) acls: AclCache,
    pub(super) options: TreeOptions,
    pub(super) digest: u64,
    pub(super) ephemerals: HashMap<SessionId, HashSet<NodeIdx>>,
    pub(super) containers: HashSet<NodeIdx>,
    pub(super) ttls: HashSet<NodeIdx>,
    /// Paths that have a limits node (`PathTrie`).
    pub(super) quotas: HashSet<Box<str>>,
    pub(super) data_bytes: i64,
    pub(super) last_processed: Zxid,
    pub(super) digest_log: VecDeque<ZxidDigest>,
    pub(super) last_digest: Option<ZxidDigest>,
    /// Set while replaying over a snapshot that was taken while writes went on: digests mean
    /// nothing until its own zxid is reached.
    pub(super) digest_of_snapshot: Option<ZxidDigest>,
    /// Whether the tree is that of one moment. One from a snapshot that does not say at which zxid
    /// it is, is not known to be before a transaction's digest is its own, or before
    /// [`DataTree::set_whole`].
    pub(super) is_whole: bool,
    pub(super) digest_mismatches: u64,
}

impl DataTree {
    /// A tree with the nodes every server starts with.
    pub fn new(options: TreeOptions) -> Self {
        let mut tree = Self::with_root_only(options, Some(b""), OPEN_ACL, StatPersisted::default());
        for path in ["/zookeeper", QUOTA_ROOT, CONFIG_PATH] {
            let parent = tree.lookup(&path[..path.rfind('/').unwrap_or(0)]);
            let parent = parent.expect("parents come first");
            tree.insert_node(parent, path, Some(b""), OPEN_ACL, StatPersisted::default());
        }
        let read_only =
            AclEntry { perms: Perms::READ.0, scheme: "world".into(), id: "anyone".into() };
        let acl = tree.acls.add_list([read_only].into());
        let config = tree.lookup(CONFIG_PATH).expect("the node was just made");
        let node = tree.nodes.get_mut(config);
        node.acl = acl;
        node.stat.aversion = -1;
        tree
    }

    /// Writes the ensemble's configuration of this version into `/zookeeper/config`, at `time`
    /// since 1970 (`ZKDatabase.initConfigInZKDatabase`). It is no transaction: each server shows
    /// what it knows.
    pub fn set_config(&mut self, text: &str, version: i64, time: Millis) {
        let Some(config) = self.lookup(CONFIG_PATH) else {
            tracing::warn!("there is no {CONFIG_PATH}: the configuration is not shown");
            return;
        };
        self.set_data(config, CONFIG_PATH, Some(text.as_bytes()), |stat| {
            stat.version = -1;
            stat.mzxid = version;
            stat.mtime = time;
        });
    }

    pub(super) fn with_root_only(
        options: TreeOptions,
        data: Option<&[u8]>,
        acl: i32,
        stat: StatPersisted,
    ) -> Self {
        let mut tree = Self {
            identity: Arc::default(),
            nodes: NodeStore::new(data, acl, stat),
            acls: AclCache::new(),
            options,
            digest: 0,
            ephemerals: HashMap::default(),
            containers: HashSet::default(),
            ttls: HashSet::default(),
            quotas: HashSet::default(),
            // The root counts twice, under both its names.
            data_bytes: 1 + 2 * data.map_or(0, <[u8]>::len) as i64,
            last_processed: Zxid::ZERO,
            digest_log: VecDeque::new(),
            last_digest: None,
            digest_of_snapshot: None,
            is_whole: true,
            digest_mismatches: 0,
        };
        tree.nodes.get_mut(NodeIdx::ROOT).digest_prefix = digest::prefix("", data);
        tree.digest = tree.node_digest(NodeIdx::ROOT, "");
        tree
    }

    /// Options the tree was made with.
    pub fn options(&self) -> TreeOptions {
        self.options
    }

    /// zxid of the last transaction applied, or of the snapshot loaded.
    pub fn last_processed(&self) -> Zxid {
        self.last_processed
    }

    /// Says that everything up to `zxid` is in the tree.
    pub fn set_last_processed(&mut self, zxid: Zxid) {
        self.last_processed = zxid;
    }

    /// Entries of ZooKeeper's node map, which holds the root twice.
    pub fn node_count(&self) -> usize {
        self.nodes.len() + 1
    }

    /// Bytes of all paths and data, as `DataTree.cachedApproximateDataSize` counts them.
    pub fn approximate_data_size(&self) -> i64 {
        self.data_bytes
    }

    /// Ephemeral nodes of all sessions.
    pub fn ephemerals_count(&self) -> usize {
        self.ephemerals.values().map(HashSet::len).sum()
    }

    /// The tree's digest now.
    pub fn tree_digest(&self) -> u64 {
        self.digest
    }

    /// Digests remembered, the oldest first.
    pub fn digest_log(&self) -> impl Iterator<Item = &ZxidDigest> {
        self.digest_log.iter()
    }

    /// The digest after the last transaction.
    pub fn last_digest(&self) -> Option<ZxidDigest> {
        self.last_digest
    }

    /// Everything that a snapshot taken amid writes may hold has been applied: from here on the
    /// digests of transactions are the tree's.
    pub fn set_whole(&mut self) {
        self.is_whole = true;
    }

    /// Whether the tree is known to be that of one moment, and no mixture of several that only
    /// the transactions still to come make whole.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Transactions whose digest was not the tree's.
    pub fn digest_mismatches(&self) -> u64 {
        self.digest_mismatches
    }

    /// A view of the node at this path, where "" and "/" both are the root.
    pub fn node(&self, path: &str) -> Option<NodeView<'_>> {
        self.lookup(path).map(|idx| NodeView { tree: self, idx })
    }

    /// Whether a node is there.
    pub fn contains(&self, path: &str) -> bool {
        self.lookup(path).is_some()
    }

    /// Paths of a session's ephemeral nodes, in no order.
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let nodes = self.ephemerals.get(&session).into_iter().flatten();
        nodes.map(|&idx| self.nodes.path(idx)).collect()
    }

    /// Sessions that own ephemeral nodes, with their paths.
    pub fn sessions_with_ephemerals(&self) -> impl Iterator<Item = (SessionId, Vec<String>)> {
        self.ephemerals.iter().map(|(&session, nodes)| {
            (session, nodes.iter().map(|&idx| self.nodes.path(idx)).collect())
        })
    }

    /// Paths of all containers.
    pub fn containers(&self) -> impl Iterator<Item = String> {
        self.containers.iter().map(|&idx| self.nodes.path(idx))
    }

    /// Paths of all TTL nodes.
    pub fn ttls(&self) -> impl Iterator<Item = String> {
        self.ttls.iter().map(|&idx| self.nodes.path(idx))
    }

    /// Counts descendants as `DataTree.getAllChildrenNumber` does, whose node map holds "" and "/"
    /// for the root.
    pub fn all_children_number(&self, path: &str) -> usize {
        match (path, self.lookup(path)) {
            ("/", _) => self.nodes.len() - 1,
            ("", _) => self.nodes.len(),
            (_, None) => 0,
            (_, Some(top)) => self.subtree(top).count() - 1,
        }
    }

    /// A node and all below it, parents before children.
    pub(super) fn subtree(&self, top: NodeIdx) -> impl Iterator<Item = NodeIdx> + '_ {
        let mut waiting = vec![top];
        std::iter::from_fn(move || {
            let next = waiting.pop()?;
            waiting.extend(self.nodes.children(next));
            Some(next)
        })
    }

    pub(super) fn lookup(&self, path: &str) -> Option<NodeIdx> {
        self.nodes.lookup(path)
    }

    pub(super) fn ephemeral_type(&self, idx: NodeIdx) -> EphemeralType {
        let owner = self.nodes.get(idx).stat.ephemeral_owner;
        // Owners are checked when they enter the tree.
        self.options.ephemeral_rules.classify(owner).unwrap_or(EphemeralType::Void)
    }

    /// What this node adds to the tree's digest.
    pub(super) fn node_digest(&self, idx: NodeIdx, path: &str) -> u64 {
        if !self.options.digest_enabled || !digest::counts(path) {
            return 0;
        }
        let node = self.nodes.get(idx);
        digest::of_node(node.digest_prefix, &node.stat)
    }

    /// Changes a node's status or data and keeps the digest right.
    pub(super) fn change_node(&mut self, idx: NodeIdx, path: &str, change: impl FnOnce(&mut Node)) {
        let before = self.node_digest(idx, path);
        change(self.nodes.get_mut(idx));
        let after = self.node_digest(idx, path);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }

    /// Adds a node whose owner has been checked and whose list counts one user for it already.
    pub(super) fn insert_node(
        &mut self,
        parent: NodeIdx,
        path: &str,
        data: Option<&[u8]>,
        acl: i32,
        stat: StatPersisted,
    ) -> NodeIdx {
        let idx = self.nodes.insert(parent, path, data, acl, stat);
        if self.options.digest_enabled {
            self.nodes.get_mut(idx).digest_prefix = digest::prefix(path, data);
            self.digest = self.digest.wrapping_add(self.node_digest(idx, path));
        }
        self.data_bytes += (path.len() + data.map_or(0, <[u8]>::len)) as i64;
        match self.ephemeral_type(idx) {
            EphemeralType::Void => {}
            EphemeralType::Container => {
                self.containers.insert(idx);
            }
            EphemeralType::Ttl(_) => {
                self.ttls.insert(idx);
            }
            EphemeralType::Normal(session) => {
                self.ephemerals.entry(session).or_default().insert(idx);
            }
        }
        idx
    }

    /// Removes a node without children.
    pub(super) fn remove_node(&mut self, idx: NodeIdx, path: &str) {
        match self.ephemeral_type(idx) {
            EphemeralType::Void => {}
            EphemeralType::Container => {
                self.containers.remove(&idx);
            }
            EphemeralType::Ttl(_) => {
                self.ttls.remove(&idx);
            }
            EphemeralType::Normal(session) => {
                if let Some(nodes) = self.ephemerals.get_mut(&session) {
                    nodes.remove(&idx);
                    if nodes.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
        }
        let node = self.nodes.get(idx);
        let acl = node.acl;
        self.data_bytes -= (path.len() + node.data_len()) as i64;
        self.digest = self.digest.wrapping_sub(self.node_digest(idx, path));
        self.acls.remove_user(acl);
        self.nodes.remove(idx, path);
    }

    /// Remembers what the tree looked like after a transaction (`DataTree.logZxidDigest`).
    pub(super) fn log_digest(&mut self, zxid: Zxid) {
        let entry = ZxidDigest { zxid, version: digest::DIGEST_VERSION, digest: self.digest };
        self.last_digest = Some(entry);
        if zxid.0 % DIGEST_LOG_INTERVAL == 0 {
            if self.digest_log.len() == DIGEST_LOG_LIMIT {
                self.digest_log.pop_front();
            }
            self.digest_log.push_back(entry);
        }
    }
}

/// A node as reads see it.
#[derive(Clone, Copy)]
pub struct NodeView<'a> {
    tree: &'a DataTree,
    idx: NodeIdx,
}

impl<'a> NodeView<'a> {
    fn node(self) -> &'a Node {
        self.tree.nodes.get(self.idx)
    }

    /// Its data; null is not the same as empty.
    pub fn data(self) -> Option<&'a [u8]> {
        self.node().data()
    }

    /// Its status as clients see it.
    pub fn stat(self) -> Stat {
        let node = self.node();
        super::stat::client_stat(
            &node.stat,
            node.data_len(),
            node.child_count(),
            self.tree.options.ephemeral_rules,
        )
    }

    /// Its status as it is stored.
    pub fn stored_stat(self) -> &'a StatPersisted {
        &self.node().stat
    }

    /// Its access control list.
    pub fn acl(self) -> &'a AclList {
        self.tree.acls.get(self.node().acl)
    }

    /// Number of its children.
    pub fn child_count(self) -> usize {
        self.node().child_count()
    }

    /// Names of its children, in no order that means anything.
    pub fn children(self) -> impl Iterator<Item = &'a str> {
        self.tree.nodes.children(self.idx).map(|child| self.tree.nodes.get(child).name())
    }

    /// First part of its digest, over path and data.
    pub(crate) fn digest_prefix(self) -> u32 {
        self.node().digest_prefix
    }
}
