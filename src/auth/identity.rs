//! Who a connection is (`Id`, and `ServerCnxn`'s set of them).

use std::sync::Arc;

use crate::proto::java;

/// The most identities a connection may collect. Apache has no limit; this one bounds the memory
/// that auth packets can take.
pub const IDENTITIES_MAX: usize = 1024;

/// The scheme of identities that may do everything.
pub(super) const SUPER: &str = "super";

/// An authentication scheme and an id in its terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Such as `digest`.
    pub scheme: Box<str>,
    /// Such as `user:base64`.
    pub id: Box<str>,
}

impl Identity {
    /// An identity of its own.
    pub fn new(scheme: &str, id: &str) -> Self {
        Self { scheme: scheme.into(), id: id.into() }
    }

    /// `Id.hashCode`, as `ConcurrentHashMap` spreads it.
    fn java_hash(&self) -> u32 {
        let hash = (17 * 37i32)
            .wrapping_add(java::hash_code(&self.scheme))
            .wrapping_mul(37)
            .wrapping_add(java::hash_code(&self.id)) as u32;
        (hash ^ hash >> 16) & 0x7fff_ffff
    }
}

/// Adds an identity that is not among them yet. False if there are [`IDENTITIES_MAX`] already.
///
/// The order shows: whoAmI lists identities, and an ACL of scheme `auth` stores one entry for each.
/// Apache keeps them in a hash set, so they are kept in its order here: by bin of a table that
/// doubles when three quarters full.
pub(super) fn add_identity(identities: &mut Arc<[Identity]>, identity: Identity) -> bool {
    if identities.contains(&identity) {
        return true;
    }
    if identities.len() >= IDENTITIES_MAX {
        return false;
    }
    let mut all: Vec<_> = identities.iter().cloned().chain([identity]).collect();
    let mut bins = 16;
    while all.len() >= bins / 4 * 3 {
        bins *= 2;
    }
    all.sort_by_key(|identity| identity.java_hash() as usize & (bins - 1));
    *identities = all.into();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(users: usize) -> String {
        let mut identities: Arc<[Identity]> = Arc::new([]);
        assert!(add_identity(&mut identities, Identity::new("ip", "127.0.0.1")));
        assert!(add_identity(&mut identities, Identity::new("super", "")));
        for i in 0..users {
            let id = format!("user{i}:hash");
            assert!(add_identity(&mut identities, Identity::new("digest", &id)));
        }
        identities.iter().map(|identity| identity.id.replace(":hash", "") + " ").collect()
    }

    /// What Java's `ConcurrentHashMap` of Apache's `Id` gave.
    #[test]
    fn identities_stand_in_javas_order() {
        assert_eq!(order(6), "user4 user1 user3  user0 user5 127.0.0.1 user2 ");
        assert_eq!(
            order(10),
            "user9 user3 127.0.0.1 user6 user4 user1 user7  user8 user0 user5 user2 "
        );
    }

    #[test]
    fn an_identity_is_there_once_and_their_number_is_bounded() {
        let mut identities: Arc<[Identity]> = Arc::new([]);
        for i in 0..IDENTITIES_MAX {
            assert!(add_identity(&mut identities, Identity::new("digest", &i.to_string())));
        }
        assert!(add_identity(&mut identities, Identity::new("digest", "0")));
        assert!(!add_identity(&mut identities, Identity::new("digest", "one more")));
        assert_eq!(identities.len(), IDENTITIES_MAX);
    }
}
