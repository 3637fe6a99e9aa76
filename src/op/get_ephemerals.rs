//! getEphemerals.

use bytes::BytesMut;
use jute::{Field, GetEphemeralsRequest, GetEphemeralsResponse};

use super::Read;

/// The session's ephemeral nodes whose path starts with the prefix, which is compared as text.
pub fn read(read: &Read<'_>, request: &GetEphemeralsRequest<'_>, out: &mut BytesMut) {
    let prefix = request.prefix_path.as_deref().unwrap_or_default();
    let all = matches!(prefix.trim_matches(|c| c <= ' '), "" | "/");
    let mut paths = read.tree.ephemerals(read.session);
    paths.retain(|path| all || path.starts_with(prefix));
    let ephemerals = paths.into_iter().map(Into::into).collect();
    GetEphemeralsResponse { ephemerals }.write(out);
}
