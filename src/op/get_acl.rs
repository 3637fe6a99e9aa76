//! getACL.

use bytes::BytesMut;
use jute::{Acl, Field, GetAclRequest, GetAclResponse};

use super::Read;
use crate::proto::{ErrorCode, Perms};

/// A node's list and status, for who may read or administer it; to who may not administer it,
/// digests of passwords are not shown.
pub fn read(
    read: &Read<'_>,
    request: &GetAclRequest<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    let node = read.granting(&request.path, Perms::READ.or(Perms::ADMIN))?;
    let visible = read.auth.visible_acl(node.acl(), read.identities);
    let acl = visible.iter().map(Acl::from).collect();
    GetAclResponse { acl, stat: node.stat() }.write(out);
    Ok(())
}
