//! Bringing a database back: the newest snapshot, then the transactions behind it
//! (`FileTxnSnapLog.restore`, `fastForwardFromEdits`).
//!
//! ```text
//! snapshot | log entries | then
//! ---------+-------------+----------------------------------------------------------------
//!  yes     | any         | replay from the zxid in the snapshot's name + 1
//!  no      | yes         | refuse, unless zookeeper.snapshot.trust.empty: replay from 1
//!  no      | no, trusted | an empty database: zxid 0, and the caller writes snapshot.0
//!  no      | no          | nothing is known: zxid -1, the server waits to be synchronised
//! ```
//!
//! A snapshot is fuzzy: it may hold what transactions after its zxid did. Replay applies them
//! again, and the tree's rules for conflicts make the result exact.

use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::{info, warn};

use super::log_reader::{remove_empty_tail, tidy_end};
use super::{
    DataDirError, DataDirs, Disk, LoadedSnapshot, LogError, LogReader, SnapshotError, SnapshotSink,
    last_logged_zxid, load_newest_snapshot,
};
use crate::mutation::{self, Mutation};
use crate::proto::{TxnEntry, Zxid};

/// Takes a database as it is brought back.
pub trait RestoreSink: SnapshotSink {
    /// The snapshot is complete; replay follows.
    fn snapshot_loaded(&mut self, snapshot: &LoadedSnapshot);

    /// A transaction to apply, and its bytes. An error ends the restore: what a transaction finds
    /// changed already is none, since snapshots are fuzzy.
    fn apply(&mut self, entry: &TxnEntry<'_>, raw: &[u8]) -> Result<(), String>;
}

/// Which emptiness is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Logs without a snapshot are taken for the whole history (`zookeeper.snapshot.trust.empty`).
    pub trust_empty_snapshot: bool,
    /// An empty directory is an empty database (`zookeeper.db.autocreate`).
    pub db_autocreate: bool,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { trust_empty_snapshot: false, db_autocreate: true }
    }
}

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The last transaction; 0 for an empty database, -1 if nothing is known.
    pub zxid: Zxid,
    /// The snapshot, if there was one.
    pub snapshot: Option<LoadedSnapshot>,
    /// Whether the caller has to write the first snapshot of an empty database.
    pub needs_first_snapshot: bool,
    /// Transactions replayed (`startup_txns_loaded`).
    pub txns_loaded: u64,
    /// Time the snapshot took (`startup_snap_load_time`).
    pub snapshot_load_time: Duration,
    /// Time the replay took (`startup_txns_load_time`).
    pub txns_load_time: Duration,
}

/// Why a database could not be brought back.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The directories.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Logs without the snapshot they begin from.
    #[error(
        "no snapshot found in {}, but there are log entries in {}: something is broken. If these \
         logs are the whole history, as after an upgrade from 3.4, set \
         zookeeper.snapshot.trust.empty=true for one start",
        snapshots.display(),
        logs.display()
    )]
    NoSnapshot {
        /// The snapshot directory.
        snapshots: std::path::PathBuf,
        /// The log directory.
        logs: std::path::PathBuf,
    },
    /// The tree refused a transaction.
    #[error("cannot apply transaction 0x{zxid} of {}: {reason}", path.display())]
    Apply {
        /// The transaction.
        zxid: Zxid,
        /// Its file.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
}

/// Loads the newest snapshot into `sink` and replays the log behind it.
pub fn restore(
    dirs: &DataDirs<impl Disk>,
    options: RestoreOptions,
    sink: &mut impl RestoreSink,
) -> Result<Restored, RestoreError> {
    let start = Instant::now();
    let snapshot = load_newest_snapshot(dirs.disk(), dirs.snapshots(), sink)?;
    let snapshot_load_time = start.elapsed();
    let initialize = dirs.take_initialize_file()?;
    remove_empty_tail(dirs.disk(), dirs.logs())?;
    let mut restored = Restored {
        zxid: Zxid::ZERO,
        snapshot,
        needs_first_snapshot: false,
        txns_loaded: 0,
        snapshot_load_time,
        txns_load_time: Duration::ZERO,
    };
    if let Some(snapshot) = &restored.snapshot {
        restored.zxid = match snapshot.tail.last_processed {
            Some(end) if mutation::is_on(Mutation::SnapshotOfItsEnd) => end,
            _ => snapshot.file.zxid,
        };
        sink.snapshot_loaded(snapshot);
    } else if last_logged_zxid(dirs.disk(), dirs.logs())?.is_none() {
        if initialize || options.db_autocreate {
            restored.needs_first_snapshot = true;
        } else {
            warn!("unexpected empty data directory: the server waits to be synchronised");
            restored.zxid = Zxid(-1);
        }
        return Ok(restored);
    } else if options.trust_empty_snapshot {
        warn!("no snapshot found, but log entries are trusted to be the whole history");
    } else {
        let (snapshots, logs) = (dirs.snapshots().to_owned(), dirs.logs().to_owned());
        return Err(RestoreError::NoSnapshot { snapshots, logs });
    }
    replay(dirs, &mut restored, sink)?;
    Ok(restored)
}

/// Applies the transactions behind `restored.zxid`.
fn replay(
    dirs: &DataDirs<impl Disk>,
    restored: &mut Restored,
    sink: &mut impl RestoreSink,
) -> Result<(), RestoreError> {
    let start = Instant::now();
    let mut reader = LogReader::open(dirs.disk(), dirs.logs(), restored.zxid.next())?;
    while let Some(record) = reader.next_record()? {
        let zxid = record.zxid();
        if zxid <= restored.zxid {
            warn!(
                "{} repeats zxid 0x{zxid} after 0x{}: skipped",
                record.path.display(),
                restored.zxid
            );
            continue;
        }
        let entry = record.decode()?;
        sink.apply(&entry, record.raw).map_err(|reason| RestoreError::Apply {
            zxid,
            path: record.path.to_owned(),
            reason,
        })?;
        restored.zxid = zxid;
        restored.txns_loaded += 1;
    }
    if let Some(end) = reader.end() {
        tidy_end(dirs.disk(), end)?;
    }
    restored.txns_load_time = start.elapsed();
    info!(
        "{} transactions replayed in {} ms, up to zxid 0x{}",
        restored.txns_loaded,
        restored.txns_load_time.as_millis(),
        restored.zxid
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::log_batch::tests::push;
    use super::super::snapshot_reader::tests::Content;
    use super::super::{
        Compression, FileTxnLog, LogBatch, LogOptions, OsDisk, SnapshotTail, SnapshotWriter,
        put_end_of_nodes,
    };
    use super::*;
    use std::fs;
    use std::path::Path;

    impl RestoreSink for Content {
        fn snapshot_loaded(&mut self, snapshot: &LoadedSnapshot) {
            self.loaded_from = Some(snapshot.file.zxid);
        }

        fn apply(&mut self, entry: &TxnEntry<'_>, raw: &[u8]) -> Result<(), String> {
            assert_eq!(TxnEntry::decode(raw).unwrap(), *entry);
            if entry.zxid() == Zxid(66) {
                return Err("out of order".into());
            }
            self.replayed.push(entry.zxid().0);
            Ok(())
        }
    }

    fn snapshot(home: &Path, zxid: i64) {
        let dir = home.join("version-2");
        let mut writer =
            SnapshotWriter::create(&OsDisk, &dir, Zxid(zxid), Compression::None, false).unwrap();
        let mut body = vec![0; 8];
        put_end_of_nodes(&mut body);
        writer.write(&body).unwrap();
        writer.finish(&SnapshotTail::default()).unwrap();
    }

    fn log(home: &Path, zxids: std::ops::RangeInclusive<i64>) {
        let options = LogOptions { prealloc_bytes: 1 << 20, ..LogOptions::default() };
        let mut writer = FileTxnLog::new(OsDisk, home.join("version-2"), options);
        let mut batch = LogBatch::new();
        zxids.for_each(|zxid| push(&mut batch, zxid, b""));
        writer.append(&batch).unwrap();
        writer.flush().unwrap();
    }

    fn home() -> (tempfile::TempDir, DataDirs) {
        let home = tempfile::tempdir().unwrap();
        let dirs = DataDirs::open(OsDisk, home.path(), home.path(), true).unwrap();
        (home, dirs)
    }

    #[test]
    fn the_log_is_replayed_behind_the_newest_snapshot() {
        let (home, dirs) = home();
        snapshot(home.path(), 0);
        log(home.path(), 1..=10);
        snapshot(home.path(), 7);
        log(home.path(), 11..=12);
        let mut told = Content::default();
        let restored = restore(&dirs, RestoreOptions::default(), &mut told).unwrap();
        assert_eq!((restored.zxid, restored.txns_loaded), (Zxid(12), 5));
        assert_eq!(told.loaded_from, Some(Zxid(7)));
        assert_eq!(told.replayed, [8, 9, 10, 11, 12]);
        assert!(!restored.needs_first_snapshot);
    }

    #[test]
    fn a_torn_end_is_cut_off() {
        let (home, dirs) = home();
        snapshot(home.path(), 0);
        log(home.path(), 1..=3);
        let path = home.path().join("version-2/log.1");
        let mut bytes = fs::read(&path).unwrap();
        let third = 16 + 2 * 49;
        bytes[third + 20] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut told = Content::default();
        let restored = restore(&dirs, RestoreOptions::default(), &mut told).unwrap();
        assert_eq!((restored.zxid, told.replayed), (Zxid(2), vec![1, 2]));
        assert_eq!(fs::metadata(&path).unwrap().len(), third as u64);
    }

    #[test]
    fn blocks_that_a_crash_left_reserved_are_given_back() {
        let (home, dirs) = home();
        snapshot(home.path(), 0);
        log(home.path(), 1..=3);
        let path = home.path().join("version-2/log.1");
        let length = fs::metadata(&path).unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let reserve = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&file, reserve, 0, 8 << 20).unwrap();
        restore(&dirs, RestoreOptions::default(), &mut Content::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        // Apache's padding is left alone.
        file.set_len(64 << 20).unwrap();
        restore(&dirs, RestoreOptions::default(), &mut Content::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 64 << 20);
    }

    #[test]
    fn what_the_log_repeats_is_not_applied_twice() {
        let (home, dirs) = home();
        snapshot(home.path(), 0);
        log(home.path(), 1..=6);
        log(home.path(), 5..=8);
        let mut told = Content::default();
        restore(&dirs, RestoreOptions::default(), &mut told).unwrap();
        assert_eq!(told.replayed, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn logs_without_a_snapshot_are_refused_unless_trusted() {
        let (home, dirs) = home();
        log(home.path(), 1..=3);
        let mut told = Content::default();
        let refused = restore(&dirs, RestoreOptions::default(), &mut told);
        assert!(matches!(refused, Err(RestoreError::NoSnapshot { .. })));
        let trusting = RestoreOptions { trust_empty_snapshot: true, ..Default::default() };
        assert_eq!(restore(&dirs, trusting, &mut told).unwrap().zxid, Zxid(3));
        assert_eq!(told.replayed, [1, 2, 3]);
    }

    #[test]
    fn an_empty_directory_is_an_empty_database_if_somebody_says_so() {
        let (home, dirs) = home();
        let mut told = Content::default();
        let careful = RestoreOptions { db_autocreate: false, ..Default::default() };
        assert_eq!(restore(&dirs, careful, &mut told).unwrap().zxid, Zxid(-1));
        fs::write(home.path().join("initialize"), b"").unwrap();
        let vouched = restore(&dirs, careful, &mut told).unwrap();
        assert_eq!((vouched.zxid, vouched.needs_first_snapshot), (Zxid::ZERO, true));
        let created = restore(&dirs, RestoreOptions::default(), &mut told).unwrap();
        assert_eq!((created.zxid, created.needs_first_snapshot), (Zxid::ZERO, true));
    }

    #[test]
    fn a_first_snapshot_that_was_cut_off_is_none_but_a_later_one_is_missed() {
        let (home, dirs) = home();
        let mut told = Content::default();
        fs::write(home.path().join("version-2/snapshot.0"), b"ZKSN").unwrap();
        let restored = restore(&dirs, RestoreOptions::default(), &mut told).unwrap();
        assert!(restored.needs_first_snapshot);
        fs::write(home.path().join("version-2/snapshot.5"), b"ZKSN").unwrap();
        let refused = restore(&dirs, RestoreOptions::default(), &mut told).unwrap_err();
        assert!(refused.to_string().contains("snapshot.5"), "{refused}");
    }

    #[test]
    fn a_transaction_the_tree_refuses_is_named() {
        let (home, dirs) = home();
        snapshot(home.path(), 0);
        log(home.path(), 65..=67);
        let refused =
            restore(&dirs, RestoreOptions::default(), &mut Content::default()).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("0x42") && text.contains("log.41"), "{text}");
    }
}
