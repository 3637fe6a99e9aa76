//! exists.

use bytes::BytesMut;
use jute::{ExistsRequest, ExistsResponse, Field};

use super::Read;
use crate::proto::{ErrorCode, Perms};

/// Status of a node. The watch is left even where there is none, and then waits for its creation.
pub fn read(
    read: &Read<'_>,
    request: &ExistsRequest<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    let path = &*request.path;
    if path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    let node = read.tree.node(path);
    if let Some(node) = node {
        read.check_acl(node.acl(), Perms::READ)?;
    }
    if request.watch {
        read.watches.add_data(path, read.cnxn);
    }
    let stat = node.ok_or(ErrorCode::NoNode)?.stat();
    read.count(path, 0);
    ExistsResponse { stat }.write(out);
    Ok(())
}
