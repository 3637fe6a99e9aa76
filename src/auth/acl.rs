//! Access control lists as they are stored (`ACL`).

use jute::{Acl, Id};

use super::digest;
use crate::proto::Perms;

/// One entry of the list of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// Permission bits as the client gave them, unknown ones included.
    pub perms: i32,
    /// Authentication scheme of those they are granted to.
    pub scheme: Box<str>,
    /// Their id, in the scheme's own form.
    pub id: Box<str>,
}

impl AclEntry {
    /// Everything to everyone (`ZooDefs.Ids.OPEN_ACL_UNSAFE`).
    pub fn open() -> Self {
        Self { perms: Perms::ALL.0, scheme: "world".into(), id: "anyone".into() }
    }

    /// Whether it grants any of `perms`.
    pub(super) fn grants(&self, perms: Perms) -> bool {
        Perms(self.perms).intersects(perms)
    }

    /// Whether it is for everyone.
    pub(super) fn is_for_anyone(&self) -> bool {
        is_anyone(&self.scheme, &self.id)
    }

    /// As those see it who may not administer the node.
    pub(super) fn masked(&self) -> Self {
        if &*self.scheme != digest::SCHEME {
            return self.clone();
        }
        Self { id: digest::mask(&self.id).into(), ..self.clone() }
    }
}

pub(super) fn is_anyone(scheme: &str, id: &str) -> bool {
    scheme == "world" && id == "anyone"
}

impl From<&Acl<'_>> for AclEntry {
    fn from(acl: &Acl<'_>) -> Self {
        Self { perms: acl.perms, scheme: (*acl.id.scheme).into(), id: (*acl.id.id).into() }
    }
}

impl<'a> From<&'a AclEntry> for Acl<'a> {
    fn from(entry: &'a AclEntry) -> Self {
        let id = Id { scheme: (&*entry.scheme).into(), id: (&*entry.id).into() };
        Self { perms: entry.perms, id }
    }
}
