//! Who watches what, kept small: each path is stored once, and a watch is 32 bytes in a slab plus a
//! hash entry.
//!
//! A watch is on two linked lists, that of its path and that of its connection. So adding, removing
//! and firing one takes the same time however many watches the path or the connection has.
//!
//! Invariants:
//! 1. A path is here only as long as somebody watches it.
//! 2. There is at most one watch per path and connection, and its set of modes is not empty.
//! 3. The counters are what a walk over all watches would count.

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use std::hash::BuildHasher;

use super::modes::Modes;
use crate::session::CnxnId;

/// Index into one of the slabs.
type Index = u32;

/// The end of a list.
const END: Index = Index::MAX;

#[derive(Debug)]
struct Watch {
    path: Index,
    watcher: Index,
    path_previous: Index,
    path_next: Index,
    watcher_previous: Index,
    watcher_next: Index,
    modes: Modes,
}

#[derive(Debug)]
struct WatchedPath {
    path: Box<str>,
    first: Index,
    data_watches: u32,
    recursive_watches: u32,
}

/// A connection that watches.
#[derive(Debug)]
struct Watcher {
    cnxn: CnxnId,
    first: Index,
    data_watches: u32,
    /// Whether Apache's table of data watches lists the connection. It goes on to do so when the
    /// last watch has fired, until the connection closes or a watch is removed that was the last
    /// one.
    listed: bool,
    /// The last walk that told this connection, see [`WatchTable::begin_walk`].
    told_in_walk: u64,
}

/// Counters that stand in four-letter words and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) data_watches: usize,
    pub(super) child_watches: usize,
    pub(super) recursive_watches: usize,
    /// Paths with a data watch.
    pub(super) data_paths: usize,
    /// Connections listed as having data watches.
    pub(super) data_watchers: usize,
}

#[derive(Debug, Default)]
pub(super) struct WatchTable {
    watches: Slab<Watch>,
    paths: Slab<WatchedPath>,
    watchers: Slab<Watcher>,
    by_path_and_watcher: HashTable<Index>,
    by_path: HashTable<Index>,
    by_cnxn: HashTable<Index>,
    hasher: DefaultHashBuilder,
    counts: Counts,
    walks: u64,
}

impl WatchTable {
    /// Watches, whatever their modes.
    pub(super) fn len(&self) -> usize {
        self.watches.len()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Adds `modes` to those with which `cnxn` watches `path`.
    pub(super) fn add(&mut self, path: &str, cnxn: CnxnId, modes: Modes) {
        let path = self.intern_path(path);
        let watcher = self.intern_watcher(cnxn);
        let watch = self.find_watch(path, watcher).unwrap_or_else(|| self.link(path, watcher));
        let before = self.watches[watch as usize].modes;
        self.set_modes(watch, before.or(modes));
        if modes.intersects(Modes::DATA_TABLE) && !self.watchers[watcher as usize].listed {
            self.watchers[watcher as usize].listed = true;
            self.counts.data_watchers += 1;
        }
    }

    /// The modes with which `cnxn` watches `path`.
    pub(super) fn modes(&self, path: &str, cnxn: CnxnId) -> Modes {
        self.find(path, cnxn).map_or(Modes::NONE, |watch| self.watches[watch as usize].modes)
    }

    /// Takes `modes` from those with which `cnxn` watches `path`. False if there was none of them.
    pub(super) fn remove(&mut self, path: &str, cnxn: CnxnId, modes: Modes) -> bool {
        let Some(watch) = self.find(path, cnxn) else { return false };
        let Watch { modes: before, watcher, .. } = self.watches[watch as usize];
        if !before.intersects(modes) {
            return false;
        }
        let had_data_watches = self.watchers[watcher as usize].data_watches > 0;
        self.set_modes(watch, before.without(modes));
        if had_data_watches && self.watchers[watcher as usize].data_watches == 0 {
            self.unlist(watcher);
        }
        self.drop_watcher_if_unused(watcher);
        true
    }

    /// Removes every watch of `cnxn`, in time proportional to their number.
    pub(super) fn remove_all(&mut self, cnxn: CnxnId) {
        let Some(watcher) = self.find_watcher(cnxn) else { return };
        while self.watchers[watcher as usize].first != END {
            self.set_modes(self.watchers[watcher as usize].first, Modes::NONE);
        }
        self.unlist(watcher);
        self.drop_watcher_if_unused(watcher);
    }

    /// Begins a walk, in which each connection is told for the first time once.
    pub(super) fn begin_walk(&mut self) {
        self.walks += 1;
    }

    /// Tells `tell` each connection that watches `path` with any of `modes`, and whether it was
    /// told before in this walk; one-shot watches among `modes` are gone afterwards.
    pub(super) fn trigger(&mut self, path: &str, modes: Modes, mut tell: impl FnMut(CnxnId, bool)) {
        let Some(path) = self.find_path(path) else { return };
        let mut next = self.paths[path as usize].first;
        while next != END {
            let this = next;
            let Watch { modes: before, watcher, path_next, .. } = self.watches[this as usize];
            next = path_next;
            if before.intersects(modes) {
                let told = &mut self.watchers[watcher as usize];
                let again = told.told_in_walk == self.walks;
                told.told_in_walk = self.walks;
                tell(told.cnxn, again);
                self.set_modes(this, before.without(modes.and(Modes::ONE_SHOT)));
                self.drop_watcher_if_unused(watcher);
            }
        }
    }

    /// Tells `tell` each connection that watches `ancestor` recursively and was not told yet in
    /// this walk.
    pub(super) fn trigger_recursive(&mut self, ancestor: &str, mut tell: impl FnMut(CnxnId)) {
        let Some(path) = self.find_path(ancestor) else { return };
        let WatchedPath { first: mut next, recursive_watches: mut left, .. } =
            self.paths[path as usize];
        while next != END && left > 0 {
            let watch = &self.watches[next as usize];
            next = watch.path_next;
            if watch.modes.intersects(Modes::RECURSIVE) {
                left -= 1;
                let watcher = &mut self.watchers[watch.watcher as usize];
                if watcher.told_in_walk != self.walks {
                    watcher.told_in_walk = self.walks;
                    tell(watcher.cnxn);
                }
            }
        }
    }

    /// Each path with data watches, and who has them.
    pub(super) fn for_each_path(&self, mut visit: impl FnMut(&str, &[CnxnId])) {
        let mut cnxns = Vec::new();
        for (_, path) in self.paths.iter().filter(|(_, path)| path.data_watches > 0) {
            cnxns.clear();
            let mut next = path.first;
            while next != END {
                let watch = &self.watches[next as usize];
                if watch.modes.intersects(Modes::DATA_TABLE) {
                    cnxns.push(self.watchers[watch.watcher as usize].cnxn);
                }
                next = watch.path_next;
            }
            visit(&path.path, &cnxns);
        }
    }

    /// Each connection listed as having data watches, and the paths of those.
    pub(super) fn for_each_watcher(&self, mut visit: impl FnMut(CnxnId, &[&str])) {
        let mut paths = Vec::new();
        for (_, watcher) in self.watchers.iter().filter(|(_, watcher)| watcher.listed) {
            paths.clear();
            let mut next = watcher.first;
            while next != END {
                let watch = &self.watches[next as usize];
                if watch.modes.intersects(Modes::DATA_TABLE) {
                    paths.push(&*self.paths[watch.path as usize].path);
                }
                next = watch.watcher_next;
            }
            visit(watcher.cnxn, &paths);
        }
    }

    fn find(&self, path: &str, cnxn: CnxnId) -> Option<Index> {
        self.find_watch(self.find_path(path)?, self.find_watcher(cnxn)?)
    }

    fn find_path(&self, path: &str) -> Option<Index> {
        let hash = self.hasher.hash_one(path);
        self.by_path.find(hash, |&at| *self.paths[at as usize].path == *path).copied()
    }

    fn find_watcher(&self, cnxn: CnxnId) -> Option<Index> {
        let hash = self.hasher.hash_one(cnxn);
        self.by_cnxn.find(hash, |&at| self.watchers[at as usize].cnxn == cnxn).copied()
    }

    fn find_watch(&self, path: Index, watcher: Index) -> Option<Index> {
        let hash = self.hasher.hash_one((path, watcher));
        let is_it = |&at: &Index| {
            let watch = &self.watches[at as usize];
            (watch.path, watch.watcher) == (path, watcher)
        };
        self.by_path_and_watcher.find(hash, is_it).copied()
    }

    fn intern_path(&mut self, path: &str) -> Index {
        if let Some(at) = self.find_path(path) {
            return at;
        }
        let watched =
            WatchedPath { path: path.into(), first: END, data_watches: 0, recursive_watches: 0 };
        let at = index(self.paths.insert(watched));
        let (paths, hasher) = (&self.paths, &self.hasher);
        self.by_path.insert_unique(hasher.hash_one(path), at, |&at| {
            hasher.hash_one(&*paths[at as usize].path)
        });
        at
    }

    fn intern_watcher(&mut self, cnxn: CnxnId) -> Index {
        if let Some(at) = self.find_watcher(cnxn) {
            return at;
        }
        let watcher = Watcher { cnxn, first: END, data_watches: 0, listed: false, told_in_walk: 0 };
        let at = index(self.watchers.insert(watcher));
        let (watchers, hasher) = (&self.watchers, &self.hasher);
        self.by_cnxn.insert_unique(hasher.hash_one(cnxn), at, |&at| {
            hasher.hash_one(watchers[at as usize].cnxn)
        });
        at
    }

    /// Makes a watch without modes, at the head of both its lists.
    fn link(&mut self, path: Index, watcher: Index) -> Index {
        let path_next = self.paths[path as usize].first;
        let watcher_next = self.watchers[watcher as usize].first;
        let watch = Watch {
            path,
            watcher,
            path_previous: END,
            path_next,
            watcher_previous: END,
            watcher_next,
            modes: Modes::NONE,
        };
        let at = index(self.watches.insert(watch));
        self.paths[path as usize].first = at;
        self.watchers[watcher as usize].first = at;
        if path_next != END {
            self.watches[path_next as usize].path_previous = at;
        }
        if watcher_next != END {
            self.watches[watcher_next as usize].watcher_previous = at;
        }
        let (watches, hasher) = (&self.watches, &self.hasher);
        self.by_path_and_watcher.insert_unique(hasher.hash_one((path, watcher)), at, |&at| {
            let watch = &watches[at as usize];
            hasher.hash_one((watch.path, watch.watcher))
        });
        at
    }

    /// Gives a watch other modes and counts the difference; without modes it is unlinked, and its
    /// path forgotten if it was the last one there.
    fn set_modes(&mut self, at: Index, modes: Modes) {
        let watch = &mut self.watches[at as usize];
        let before = std::mem::replace(&mut watch.modes, modes);
        let path = &mut self.paths[watch.path as usize];
        let watcher = &mut self.watchers[watch.watcher as usize];
        // What is added and what is taken of the watches that `of` counts: one of them is 0.
        let change = |of: Modes| {
            let (had, has) = (before.intersects(of), modes.intersects(of));
            (u32::from(!had && has), u32::from(had && !has))
        };

        let (plus, minus) = change(Modes::DATA_TABLE);
        let was_watched = path.data_watches > 0;
        path.data_watches = path.data_watches + plus - minus;
        watcher.data_watches = watcher.data_watches + plus - minus;
        self.counts.data_watches = self.counts.data_watches + plus as usize - minus as usize;
        match (was_watched, path.data_watches > 0) {
            (false, true) => self.counts.data_paths += 1,
            (true, false) => self.counts.data_paths -= 1,
            _ => (),
        }

        let (plus, minus) = change(Modes::CHILD_TABLE);
        self.counts.child_watches = self.counts.child_watches + plus as usize - minus as usize;

        let (plus, minus) = change(Modes::RECURSIVE);
        path.recursive_watches = path.recursive_watches + plus - minus;
        self.counts.recursive_watches =
            self.counts.recursive_watches + plus as usize - minus as usize;

        if modes == Modes::NONE {
            self.unlink(at);
        }
    }

    fn unlink(&mut self, at: Index) {
        let watch = self.watches.remove(at as usize);
        match watch.path_previous {
            END => self.paths[watch.path as usize].first = watch.path_next,
            previous => self.watches[previous as usize].path_next = watch.path_next,
        }
        if watch.path_next != END {
            self.watches[watch.path_next as usize].path_previous = watch.path_previous;
        }
        match watch.watcher_previous {
            END => self.watchers[watch.watcher as usize].first = watch.watcher_next,
            previous => self.watches[previous as usize].watcher_next = watch.watcher_next,
        }
        if watch.watcher_next != END {
            self.watches[watch.watcher_next as usize].watcher_previous = watch.watcher_previous;
        }
        let hash = self.hasher.hash_one((watch.path, watch.watcher));
        forget(&mut self.by_path_and_watcher, hash, at);

        if self.paths[watch.path as usize].first == END {
            let path = self.paths.remove(watch.path as usize).path;
            forget(&mut self.by_path, self.hasher.hash_one(&*path), watch.path);
        }
    }

    fn unlist(&mut self, watcher: Index) {
        let watcher = &mut self.watchers[watcher as usize];
        if std::mem::replace(&mut watcher.listed, false) {
            self.counts.data_watchers -= 1;
        }
    }

    fn drop_watcher_if_unused(&mut self, watcher: Index) {
        let Watcher { cnxn, first, listed, .. } = self.watchers[watcher as usize];
        if first == END && !listed {
            self.watchers.remove(watcher as usize);
            forget(&mut self.by_cnxn, self.hasher.hash_one(cnxn), watcher);
        }
    }
}

fn index(key: usize) -> Index {
    match Index::try_from(key) {
        Ok(index) if index != END => index,
        _ => panic!("more than {END} watches, watched paths or connections"),
    }
}

/// Removes `at` from a hash table of indices.
fn forget(table: &mut HashTable<Index>, hash: u64, at: Index) {
    match table.find_entry(hash, |other| *other == at) {
        Ok(entry) => drop(entry.remove()),
        Err(_) => panic!("a watch table lacks an entry of its own"),
    }
}
