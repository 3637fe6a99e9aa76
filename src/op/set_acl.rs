//! setACL.

use bytes::BytesMut;
use jute::{Field, SetAclRequest, SetAclResponse, SetAclTxn, Stat};

use super::prep::{Prep, acl_records, check_and_inc_version, validate_path, write_txn};
use crate::proto::{ErrorCode, Perms};

/// Prepares a new access control list for a node; the expected version is that of the list.
pub fn prep(
    prep: &mut Prep<'_>,
    request: &SetAclRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    prep.check_session()?;
    let path = &*request.path;
    validate_path(path)?;
    let acl = prep.fixup_acl(&request.acl)?;
    let mut node = prep.record(path)?;
    prep.check_acl(&node.acl, Perms::ADMIN)?;
    let version = check_and_inc_version(node.stat.aversion, request.version)?;
    node.stat.aversion = version;
    node.acl = acl.clone();
    prep.put(path, Some(node));
    write_txn(out, &SetAclTxn { path: path.into(), acl: acl_records(&acl), version });
    Ok(())
}

/// Answers with the new status.
pub fn reply(stat: &Stat, out: &mut BytesMut) {
    SetAclResponse { stat: stat.clone() }.write(out);
}
