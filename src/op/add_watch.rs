//! addWatch.

use bytes::BytesMut;
use jute::{AddWatchRequest, ErrorResponse, Field};

use super::Read;
use crate::proto::{AddWatchMode, ErrorCode};

/// Leaves a persistent watch; neither the node nor a permission is asked for.
pub fn read(
    read: &Read<'_>,
    request: &AddWatchRequest<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    let mode = AddWatchMode::from_code(request.mode).ok_or(ErrorCode::MarshallingError)?;
    read.watches.add(&request.path, read.cnxn, mode);
    ErrorResponse { err: 0 }.write(out);
    Ok(())
}
