//! What an earlier primary broadcast is delivered before what a later one did (global primary order
//! of the Zab paper, GlobalPrimaryOrder of the TLA+ specification).

use gamekeeper::proto::Zxid;

use crate::violation::{Verdict, require};

/// `zxid` is delivered after `last`.
pub fn check(server: usize, last: Zxid, zxid: Zxid) -> Verdict {
    require(zxid.epoch() >= last.epoch(), "global_primary_order", || {
        format!("server {server} delivers 0x{zxid} after 0x{last} of a later primary")
    })
}
