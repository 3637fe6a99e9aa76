//! Removes old snapshots and the logs nobody needs any more (`PurgeTxnLog`), for autopurge and
//! `gamekeeper purge`.
//!
//! Of the logs the newest whose name is not above the oldest kept snapshot's stays too: it may hold
//! the transactions that follow that snapshot.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::{info, warn};

use super::file_names::{hex_zxid, list};
use super::{Disk, LogError, SnapshotError, list_logs, logs_from, valid_snapshots};

/// The fewest snapshots that may be kept.
pub const SNAPSHOTS_KEPT_MIN: usize = 3;

/// Why nothing was purged.
#[derive(Debug, Error)]
pub enum PurgeError {
    /// Fewer than [`SNAPSHOTS_KEPT_MIN`].
    #[error("count should be greater than or equal to 3")]
    CountTooSmall,
    /// The snapshots could not be looked at.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The logs could not be looked at.
    #[error(transparent)]
    Logs(#[from] LogError),
}

/// Keeps the newest `count` whole snapshots in `snapshots` and the logs in `logs` that they need,
/// both version-2 directories, and deletes what is older. Returns what was deleted.
pub fn purge(
    disk: &impl Disk,
    logs: &Path,
    snapshots: &Path,
    count: usize,
) -> Result<Vec<PathBuf>, PurgeError> {
    if count < SNAPSHOTS_KEPT_MIN {
        return Err(PurgeError::CountTooSmall);
    }
    let kept = valid_snapshots(disk, snapshots, count)?;
    let Some(oldest) = kept.last().map(|file| file.zxid) else {
        return Ok(Vec::new());
    };
    let all_logs = list_logs(disk, logs).map_err(LogError::io("list", logs))?;
    let needed: HashSet<_> = logs_from(&all_logs, oldest).iter().map(|log| &log.path).collect();
    // As Apache does, this takes along files with a further suffix, such as snapshot.5.tmp.
    let named = |prefix: &'static str| {
        move |name: &str| hex_zxid(name.strip_prefix(prefix)?.split('.').next()?)
    };
    let old_logs = list(disk, logs, named("log.")).map_err(LogError::io("list", logs))?;
    let old_snapshots =
        list(disk, snapshots, named("snapshot.")).map_err(SnapshotError::io("list", snapshots))?;
    let mut removed = Vec::new();
    for file in old_logs.into_iter().chain(old_snapshots) {
        if file.zxid >= oldest || needed.contains(&file.path) {
            continue;
        }
        match disk.remove(&file.path) {
            Ok(()) => {
                info!("purged {}", file.path.display());
                removed.push(file.path);
            }
            Err(error) => warn!("failed to remove {}: {error}", file.path.display()),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::super::OsDisk;
    use super::*;
    use std::fs;

    /// A directory with these files; snapshots look whole.
    fn directory(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(dir.path().join(name), b"0123456789\0\0\0\x01/").unwrap();
        }
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_log_that_the_oldest_kept_snapshot_needs_stays() {
        let dir = directory(&[
            "snapshot.0",
            "snapshot.5",
            "snapshot.a",
            "snapshot.f",
            "snapshot.14",
            "snapshot.3.tmp",
            "log.1",
            "log.6",
            "log.8",
            "log.b",
            "log.10",
            "currentEpoch",
        ]);
        let removed = purge(&OsDisk, dir.path(), dir.path(), 3).unwrap();
        assert_eq!(removed.len(), 5);
        let left = ["currentEpoch", "log.10", "log.8", "log.b"];
        let snapshots = ["snapshot.14", "snapshot.a", "snapshot.f"];
        assert_eq!(names(dir.path()), [&left[..], &snapshots[..]].concat());
    }

    #[test]
    fn snapshots_that_were_cut_off_do_not_count() {
        let dir = directory(&["snapshot.1", "snapshot.2", "snapshot.3", "log.1"]);
        fs::write(dir.path().join("snapshot.4"), b"cut off").unwrap();
        assert_eq!(purge(&OsDisk, dir.path(), dir.path(), 3).unwrap(), Vec::<PathBuf>::new());
        assert!(matches!(
            purge(&OsDisk, dir.path(), dir.path(), 2),
            Err(PurgeError::CountTooSmall)
        ));
    }

    #[test]
    fn without_a_snapshot_nothing_is_removed() {
        let dir = directory(&["log.1", "log.5"]);
        purge(&OsDisk, dir.path(), dir.path(), 3).unwrap();
        assert_eq!(names(dir.path()), ["log.1", "log.5"]);
    }
}
