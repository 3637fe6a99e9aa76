//! Status of a node: what is stored, and what clients are shown (`DataNode.copyStat`).

use jute::{Stat, StatPersisted};

use super::ephemeral_type::EphemeralRules;
use crate::proto::{Millis, Zxid};

/// Status of a node just created (`DataTree.createStat`).
pub(crate) fn new_stat(zxid: Zxid, time: Millis, ephemeral_owner: i64) -> StatPersisted {
    StatPersisted {
        czxid: zxid.0,
        mzxid: zxid.0,
        pzxid: zxid.0,
        ctime: time,
        mtime: time,
        ephemeral_owner,
        ..StatPersisted::default()
    }
}

/// What clients see: `cversion` counts creations and deletions, and the owner shows for ephemeral
/// nodes only.
pub(crate) fn client_stat(
    stored: &StatPersisted,
    data_len: usize,
    child_count: usize,
    rules: EphemeralRules,
) -> Stat {
    let children = child_count as i32;
    Stat {
        czxid: stored.czxid,
        mzxid: stored.mzxid,
        ctime: stored.ctime,
        mtime: stored.mtime,
        version: stored.version,
        cversion: stored.cversion.wrapping_mul(2).wrapping_sub(children),
        aversion: stored.aversion,
        ephemeral_owner: rules.shown_owner(stored.ephemeral_owner),
        data_length: data_len as i32,
        num_children: children,
        pzxid: stored.pzxid,
    }
}
