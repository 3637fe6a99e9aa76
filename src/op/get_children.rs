//! getChildren and getChildren2.

use bytes::{BufMut, BytesMut};
use jute::{Field, GetChildren2Request, GetChildrenRequest, Ustring};

use super::Read;
use crate::proto::ErrorCode;
use crate::tree::NodeView;

/// Names of a node's children.
pub fn read(
    read: &Read<'_>,
    request: &GetChildrenRequest<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    children(read, &request.path, request.watch, out).map(|_| ())
}

/// Names of a node's children, and its status.
pub fn read2(
    read: &Read<'_>,
    request: &GetChildren2Request<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    children(read, &request.path, request.watch, out)?.stat().write(out);
    Ok(())
}

/// Writes the vector of names, as `GetChildrenResponse` holds it.
fn children<'a>(
    read: &Read<'a>,
    path: &str,
    watch: bool,
    out: &mut BytesMut,
) -> Result<NodeView<'a>, ErrorCode> {
    let node = read.readable(path)?;
    if watch {
        read.watches.add_child(path, read.cnxn);
    }
    out.put_i32(node.child_count() as i32);
    let mut bytes = 0;
    for name in node.children() {
        bytes += name.len();
        Ustring::from(name).write(out);
    }
    read.count(path, bytes);
    Ok(node)
}
