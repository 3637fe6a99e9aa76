//! A server without a leader may serve reads of the past, and carries out no write (read-only mode
//! of the administrator's guide): what it answers is what the tree was at the zxid in the answer.
//! Where that was never delivered there is nothing to hold it against: who starts has in its tree
//! what is in its log, committed or not.

use gamekeeper::proto::{ErrorCode, OpCode};

use super::sequential_consistency;
use crate::client::{Asked, Client};
use crate::oracle::Answer;
use crate::reference::Reference;
use crate::violation::{Verdict, require};

/// A client is answered by such a server.
pub fn check(
    client: &Client,
    asked: &Asked,
    answer: &Answer<'_>,
    reference: &Reference,
) -> Verdict {
    let op = asked.request.op();
    let is_refused = answer.error == ErrorCode::NotReadOnly.code();
    // The end of its own session is no write.
    let may_be_done = !asked.request.is_write() || op == OpCode::CloseSession;
    require(is_refused || may_be_done, "read_only", || {
        let (index, request) = (client.index, &asked.request);
        format!("client {index}: {request:?} is carried out by a server for reads only")
    })?;
    if is_refused || !reference.has(answer.zxid) {
        return Ok(());
    }
    sequential_consistency::check(client, asked, answer, reference)
}
