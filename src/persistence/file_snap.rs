//! The snapshots of a directory: which there are, which may be whole, and loading the newest that
//! is (`FileSnap`).

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::{info, warn};

use super::file_names::{hex_zxid, list};
use super::snap_stream::{GZIP_MAGIC, SNAPPY_MAGIC};
use super::snapshot_format::{SLASH, SnapshotFault, SnapshotSink, SnapshotTail};
use super::{Compression, DataFile, Disk, DiskFile, read_snapshot};
use crate::proto::Zxid;

/// What the name of a snapshot begins with while it is written.
pub(super) const TEMPORARY_PREFIX: &str = "tmp.";

/// How many snapshots are tried before a load is given up.
const SNAPSHOTS_TRIED_MAX: usize = 100;

/// Why a snapshot could not be written or read.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a whole snapshot.
    #[error("the snapshot {} is corrupt at {fault}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where and why.
        fault: SnapshotFault,
    },
    /// There are snapshots, but none can be loaded.
    #[error(
        "no snapshot in {} can be loaded ({tried} tried); restore one from another server or a \
         backup. The newest: {newest}",
        dir.display()
    )]
    NoneValid {
        /// The snapshot directory.
        dir: PathBuf,
        /// How many were tried.
        tried: usize,
        /// What is wrong with the newest.
        newest: Box<SnapshotError>,
    },
}

impl SnapshotError {
    /// Names the file and what was tried with it.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// `snapshot.`, the zxid of the last transaction before it, and the suffix of its packing.
pub fn snapshot_name(zxid: Zxid, compression: Compression) -> String {
    format!("snapshot.{zxid}{}", compression.suffix())
}

/// The files of `dir` that are named like snapshots, oldest first.
pub fn list_snapshots(disk: &impl Disk, dir: &Path) -> io::Result<Vec<DataFile>> {
    list(disk, dir, |name| {
        let rest = name.strip_prefix("snapshot.")?;
        let zxid = rest.strip_suffix(Compression::of_name(name).suffix())?;
        hex_zxid(zxid)
    })
}

/// The newest `count` snapshots that look whole, newest first (`findNValidSnapshots`).
pub fn valid_snapshots(
    disk: &impl Disk,
    dir: &Path,
    count: usize,
) -> Result<Vec<DataFile>, SnapshotError> {
    let snapshots = list_snapshots(disk, dir).map_err(SnapshotError::io("list", dir))?;
    let valid = snapshots.into_iter().rev().filter(|file| match looks_whole(disk, &file.path) {
        Ok(valid) => valid,
        Err(error) => {
            warn!("the snapshot {} cannot be read: {error}", file.path.display());
            false
        }
    });
    Ok(valid.take(count).collect())
}

/// Whether the file's first or last bytes are those of a whole snapshot (`isValidSnapshot`). That
/// is cheap and likely right; the checksums tell for certain.
fn looks_whole(disk: &impl Disk, path: &Path) -> io::Result<bool> {
    let file = disk.open(path)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let starts_with = |magic: &[u8]| {
        let mut head = vec![0; magic.len()];
        let read = file.read_at_most(&mut head, 0)?;
        Ok(head[..read] == *magic)
    };
    match Compression::of_name(name) {
        Compression::Gz => starts_with(&GZIP_MAGIC),
        Compression::Snappy => starts_with(&SNAPPY_MAGIC),
        Compression::None => {
            let mut end = [0; SLASH.len()];
            let (length, end_length) = (file.length()?, end.len() as u64);
            if length < 2 * end_length {
                return Ok(false);
            }
            file.read_exact_at(&mut end, length - end_length)?;
            Ok(end == SLASH)
        }
    }
}

/// A snapshot that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedSnapshot {
    /// The file; its zxid is where replay goes on.
    pub file: DataFile,
    /// What stood behind the body.
    pub tail: SnapshotTail,
}

/// Loads the newest snapshot of `dir` that can be loaded into `sink`; `None` if there is none, or
/// nothing but the first one of a new server, cut off while it was written.
pub fn load_newest_snapshot(
    disk: &impl Disk,
    dir: &Path,
    sink: &mut impl SnapshotSink,
) -> Result<Option<LoadedSnapshot>, SnapshotError> {
    let candidates = valid_snapshots(disk, dir, SNAPSHOTS_TRIED_MAX)?;
    let tried = candidates.len();
    let mut newest_error = None;
    for file in candidates {
        info!("reading the snapshot {}", file.path.display());
        sink.clear();
        match read_snapshot(disk, &file.path, sink) {
            Ok(tail) => return Ok(Some(LoadedSnapshot { file, tail })),
            Err(error) => {
                warn!("{error}; trying an older one");
                newest_error.get_or_insert(error);
            }
        }
    }
    sink.clear();
    let Some(newest) = newest_error.or(newest_cut_off(disk, dir)?) else {
        return Ok(None);
    };
    Err(SnapshotError::NoneValid { dir: dir.to_owned(), tried, newest: Box::new(newest) })
}

/// The newest snapshot that says that there were transactions and yet does not look whole.
fn newest_cut_off(disk: &impl Disk, dir: &Path) -> Result<Option<SnapshotError>, SnapshotError> {
    let snapshots = list_snapshots(disk, dir).map_err(SnapshotError::io("list", dir))?;
    let newest = snapshots.into_iter().next_back().filter(|file| file.zxid > Zxid::ZERO);
    Ok(newest.map(|file| {
        let reason = "its first or last bytes are not those of a whole snapshot".into();
        SnapshotError::Corrupt { path: file.path, fault: SnapshotFault { offset: 0, reason } }
    }))
}
