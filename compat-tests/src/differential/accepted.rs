//! The differences that are meant, each with its reason; `docs/COMPAT.md` tells users the same.

use super::compare::Difference;

/// A difference that is meant.
pub struct Accepted {
    /// Why it is.
    pub reason: &'static str,
    /// Whether this is one of its kind.
    pub matches: fn(&Difference) -> bool,
}

/// All of them.
pub const ACCEPTED: &[Accepted] = &[];
