//! What the preparation of a write may see and change.

use jute::{Acl, Field};

use crate::auth::{AclEntry, Identity, ProviderRegistry};
use crate::proto::{ErrorCode, Millis, Perms, SessionId, Zxid};
use crate::session::{LeaderSessionTracker, Owner};
use crate::stats::ServerMetrics;
use crate::tree::{AclList, ChangeRecord, DataTree, EphemeralRules, OutstandingChanges};

/// Settings that decide whether a write is accepted.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrepLimits {
    /// `zookeeper.enforceQuota`.
    pub enforce_quota: bool,
    /// `reconfigEnabled`.
    pub reconfig_enabled: bool,
    /// `zookeeper.closeSessionTxn.enabled`, inverted: the list of deleted paths is left out of
    /// closeSession.
    pub close_session_without_paths: bool,
}

/// One write on its way to become the transaction `zxid`.
pub struct Prep<'a> {
    /// The tree as applied so far.
    pub tree: &'a DataTree,
    /// What is prepared and not yet applied.
    pub changes: &'a mut OutstandingChanges,
    /// Sessions, to refuse requests of one that is gone.
    pub sessions: &'a mut LeaderSessionTracker,
    /// Schemes and permissions.
    pub auth: &'a ProviderRegistry,
    /// Where refusals are counted.
    pub metrics: &'a ServerMetrics,
    /// Settings.
    pub limits: PrepLimits,
    /// The session that asks.
    pub session: SessionId,
    /// Which server its client is connected to.
    pub owner: Owner,
    /// Who its connection is.
    pub identities: &'a [Identity],
    /// The transaction's zxid.
    pub zxid: Zxid,
    /// The transaction's time, in milliseconds since 1970.
    pub time: Millis,
}

impl Prep<'_> {
    /// How owners of short-lived nodes are told apart.
    pub(super) fn ephemeral_rules(&self) -> EphemeralRules {
        self.tree.options().ephemeral_rules
    }

    /// The session must be there, not closing, and the asking server's (`checkSession`).
    pub(super) fn check_session(&mut self) -> Result<(), ErrorCode> {
        self.sessions.check_session(self.session, self.owner)
    }

    /// The session must be one that may own an ephemeral node, too (`checkGlobalSession`). One that
    /// is still local was not upgraded, as that is off.
    pub(super) fn check_global_session(&mut self) -> Result<(), ErrorCode> {
        if self.sessions.is_local(self.session) {
            return Err(ErrorCode::EphemeralOnLocalSession);
        }
        self.sessions.global.check_global_session(self.session, self.owner)
    }

    /// The node as all earlier requests will leave it (`getRecordForPath`).
    pub(super) fn record(&self, path: &str) -> Result<ChangeRecord, ErrorCode> {
        self.changes.record(self.tree, path).ok_or(ErrorCode::NoNode)
    }

    /// This transaction makes the node so, or deletes it.
    pub(super) fn put(&mut self, path: &str, record: Option<ChangeRecord>) {
        self.changes.put(self.tree, self.zxid, path, record);
    }

    /// One of `perms` must be granted by `acl`.
    pub(super) fn check_acl(&self, acl: &[AclEntry], perms: Perms) -> Result<(), ErrorCode> {
        if self.auth.check_acl(acl, perms, self.identities) {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    /// The list as it will be stored, or why it cannot be.
    pub(super) fn fixup_acl(&self, acl: &[Acl<'_>]) -> Result<AclList, ErrorCode> {
        self.auth.fixup_acl(acl, self.identities).map(Into::into)
    }

    /// Refuses what a hard quota above `path` forbids (`ZooKeeperServer.checkQuota`).
    pub(super) fn check_quota(
        &self,
        path: &str,
        bytes_diff: i64,
        count_diff: i64,
    ) -> Result<(), ErrorCode> {
        if !self.limits.enforce_quota {
            return Ok(());
        }
        match self.tree.exceeds_quota(path, bytes_diff, count_diff) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.metrics.quota_exceeded(path);
                Err(ErrorCode::QuotaExceeded)
            }
            Err(_) => Err(ErrorCode::MarshallingError),
        }
    }
}

/// The version after this change, if it is at the expected one (`checkAndIncVersion`).
pub(super) fn check_and_inc_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BadVersion);
    }
    Ok(current.wrapping_add(1))
}

/// The parent of a path that is only known to be text (`validatePathForCreate`).
pub(super) fn parent_of(path: &str) -> Result<&str, ErrorCode> {
    match path.rfind('/') {
        Some(slash) if !path.contains('\0') => Ok(&path[..slash]),
        _ => Err(ErrorCode::BadArguments),
    }
}

/// The same for a node to be deleted, which may not be one of the tree's own
/// (`getParentPathAndValidate`).
pub(super) fn parent_of_deletable(path: &str) -> Result<&str, ErrorCode> {
    if matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | "/zookeeper/config") {
        return Err(ErrorCode::BadArguments);
    }
    parent_of(path)
}

/// A path that may be a node's (`PathUtils.validatePath`).
pub(super) fn validate_path(path: &str) -> Result<(), ErrorCode> {
    crate::proto::path::validate_path(path).map_err(|_| ErrorCode::BadArguments)
}

/// A list in its stored form, as a transaction holds it.
pub(super) fn acl_records(list: &[AclEntry]) -> Vec<Acl<'_>> {
    list.iter().map(Acl::from).collect()
}

/// Writes a transaction's record.
pub(super) fn write_txn<'a>(out: &mut Vec<u8>, txn: &impl Field<'a>) {
    txn.write(out);
}
