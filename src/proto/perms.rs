//! Permission bits of an ACL (`ZooDefs.Perms`).

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Perms(pub i32);

impl Perms {
    /// Read data, status, children and the ACL.
    pub const READ: Perms = Perms(1);
    /// Change data.
    pub const WRITE: Perms = Perms(2);
    /// Create children.
    pub const CREATE: Perms = Perms(4);
    /// Delete children.
    pub const DELETE: Perms = Perms(8);
    /// Change the ACL.
    pub const ADMIN: Perms = Perms(16);
    /// All of them.
    pub const ALL: Perms = Perms(31);

    /// Both sets together.
    pub const fn or(self, other: Perms) -> Perms {
        Perms(self.0 | other.0)
    }

    /// Whether any of `other` is in it.
    pub const fn intersects(self, other: Perms) -> bool {
        self.0 & other.0 != 0
    }
}
