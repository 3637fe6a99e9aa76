//! A server's database from its simulated disk, and snapshots of it: the real cursor and loader of
//! the tree over bytes in memory (`gamekeeper::server::storage` does the same over files).

use std::sync::Arc;

use gamekeeper::persistence::{
    SnapshotDigest, SnapshotSink, SnapshotTail, parse_leaders_snapshot, put_leaders_end,
};
use gamekeeper::processor::ZkDatabase;
use gamekeeper::proto::{SessionId, TxnEntry, Zxid};
use gamekeeper::tree::{
    DIGEST_VERSION, DataTree, SnapshotCursor, TreeLoader, TreeOptions, TreeReplaced, ZxidDigest,
};
use jute::{Acl, StatPersisted};

use crate::disk::{Disk, SnapshotFile};

/// How every tree of a simulation is made.
pub fn tree_options() -> TreeOptions {
    TreeOptions::default()
}

/// The database every server starts with.
pub fn empty() -> ZkDatabase {
    ZkDatabase { tree: DataTree::new(tree_options()), sessions: Default::default() }
}

/// The newest snapshot and the log behind it, as a start reads them.
///
/// # Errors
/// The snapshot or the log cannot be read: what a server wrote itself is wrong.
pub fn restore(disk: &Disk) -> Result<ZkDatabase, String> {
    let mut database = match disk.snapshots().last_key_value() {
        Some((&zxid, file)) => load(zxid, file)?,
        None => empty(),
    };
    let mut last = database.tree.last_processed();
    for record in disk.log() {
        if record.zxid > last {
            let entry = TxnEntry::decode(&record.entry).map_err(|error| error.to_string())?;
            let _ = database.apply(&entry, &mut ());
            last = record.zxid;
        }
    }
    database.tree.set_last_processed(last);
    Ok(database)
}

fn load(zxid: Zxid, file: &SnapshotFile) -> Result<ZkDatabase, String> {
    let mut sink = Sink { loader: TreeLoader::new(tree_options()), sessions: Vec::new() };
    let mut body = &file.body[..];
    parse_leaders_snapshot(&mut body, &mut sink).map_err(|fault| fault.to_string())?;
    let digest = file.tail.digest.map(|digest| ZxidDigest {
        zxid: digest.zxid,
        version: digest.version,
        digest: digest.digest as u64,
    });
    let tree = sink.loader.finish(zxid, digest).map_err(|error| error.to_string())?;
    Ok(ZkDatabase { tree, sessions: sink.sessions.into_iter().collect() })
}

/// A snapshot being written while transactions are applied.
pub struct Walk {
    cursor: SnapshotCursor,
    body: Vec<u8>,
}

impl Walk {
    /// Begins one.
    pub fn begin(database: &ZkDatabase) -> Self {
        let mut body = Vec::new();
        let mut sessions: Vec<_> =
            database.sessions.iter().map(|(&session, &timeout)| (session, timeout)).collect();
        sessions.sort_unstable();
        let cursor = SnapshotCursor::start(&database.tree, sessions.into_iter(), &mut body);
        Self { cursor, body }
    }

    /// The transaction it begins at.
    pub fn zxid(&self) -> Zxid {
        self.cursor.zxid()
    }

    /// Looks at some more slots of the tree; false once that was the end.
    ///
    /// # Errors
    /// The database was replaced by another meanwhile.
    pub fn go_on(&mut self, database: &ZkDatabase, slots: usize) -> Result<bool, TreeReplaced> {
        self.cursor.next_chunk(&database.tree, slots, &mut self.body)
    }

    /// What is written so far, for a learner.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// The end of one that is sent to a learner.
    pub fn leaders_end() -> Vec<u8> {
        let mut end = Vec::new();
        put_leaders_end(&mut end);
        end
    }

    /// The whole file.
    pub fn finish(mut self, database: &ZkDatabase) -> (Zxid, SnapshotFile) {
        put_leaders_end(&mut self.body);
        let tree = &database.tree;
        let nothing_yet = ZxidDigest { zxid: Zxid::ZERO, version: DIGEST_VERSION, digest: 0 };
        let ZxidDigest { zxid, version, digest } = tree.last_digest().unwrap_or(nothing_yet);
        let tail = SnapshotTail {
            digest: Some(SnapshotDigest { zxid, version, digest: digest as i64 }),
            last_processed: Some(tree.last_processed()),
        };
        (self.cursor.zxid(), SnapshotFile { body: Arc::new(self.body), tail })
    }
}

/// A whole snapshot at once, for an installation.
pub fn snapshot(database: &ZkDatabase) -> (Zxid, SnapshotFile) {
    let mut walk = Walk::begin(database);
    while walk.go_on(database, usize::MAX / 2).expect("it is the same database") {}
    walk.finish(database)
}

struct Sink {
    loader: TreeLoader,
    sessions: Vec<(SessionId, i32)>,
}

impl SnapshotSink for Sink {
    fn clear(&mut self) {
        *self = Self { loader: TreeLoader::new(tree_options()), sessions: Vec::new() };
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) {
        self.sessions.push((id, timeout_ms));
    }

    fn acl(&mut self, number: i64, acl: Vec<Acl<'_>>) {
        self.loader.acl(number, &acl);
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_number: i64,
        stat: &StatPersisted,
    ) -> Result<(), String> {
        self.loader.node(path, data, acl_number, stat).map_err(|error| error.to_string())
    }
}
