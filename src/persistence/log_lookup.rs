//! What the log on disk knows of a transaction: whether it holds it, what comes before and after
//! it, and whether it goes on from there without a hole (`ZKDatabase.getProposalsFromTxnLog`). So a
//! leader finds out whether the log can bring a learner up to date.

use std::path::Path;

use super::{Disk, LogError, LogReader, list_logs};
use crate::proto::Zxid;

/// The surroundings of a transaction in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogLookup {
    /// Whether the log holds it.
    pub is_present: bool,
    /// The last one below it that is of the same epoch.
    pub last_below: Option<Zxid>,
    /// The first one above it.
    pub next_above: Option<Zxid>,
    /// The last one, up to the one asked for, that is reached from `next_above` on without a hole;
    /// whether there is one between two epochs cannot be told.
    pub contiguous_to: Option<Zxid>,
    /// Bytes of the log files that were looked at, padding included.
    pub bytes: u64,
}

/// Looks for `zxid` in the logs of `dir`, and from there on up to `up_to`. Reads the files that
/// hold these transactions.
pub fn look_up(
    disk: &impl Disk,
    dir: &Path,
    zxid: Zxid,
    up_to: Zxid,
) -> Result<LogLookup, LogError> {
    let logs = list_logs(disk, dir).map_err(LogError::io("list", dir))?;
    // What comes before may stand in an earlier file than the one whose name is not above it.
    let before = zxid.0.saturating_sub(1);
    let first_file = logs.iter().rev().find(|log| log.zxid.0 <= before);
    let from = first_file.map_or(zxid, |log| log.zxid);
    let mut reader = LogReader::open(disk, dir, from)?;
    let mut found = LogLookup { bytes: reader.storage_bytes(), ..LogLookup::default() };
    while let Some(record) = reader.next_record()? {
        if !found.see(record.zxid(), zxid, up_to) {
            break;
        }
    }
    Ok(found)
}

impl LogLookup {
    /// Takes in the next transaction of the log, in search of `zxid` and what follows up to
    /// `up_to`. False if no later one counts.
    pub fn see(&mut self, at: Zxid, zxid: Zxid, up_to: Zxid) -> bool {
        if at < zxid {
            self.last_below = Some(at).filter(|at| at.epoch() == zxid.epoch());
        } else if at == zxid {
            self.is_present = true;
        } else {
            let last = self.contiguous_to;
            self.next_above.get_or_insert(at);
            match last {
                // The log repeats it.
                Some(last) if at <= last => return true,
                Some(last) if !at.may_follow(last) => return false,
                _ if at > up_to => return false,
                _ => self.contiguous_to = Some(at),
            }
            return at != up_to;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_batch::tests::push;
    use super::super::{FileTxnLog, LogBatch, LogOptions, OsDisk};
    use super::*;

    const EPOCH: i64 = 1 << 32;

    fn log(dir: &Path, zxids: impl IntoIterator<Item = i64>) {
        let options = LogOptions { prealloc_bytes: 1 << 20, ..LogOptions::default() };
        let mut batch = LogBatch::new();
        zxids.into_iter().for_each(|zxid| push(&mut batch, zxid, b""));
        let mut writer = FileTxnLog::new(OsDisk, dir, options);
        writer.append(&batch).unwrap();
        writer.flush().unwrap();
    }

    #[test]
    fn what_is_around_a_transaction_is_found() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), 3..=10);
        log(dir.path(), 11..=15);
        log(dir.path(), [EPOCH + 1, EPOCH + 2, EPOCH + 4, EPOCH + 5]);
        let last = EPOCH + 5;
        let found = |zxid, up_to| {
            let found = look_up(&OsDisk, dir.path(), Zxid(zxid), Zxid(up_to)).unwrap();
            let zxids = [found.last_below, found.next_above, found.contiguous_to];
            (found.is_present, zxids.map(|zxid| zxid.map_or(-1, |zxid| zxid.0)))
        };
        assert_eq!(found(2, 8), (false, [-1, 3, 8]));
        assert_eq!(found(3, 15), (true, [-1, 4, 15]));
        assert_eq!(found(11, 13), (true, [10, 12, 13]), "the one before is in another file");
        assert_eq!(found(13, last), (true, [12, 14, EPOCH + 2]), "up to the hole");
        assert_eq!(found(7, 15), (true, [6, 8, 15]), "across files");
        assert_eq!(found(20, last), (false, [15, EPOCH + 1, EPOCH + 2]));
        assert_eq!(found(EPOCH, EPOCH + 1), (false, [-1, EPOCH + 1, EPOCH + 1]));
        assert_eq!(found(EPOCH + 3, last), (false, [EPOCH + 2, EPOCH + 4, last]));
        assert_eq!(found(last, last), (true, [EPOCH + 4, -1, -1]));
        let nothing = tempfile::tempdir().unwrap();
        let of_nothing = look_up(&OsDisk, nothing.path(), Zxid(5), Zxid(9)).unwrap();
        assert_eq!(of_nothing, LogLookup::default());
    }

    #[test]
    fn only_the_files_that_are_needed_count() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), 1..=10);
        log(dir.path(), 11..=12);
        let size = |name| dir.path().join(name).metadata().unwrap().len();
        let bytes = |zxid| look_up(&OsDisk, dir.path(), Zxid(zxid), Zxid(12)).unwrap().bytes;
        assert_eq!(bytes(12), size("log.b"));
        assert_eq!(bytes(11), size("log.1") + size("log.b"));
    }
}
