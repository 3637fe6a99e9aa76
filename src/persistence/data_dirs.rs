//! The two data directories: `dataDir/version-2` for snapshots and epochs, `dataLogDir/version-2`
//! for transaction logs (the constructor of `FileTxnSnapLog`).
//!
//! They are locked with `flock` for as long as the server runs, so that two servers never write one
//! log. Apache takes no lock and its tools do not see this one, which needs no file.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::info;

use super::truncate::finish_install;
use super::{Disk, OsDisk, TEMPORARY_PREFIX};

/// The directory of the file formats' version, in dataDir and dataLogDir.
pub const VERSION_DIR: &str = "version-2";

/// Why the data directories cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// The directory is not there, and may not be created.
    #[error(
        "missing data directory {}: create it, or set zookeeper.datadir.autocreate=true",
        .0.display()
    )]
    Missing(PathBuf),
    /// The operating system refused.
    #[error("cannot {action} the data directory {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the data directory {} is in use by another server", .0.display())]
    InUse(PathBuf),
    /// Logs where snapshots should be, or the other way round (ZOOKEEPER-2967).
    #[error(
        "{} has {what} files although dataDir and dataLogDir differ: check both settings",
        path.display()
    )]
    WrongContent {
        /// The directory.
        path: PathBuf,
        /// What does not belong there.
        what: &'static str,
    },
}

/// The opened, checked and locked directories.
#[derive(Debug)]
pub struct DataDirs<D: Disk = OsDisk> {
    disk: D,
    snapshots: PathBuf,
    logs: PathBuf,
    /// Held for their locks.
    _locks: Vec<D::Lock>,
}

impl<D: Disk> DataDirs<D> {
    /// Opens the directories under `data_dir` and `data_log_dir`, creating them if `autocreate`
    /// (`zookeeper.datadir.autocreate`), removes what a snapshot that was cut off left, and
    /// finishes the installation of one.
    pub fn open(
        disk: D,
        data_dir: &Path,
        data_log_dir: &Path,
        autocreate: bool,
    ) -> Result<Self, DataDirError> {
        let (snapshots, logs) = (data_dir.join(VERSION_DIR), data_log_dir.join(VERSION_DIR));
        let mut locks = vec![open_dir(&disk, &logs, autocreate)?];
        if !disk.is_same(&snapshots, &logs) {
            locks.push(open_dir(&disk, &snapshots, autocreate)?);
            refuse(&disk, &logs, "snapshot", "snapshot.")?;
            refuse(&disk, &snapshots, "log", "log.")?;
        }
        // The process before may have died between a change of names and its flush: what is read
        // now must not be otherwise after the next loss of power.
        for dir in [&snapshots, &logs] {
            disk.sync_dir(dir).map_err(io_error("flush", dir))?;
        }
        for path in files_named(&disk, &snapshots, &format!("{TEMPORARY_PREFIX}snapshot."))? {
            info!("deleting {}, a snapshot that was cut off", path.display());
            disk.remove(&path).map_err(io_error("clean up", &snapshots))?;
        }
        finish_install(&disk, &snapshots, &logs)
            .map_err(io_error("finish the installation of a snapshot in", &snapshots))?;
        Ok(Self { disk, snapshots, logs, _locks: locks })
    }

    /// The disk they are on.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Where snapshots and epoch files are.
    pub fn snapshots(&self) -> &Path {
        &self.snapshots
    }

    /// Where transaction logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Whether the operator vouches for an empty database by a file `initialize`, which is deleted.
    /// Apache looks beside the logs, while zkServer-initialize.sh puts it beside the snapshots;
    /// here either place will do.
    pub fn take_initialize_file(&self) -> Result<bool, DataDirError> {
        let mut found = false;
        for version_dir in [&self.logs, &self.snapshots] {
            let dir = version_dir.parent().unwrap_or(Path::new("."));
            match self.disk.remove(&dir.join("initialize")) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(io_error("remove the file initialize of", dir)(source)),
            }
        }
        if found {
            info!("initialize file found: an empty database will not block voting participation");
        }
        Ok(found)
    }
}

/// Creates the directory if it may, makes sure it can be written to, and locks it.
fn open_dir<D: Disk>(disk: &D, path: &Path, autocreate: bool) -> Result<D::Lock, DataDirError> {
    if !disk.exists(path) {
        if !autocreate {
            return Err(DataDirError::Missing(path.to_owned()));
        }
        disk.create_dirs(path).map_err(io_error("create", path))?;
    }
    disk.check_writable(path).map_err(io_error("write to", path))?;
    let lock = disk.lock(path).map_err(io_error("open", path))?;
    lock.ok_or_else(|| DataDirError::InUse(path.to_owned()))
}

fn refuse(
    disk: &impl Disk,
    path: &Path,
    what: &'static str,
    prefix: &str,
) -> Result<(), DataDirError> {
    match files_named(disk, path, prefix)?.is_empty() {
        true => Ok(()),
        false => Err(DataDirError::WrongContent { path: path.to_owned(), what }),
    }
}

/// The files whose names begin with `prefix`.
fn files_named(disk: &impl Disk, dir: &Path, prefix: &str) -> Result<Vec<PathBuf>, DataDirError> {
    let mut paths = disk.list(dir).map_err(io_error("list", dir))?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(prefix.as_bytes())
    });
    Ok(paths)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    move |source| DataDirError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn directories_are_created_and_belong_to_one_server() {
        let home = tempfile::tempdir().unwrap();
        let (data, logs) = (home.path().join("data"), home.path().join("logs"));
        let missing = DataDirs::open(OsDisk, &data, &logs, false).unwrap_err();
        assert!(matches!(missing, DataDirError::Missing(_)), "{missing}");

        let dirs = DataDirs::open(OsDisk, &data, &logs, true).unwrap();
        assert_eq!(dirs.snapshots(), data.join("version-2"));
        assert_eq!(dirs.logs(), logs.join("version-2"));
        let in_use = DataDirs::open(OsDisk, &data, &data, true).unwrap_err();
        assert!(matches!(in_use, DataDirError::InUse(_)), "{in_use}");
        drop(dirs);
        DataDirs::open(OsDisk, &data, &data.join("../data"), true).unwrap();
    }

    #[test]
    fn logs_and_snapshots_in_each_others_directory_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let (data, logs) = (home.path().join("data"), home.path().join("logs"));
        drop(DataDirs::open(OsDisk, &data, &logs, true).unwrap());
        fs::write(data.join("version-2/log.1"), b"").unwrap();
        let wrong = DataDirs::open(OsDisk, &data, &logs, true).unwrap_err();
        assert!(matches!(wrong, DataDirError::WrongContent { what: "log", .. }), "{wrong}");
        DataDirs::open(OsDisk, &data, &data, true).unwrap();
    }

    #[test]
    fn what_a_cut_off_snapshot_left_is_removed_and_initialize_is_taken_once() {
        let home = tempfile::tempdir().unwrap();
        drop(DataDirs::open(OsDisk, home.path(), home.path(), true).unwrap());
        let left_over = home.path().join("version-2/tmp.snapshot.5");
        fs::write(&left_over, b"half").unwrap();
        fs::write(home.path().join("initialize"), b"").unwrap();
        let dirs = DataDirs::open(OsDisk, home.path(), home.path(), false).unwrap();
        assert!(!left_over.exists());
        assert!(dirs.take_initialize_file().unwrap());
        assert!(!dirs.take_initialize_file().unwrap());
    }
}
