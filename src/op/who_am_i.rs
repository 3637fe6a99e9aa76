//! whoAmI.

use bytes::BytesMut;
use jute::{ClientInfo, Field, WhoAmIResponse};

use super::Read;

/// The identities of the connection, as their schemes name them.
pub fn read(read: &Read<'_>, out: &mut BytesMut) {
    let client_info = read.identities.iter().map(|identity| ClientInfo {
        auth_scheme: (&*identity.scheme).into(),
        user: read.auth.user_name(identity).unwrap_or_default().into(),
    });
    WhoAmIResponse { client_info: client_info.collect() }.write(out);
}
