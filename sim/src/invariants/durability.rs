//! No acknowledged write is lost: what is delivered, and so what is answered, is on the disks of a
//! quorum and survives whatever happens to the others ("Zab guarantees that delivered transactions
//! are stable", the ZooKeeper paper); and in the end each acknowledged write is in the history, as
//! what was asked for.

use std::collections::BTreeSet;
use std::path::Path;

use gamekeeper::proto::{Sid, Zxid};
use gamekeeper::quorum::QuorumVerifier;

use crate::oracle::Oracle;
use crate::violation::{Verdict, Violation, require};
use crate::world::membership::sid_of;
use crate::world::{FILES_DIR, Server};

/// Who has a transaction on disk.
pub fn holders(zxid: Zxid, entry: &[u8], servers: &mut [Server]) -> BTreeSet<Sid> {
    let has = |Server { history, disk, .. }: &mut Server| {
        history.holds_durably(disk, Path::new(FILES_DIR), zxid, entry)
    };
    let servers = servers.iter_mut().enumerate();
    servers.filter_map(|(at, server)| has(server).then(|| sid_of(at))).collect()
}

/// A transaction is delivered: a quorum of the configuration in force must have it on disk.
pub fn a_quorum_has(
    by: usize,
    zxid: Zxid,
    entry: &[u8],
    config: &QuorumVerifier,
    servers: &mut [Server],
) -> Verdict {
    let have = holders(zxid, entry, servers);
    require(config.contains_quorum(&have), "durability", || {
        let config = config.to_text();
        format!("server {by} delivers 0x{zxid}, which {have:?} have, of {config:?}")
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
