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

use std::sync::Arc;

use crate::processor::ClientRequest;
use crate::proto::Millis;
use crate::session::{Arrival, ClientCnxn};

/// How long what is outstanding is waited for, in milliseconds. Who waits longer has lost its
/// quorum.
const HAND_OVER_MS_MAX: Millis = 2_000;

/// The end of a leadership, from when it is decided on.
pub(super) struct HandOver {
    /// Why.
    pub reason: &'static str,
    /// When it ends even if something is outstanding.
    pub ends_at: Millis,
    /// Requests of this server's clients that came too late.
    held: Vec<(Arc<ClientCnxn>, Arrival)>,
}

impl HandOver {
    pub(super) fn new(reason: &'static str, now: Millis) -> Self {
        Self { reason, ends_at: now + HAND_OVER_MS_MAX, held: Vec::new() }
    }

    /// A request is not prepared any more. Its connection stays until what came before is answered.
    pub(super) fn hold(&mut self, request: ClientRequest) {
        let cnxn = request.cnxn.expect("the leader itself asks for nothing any more");
        self.held.push((cnxn, request.arrival));
    }

    /// The requests that will not be answered.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = (Arc<ClientCnxn>, Arrival)> {
        self.held.drain(..)
    }
}
