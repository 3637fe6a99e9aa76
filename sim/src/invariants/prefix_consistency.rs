//! What a server has delivered is a beginning of what others have (PrefixConsistency of the TLA+
//! specification).

use gamekeeper::proto::Zxid;

use crate::reference::Reference;
use crate::violation::{Verdict, require};

/// A server that serves has applied everything up to `last`.
pub fn check(server: usize, last: Zxid, reference: &Reference) -> Verdict {
    require(reference.has(last), "prefix_consistency", || {
        format!(
            "server {server} has applied up to 0x{last}, which is not part of what was delivered, \
             up to 0x{}",
            reference.last()
        )
    })
}
