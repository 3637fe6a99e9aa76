//! Watches case by case, and against a plain model of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const A: CnxnId = CnxnId(1);
const B: CnxnId = CnxnId(2);

type Events = Vec<(CnxnId, EventType, String)>;

fn fire(watches: &Watches, event: TreeEvent<'_>) -> (Events, Fired) {
    let mut events = Vec::new();
    let fired = watches.fire(&event, &mut |cnxn, event, path| {
        events.push((cnxn, event, path.to_owned()));
    });
    (events, fired)
}

fn event(cnxn: CnxnId, event: EventType, path: &str) -> (CnxnId, EventType, String) {
    (cnxn, event, path.to_owned())
}

#[test]
fn without_watches_nothing_fires() {
    let watches = Watches::new();
    assert_eq!(fire(&watches, TreeEvent::Created { path: "/a" }), (vec![], Fired::default()));
    assert!(!watches.remove("/a", A, WatcherType::Any));
}

#[test]
fn a_data_watch_fires_once() {
    let watches = Watches::new();
    watches.add_data("/a", A);
    let (events, fired) = fire(&watches, TreeEvent::DataChanged { path: "/a" });
    assert_eq!(events, [event(A, EventType::NodeDataChanged, "/a")]);
    assert_eq!(fired, Fired { data: 1, child: 0, parent: 0 });
    assert_eq!(fire(&watches, TreeEvent::DataChanged { path: "/a" }).0, []);
}

#[test]
fn a_creation_tells_the_path_and_its_parent() {
    let watches = Watches::new();
    watches.add_data("/a", A);
    watches.add_child("/", A);
    watches.add_data("/", B);
    let (events, fired) = fire(&watches, TreeEvent::Created { path: "/a" });
    let told =
        [event(A, EventType::NodeCreated, "/a"), event(A, EventType::NodeChildrenChanged, "/")];
    assert_eq!(events, told);
    assert_eq!(fired, Fired { data: 1, child: 0, parent: 1 });
    assert!(watches.contains("/", B, WatcherType::Data));
}

#[test]
fn a_deletion_tells_each_connection_once_of_the_node() {
    let watches = Watches::new();
    watches.add_data("/a", A);
    watches.add_child("/a", A);
    watches.add_child("/a", B);
    watches.add_child("/", B);
    let (events, fired) = fire(&watches, TreeEvent::Deleted { path: "/a" });
    let told = [
        event(A, EventType::NodeDeleted, "/a"),
        event(B, EventType::NodeDeleted, "/a"),
        event(B, EventType::NodeChildrenChanged, "/"),
    ];
    assert_eq!(events, told);
    assert_eq!(fired, Fired { data: 1, child: 2, parent: 1 });
    assert_eq!(watches.count(), 0);
}

#[test]
fn persistent_watches_stay_and_tell_data_and_children() {
    let watches = Watches::new();
    watches.add("/a", A, AddWatchMode::Persistent);
    for _ in 0..2 {
        let (events, _) = fire(&watches, TreeEvent::Created { path: "/a/b" });
        assert_eq!(events, [event(A, EventType::NodeChildrenChanged, "/a")]);
        let (events, _) = fire(&watches, TreeEvent::Deleted { path: "/a" });
        assert_eq!(events, [event(A, EventType::NodeDeleted, "/a")]);
    }
    assert_eq!(watches.count(), 2);
}

#[test]
fn recursive_watches_tell_of_all_below_but_never_of_children() {
    let watches = Watches::new();
    watches.add("/", A, AddWatchMode::PersistentRecursive);
    watches.add("/a", A, AddWatchMode::PersistentRecursive);
    watches.add_data("/a/b", A);
    let (events, fired) = fire(&watches, TreeEvent::Created { path: "/a/b" });
    assert_eq!(events, [event(A, EventType::NodeCreated, "/a/b")]);
    assert_eq!(fired, Fired { data: 1, child: 0, parent: 0 });
    let (events, _) = fire(&watches, TreeEvent::DataChanged { path: "/a/b/c" });
    assert_eq!(events, [event(A, EventType::NodeDataChanged, "/a/b/c")]);
    let (events, _) = fire(&watches, TreeEvent::DataChanged { path: "/" });
    assert_eq!(events, [event(A, EventType::NodeDataChanged, "/")]);
    assert_eq!(fire(&watches, TreeEvent::Created { path: "/ab" }).0.len(), 1);
}

#[test]
fn modes_are_added_and_removed_one_by_one() {
    use WatcherType::*;
    let watches = Watches::new();
    watches.add_data("/a", A);
    watches.add_child("/a", A);
    watches.add("/a", A, AddWatchMode::Persistent);
    watches.add("/a", A, AddWatchMode::PersistentRecursive);
    assert_eq!(watches.count(), 2);
    for kind in [Data, Children, Persistent, PersistentRecursive] {
        assert!(watches.contains("/a", A, kind));
        assert!(watches.remove("/a", A, kind));
        assert!(!watches.contains("/a", A, kind));
        assert!(!watches.remove("/a", A, kind));
    }
    assert!(!watches.contains("/a", A, Any));
    assert_eq!(watches.summary(), WatchesSummary::default());
}

#[test]
fn a_connection_is_listed_after_its_last_watch_fired() {
    let watches = Watches::new();
    watches.add_data("/a", A);
    watches.add_data("/a", B);
    fire(&watches, TreeEvent::DataChanged { path: "/a" });
    assert_eq!(watches.summary(), WatchesSummary { connections: 2, paths: 0, watches: 0 });
    watches.remove_all(A);
    assert_eq!(watches.summary().connections, 1);
    watches.add_data("/b", B);
    assert!(watches.remove("/b", B, WatcherType::Data));
    assert_eq!(watches.summary().connections, 0);
}

#[test]
fn dumps_show_data_watches_only() {
    let watches = Watches::new();
    watches.add_child("/child", A);
    watches.add("/a", A, AddWatchMode::PersistentRecursive);
    watches.add_data("/a", B);
    let mut paths = Vec::new();
    watches.for_each_path(|path, cnxns| paths.push((path.to_owned(), cnxns.len())));
    assert_eq!(paths, [("/a".to_owned(), 2)]);
    let mut cnxns = Vec::new();
    watches.for_each_connection(|cnxn, paths| cnxns.push((cnxn, paths.join(" "))));
    cnxns.sort();
    assert_eq!(cnxns, [(A, "/a".to_owned()), (B, "/a".to_owned())]);
}

#[test]
fn one_path_of_many_connections_and_many_paths_of_one() {
    let watches = Watches::new();
    for i in 0..100_000 {
        watches.add_data("/hot", CnxnId(i));
        watches.add_data(&format!("/cold/{i}"), A);
    }
    // In quadratic time, this test would not end.
    for i in 0..50_000 {
        watches.remove_all(CnxnId(i));
    }
    assert_eq!(watches.count(), 50_000);
    let (events, fired) = fire(&watches, TreeEvent::DataChanged { path: "/hot" });
    assert_eq!((events.len(), fired.data), (50_000, 50_000));
}

/// Apache's two tables, in the plainest form.
#[derive(Default)]
struct Model {
    data: BTreeMap<(String, CnxnId), BTreeSet<u8>>,
    child: BTreeMap<(String, CnxnId), BTreeSet<u8>>,
}

const STANDARD: u8 = 0;
const PERSISTENT: u8 = 1;
const RECURSIVE: u8 = 2;

type Table = BTreeMap<(String, CnxnId), BTreeSet<u8>>;

fn model_add(table: &mut Table, path: &str, cnxn: CnxnId, mode: u8) {
    table.entry((path.to_owned(), cnxn)).or_default().insert(mode);
}

fn model_remove(table: &mut Table, path: &str, cnxn: CnxnId, mode: Option<u8>) -> bool {
    let key = (path.to_owned(), cnxn);
    let Some(modes) = table.get_mut(&key) else { return false };
    let removed = mode.is_none_or(|mode| modes.remove(&mode));
    if mode.is_none() || modes.is_empty() {
        table.remove(&key);
    }
    removed
}

fn model_trigger(table: &mut Table, path: &str) -> BTreeSet<CnxnId> {
    let mut told = BTreeSet::new();
    table.retain(|(watched, cnxn), modes| {
        let below = path::ancestors(path).any(|ancestor| ancestor == watched);
        if watched == path {
            told.insert(*cnxn);
            modes.remove(&STANDARD);
        } else if below && modes.contains(&RECURSIVE) {
            told.insert(*cnxn);
        }
        !modes.is_empty()
    });
    told
}

impl Model {
    fn fire(&mut self, event: TreeEvent<'_>) -> (BTreeSet<(CnxnId, u8, String)>, Fired) {
        let (path, kind) = match event {
            TreeEvent::Created { path } => (path, EventType::NodeCreated),
            TreeEvent::Deleted { path } => (path, EventType::NodeDeleted),
            TreeEvent::DataChanged { path } => (path, EventType::NodeDataChanged),
        };
        let mut fired = Fired::default();
        let mut told = model_trigger(&mut self.data, path);
        fired.data = told.len();
        if kind == EventType::NodeDeleted {
            let child = model_trigger(&mut self.child, path);
            fired.child = child.len();
            told.extend(child);
        }
        let mut events: BTreeSet<_> =
            told.into_iter().map(|cnxn| (cnxn, kind as u8, path.to_owned())).collect();
        if let Some(parent) = path::parent(path).filter(|_| kind != EventType::NodeDataChanged) {
            let told = model_trigger(&mut self.child, parent);
            fired.parent = told.len();
            let kind = EventType::NodeChildrenChanged as u8;
            events.extend(told.into_iter().map(|cnxn| (cnxn, kind, parent.to_owned())));
        }
        (events, fired)
    }
}

proptest! {
    #[test]
    fn behaves_as_apaches_two_tables(
        steps in prop::collection::vec((0..13u8, 0..6usize, 0..4u64), 1..200),
    ) {
        const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/a/b/c", "/a/x", "/ab"];
        let watches = Watches::new();
        let mut model = Model::default();
        for (step, path, cnxn) in steps {
            let (path, cnxn) = (PATHS[path], CnxnId(cnxn));
            match step {
                0 => {
                    watches.add_data(path, cnxn);
                    model_add(&mut model.data, path, cnxn, STANDARD);
                }
                1 => {
                    watches.add_child(path, cnxn);
                    model_add(&mut model.child, path, cnxn, STANDARD);
                }
                2 => {
                    watches.add(path, cnxn, AddWatchMode::Persistent);
                    model_add(&mut model.data, path, cnxn, PERSISTENT);
                    model_add(&mut model.child, path, cnxn, PERSISTENT);
                }
                3 => {
                    watches.add(path, cnxn, AddWatchMode::PersistentRecursive);
                    model_add(&mut model.data, path, cnxn, RECURSIVE);
                }
                4..=8 => {
                    let (kind, data, child) = match step {
                        4 => (WatcherType::Children, None, Some(Some(STANDARD))),
                        5 => (WatcherType::Data, Some(Some(STANDARD)), None),
                        6 => (WatcherType::Any, Some(None), Some(None)),
                        7 => (
                            WatcherType::Persistent,
                            Some(Some(PERSISTENT)),
                            Some(Some(PERSISTENT)),
                        ),
                        _ => (WatcherType::PersistentRecursive, Some(Some(RECURSIVE)), None),
                    };
                    let Model { data: data_table, child: child_table } = &mut model;
                    let from_data =
                        data.is_some_and(|mode| model_remove(data_table, path, cnxn, mode));
                    let from_child =
                        child.is_some_and(|mode| model_remove(child_table, path, cnxn, mode));
                    prop_assert_eq!(watches.remove(path, cnxn, kind), from_data || from_child);
                }
                9 => {
                    watches.remove_all(cnxn);
                    model.data.retain(|(_, other), _| *other != cnxn);
                    model.child.retain(|(_, other), _| *other != cnxn);
                }
                _ => {
                    let event = match step {
                        10 => TreeEvent::Created { path },
                        11 => TreeEvent::Deleted { path },
                        _ => TreeEvent::DataChanged { path },
                    };
                    let (events, fired) = fire(&watches, event);
                    let (expected, expected_fired) = model.fire(event);
                    prop_assert_eq!(events.len(), expected.len());
                    let events: BTreeSet<_> = events
                        .into_iter()
                        .map(|(cnxn, event, path)| (cnxn, event as u8, path))
                        .collect();
                    prop_assert_eq!(events, expected);
                    prop_assert_eq!(fired, expected_fired);
                }
            }
            prop_assert_eq!(watches.count(), model.data.len() + model.child.len());
            let paths: BTreeSet<_> = model.data.keys().map(|(path, _)| path.clone()).collect();
            prop_assert_eq!(watches.summary().paths, paths.len());
            prop_assert_eq!(watches.summary().watches, model.data.len());
            let mut shown = BTreeSet::new();
            watches.for_each_path(|path, cnxns| {
                shown.extend(cnxns.iter().map(|cnxn| (path.to_owned(), *cnxn)));
            });
            prop_assert_eq!(shown, model.data.keys().cloned().collect::<BTreeSet<_>>());
        }
    }
}
