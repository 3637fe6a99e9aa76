//! whoAmI.

use bytes::BytesMut;
use jute::{Field, WhoAmIResponse};

use super::Read;

/// The identities of the connection, as their schemes name them.
pub fn read(read: &Read<'_>, out: &mut BytesMut) {
    WhoAmIResponse { client_info: read.auth.client_infos(read.identities) }.write(out);
}
