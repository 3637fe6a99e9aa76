//! sync.

use bytes::BytesMut;
use jute::{Field, SyncRequest, SyncResponse};

/// Answers with the path, once all that was committed before has been applied here.
pub fn read(request: SyncRequest<'_>, out: &mut BytesMut) {
    SyncResponse { path: request.path }.write(out);
}
