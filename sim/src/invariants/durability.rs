//! No acknowledged write is lost: what is delivered, and so what is answered, is on the disks of a
//! quorum and survives whatever happens to the others ("Zab guarantees that delivered transactions
//! are stable", the ZooKeeper paper); and in the end each acknowledged write is in the history, as
//! what was asked for.

use std::path::Path;

use gamekeeper::proto::Zxid;

use crate::oracle::Oracle;
use crate::violation::{Verdict, Violation, require};
use crate::world::{FILES_DIR, Server};

/// A transaction is delivered: a quorum of the voters must have it on disk.
pub fn a_quorum_has(by: usize, zxid: Zxid, entry: &[u8], voters: &mut [Server]) -> Verdict {
    let has = |Server { history, disk, .. }: &mut Server| {
        history.holds_durably(disk, Path::new(FILES_DIR), zxid, entry)
    };
    let have = voters.iter_mut().map(has).filter(|has| *has).count();
    require(have * 2 > voters.len(), "durability", || {
        format!("server {by} delivers 0x{zxid}, which {have} of {} voters have", voters.len())
    })
}

/// Each acknowledged write is in the history.
pub fn acknowledged_writes_are_there(oracle: &Oracle) -> Verdict {
    for ((session, xid), write) in &oracle.writes {
        let Some(answer) = write.answered else { continue };
        let zxid = answer.zxid;
        let lost = |why: &str| {
            let request = &write.request;
            let text = format!("session {session}, request {xid}, 0x{zxid}: {request:?}: {why}");
            Violation::new("durability", text)
        };
        let delivered = oracle.reference.get(zxid).ok_or_else(|| lost("it is lost"))?;
        if (delivered.session, delivered.xid) != (*session, *xid) {
            return Err(lost("another request has its place"));
        }
        if delivered.error != answer.error {
            return Err(lost("it was answered otherwise than it went"));
        }
    }
    Ok(())
}
