//! getData.

use bytes::BytesMut;
use jute::{Field, GetDataRequest, GetDataResponse};

use super::Read;
use crate::proto::ErrorCode;

/// Data and status of a node; a watch is left only if it is there.
pub fn read(
    read: &Read<'_>,
    request: &GetDataRequest<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    let node = read.readable(&request.path)?;
    if request.watch {
        read.watches.add_data(&request.path, read.cnxn);
    }
    read.count(&request.path, node.data().map_or(0, <[u8]>::len));
    GetDataResponse { data: node.data(), stat: node.stat() }.write(out);
    Ok(())
}
