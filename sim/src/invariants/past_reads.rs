//! A session never sees the past: the zxid of an answer is not below one it has seen before, on
//! whichever server ("a single system image: a client will see the same view of the service
//! regardless of the server that it connects to", the programmer's guide), nor below its own
//! writes.

use crate::client::Client;
use crate::oracle::Answer;
use crate::violation::{Verdict, require};

/// A client is answered.
pub fn check(client: &Client, answer: &Answer<'_>) -> Verdict {
    let (index, seen) = (client.index, client.seen.max(client.last_write));
    require(answer.zxid >= seen, "past_reads", || {
        format!("client {index} is answered as of 0x{} after 0x{seen}", answer.zxid)
    })
}
