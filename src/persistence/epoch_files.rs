//! `currentEpoch` and `acceptedEpoch`: the epoch a server last took part in, and the one it last
//! promised to (`QuorumPeer.loadDataBase`, `readLongFromFile`, `writeLongToFile`).
//!
//! Both lie in the snapshot directory as decimal text. Only members of ensembles have them.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::{info, warn};

use super::atomic_file::{temporary_of, write_atomically};
use super::{Disk, OsDisk};
use crate::proto::Zxid;

/// Why the epochs could not be read or written, or do not fit the data.
#[derive(Debug, Error)]
pub enum EpochError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no number.
    #[error("found {found:?} in {}, where a decimal epoch should stand", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
    /// Transactions of an epoch this server never took part in.
    #[error(
        "the current epoch, {current}, is older than that of the last zxid, 0x{last_zxid}: \
         currentEpoch and the data are not of the same server or time"
    )]
    OlderThanData {
        /// `currentEpoch`.
        current: i64,
        /// The last transaction.
        last_zxid: Zxid,
    },
    /// The promise is older than what it led to.
    #[error("the accepted epoch, {accepted}, is less than the current epoch, {current}")]
    AcceptedBeforeCurrent {
        /// `acceptedEpoch`.
        accepted: i64,
        /// `currentEpoch`.
        current: i64,
    },
}

/// The two epochs of a server, in memory and on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochFiles<D: Disk = OsDisk> {
    disk: D,
    dir: PathBuf,
    current: i64,
    accepted: i64,
}

impl<D: Disk> EpochFiles<D> {
    /// Reads the epochs from the snapshot directory `dir` and holds them against the last zxid of
    /// the data. Files that are missing are created with the zxid's epoch. A `currentEpoch` that a
    /// crash left under its temporary name is taken up if the data is ahead of the old one and not
    /// of the new, which a crash may have cut off as well. Without one, data that is ahead is fine
    /// if its epoch was accepted: a server that synchronises has the new history before it has the
    /// new epoch.
    pub fn load(disk: D, dir: &Path, last_zxid: Zxid) -> Result<Self, EpochError> {
        let (current_path, accepted_path) = (dir.join("currentEpoch"), dir.join("acceptedEpoch"));
        let epoch_of_zxid = last_zxid.epoch();
        let mut current = read_or_create(&disk, &current_path, epoch_of_zxid)?;
        if epoch_of_zxid > current {
            let temporary = temporary_of(&current_path);
            let waiting = match read(&disk, &temporary) {
                Err(EpochError::NotANumber { .. }) => None,
                read => read?.filter(|epoch| *epoch >= epoch_of_zxid),
            };
            if let Some(newer) = waiting {
                info!("{} found: the current epoch is {newer}", temporary.display());
                write(&disk, &current_path, newer)?;
                current = newer;
            } else if read(&disk, &accepted_path)?.is_some_and(|accepted| accepted >= epoch_of_zxid)
            {
                // History is written before the epoch (ZOOKEEPER-4643): a crash came in between.
                warn!(
                    "the last zxid, 0x{last_zxid}, is of an epoch that this server has promised to \
                     but not taken part in yet: starting with the current epoch, {current}"
                );
            } else {
                return Err(EpochError::OlderThanData { current, last_zxid });
            }
        }
        let accepted = read_or_create(&disk, &accepted_path, epoch_of_zxid)?;
        if accepted < current {
            return Err(EpochError::AcceptedBeforeCurrent { accepted, current });
        }
        Ok(Self { disk, dir: dir.to_owned(), current, accepted })
    }

    /// The epoch this server last took part in.
    pub fn current(&self) -> i64 {
        self.current
    }

    /// The epoch this server last promised to.
    pub fn accepted(&self) -> i64 {
        self.accepted
    }

    /// Takes part in `epoch`; durable when it returns.
    pub fn set_current(&mut self, epoch: i64) -> Result<(), EpochError> {
        write(&self.disk, &self.dir.join("currentEpoch"), epoch)?;
        self.current = epoch;
        Ok(())
    }

    /// Promises to `epoch`; durable when it returns.
    pub fn set_accepted(&mut self, epoch: i64) -> Result<(), EpochError> {
        write(&self.disk, &self.dir.join("acceptedEpoch"), epoch)?;
        self.accepted = epoch;
        Ok(())
    }
}

fn read_or_create(disk: &impl Disk, path: &Path, default: i64) -> Result<i64, EpochError> {
    if let Some(epoch) = read(disk, path)? {
        return Ok(epoch);
    }
    info!("{} not found: creating it with {default}", path.display());
    write(disk, path, default)?;
    Ok(default)
}

/// The number in the first line; `None` without the file.
fn read(disk: &impl Disk, path: &Path) -> Result<Option<i64>, EpochError> {
    let text = match disk.read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(EpochError::Io { action: "read", path: path.to_owned(), source });
        }
    };
    let line = text.lines().next().unwrap_or_default();
    line.parse().map(Some).map_err(|_| EpochError::NotANumber {
        path: path.to_owned(),
        found: line.chars().take(80).collect(),
    })
}

fn write(disk: &impl Disk, path: &Path, epoch: i64) -> Result<(), EpochError> {
    write_atomically(disk, path, epoch.to_string().as_bytes()).map_err(|source| EpochError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const IN_EPOCH_5: Zxid = Zxid(0x5_0000_0003);

    #[test]
    fn missing_files_are_created_from_the_last_zxid() {
        let dir = tempfile::tempdir().unwrap();
        let epochs = EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap();
        assert_eq!((epochs.current(), epochs.accepted()), (5, 5));
        assert_eq!(fs::read(dir.path().join("currentEpoch")).unwrap(), b"5");
        assert_eq!(EpochFiles::load(OsDisk, dir.path(), Zxid::ZERO).unwrap(), epochs);
    }

    #[test]
    fn what_is_set_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = EpochFiles::load(OsDisk, dir.path(), Zxid::ZERO).unwrap();
        epochs.set_accepted(7).unwrap();
        epochs.set_current(6).unwrap();
        assert_eq!(EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap(), epochs);
        assert!(!dir.path().join("currentEpoch.tmp").exists());
    }

    #[test]
    fn a_current_epoch_behind_the_data_is_refused_unless_its_successor_waits() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("currentEpoch"), "4").unwrap();
        // Without a promise, and with one that is too old.
        let refused = EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap_err();
        assert!(matches!(refused, EpochError::OlderThanData { current: 4, .. }), "{refused}");
        assert!(!dir.path().join("acceptedEpoch").exists(), "a refusal promises nothing");
        fs::write(dir.path().join("acceptedEpoch"), "4").unwrap();
        let refused = EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap_err();
        assert!(matches!(refused, EpochError::OlderThanData { current: 4, .. }), "{refused}");

        fs::write(dir.path().join("acceptedEpoch"), "5").unwrap();
        fs::write(dir.path().join("currentEpoch.tmp"), "5\n").unwrap();
        assert_eq!(EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap().current(), 5);
        assert_eq!(fs::read(dir.path().join("currentEpoch")).unwrap(), b"5");
    }

    #[test]
    fn a_crash_between_the_new_history_and_its_epoch_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("currentEpoch"), "4").unwrap();
        fs::write(dir.path().join("acceptedEpoch"), "5").unwrap();
        let epochs = EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap();
        assert_eq!((epochs.current(), epochs.accepted()), (4, 5));
        assert_eq!(fs::read(dir.path().join("currentEpoch")).unwrap(), b"4");
    }

    #[test]
    fn a_new_epoch_that_was_cut_off_while_it_was_written_is_none() {
        for cut_off in ["", "1", "x"] {
            let dir = tempfile::tempdir().unwrap();
            let files =
                [("currentEpoch", "11"), ("acceptedEpoch", "12"), ("currentEpoch.tmp", cut_off)];
            files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
            let epochs = EpochFiles::load(OsDisk, dir.path(), Zxid(12 << 32)).unwrap();
            assert_eq!((epochs.current(), epochs.accepted()), (11, 12), "{cut_off:?}");
        }
    }

    #[test]
    fn a_promise_older_than_what_it_led_to_and_garbage_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("currentEpoch"), "6").unwrap();
        fs::write(dir.path().join("acceptedEpoch"), "5").unwrap();
        let refused = EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap_err();
        assert!(matches!(refused, EpochError::AcceptedBeforeCurrent { accepted: 5, current: 6 }));
        fs::write(dir.path().join("acceptedEpoch"), "six").unwrap();
        let refused = EpochFiles::load(OsDisk, dir.path(), IN_EPOCH_5).unwrap_err().to_string();
        assert!(refused.contains("\"six\"") && refused.contains("acceptedEpoch"), "{refused}");
    }
}
