//! What a read may see.

use crate::auth::{AclEntry, Identity, ProviderRegistry};
use crate::proto::{ErrorCode, Perms, SessionId};
use crate::session::CnxnId;
use crate::stats::TrafficRun;
use crate::tree::{DataTree, NodeView};
use crate::watch::Watches;

/// One read, running under the shared lock on the tree. A watch it leaves is registered before the
/// lock is released, so that no change falls between the two.
pub struct Read<'a> {
    /// The tree.
    pub tree: &'a DataTree,
    /// Where watches are left.
    pub watches: &'a Watches,
    /// Schemes and permissions.
    pub auth: &'a ProviderRegistry,
    /// The connection that asks, to which its watches belong.
    pub cnxn: CnxnId,
    /// Its session.
    pub session: SessionId,
    /// Who it is.
    pub identities: &'a [Identity],
    /// Where what is read is counted.
    pub traffic: &'a TrafficRun<'a>,
}

/// What a status counts for (`DataTree.STAT_OVERHEAD_BYTES`).
const STAT_BYTES: usize = 68;

impl<'a> Read<'a> {
    /// The node, if it is there and may be read.
    pub(super) fn readable(&self, path: &str) -> Result<NodeView<'a>, ErrorCode> {
        self.granting(path, Perms::READ)
    }

    /// The node, if it is there and its list grants one of `perms`.
    pub(super) fn granting(&self, path: &str, perms: Perms) -> Result<NodeView<'a>, ErrorCode> {
        let node = self.tree.node(path).ok_or(ErrorCode::NoNode)?;
        self.check_acl(node.acl(), perms)?;
        Ok(node)
    }

    /// The status of a node was read, and so many bytes (`DataTree.updateReadStat`).
    pub(super) fn count(&self, path: &str, bytes: usize) {
        self.traffic.add(path, path.len() + bytes + STAT_BYTES);
    }

    /// One of `perms` must be granted by `acl`.
    pub(super) fn check_acl(&self, acl: &[AclEntry], perms: Perms) -> Result<(), ErrorCode> {
        if self.auth.check_acl(acl, perms, self.identities) {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }
}
