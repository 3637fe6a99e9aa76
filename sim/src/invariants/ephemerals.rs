//! An ephemeral node is there only while its session is, and the end of a session takes its nodes
//! and no other's ("ephemeral nodes: the system removes them when the session that creates them
//! terminates", the ZooKeeper paper; ZOOKEEPER-3144).

use gamekeeper::processor::ZkDatabase;
use gamekeeper::proto::{SessionId, TxnBody, TxnEntry};

use crate::violation::{Verdict, require};

/// A transaction is about to be applied.
pub fn before(entry: &TxnEntry<'_>, database: &ZkDatabase) -> Verdict {
    let session = SessionId(entry.header.client_id);
    match &entry.body {
        TxnBody::CloseSession(Some(txn)) => txn.paths2_delete.iter().try_for_each(|path| {
            let owner = database.tree.node(path).map(|node| node.stat().ephemeral_owner);
            require(owner.is_none_or(|owner| owner == session.0), "ephemerals", || {
                format!("the end of session {session} deletes {path} of {owner:x?}")
            })
        }),
        TxnBody::Create(txn) if txn.ephemeral => {
            require(database.sessions.contains_key(&session), "ephemerals", || {
                format!("{} is made in session {session}, which is over", txn.path)
            })
        }
        _ => Ok(()),
    }
}

/// A transaction was applied.
pub fn after(entry: &TxnEntry<'_>, database: &ZkDatabase) -> Verdict {
    let TxnBody::CloseSession(_) = &entry.body else { return Ok(()) };
    let session = SessionId(entry.header.client_id);
    let left = database.tree.ephemerals(session);
    require(left.is_empty(), "ephemerals", || {
        format!("session {session} is over, and {left:?} is left")
    })
}
