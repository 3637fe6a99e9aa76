//! setWatches and setWatches2: a client that reconnected leaves its watches again.
//!
//! What changed since the client last heard of anything is told at once, as events with zxid -1;
//! since 3.9.6 those, but for deletions, are kept from connections that may not read the node.

use jute::SetWatches2;

use super::Read;
use crate::proto::{AddWatchMode, EventType, Perms};

/// Leaves the watches that have nothing to tell, and tells the others.
pub fn read(read: &Read<'_>, request: &SetWatches2<'_>, tell: &mut impl FnMut(EventType, &str)) {
    let seen = request.relative_zxid;
    let may_read = |path: &str| {
        let node = read.tree.node(path);
        node.is_some_and(|node| read.check_acl(node.acl(), Perms::READ).is_ok())
    };
    let mut missed = |event, path: &str| {
        if event == EventType::NodeDeleted || may_read(path) {
            tell(event, path);
        }
    };
    for path in &request.data_watches {
        match read.tree.node(path) {
            None => missed(EventType::NodeDeleted, path),
            Some(node) if node.stored_stat().mzxid > seen => {
                missed(EventType::NodeDataChanged, path);
            }
            Some(_) => read.watches.add_data(path, read.cnxn),
        }
    }
    for path in &request.exist_watches {
        match read.tree.node(path) {
            Some(_) => missed(EventType::NodeCreated, path),
            None => read.watches.add_data(path, read.cnxn),
        }
    }
    for path in &request.child_watches {
        match read.tree.node(path) {
            None => missed(EventType::NodeDeleted, path),
            Some(node) if node.stored_stat().pzxid > seen => {
                missed(EventType::NodeChildrenChanged, path);
            }
            Some(_) => read.watches.add_child(path, read.cnxn),
        }
    }
    for path in &request.persistent_watches {
        read.watches.add(path, read.cnxn, AddWatchMode::Persistent);
    }
    for path in &request.persistent_recursive_watches {
        read.watches.add(path, read.cnxn, AddWatchMode::PersistentRecursive);
    }
}
