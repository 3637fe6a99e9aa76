//! checkWatches and removeWatches.

use jute::{CheckWatchesRequest, RemoveWatchesRequest};

use super::Read;
use crate::proto::{ErrorCode, WatcherType};

/// Whether the connection has such a watch.
pub fn check(read: &Read<'_>, request: &CheckWatchesRequest<'_>) -> Result<(), ErrorCode> {
    let kind = WatcherType::from_code(request.kind).ok_or(ErrorCode::MarshallingError)?;
    let path = request.path.as_ref();
    found(path.is_some_and(|path| read.watches.contains(path, read.cnxn, kind)))
}

/// Removes such watches of the connection.
pub fn remove(read: &Read<'_>, request: &RemoveWatchesRequest<'_>) -> Result<(), ErrorCode> {
    let kind = WatcherType::from_code(request.kind).ok_or(ErrorCode::MarshallingError)?;
    let path = request.path.as_ref();
    found(path.is_some_and(|path| read.watches.remove(path, read.cnxn, kind)))
}

fn found(found: bool) -> Result<(), ErrorCode> {
    if found { Ok(()) } else { Err(ErrorCode::NoWatcher) }
}
