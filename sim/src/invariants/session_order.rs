//! Requests of a session are carried out in the order in which they were made ("FIFO client order",
//! the ZooKeeper paper): the writes of a session have rising zxids, and each answer is about the
//! request that it answers.

use crate::client::{Asked, Client};
use crate::oracle::Answer;
use crate::reference::Reference;
use crate::violation::{Verdict, Violation, require};

/// A client's write is answered.
pub fn check(
    client: &mut Client,
    asked: &Asked,
    answer: &Answer<'_>,
    reference: &Reference,
) -> Verdict {
    let (index, session, zxid) = (client.index, client.session, answer.zxid);
    require(zxid > client.last_write, "session_order", || {
        let last = client.last_write;
        format!("client {index}: write {} has 0x{zxid}, one before it 0x{last}", asked.xid)
    })?;
    client.last_write = zxid;
    let Some(delivered) = reference.get(zxid) else {
        let text = format!("client {index}: write {} has 0x{zxid}, never delivered", asked.xid);
        return Err(Violation::new("session_order", text));
    };
    require((delivered.session, delivered.xid) == (session, asked.xid), "session_order", || {
        format!(
            "client {index}: write {} of {session} has 0x{zxid}, which is {} of {}",
            asked.xid, delivered.xid, delivered.session
        )
    })
}
