//! Builds a tree from the records of a snapshot (`DataTree.deserialize`).

use std::sync::Arc;

use foldhash::HashMap;
use jute::{Acl, StatPersisted};
use thiserror::Error;

use super::acl_cache::{AclList, OPEN_ACL};
use super::data_tree::{DataTree, TreeOptions, ZxidDigest};
use super::node_store::NodeIdx;
use crate::auth::AclEntry;
use crate::proto::Zxid;

/// Why a snapshot's records do not make a tree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// A child before its parent.
    #[error("node {path} has no parent in the snapshot")]
    NoParent {
        /// The child.
        path: String,
    },
    /// The first node is not the root, or there is none.
    #[error("the snapshot does not begin with the root node")]
    NoRoot,
    /// The same path twice.
    #[error("node {path} stands twice in the snapshot")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// An owner that says a feature this release does not know.
    #[error("node {path} uses the extended feature {feature}, which is not known")]
    UnknownFeature {
        /// The node.
        path: String,
        /// Number of the feature.
        feature: i64,
    },
}

/// A tree in the making. Lists come first, then nodes, parents before children.
pub struct TreeLoader {
    options: TreeOptions,
    lists: HashMap<i64, AclList>,
    numbers: HashMap<i64, i32>,
    tree: Option<DataTree>,
    /// Parent of the node added last: siblings often follow each other.
    parent: (String, NodeIdx),
}

impl TreeLoader {
    /// Begins with nothing.
    pub fn new(options: TreeOptions) -> Self {
        Self {
            options,
            lists: HashMap::default(),
            numbers: HashMap::default(),
            tree: None,
            parent: (String::new(), NodeIdx::ROOT),
        }
    }

    /// Adds a list under its number in the snapshot.
    pub fn acl(&mut self, number: i64, acl: &[Acl<'_>]) {
        self.lists.insert(number, acl.iter().map(AclEntry::from).collect());
    }

    /// Adds a node.
    pub fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_number: i64,
        stat: &StatPersisted,
    ) -> Result<(), LoadError> {
        let Some(tree) = &mut self.tree else {
            if !path.is_empty() {
                return Err(LoadError::NoRoot);
            }
            let tree = DataTree::with_root_only(self.options, data, OPEN_ACL, stat.clone());
            let tree = self.tree.insert(tree);
            let acl = number_of(tree, &self.lists, &mut self.numbers, acl_number);
            tree.nodes.get_mut(NodeIdx::ROOT).acl = acl;
            return Ok(());
        };
        let Some((parent_path, _)) = path.rsplit_once('/') else {
            return Err(LoadError::Duplicate { path: path.to_owned() });
        };
        if let Err(feature) = self.options.ephemeral_rules.classify(stat.ephemeral_owner) {
            return Err(LoadError::UnknownFeature { path: path.to_owned(), feature });
        }
        if self.parent.0 != parent_path {
            // "/" is the root for clients only: here the root's path is empty.
            let idx = tree.lookup(parent_path).filter(|_| parent_path != "/");
            let idx = idx.ok_or_else(|| LoadError::NoParent { path: path.to_owned() })?;
            self.parent = (parent_path.to_owned(), idx);
        }
        if tree.contains(path) {
            return Err(LoadError::Duplicate { path: path.to_owned() });
        }
        let acl = number_of(tree, &self.lists, &mut self.numbers, acl_number);
        tree.insert_node(self.parent.1, path, data, acl, stat.clone());
        Ok(())
    }

    /// The tree, which has seen everything up to `zxid`. `digest` is what the snapshot says of
    /// itself: it was taken while writes went on, so the digest holds once replay reaches its zxid.
    /// Without it, whoever replays says when that is over ([`DataTree::set_whole`]).
    pub fn finish(self, zxid: Zxid, digest: Option<ZxidDigest>) -> Result<DataTree, LoadError> {
        let mut tree = self.tree.ok_or(LoadError::NoRoot)?;
        tree.last_processed = zxid;
        tree.digest_of_snapshot =
            digest.filter(|digest| digest.zxid > Zxid::ZERO && digest.zxid >= zxid);
        tree.is_whole = false;
        if tree.digest_of_snapshot.is_some_and(|digest| digest.zxid == zxid) {
            tree.is_whole = true;
            let expected = tree.digest_of_snapshot.take();
            tree.digest_mismatches +=
                u64::from(expected.is_some_and(|expected| expected.digest != tree.digest));
            tree.log_digest(zxid);
        }
        tree.load_quotas();
        Ok(tree)
    }
}

/// Our number of a list the snapshot calls `acl_number`, for one more node.
fn number_of(
    tree: &mut DataTree,
    lists: &HashMap<i64, AclList>,
    numbers: &mut HashMap<i64, i32>,
    acl_number: i64,
) -> i32 {
    if acl_number == i64::from(OPEN_ACL) {
        return OPEN_ACL;
    }
    if let Some(&number) = numbers.get(&acl_number) {
        tree.acls.add_user(number);
        return number;
    }
    // A node written late may use a list the snapshot does not hold; replay sets it. Until then
    // nobody may do anything with the node: an empty list would let everyone.
    let list = lists.get(&acl_number).cloned().unwrap_or_else(|| {
        let nobody = AclEntry { perms: 0, scheme: "world".into(), id: "anyone".into() };
        Arc::new([nobody])
    });
    let number = tree.acls.add_list(list);
    numbers.insert(acl_number, number);
    number
}
