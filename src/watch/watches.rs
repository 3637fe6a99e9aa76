//! All watches of the connections of this server (`WatchManager`, and the watch part of
//! `DataTree`).
//!
//! Readers add watches while they hold the shared lock on the tree; whoever applies transactions
//! fires them while it holds that lock exclusively. So no change falls between a read and its
//! watch.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::modes::Modes;
use super::watch_table::WatchTable;
use crate::proto::{AddWatchMode, EventType, WatcherType, path};
use crate::session::CnxnId;

/// A change of the tree that watches may tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeEvent<'a> {
    /// A node is there.
    Created {
        /// Its path.
        path: &'a str,
    },
    /// A node is gone.
    Deleted {
        /// Its path.
        path: &'a str,
    },
    /// A node's data was set.
    DataChanged {
        /// Its path.
        path: &'a str,
    },
}

/// How many watches an event fired, for the metrics `node_created_watch_count` and its like. Apache
/// counts each of its up to three triggers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fired {
    /// Data watches: NodeCreated, NodeDeleted or NodeDataChanged.
    pub data: usize,
    /// Child watches on a deleted node: NodeDeleted, those included that were told by a data watch.
    pub child: usize,
    /// Child watches on the parent: NodeChildrenChanged.
    pub parent: usize,
}

/// The data watches, as the four-letter word `wchs` sums them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchesSummary {
    /// Connections that watch. One whose last watch has fired is still counted, as Apache does.
    pub connections: usize,
    /// Paths that are watched.
    pub paths: usize,
    /// Pairs of a connection and a path.
    pub watches: usize,
}

/// The watches of every connection of this server.
#[derive(Debug, Default)]
pub struct Watches {
    table: Mutex<WatchTable>,
    /// Watches in the table, so that nothing is locked where there are none.
    len: AtomicUsize,
}

impl Watches {
    /// No watches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves a one-shot watch of getData or exists.
    pub fn add_data(&self, path: &str, cnxn: CnxnId) {
        self.with(|table| table.add(path, cnxn, Modes::DATA));
    }

    /// Leaves a one-shot watch of getChildren.
    pub fn add_child(&self, path: &str, cnxn: CnxnId) {
        self.with(|table| table.add(path, cnxn, Modes::CHILD));
    }

    /// Leaves a watch that stays. A connection may have several kinds of watches on a path.
    pub fn add(&self, path: &str, cnxn: CnxnId, mode: AddWatchMode) {
        self.with(|table| table.add(path, cnxn, mode.into()));
    }

    /// Removes the connection's watches of this type on the path. False if there was none.
    pub fn remove(&self, path: &str, cnxn: CnxnId, kind: WatcherType) -> bool {
        !self.none() && self.with(|table| table.remove(path, cnxn, kind.into()))
    }

    /// Whether the connection has a watch of this type on the path.
    pub fn contains(&self, path: &str, cnxn: CnxnId, kind: WatcherType) -> bool {
        !self.none() && self.table.lock().modes(path, cnxn).intersects(kind.into())
    }

    /// Removes every watch of a connection that closes; nothing may be added for it afterwards.
    pub fn remove_all(&self, cnxn: CnxnId) {
        self.with(|table| table.remove_all(cnxn));
    }

    /// Tells `sink` whom an event concerns: the connection, the event it gets and the path of that.
    /// At most one event per connection for the node, and then at most one for its parent. `sink`
    /// must not use these watches.
    pub fn fire(
        &self,
        event: &TreeEvent<'_>,
        sink: &mut impl FnMut(CnxnId, EventType, &str),
    ) -> Fired {
        if self.none() {
            return Fired::default();
        }
        self.with(|table| match *event {
            TreeEvent::Created { path } => {
                let data = fire_data(table, EventType::NodeCreated, path, sink);
                Fired { data, child: 0, parent: fire_parent(table, path, sink) }
            }
            TreeEvent::DataChanged { path } => {
                let data = fire_data(table, EventType::NodeDataChanged, path, sink);
                Fired { data, child: 0, parent: 0 }
            }
            TreeEvent::Deleted { path } => {
                let data = fire_data(table, EventType::NodeDeleted, path, sink);
                let child = fire_deleted_child(table, path, sink);
                Fired { data, child, parent: fire_parent(table, path, sink) }
            }
        })
    }

    /// Data and child watches; a persistent one counts as both.
    pub fn count(&self) -> usize {
        let counts = self.table.lock().counts();
        counts.data_watches + counts.child_watches
    }

    /// Sums up the data watches.
    pub fn summary(&self) -> WatchesSummary {
        let counts = self.table.lock().counts();
        WatchesSummary {
            connections: counts.data_watchers,
            paths: counts.data_paths,
            watches: counts.data_watches,
        }
    }

    /// Visits each path that has data watches, with the connections that have them, for `wchp`.
    pub fn for_each_path(&self, visit: impl FnMut(&str, &[CnxnId])) {
        self.table.lock().for_each_path(visit);
    }

    /// Visits each connection that has data watches, with their paths, for `wchc`.
    pub fn for_each_connection(&self, visit: impl FnMut(CnxnId, &[&str])) {
        self.table.lock().for_each_watcher(visit);
    }

    fn none(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    fn with<T>(&self, act: impl FnOnce(&mut WatchTable) -> T) -> T {
        let mut table = self.table.lock();
        let result = act(&mut table);
        self.len.store(table.len(), Ordering::Release);
        result
    }
}

/// Fires the data watches on `path` and the recursive ones above it.
fn fire_data(
    table: &mut WatchTable,
    event: EventType,
    path: &str,
    sink: &mut impl FnMut(CnxnId, EventType, &str),
) -> usize {
    let mut fired = 0;
    let mut tell = |cnxn| {
        fired += 1;
        sink(cnxn, event, path);
    };
    table.begin_walk();
    table.trigger(path, Modes::DATA_TABLE, |cnxn, _| tell(cnxn));
    if table.counts().recursive_watches > 0 {
        for ancestor in path::ancestors(path) {
            table.trigger_recursive(ancestor, &mut tell);
        }
    }
    fired
}

/// Fires the child watches on `path`, which is deleted; who has been told by a data watch is not
/// told again.
fn fire_deleted_child(
    table: &mut WatchTable,
    path: &str,
    sink: &mut impl FnMut(CnxnId, EventType, &str),
) -> usize {
    let mut fired = 0;
    table.trigger(path, Modes::CHILD_TABLE, |cnxn, told| {
        fired += 1;
        if !told {
            sink(cnxn, EventType::NodeDeleted, path);
        }
    });
    fired
}

/// Fires the child watches on the parent of `path`.
fn fire_parent(
    table: &mut WatchTable,
    path: &str,
    sink: &mut impl FnMut(CnxnId, EventType, &str),
) -> usize {
    let mut fired = 0;
    if let Some(parent) = path::parent(path) {
        table.trigger(parent, Modes::CHILD_TABLE, |cnxn, _| {
            fired += 1;
            sink(cnxn, EventType::NodeChildrenChanged, parent);
        });
    }
    fired
}

#[cfg(test)]
mod tests;
