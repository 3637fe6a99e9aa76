//! check: part of a multi, it fails unless a node is at the expected version.

use jute::{CheckVersionRequest, CheckVersionTxn};

use super::prep::{Prep, check_and_inc_version, validate_path, write_txn};
use crate::proto::{ErrorCode, Perms};

/// Prepares the check; the transaction holds the version plus one.
pub fn prep(
    prep: &mut Prep<'_>,
    request: &CheckVersionRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    prep.check_session()?;
    let path = &*request.path;
    validate_path(path)?;
    let node = prep.record(path)?;
    prep.check_acl(&node.acl, Perms::READ)?;
    let version = check_and_inc_version(node.stat.version, request.version)?;
    write_txn(out, &CheckVersionTxn { path: path.into(), version });
    Ok(())
}
