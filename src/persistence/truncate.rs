//! Giving up history on disk, as a leader asks of a learner: cutting the log (TRUNC;
//! `FileTxnLog.truncate`, `ZKDatabase.truncateLog`) and putting a received snapshot in the place of
//! everything (SNAP).
//!
//! 1. Whenever a crash comes, the next start finds a history without a hole: before a cut the old
//!    one or a part of it that still holds all up to the cut; around an installation the old one or
//!    the snapshot, never one on top of the other.
//! 2. Nothing is touched before it is known that the cut leaves what the leader believes it leaves:
//!    Apache cuts where the zxid is not in the log at all, and goes on with what is there.
//! 3. After an installation no older log is read any more. Its entries need not be part of the
//!    leader's history, and a learner of ours that got them from disk would diverge
//!    (ZOOKEEPER-2846).
//!
//! That a fuzzy snapshot below the cut holds nothing above it follows from what servers apply: only
//! what is committed, and that is never cut off.
//!
//! The directories must not be open for appending; the caller restores the database afterwards.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::{info, warn};

use super::file_names::hex_zxid;
use super::{
    DataDirs, DataFile, Disk, DiskFile, LogError, LogReader, SnapshotError, list_logs,
    list_snapshots, valid_snapshots,
};
use crate::proto::Zxid;

/// Where an installation moves what was there before; it holds one generation.
const REPLACED_DIR: &str = "replaced";

/// What the name of the file begins with that says that an installation is going on.
const INSTALLING_PREFIX: &str = "installing.";

/// Why the log could not be cut.
#[derive(Debug, Error)]
pub enum TruncateError {
    /// There is no snapshot to begin from.
    #[error(
        "cannot cut the history at 0x{to}: the oldest snapshot is of {}; a snapshot of the leader \
         has to replace what is there",
        oldest.map_or("nothing".into(), |zxid| format!("0x{zxid}"))
    )]
    NoSnapshotBelow {
        /// The last transaction to keep.
        to: Zxid,
        /// The oldest snapshot.
        oldest: Option<Zxid>,
    },
    /// The history does not hold the transaction it is to end with: it is not the leader's.
    #[error(
        "cannot cut the history at 0x{to}: it is not in it, 0x{last} is the last one before; a \
         snapshot of the leader has to replace what is there"
    )]
    NotInHistory {
        /// The last transaction to keep.
        to: Zxid,
        /// The last one below it, or before a hole.
        last: Zxid,
    },
    /// The log cannot be read or cut.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The snapshots cannot be looked at or removed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl TruncateError {
    /// Whether the disk works, but what is on it cannot be cut, so that only a snapshot of the
    /// leader can help.
    pub fn needs_snapshot(&self) -> bool {
        match self {
            Self::NoSnapshotBelow { .. } | Self::NotInHistory { .. } => true,
            Self::Log(error) => error.is_damage(),
            Self::Snapshot(_) => false,
        }
    }
}

/// Removes every transaction above `to` from logs and snapshots; durable when it returns. A refusal
/// leaves everything as it is.
pub fn truncate(dirs: &DataDirs<impl Disk>, to: Zxid) -> Result<(), TruncateError> {
    for step in steps(dirs, to)? {
        step.take(dirs.disk())?;
    }
    Ok(())
}

/// One change of a cut. A crash between any two leaves a history that holds all up to the cut.
#[derive(Debug)]
enum Step {
    /// Delete a snapshot beyond the cut: the logs can do without.
    DeleteSnapshot(PathBuf),
    /// Delete a log beyond it, later ones first.
    DeleteLog(PathBuf),
    /// Cut a log at this byte.
    Cut(PathBuf, u64),
}

impl Step {
    fn take(self, disk: &impl Disk) -> Result<(), TruncateError> {
        match self {
            Self::DeleteSnapshot(path) => {
                info!("truncating: deleting {}", path.display());
                disk.remove(&path).map_err(SnapshotError::io("delete", &path))?;
                disk.sync_parent(&path)
                    .map_err(SnapshotError::io("flush the directory of", &path))?;
            }
            Self::DeleteLog(path) => {
                info!("truncating: deleting {}", path.display());
                disk.remove(&path).map_err(LogError::io("delete", &path))?;
                disk.sync_parent(&path).map_err(LogError::io("flush the directory of", &path))?;
            }
            Self::Cut(path, offset) => {
                info!("truncating: cutting {} at byte {offset}", path.display());
                let file = disk.open_for_writing(&path);
                let file = file.map_err(LogError::io("open for truncation", &path))?;
                file.set_length(offset).map_err(LogError::io("truncate", &path))?;
                file.sync_all().map_err(LogError::io("flush", &path))?;
            }
        }
        Ok(())
    }
}

/// What a cut changes, in its order; refused if the history that a start would find does not hold
/// `to`.
fn steps(dirs: &DataDirs<impl Disk>, to: Zxid) -> Result<Vec<Step>, TruncateError> {
    let disk = dirs.disk();
    let snapshots = valid_snapshots(disk, dirs.snapshots(), usize::MAX)?;
    let Some(base) = snapshots.iter().find(|snapshot| snapshot.zxid <= to) else {
        let oldest = snapshots.last().map(|snapshot| snapshot.zxid);
        return Err(TruncateError::NoSnapshotBelow { to, oldest });
    };
    let mut last = base.zxid;
    let mut cut = None;
    let mut reader = LogReader::open(disk, dirs.logs(), last)?;
    while let Some(record) = reader.next_record()? {
        let zxid = record.zxid();
        if zxid > to {
            cut = Some((record.path.to_owned(), record.offset));
            break;
        }
        if zxid > last {
            if !zxid.may_follow(last) {
                break;
            }
            last = zxid;
        }
    }
    drop(reader);
    if last != to {
        return Err(TruncateError::NotInHistory { to, last });
    }
    let beyond = |files: Vec<DataFile>| {
        files.into_iter().rev().filter(|file| file.zxid > to).map(|file| file.path)
    };
    let snapshots = list_snapshots(disk, dirs.snapshots());
    let snapshots = snapshots.map_err(SnapshotError::io("list", dirs.snapshots()))?;
    let logs = list_logs(disk, dirs.logs()).map_err(LogError::io("list", dirs.logs()))?;
    let mut steps: Vec<_> = beyond(snapshots).map(Step::DeleteSnapshot).collect();
    let deleted_logs: Vec<_> = beyond(logs).collect();
    let cut = cut.filter(|(path, _)| !deleted_logs.contains(path));
    steps.extend(deleted_logs.into_iter().map(Step::DeleteLog));
    steps.extend(cut.map(|(path, offset)| Step::Cut(path, offset)));
    Ok(steps)
}

/// Puts a snapshot in the place of everything: `write` writes it, durably, as the snapshot of
/// `zxid`. What was there before is moved into the directory `replaced` and kept until the next
/// time.
pub fn install_snapshot(
    dirs: &DataDirs<impl Disk>,
    zxid: Zxid,
    write: impl FnOnce() -> Result<DataFile, SnapshotError>,
) -> Result<DataFile, SnapshotError> {
    let disk = dirs.disk();
    let marker = begin_install(disk, dirs.snapshots(), zxid)?;
    let file = match write() {
        Ok(file) => file,
        Err(error) => {
            // The old history is whole; the marker would go at the next start.
            let _ = disk.remove(&marker);
            return Err(error);
        }
    };
    assert_eq!(file.zxid, zxid, "the snapshot that is installed was announced");
    finish_install(disk, dirs.snapshots(), dirs.logs())
        .map_err(SnapshotError::io("replace the history in", dirs.snapshots()))?;
    Ok(file)
}

/// Leaves word that the snapshot of `zxid`, once it has its name, replaces everything.
fn begin_install(disk: &impl Disk, snapshots: &Path, zxid: Zxid) -> Result<PathBuf, SnapshotError> {
    let marker = snapshots.join(format!("{INSTALLING_PREFIX}{zxid}"));
    let written = disk.create(&marker).and_then(|file| file.sync_all());
    written
        .and_then(|()| disk.sync_parent(&marker))
        .map_err(SnapshotError::io("write", &marker))?;
    Ok(marker)
}

/// Ends an installation, also one that a crash cut off: if the snapshot is there, everything else
/// goes; if it is not, nothing has happened.
pub(super) fn finish_install(disk: &impl Disk, snapshots: &Path, logs: &Path) -> io::Result<()> {
    for marker in markers(disk, snapshots)? {
        let installed: Vec<_> = valid_snapshots(disk, snapshots, usize::MAX)
            .map_err(io::Error::other)?
            .into_iter()
            .filter(|file| file.zxid == marker.zxid)
            .map(|file| file.path)
            .collect();
        if installed.is_empty() {
            warn!("the installation of the snapshot 0x{} was cut off: it is void", marker.zxid);
        } else {
            let mut others: Vec<_> =
                list_snapshots(disk, snapshots)?.into_iter().map(|file| file.path).collect();
            others.retain(|path| !installed.contains(path));
            move_away(disk, snapshots, &others)?;
            let old_logs: Vec<_> =
                list_logs(disk, logs)?.into_iter().map(|file| file.path).collect();
            move_away(disk, logs, &old_logs)?;
        }
        disk.remove(&marker.path)?;
        disk.sync_parent(&marker.path)?;
    }
    Ok(())
}

fn markers(disk: &impl Disk, snapshots: &Path) -> io::Result<Vec<DataFile>> {
    super::file_names::list(disk, snapshots, |name| hex_zxid(name.strip_prefix(INSTALLING_PREFIX)?))
}

/// Moves files of `dir` into its directory of what was replaced, from which an earlier generation
/// goes.
fn move_away(disk: &impl Disk, dir: &Path, files: &[PathBuf]) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let replaced = dir.join(REPLACED_DIR);
    disk.create_dirs(&replaced)?;
    for old in disk.list(&replaced)? {
        let kind = old.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_same_kind = |file: &PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.split('.').next() == kind.split('.').next()
        };
        if files.iter().any(is_same_kind) {
            disk.remove(&old)?;
        }
    }
    for file in files {
        let Some(name) = file.file_name() else { continue };
        info!("{} is replaced by the leader's history", file.display());
        disk.rename(file, &replaced.join(name))?;
    }
    disk.sync_dir(&replaced)?;
    disk.sync_dir(dir)
}

#[cfg(test)]
mod tests;
