//! The watches a session has left on the server, so that they can be left again after a reconnect
//! and events are told only while somebody waits for them (`ZKWatchManager`).
//!
//! There is one watcher for all of them, so that a path is watched or not.

use std::collections::BTreeSet;
use std::fmt;
use std::iter;

use jute::{SetWatches2, Ustring};

use super::error::CONNECTION_LOSS;
use crate::proto::path::ancestors;
use crate::proto::{ErrorCode, EventType, WatcherType, Zxid};

/// State of a session, as an event tells it (`Watcher.Event.KeeperState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in KeeperState")]
pub enum WatchedState {
    Disconnected,
    SyncConnected,
    AuthFailed,
    ConnectedReadOnly,
    Expired,
    Closed,
}

/// What an event tells (`Watcher.Event.EventType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in EventType")]
pub enum WatchedKind {
    None,
    NodeCreated,
    NodeDeleted,
    NodeDataChanged,
    NodeChildrenChanged,
    DataWatchRemoved,
    ChildWatchRemoved,
    PersistentWatchRemoved,
}

impl WatchedKind {
    /// The kind with this number on the wire.
    pub fn from_code(code: i32) -> Option<Self> {
        const SENT: [(EventType, WatchedKind); 4] = [
            (EventType::NodeCreated, WatchedKind::NodeCreated),
            (EventType::NodeDeleted, WatchedKind::NodeDeleted),
            (EventType::NodeDataChanged, WatchedKind::NodeDataChanged),
            (EventType::NodeChildrenChanged, WatchedKind::NodeChildrenChanged),
        ];
        SENT.into_iter().find(|(sent, _)| *sent as i32 == code).map(|(_, kind)| kind)
    }
}

/// What a watcher is told (`WatchedEvent`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedEvent {
    /// The session's state.
    pub state: WatchedState,
    /// What happened.
    pub kind: WatchedKind,
    /// To which node; none for a change of the session's state.
    pub path: Option<String>,
    /// The transaction that did it, -1 if none or not known.
    pub zxid: Zxid,
}

/// As Java prints it; the zxid is decimal.
impl fmt::Display for WatchedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or("null");
        let Self { state, kind, zxid, .. } = self;
        write!(f, "WatchedEvent state:{state:?} type:{kind:?} path:{path} zxid: {}", zxid.0)
    }
}

/// A watch that a request asks for; it counts once the server has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registration {
    Data,
    Exists,
    Child,
    Persistent,
    PersistentRecursive,
}

/// The watches of a session, by the client's paths.
#[derive(Debug, Default)]
pub(super) struct WatchTable {
    data: BTreeSet<String>,
    exists: BTreeSet<String>,
    child: BTreeSet<String>,
    persistent: BTreeSet<String>,
    persistent_recursive: BTreeSet<String>,
}

impl WatchTable {
    /// Takes note of a watch after the answer `err` to the request that asked for it.
    pub(super) fn register(&mut self, kind: Registration, path: &str, err: i32) {
        let no_node = err == ErrorCode::NoNode.code();
        let table = match kind {
            Registration::Data if err == 0 => &mut self.data,
            Registration::Exists if err == 0 => &mut self.data,
            Registration::Exists if no_node => &mut self.exists,
            Registration::Child if err == 0 => &mut self.child,
            Registration::Persistent if err == 0 || no_node => &mut self.persistent,
            Registration::PersistentRecursive if err == 0 || no_node => {
                &mut self.persistent_recursive
            }
            _ => return,
        };
        table.insert(path.to_owned());
    }

    /// Whether anybody waits for this event; one-shot watches are taken out by it.
    pub(super) fn fire(&mut self, kind: WatchedKind, path: &str) -> bool {
        let one_shot: &mut [&mut BTreeSet<String>] = match kind {
            WatchedKind::NodeCreated | WatchedKind::NodeDataChanged => {
                &mut [&mut self.data, &mut self.exists]
            }
            WatchedKind::NodeChildrenChanged => &mut [&mut self.child],
            WatchedKind::NodeDeleted => &mut [&mut self.data, &mut self.exists, &mut self.child],
            _ => return true,
        };
        let mut waited_for = false;
        for table in one_shot {
            waited_for |= table.remove(path);
        }
        waited_for |= self.persistent.contains(path);
        // The server sends child events for other watches on descendants; recursive ones do not
        // want them.
        waited_for
            || kind != WatchedKind::NodeChildrenChanged
                && iter::once(path)
                    .chain(ancestors(path))
                    .any(|above| self.persistent_recursive.contains(above))
    }

    /// Takes watches out after the answer `err` to removeWatches; `local` does so whatever the
    /// answer is. Gives the events to tell, or the error code for the caller.
    pub(super) fn remove(
        &mut self,
        kind: WatcherType,
        path: &str,
        local: bool,
        err: i32,
    ) -> Result<Vec<WatchedEvent>, i32> {
        use WatcherType::*;
        let tables = [
            (WatchedKind::ChildWatchRemoved, Children, &mut self.child),
            (WatchedKind::DataWatchRemoved, Data, &mut self.data),
            (WatchedKind::DataWatchRemoved, Data, &mut self.exists),
            (WatchedKind::PersistentWatchRemoved, Persistent, &mut self.persistent),
            (
                WatchedKind::PersistentWatchRemoved,
                PersistentRecursive,
                &mut self.persistent_recursive,
            ),
        ];
        let meant = tables.into_iter().filter(|(_, of, _)| kind == Any || kind == *of);
        let mut meant: Vec<_> = meant.filter(|(_, _, table)| table.contains(path)).collect();
        if meant.is_empty() {
            return Err(ErrorCode::NoWatcher.code());
        }
        if err != 0 && !local {
            return Err(err);
        }
        let lost = [CONNECTION_LOSS, ErrorCode::SessionExpired.code()].contains(&err);
        let state = if lost { WatchedState::Disconnected } else { WatchedState::SyncConnected };
        let mut events: Vec<WatchedEvent> = Vec::new();
        for (told, _, table) in &mut meant {
            table.remove(path);
            if !events.iter().any(|event| event.kind == *told) {
                let path = Some(path.to_owned());
                events.push(WatchedEvent { state, kind: *told, path, zxid: Zxid(-1) });
            }
        }
        Ok(events)
    }

    /// The requests that leave all of them again, each with about `max_bytes` of paths.
    /// `to_server` puts the chroot in front.
    pub(super) fn set_watches(
        &self,
        relative_zxid: Zxid,
        max_bytes: usize,
        to_server: impl Fn(&str) -> String,
    ) -> Vec<SetWatches2<'static>> {
        let new = || SetWatches2 { relative_zxid: relative_zxid.0, ..Default::default() };
        type List = for<'b> fn(&'b mut SetWatches2<'static>) -> &'b mut Vec<Ustring<'static>>;
        let tables: [(&BTreeSet<String>, List); 5] = [
            (&self.data, |batch| &mut batch.data_watches),
            (&self.exists, |batch| &mut batch.exist_watches),
            (&self.child, |batch| &mut batch.child_watches),
            (&self.persistent, |batch| &mut batch.persistent_watches),
            (&self.persistent_recursive, |batch| &mut batch.persistent_recursive_watches),
        ];
        let mut batches: Vec<SetWatches2<'static>> = Vec::new();
        let mut bytes = max_bytes;
        for (table, list) in tables {
            for path in table {
                if bytes >= max_bytes {
                    batches.push(new());
                    bytes = 0;
                }
                let path = to_server(path);
                bytes += path.len();
                let batch = batches.last_mut().expect("one was pushed above");
                list(batch).push(path.into());
            }
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: i32 = 0;
    const NO_NODE: i32 = -101;

    fn table(entries: &[(Registration, &str, i32)]) -> WatchTable {
        let mut table = WatchTable::default();
        entries.iter().for_each(|(kind, path, err)| table.register(*kind, path, *err));
        table
    }

    #[test]
    fn a_one_shot_watch_tells_once() {
        let mut table = table(&[(Registration::Data, "/a", OK), (Registration::Child, "/a", OK)]);
        assert!(!table.fire(WatchedKind::NodeDataChanged, "/b"));
        assert!(table.fire(WatchedKind::NodeDataChanged, "/a"));
        assert!(!table.fire(WatchedKind::NodeDataChanged, "/a"));
        assert!(table.fire(WatchedKind::NodeDeleted, "/a"));
        assert!(!table.fire(WatchedKind::NodeChildrenChanged, "/a"));
    }

    #[test]
    fn exists_watches_a_node_that_is_not_there_and_getdata_does_not() {
        let mut table =
            table(&[(Registration::Exists, "/a", NO_NODE), (Registration::Data, "/b", NO_NODE)]);
        assert!(table.fire(WatchedKind::NodeCreated, "/a"));
        assert!(!table.fire(WatchedKind::NodeCreated, "/b"));
    }

    #[test]
    fn recursive_watches_hear_descendants_but_no_child_events() {
        let mut table = table(&[(Registration::PersistentRecursive, "/a", OK)]);
        for _ in 0..2 {
            assert!(table.fire(WatchedKind::NodeCreated, "/a/b/c"));
        }
        assert!(!table.fire(WatchedKind::NodeCreated, "/ab"));
        assert!(!table.fire(WatchedKind::NodeChildrenChanged, "/a"));
        let mut root = WatchTable::default();
        root.register(Registration::PersistentRecursive, "/", OK);
        assert!(root.fire(WatchedKind::NodeDeleted, "/x/y"));
    }

    #[test]
    fn removing_tells_each_kind_once_and_fails_where_there_is_none() {
        let mut table = table(&[
            (Registration::Data, "/a", OK),
            (Registration::Exists, "/a", NO_NODE),
            (Registration::Persistent, "/a", OK),
        ]);
        assert_eq!(table.remove(WatcherType::Children, "/a", false, OK), Err(-121));
        assert_eq!(table.remove(WatcherType::Any, "/a", false, -4), Err(-4));
        let events = table.remove(WatcherType::Any, "/a", true, -4).unwrap();
        let kinds: Vec<_> = events.iter().map(|event| (event.kind, event.state)).collect();
        let gone = WatchedState::Disconnected;
        assert_eq!(
            kinds,
            [(WatchedKind::DataWatchRemoved, gone), (WatchedKind::PersistentWatchRemoved, gone)]
        );
        assert_eq!(table.remove(WatcherType::Any, "/a", true, OK), Err(-121));
    }

    #[test]
    fn all_watches_are_left_again_in_batches() {
        let table = table(&[
            (Registration::Data, "/a", OK),
            (Registration::Child, "/b", OK),
            (Registration::Persistent, "/c", OK),
        ]);
        let batches = table.set_watches(Zxid(7), 4, |path| format!("/r{path}"));
        assert_eq!(batches.len(), 3);
        assert_eq!(batches[0].data_watches, ["/r/a"]);
        assert_eq!(batches[1].child_watches, ["/r/b"]);
        assert_eq!(batches[2].persistent_watches, ["/r/c"]);
        assert_eq!(table.set_watches(Zxid(7), 100, str::to_owned).len(), 1);
        assert!(WatchTable::default().set_watches(Zxid(7), 4, str::to_owned).is_empty());
    }

    #[test]
    fn an_event_is_shown_as_java_shows_it() {
        let event = WatchedEvent {
            state: WatchedState::SyncConnected,
            kind: WatchedKind::None,
            path: None,
            zxid: Zxid(-1),
        };
        let expected = "WatchedEvent state:SyncConnected type:None path:null zxid: -1";
        assert_eq!(event.to_string(), expected);
    }
}
