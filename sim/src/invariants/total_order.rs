//! Transactions are delivered in one order, that of their zxids, and none is missing within an
//! epoch (total order of the Zab paper, TotalOrder of the TLA+ specification; ZOOKEEPER-4925).

use gamekeeper::proto::Zxid;

use crate::violation::{Verdict, require};

/// `zxid` is delivered after `last`.
pub fn check(server: usize, last: Zxid, zxid: Zxid) -> Verdict {
    require(zxid.may_follow(last), "total_order", || {
        format!("server {server} delivers 0x{zxid} after 0x{last}")
    })
}
