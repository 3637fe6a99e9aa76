//! What `ephemeralOwner` of a stored status means (`EphemeralType`, `EphemeralTypeEmulate353`).
//!
//! | stored value | meaning |
//! |---|---|
//! | 0 | an ordinary node |
//! | `0x8000000000000000` | a container |
//! | `0xff`, two bytes 0, 40 bits of milliseconds | a TTL node, if extended types are on |
//! | the high bit, milliseconds (40 bits of them count) | one of 3.5.3, if that is emulated |
//! | anything else | the session of an ephemeral node |

use crate::proto::{Millis, SessionId};

/// `ephemeralOwner` of a container.
pub const CONTAINER_OWNER: i64 = i64::MIN;

/// The longest time a TTL node can be given, in milliseconds: 40 bits, about 34 years.
pub const TTL_MS_MAX: i64 = 0xff_ffff_ffff;

const EXTENDED_MASK: i64 = 0xff00_0000_0000_0000_u64 as i64;
const FEATURE_MASK: i64 = 0x00ff_ff00_0000_0000;

/// The kind of a node, as far as its life is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EphemeralType {
    /// It stays until it is deleted.
    Void,
    /// It goes with its session.
    Normal(SessionId),
    /// It goes after its last child.
    Container,
    /// It goes when it had no children and no change for this long.
    Ttl(Millis),
}

/// Which encodings this server honours; it must be the same on every server of an ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EphemeralRules {
    /// `zookeeper.extendedTypesEnabled`.
    pub extended_types: bool,
    /// `zookeeper.emulate353TTLNodes`.
    pub emulate_353: bool,
}

impl EphemeralRules {
    /// What this owner means; an extended feature nobody has defined yet is an error with its
    /// number.
    pub fn classify(self, owner: i64) -> Result<EphemeralType, i64> {
        if self.extended_types {
            if self.emulate_353 && owner < 0 && owner != CONTAINER_OWNER {
                return Ok(EphemeralType::Ttl(owner & TTL_MS_MAX));
            }
            if owner & EXTENDED_MASK == EXTENDED_MASK {
                return match (owner & FEATURE_MASK) >> 40 {
                    0 => Ok(EphemeralType::Ttl(owner & TTL_MS_MAX)),
                    feature => Err(feature),
                };
            }
        }
        Ok(match owner {
            CONTAINER_OWNER => EphemeralType::Container,
            0 => EphemeralType::Void,
            session => EphemeralType::Normal(SessionId(session)),
        })
    }

    /// Whether the node belongs to a session and so can have no children.
    pub fn is_ephemeral(self, owner: i64) -> bool {
        matches!(self.classify(owner), Ok(EphemeralType::Normal(_)))
    }

    /// The owner clients are shown: containers and TTL nodes hide theirs.
    pub fn shown_owner(self, owner: i64) -> i64 {
        if self.is_ephemeral(owner) { owner } else { 0 }
    }
}

/// `ephemeralOwner` of a node that lives `ttl_ms`; none if that is not 1 to [`TTL_MS_MAX`].
pub fn ttl_owner(ttl_ms: i64) -> Option<i64> {
    (1..=TTL_MS_MAX).contains(&ttl_ms).then_some(EXTENDED_MASK | ttl_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_mean_what_they_mean_in_zookeeper() {
        let off = EphemeralRules::default();
        let on = EphemeralRules { extended_types: true, emulate_353: false };
        let old = EphemeralRules { extended_types: true, emulate_353: true };
        let ttl = ttl_owner(5000).unwrap();
        assert_eq!(ttl, 0xff00_0000_0000_1388_u64 as i64);
        for rules in [off, on, old] {
            assert_eq!(rules.classify(0), Ok(EphemeralType::Void));
            assert_eq!(rules.classify(CONTAINER_OWNER), Ok(EphemeralType::Container));
            assert_eq!(rules.classify(7), Ok(EphemeralType::Normal(SessionId(7))));
        }
        assert_eq!(on.classify(ttl), Ok(EphemeralType::Ttl(5000)));
        assert_eq!(off.classify(ttl), Ok(EphemeralType::Normal(SessionId(ttl))));
        assert_eq!(on.classify(0xff00_0100_0000_0001_u64 as i64), Err(1));
        let of_353 = (1_i64 << 63) | 9000;
        assert_eq!(old.classify(of_353), Ok(EphemeralType::Ttl(9000)));
        assert_eq!(on.shown_owner(ttl), 0);
        assert_eq!(on.shown_owner(7), 7);
    }

    #[test]
    fn a_ttl_has_limits() {
        assert_eq!(ttl_owner(0), None);
        assert_eq!(ttl_owner(-1), None);
        assert_eq!(ttl_owner(TTL_MS_MAX + 1), None);
        assert!(ttl_owner(TTL_MS_MAX).is_some());
    }
}
