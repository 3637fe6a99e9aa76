//! getAllChildrenNumber.

use bytes::BytesMut;
use jute::{Field, GetAllChildrenNumberRequest, GetAllChildrenNumberResponse};

use super::Read;
use crate::proto::ErrorCode;

/// Counts all descendants of a node.
pub fn read(
    read: &Read<'_>,
    request: &GetAllChildrenNumberRequest<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    read.readable(&request.path)?;
    let total_number = read.tree.all_children_number(&request.path) as i32;
    GetAllChildrenNumberResponse { total_number }.write(out);
    Ok(())
}
