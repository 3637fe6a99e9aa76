//! delete.

use jute::{DeleteRequest, DeleteTxn};

use super::prep::{Prep, check_and_inc_version, parent_of_deletable, write_txn};
use crate::proto::{ErrorCode, Perms};

/// Prepares a deletion: DELETE is asked of the parent, nothing of the node itself.
pub fn prep(
    prep: &mut Prep<'_>,
    request: &DeleteRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    prep.check_session()?;
    let path = &*request.path;
    let parent_path = parent_of_deletable(path)?;
    let parent = prep.record(parent_path)?;
    prep.check_acl(&parent.acl, Perms::DELETE)?;
    let node = prep.record(path)?;
    check_and_inc_version(node.stat.version, request.version)?;
    if node.child_count > 0 {
        return Err(ErrorCode::NotEmpty);
    }
    put_deletion(prep, path, parent_path);
    write_txn(out, &DeleteTxn { path: path.into() });
    Ok(())
}

/// Records that the node will be gone.
pub(super) fn put_deletion(prep: &mut Prep<'_>, path: &str, parent_path: &str) {
    if let Ok(mut parent) = prep.record(parent_path) {
        parent.child_count = parent.child_count.saturating_sub(1);
        parent.stat.pzxid = prep.zxid.0;
        prep.put(parent_path, Some(parent));
    }
    prep.put(path, None);
}
