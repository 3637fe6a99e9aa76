//! deleteContainer: asked by the server's own `ContainerManager`, for containers and TTL nodes.

use jute::DeleteTxn;

use super::delete::put_deletion;
use super::prep::{Prep, parent_of_deletable, write_txn};
use crate::proto::ErrorCode;

/// Prepares a deletion that asks for no permission, only that the node is as the manager saw it.
pub fn prep(prep: &mut Prep<'_>, path: &str, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
    let parent_path = parent_of_deletable(path)?;
    let node = prep.record(path)?;
    if node.child_count > 0 {
        return Err(ErrorCode::NotEmpty);
    }
    if prep.ephemeral_rules().is_ephemeral(node.stat.ephemeral_owner) {
        return Err(ErrorCode::BadVersion);
    }
    prep.record(parent_path)?;
    put_deletion(prep, path, parent_path);
    write_txn(out, &DeleteTxn { path: path.into() });
    Ok(())
}
