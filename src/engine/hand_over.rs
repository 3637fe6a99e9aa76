//! A leader that ends on purpose: when the server is told to stop, or when its epoch runs out of
//! numbers. It prepares nothing more, waits until everything it has prepared is committed and
//! answered, and only then lets go of its learners, which elect the best of them.
//!
//! 1. Nothing is in doubt: what was prepared is committed and answered, what came later was never
//!    prepared.
//! 2. There is no second leader: the epoch goes on until the connections to the learners end, and
//!    the next one begins as after any election, with the promises of a quorum.
//!
//! No packet of its own is needed, so that Apache's servers take part.

use crate::proto::Millis;

/// How long what is outstanding is waited for, in milliseconds. Who waits longer has lost its
/// quorum.
const HAND_OVER_MS_MAX: Millis = 2_000;

/// The end of a leadership, from when it is decided on.
pub(super) struct HandOver {
    /// Why.
    pub reason: &'static str,
    /// When it ends even if something is outstanding.
    pub ends_at: Millis,
}

impl HandOver {
    pub(super) fn new(reason: &'static str, now: Millis) -> Self {
        Self { reason, ends_at: now + HAND_OVER_MS_MAX }
    }
}
