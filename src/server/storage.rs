//! The database on disk: restoring it at start and taking snapshots while the server runs
//! (`ZKDatabase.loadDataBase`, `ZooKeeperServer.takeSnapshot`).

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use jute::{Acl, StatPersisted};
use parking_lot::{Mutex, RwLock};

use crate::persistence::{
    self, Compression, DataDirs, DataFile, Disk, LoadedSnapshot, OsDisk, RestoreError,
    RestoreOptions, RestoreSink, SnapshotDigest, SnapshotError, SnapshotSink, SnapshotTail,
    SnapshotWriter, parse_leaders_snapshot, restore,
};
use crate::processor::{ServerState, ZkDatabase};
use crate::proto::{SessionId, TxnEntry, Zxid};
use crate::tree::{
    DIGEST_VERSION, DataTree, SnapshotCursor, TreeLoader, TreeOptions, TreeReplaced, ZxidDigest,
};

/// Slots of the tree a snapshot looks at under one hold of the lock.
pub(super) const SLOTS_PER_HOLD: usize = 2048;

/// How snapshots are written.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Directory they go to.
    pub dir: PathBuf,
    /// How they are compressed.
    pub compression: Compression,
    /// Whether the tree's digest is written (`digest.enabled`).
    pub with_digest: bool,
    /// Whether the last processed zxid is written (`serializeLastProcessedZxid.enabled`).
    pub with_last_processed: bool,
    /// Held while a snapshot gets its name, and while history on disk and database are replaced.
    pub history: Arc<Mutex<()>>,
}

/// A database as it was left.
pub struct RestoredDatabase {
    /// Tree and sessions.
    pub database: ZkDatabase,
    /// Transactions replayed over the snapshot.
    pub txns_replayed: u64,
    /// Whether a first snapshot is to be written.
    pub needs_first_snapshot: bool,
    /// Time it took to load the snapshot.
    pub snapshot_load_time: Duration,
    /// Time it took to replay the transactions.
    pub txns_load_time: Duration,
}

/// Restores the database from snapshot and log, or makes the one every server starts with.
pub fn restore_database(
    dirs: &DataDirs<impl Disk>,
    options: RestoreOptions,
    tree_options: TreeOptions,
) -> Result<RestoredDatabase, RestoreError> {
    let begin = Instant::now();
    let mut sink = DatabaseSink::new(tree_options);
    let restored = restore(dirs, options, &mut sink)?;
    let snapshot_load_time = sink.snapshot_loaded_at.map_or(Duration::ZERO, |at| at - begin);
    let txns_load_time = begin.elapsed() - snapshot_load_time;
    let mut database = sink.into_database();
    database.tree.set_last_processed(restored.zxid);
    // The first snapshot is of a moment at which nothing changed yet. Without digests nothing can
    // tell a part of a leader's snapshot from a tree.
    let is_first = restored.snapshot.as_ref().is_some_and(|it| it.file.zxid == Zxid::ZERO);
    if is_first || !tree_options.digest_enabled {
        database.tree.set_whole();
    }
    Ok(RestoredDatabase {
        database,
        txns_replayed: restored.txns_loaded,
        needs_first_snapshot: restored.needs_first_snapshot,
        snapshot_load_time,
        txns_load_time,
    })
}

/// Writes a snapshot of the database as it is while reads and writes go on; returns the file, or
/// nothing if the database was replaced by another meanwhile.
pub fn take_snapshot(
    disk: &impl Disk,
    state: &ServerState,
    options: &SnapshotOptions,
) -> Result<Option<DataFile>, SnapshotError> {
    let snapshot = SnapshotInProgress::begin(disk, &state.database, options)?;
    let Some(snapshot) = snapshot.walk(&state.database)? else { return Ok(None) };
    // Either it has its name before the history is replaced, or it gets none.
    let _turn = options.history.lock();
    snapshot.finish(&state.database, options)
}

/// Puts a database that came from the leader in the place of everything on disk, as a snapshot of
/// its last transaction; durable when it returns. Nothing may be appended to the log meanwhile.
pub fn install_snapshot(
    dirs: &DataDirs<impl Disk>,
    database: &RwLock<ZkDatabase>,
    options: &SnapshotOptions,
) -> Result<DataFile, SnapshotError> {
    let zxid = database.read().tree.last_processed();
    let write = || {
        let snapshot = SnapshotInProgress::begin(dirs.disk(), database, options)?;
        let snapshot = snapshot.walk(database)?.expect(INSTALLED);
        Ok(snapshot.finish(database, options)?.expect(INSTALLED))
    };
    persistence::install_snapshot(dirs, zxid, write)
}

const INSTALLED: &str = "whoever installs a database does not replace it";

/// A snapshot of a database that changes while it is written.
pub struct SnapshotInProgress<D: Disk = OsDisk> {
    cursor: SnapshotCursor,
    writer: SnapshotWriter<D>,
    chunk: Vec<u8>,
}

/// How far a snapshot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotProgress {
    /// There is more to write.
    More,
    /// All nodes are written.
    AllNodes,
    /// Nothing comes of it: the database was replaced by another.
    Replaced,
}

impl<D: Disk> SnapshotInProgress<D> {
    /// Begins one of the database as it is now.
    pub fn begin(
        disk: &D,
        shared: &RwLock<ZkDatabase>,
        options: &SnapshotOptions,
    ) -> Result<Self, SnapshotError> {
        let mut chunk = Vec::new();
        let cursor = {
            let database = shared.read();
            let sessions = database.sessions.iter();
            let mut sessions: Vec<_> = sessions.map(|(&id, &timeout)| (id, timeout)).collect();
            sessions.sort_unstable();
            SnapshotCursor::start(&database.tree, sessions.into_iter(), &mut chunk)
        };
        let (zxid, fsync) = (cursor.zxid(), true);
        let writer = SnapshotWriter::create(disk, &options.dir, zxid, options.compression, fsync)?;
        Ok(Self { cursor, writer, chunk })
    }

    /// Looks at so many more slots of the tree, and writes what it finds there.
    pub fn go_on(
        &mut self,
        shared: &RwLock<ZkDatabase>,
        slots: usize,
    ) -> Result<SnapshotProgress, SnapshotError> {
        self.writer.write(&self.chunk)?;
        self.chunk.clear();
        Ok(match self.cursor.next_chunk(&shared.read().tree, slots, &mut self.chunk) {
            Ok(true) => SnapshotProgress::More,
            Ok(false) => SnapshotProgress::AllNodes,
            Err(TreeReplaced) => SnapshotProgress::Replaced,
        })
    }

    /// Writes all nodes; nothing comes of it if the database is replaced by another.
    fn walk(mut self, shared: &RwLock<ZkDatabase>) -> Result<Option<Self>, SnapshotError> {
        loop {
            match self.go_on(shared, SLOTS_PER_HOLD)? {
                SnapshotProgress::More => {}
                SnapshotProgress::AllNodes => return Ok(Some(self)),
                SnapshotProgress::Replaced => return Ok(None),
            }
        }
    }

    /// Writes what stands behind the nodes, makes the file durable and gives it its name; nothing
    /// comes of it if the database was replaced by another.
    pub fn finish(
        self,
        shared: &RwLock<ZkDatabase>,
        options: &SnapshotOptions,
    ) -> Result<Option<DataFile>, SnapshotError> {
        let (last_digest, last_processed) = {
            let database = shared.read();
            let tree = &database.tree;
            if self.cursor.check(tree).is_err() {
                return Ok(None);
            }
            (tree.last_digest(), tree.last_processed())
        };
        let nothing_yet = ZxidDigest { zxid: Zxid::ZERO, version: DIGEST_VERSION, digest: 0 };
        let ZxidDigest { zxid, version, digest } = last_digest.unwrap_or(nothing_yet);
        let digest = SnapshotDigest { zxid, version, digest: digest as i64 };
        let file = self.writer.finish(&SnapshotTail {
            digest: options.with_digest.then_some(digest),
            last_processed: options.with_last_processed.then_some(last_processed),
        })?;
        Ok(Some(file))
    }
}

/// Reads the snapshot a leader sends, of its database after `zxid`, from a stream that goes on
/// behind it. Returns the bytes that were read beyond it, too.
pub fn receive_snapshot(
    input: &mut dyn Read,
    zxid: Zxid,
    tree_options: TreeOptions,
) -> Result<(ZkDatabase, Vec<u8>), String> {
    let mut sink = DatabaseSink::new(tree_options);
    let beyond = parse_leaders_snapshot(input, &mut sink).map_err(|fault| fault.to_string())?;
    let loader = sink.loader.take().ok_or("the snapshot holds no node")?;
    let tree = loader.finish(zxid, None).map_err(|error| error.to_string())?;
    Ok((ZkDatabase { tree, sessions: sink.sessions }, beyond))
}

/// Where a restore goes: a tree in the making, then a database that transactions are applied to.
struct DatabaseSink {
    options: TreeOptions,
    loader: Option<TreeLoader>,
    sessions: HashMap<SessionId, i32>,
    database: Option<ZkDatabase>,
    snapshot_loaded_at: Option<Instant>,
}

impl DatabaseSink {
    fn new(options: TreeOptions) -> Self {
        Self {
            options,
            loader: None,
            sessions: HashMap::default(),
            database: None,
            snapshot_loaded_at: None,
        }
    }

    /// The database restored; without a snapshot, transactions apply to a fresh one.
    fn database(&mut self) -> &mut ZkDatabase {
        let (options, sessions) = (self.options, &mut self.sessions);
        self.database.get_or_insert_with(|| ZkDatabase {
            tree: DataTree::new(options),
            sessions: std::mem::take(sessions),
        })
    }

    fn into_database(mut self) -> ZkDatabase {
        self.database();
        self.database.expect("it was just made")
    }

    fn loader(&mut self) -> &mut TreeLoader {
        let options = self.options;
        self.loader.get_or_insert_with(|| TreeLoader::new(options))
    }
}

impl SnapshotSink for DatabaseSink {
    fn clear(&mut self) {
        *self = Self::new(self.options);
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) {
        self.sessions.insert(id, timeout_ms);
    }

    fn acl(&mut self, number: i64, acl: Vec<Acl<'_>>) {
        self.loader().acl(number, &acl);
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_number: i64,
        stat: &StatPersisted,
    ) -> Result<(), String> {
        self.loader().node(path, data, acl_number, stat).map_err(|error| error.to_string())
    }
}

impl RestoreSink for DatabaseSink {
    fn snapshot_loaded(&mut self, snapshot: &LoadedSnapshot) {
        let digest = snapshot.tail.digest.map(|digest| ZxidDigest {
            zxid: digest.zxid,
            version: digest.version,
            digest: digest.digest as u64,
        });
        let loader = self.loader.take().expect("a snapshot holds a root");
        let tree = loader.finish(snapshot.file.zxid, digest).expect("a snapshot holds a root");
        let sessions = std::mem::take(&mut self.sessions);
        self.database = Some(ZkDatabase { tree, sessions });
        self.snapshot_loaded_at = Some(Instant::now());
    }

    fn apply(&mut self, entry: &TxnEntry<'_>, _raw: &[u8]) -> Result<(), String> {
        self.database().apply(entry, &mut ());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
