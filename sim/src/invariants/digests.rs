//! Servers that have applied the same have the same tree: at equal zxids equal digests
//! (ZOOKEEPER-3114), and none differs from what a transaction came with.

use gamekeeper::processor::ZkDatabase;
use gamekeeper::tree::DataTree;

use crate::reference::Reference;
use crate::violation::{Verdict, require};

/// The tree of a server has had the digests that its transactions came with.
pub fn none_differed(server: usize, tree: &DataTree) -> Verdict {
    require(tree.digest_mismatches() == 0, "digests", || {
        let last = tree.last_processed();
        format!("the tree of server {server} at 0x{last} is not what a transaction came with")
    })
}

/// The tree of a server that serves is the one that was delivered.
pub fn check(server: usize, database: &ZkDatabase, reference: &Reference) -> Verdict {
    let last = database.tree.last_processed();
    require(database.tree.tree_digest() == reference.digest(last), "digests", || {
        format!("the tree of server {server} at 0x{last} is not the one that was delivered")
    })?;
    if last != reference.last() {
        return Ok(());
    }
    let same = database.sessions == reference.database().sessions;
    require(same, "digests", || {
        format!("the sessions of server {server} at 0x{last} are not those that were delivered")
    })
}
