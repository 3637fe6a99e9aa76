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
//! A snapshot is fuzzy: it may hold what transactions after its zxid did. Replay applies them again,
//! and the tree's rules for conflicts make the result exact.

use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::{info, warn};

use super::log_reader::remove_empty_tail;
use super::{
    DataDirError, DataDirs, LoadedSnapshot, LogError, LogReader, SnapshotError, SnapshotSink,
    last_logged_zxid, load_newest_snapshot,
};
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
    dirs: &DataDirs,
    options: RestoreOptions,
    sink: &mut impl RestoreSink,
) -> Result<Restored, RestoreError> {
    let start = Instant::now();
    let snapshot = load_newest_snapshot(dirs.snapshots(), sink)?;
    let snapshot_load_time = start.elapsed();
    let initialize = dirs.take_initialize_file()?;
    remove_empty_tail(dirs.logs())?;
    let mut restored = Restored {
        zxid: Zxid::ZERO,
        snapshot,
        needs_first_snapshot: false,
        txns_loaded: 0,
        snapshot_load_time,
        txns_load_time: Duration::ZERO,
    };
    if let Some(snapshot) = &restored.snapshot {
        restored.zxid = snapshot.file.zxid;
        sink.snapshot_loaded(snapshot);
    } else if last_logged_zxid(dirs.logs())?.is_none() {
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
    dirs: &DataDirs,
    restored: &mut Restored,
    sink: &mut impl RestoreSink,
) -> Result<(), RestoreError> {
    let start = Instant::now();
    let mut reader = LogReader::open(dirs.logs(), restored.zxid.next())?;
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
    restored.txns_load_time = start.elapsed();
    info!(
        "{} transactions replayed in {} ms, up to zxid 0x{}",
        restored.txns_loaded,
        restored.txns_load_time.as_millis(),
        restored.zxid
    );
    Ok(())
}
