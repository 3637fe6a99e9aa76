//! Snapshots taken while the tree changes, and what the log behind them makes of them.

use jute::{
    Acl, CloseSessionTxn, CreateSessionTxn, CreateTxn, DeleteTxn, Field, Id, MultiTxn, SetDataTxn,
    Txn, TxnDigest, TxnHeader,
};
use proptest::prelude::*;

use super::*;
use crate::persistence::put_leaders_end;
use crate::proto::OpCode;

const PATHS: [&str; 8] = ["/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", "/a/a/a", "/b/a/b"];

/// A change by session `session` of the node at `PATHS[path]`; it is left out where it cannot be.
#[derive(Debug, Clone, Copy)]
enum Change {
    Create {
        path: usize,
        is_ephemeral: bool,
        session: i64,
    },
    Delete {
        path: usize,
    },
    SetData {
        path: usize,
        data: u8,
    },
    /// The node deleted and made anew in one transaction, as another session's.
    Replace {
        path: usize,
        session: i64,
    },
    OpenSession {
        session: i64,
    },
    CloseSession {
        session: i64,
    },
}

fn changes() -> impl Strategy<Value = Vec<(Change, bool)>> {
    let (path, session) = (0..PATHS.len(), 1_i64..4);
    let change = prop_oneof![
        4 => (path.clone(), any::<bool>(), session.clone()).prop_map(
            |(path, is_ephemeral, session)| Change::Create { path, is_ephemeral, session }
        ),
        2 => path.clone().prop_map(|path| Change::Delete { path }),
        2 => (path.clone(), any::<u8>()).prop_map(|(path, data)| Change::SetData { path, data }),
        1 => (path, session.clone()).prop_map(|(path, session)| Change::Replace { path, session }),
        2 => session.clone().prop_map(|session| Change::OpenSession { session }),
        1 => session.prop_map(|session| Change::CloseSession { session }),
    ];
    // With each whether the snapshot goes on by a slot behind it.
    prop::collection::vec((change, any::<bool>()), 1..80)
}

/// A database, and the log of what was done to it.
struct World {
    database: ZkDatabase,
    log: Vec<(Zxid, Vec<u8>)>,
}

impl World {
    fn new() -> Self {
        let tree = DataTree::new(TreeOptions::default());
        Self { database: ZkDatabase { tree, sessions: HashMap::default() }, log: Vec::new() }
    }

    fn make(&mut self, change: Change) {
        let tree = &self.database.tree;
        let has_children = |path: &str| {
            PATHS.iter().any(|other| {
                other.len() > path.len() && other.starts_with(path) && tree.contains(other)
            })
        };
        let (session, kind, body) = match change {
            Change::Create { path, is_ephemeral, session } => {
                let path = PATHS[path];
                let parent = path.rsplit_once('/').expect("a slash").0;
                let is_refused = tree.contains(path)
                    || tree.node(parent).is_none_or(|parent| parent.stat().ephemeral_owner != 0)
                    || is_ephemeral && !self.database.sessions.contains_key(&SessionId(session));
                if is_refused {
                    return;
                }
                (session, OpCode::Create, self.create(path, is_ephemeral))
            }
            Change::Delete { path }
            | Change::SetData { path, .. }
            | Change::Replace { path, .. }
                if !tree.contains(PATHS[path]) =>
            {
                return;
            }
            Change::Delete { path } | Change::Replace { path, .. } if has_children(PATHS[path]) => {
                return;
            }
            Change::Delete { path } => (9, OpCode::Delete, delete(PATHS[path])),
            Change::SetData { path, data } => {
                let version = tree.node(PATHS[path]).map_or(0, |node| node.stat().version) + 1;
                let path = PATHS[path].into();
                (9, OpCode::SetData, SetDataTxn { path, data: Some(&[data]), version }.to_vec())
            }
            Change::Replace { path, session } => {
                let is_ephemeral = self.database.sessions.contains_key(&SessionId(session));
                let create = self.create(PATHS[path], is_ephemeral);
                let delete = delete(PATHS[path]);
                let txn = |op: OpCode, data| Txn { kind: op.code(), data: Some(data) };
                let txns = vec![txn(OpCode::Delete, &delete), txn(OpCode::Create, &create)];
                (session, OpCode::Multi, MultiTxn { txns }.to_vec())
            }
            Change::OpenSession { session } => {
                (session, OpCode::CreateSession, CreateSessionTxn { time_out: 5_000 }.to_vec())
            }
            Change::CloseSession { session } => {
                let paths = tree.ephemerals(SessionId(session));
                let paths2_delete = paths.iter().map(|path| path.as_str().into()).collect();
                (session, OpCode::CloseSession, CloseSessionTxn { paths2_delete }.to_vec())
            }
        };
        let zxid = self.database.tree.last_processed().next();
        let header =
            TxnHeader { client_id: session, cxid: 1, zxid: zxid.0, time: 1, kind: kind.code() };
        let entry = [header.to_vec(), body].concat();
        apply(&mut self.database, &entry);
        let tree_digest = self.database.tree.tree_digest() as i64;
        let digest = TxnDigest { version: DIGEST_VERSION, tree_digest };
        self.log.push((zxid, [entry, digest.to_vec()].concat()));
    }

    fn create(&self, path: &str, ephemeral: bool) -> Vec<u8> {
        let parent = path.rsplit_once('/').expect("a slash").0;
        let parent = self.database.tree.node(parent).expect("the parent");
        let acl = vec![Acl { perms: 31, id: Id { scheme: "world".into(), id: "anyone".into() } }];
        let parent_cversion = parent.stored_stat().cversion + 1;
        CreateTxn { path: path.into(), data: Some(b"x"), acl, ephemeral, parent_cversion }.to_vec()
    }
}

fn delete(path: &str) -> Vec<u8> {
    DeleteTxn { path: path.into() }.to_vec()
}

fn apply(database: &mut ZkDatabase, entry: &[u8]) {
    let entry = TxnEntry::decode(entry).expect("an entry");
    let _ = database.apply(&entry, &mut ());
}

/// Everything a client can see of the tree, and who owns what.
fn described(database: &ZkDatabase) -> String {
    let tree = &database.tree;
    let mut lines: Vec<String> = PATHS
        .iter()
        .chain(&[""])
        .filter_map(|path| tree.node(path).map(|node| (path, node)))
        .map(|(path, node)| format!("{path} {:?} {:?}", node.data(), node.stat()))
        .collect();
    for session in (1..4).map(SessionId) {
        let mut owned = tree.ephemerals(session);
        owned.sort();
        lines.push(format!("{session} {:?} {owned:?}", database.sessions.get(&session)));
    }
    lines.join("\n")
}

/// Half of it would be of the one tree and half of the other, under the name of the first.
#[test]
fn a_snapshot_is_dropped_if_the_database_is_replaced_meanwhile() {
    let fresh = || World::new().database;
    let database = fresh();
    let mut bytes = Vec::new();
    let mut cursor = SnapshotCursor::start(&database.tree, std::iter::empty(), &mut bytes);
    assert_eq!(cursor.next_chunk(&database.tree, 1, &mut bytes), Ok(true));
    let len = bytes.len();
    assert_eq!(cursor.next_chunk(&fresh().tree, 1, &mut bytes), Err(TreeReplaced));
    assert_eq!(bytes.len(), len);

    let dir = tempfile::tempdir().unwrap();
    let options = SnapshotOptions {
        dir: dir.path().to_owned(),
        compression: Compression::None,
        with_digest: true,
        with_last_processed: true,
        history: Arc::default(),
    };
    let shared = RwLock::new(database);
    let begin = || SnapshotInProgress::begin(&OsDisk, &shared, &options).unwrap();
    let written = begin().walk(&shared).unwrap().expect("the same tree");
    let mut half = begin();
    assert_eq!(half.go_on(&shared, 1).unwrap(), SnapshotProgress::More);
    *shared.write() = fresh();
    assert_eq!(half.go_on(&shared, 1).unwrap(), SnapshotProgress::Replaced);
    drop(half);
    assert!(written.finish(&shared, &options).unwrap().is_none());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left of it");
}

proptest! {
    /// ZOOKEEPER-3127 and 3144 lost changes between a snapshot and the log, ZOOKEEPER-2355 left
    /// ephemeral nodes of sessions that were gone.
    #[test]
    fn a_snapshot_taken_amid_changes_and_the_log_behind_it_make_the_same_tree(
        before in changes(),
        meanwhile in changes(),
    ) {
        let mut world = World::new();
        before.into_iter().for_each(|(change, _)| world.make(change));
        let start = world.database.tree.last_processed();
        let mut bytes = Vec::new();
        let sessions: Vec<_> = world.database.sessions.iter().map(|(&id, &ms)| (id, ms)).collect();
        let tree = &world.database.tree;
        let mut cursor = SnapshotCursor::start(tree, sessions.into_iter(), &mut bytes);
        for (change, goes_on) in meanwhile {
            world.make(change);
            if goes_on {
                cursor.next_chunk(&world.database.tree, 1, &mut bytes).expect("the same tree");
            }
        }
        let mut go_on = || cursor.next_chunk(&world.database.tree, 1, &mut bytes);
        while go_on().expect("the same tree") {}
        put_leaders_end(&mut bytes);
        let received = receive_snapshot(&mut &bytes[..], start, TreeOptions::default());
        let (mut database, _) = received.expect("a snapshot");
        let is_behind = world.database.tree.last_processed() > start;
        for (_, entry) in world.log.iter().filter(|(zxid, _)| *zxid > start) {
            apply(&mut database, entry);
        }
        prop_assert_eq!(database.tree.is_whole(), is_behind, "the last digest shows it");
        prop_assert_eq!(described(&database), described(&world.database));
        prop_assert_eq!(database.tree.tree_digest(), world.database.tree.tree_digest());
        prop_assert_eq!(database.tree.digest_mismatches(), 0, "states that never were count");
        database.tree.set_whole();
        world.make(Change::OpenSession { session: 1 });
        let (_, entry) = world.log.last().expect("an entry");
        apply(&mut database, entry);
        prop_assert_eq!(database.tree.digest_mismatches(), 0);
        world.make(Change::OpenSession { session: 2 });
        let (_, entry) = world.log.last_mut().expect("an entry");
        *entry.last_mut().expect("a digest") ^= 1;
        apply(&mut database, entry);
        prop_assert_eq!(database.tree.digest_mismatches(), 1, "a wrong digest counts");
    }
}
