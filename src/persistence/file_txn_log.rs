//! The transaction log as the log thread writes it (`FileTxnLog`).
//!
//! ```text
//!            append            roll, or over the size limit
//!  Closed ----------> Open -----------------------------------> Closed
//!                       |
//!                       |  append or flush fails
//!                       v
//!                    Poisoned (for good)
//! ```
//!
//! 1. A file is created by the first append after a start or a roll and named by its first zxid. No
//!    file is appended to again after a restart.
//! 2. Nothing counts as written before [`FileTxnLog::flush`] returned.
//! 3. After a failure every later call fails: a flush that failed once may have dropped what it
//!    could not write, so a later one that succeeds proves nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::log_segment::LogSegment;
use super::{Disk, LogBatch, LogError, LogReader, OsDisk, list_logs, log_name};
use crate::mutation::{self, Mutation};
use crate::proto::Zxid;

/// How the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes reserved at a time (`preAllocSize`, there in KiB).
    pub prealloc_bytes: u64,
    /// A flush that leaves the file larger rolls it (`txnLogSizeLimitInKb`, there in KiB).
    pub size_limit_bytes: Option<u64>,
    /// Whether to flush to the disk at all (`forceSync`).
    pub force_sync: bool,
    /// A flush that takes longer is warned of (`fsync.warningthresholdms`).
    pub fsync_warning: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            prealloc_bytes: 64 << 20,
            size_limit_bytes: None,
            force_sync: true,
            fsync_warning: Duration::from_millis(1000),
        }
    }
}

/// The writer of one log directory.
#[derive(Debug)]
pub struct FileTxnLog<D: Disk = OsDisk> {
    disk: D,
    dir: PathBuf,
    options: LogOptions,
    segment: Option<LogSegment<D::File>>,
    /// Whether something was appended since the last flush.
    dirty: bool,
    /// Bytes in the files this writer has closed.
    closed_bytes: u64,
    last_zxid: Zxid,
    failure: Option<String>,
}

impl<D: Disk> FileTxnLog<D> {
    /// A writer for `dir`, the version-2 directory. Nothing is created before the first append.
    pub fn new(disk: D, dir: impl Into<PathBuf>, options: LogOptions) -> Self {
        Self {
            disk,
            dir: dir.into(),
            options,
            segment: None,
            dirty: false,
            closed_bytes: 0,
            last_zxid: Zxid::ZERO,
            failure: None,
        }
    }

    /// Appends the batch to the current file, or to a new one named by its first zxid. It is not
    /// durable before [`FileTxnLog::flush`].
    pub fn append(&mut self, batch: &LogBatch) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (batch.first_zxid(), batch.last_zxid()) else {
            return Ok(());
        };
        if first <= self.last_zxid {
            warn!("appending zxid 0x{first}, not above the last one, 0x{}", self.last_zxid);
        }
        let written = self.guarded(|log| log.write(first, batch.bytes()));
        if !mutation::is_on(Mutation::GoOnAfterFullDisk) {
            written?;
        }
        self.last_zxid = self.last_zxid.max(last);
        Ok(())
    }

    fn write(&mut self, first: Zxid, bytes: &[u8]) -> Result<(), LogError> {
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => {
                let path = self.dir.join(log_name(first));
                info!("creating the log file {}", path.display());
                none.insert(LogSegment::create(&self.disk, path, self.options.force_sync)?)
            }
        };
        segment.reserve(bytes.len(), self.options.prealloc_bytes)?;
        self.dirty = true;
        segment.append(bytes)
    }

    /// Makes everything appended durable. Returns how long the disk took, for `fsynctime`; nothing
    /// if there was nothing to flush or `forceSync` is off.
    pub fn flush(&mut self) -> Result<Option<Duration>, LogError> {
        let elapsed = match self.guarded(Self::sync) {
            Err(_) if mutation::is_on(Mutation::GoOnAfterFullDisk) => None,
            flushed => flushed?,
        };
        let limit = self.options.size_limit_bytes;
        if limit.is_some_and(|limit| self.current_size() > limit) {
            debug!("the log file is over its size limit: {} bytes", self.current_size());
            self.close_segment();
        }
        Ok(elapsed)
    }

    fn sync(&mut self) -> Result<Option<Duration>, LogError> {
        let dirty = std::mem::take(&mut self.dirty);
        let Some(segment) = self.segment.as_ref().filter(|_| dirty && self.options.force_sync)
        else {
            return Ok(None);
        };
        let start = Instant::now();
        segment.flush()?;
        let elapsed = start.elapsed();
        if elapsed > self.options.fsync_warning {
            warn!(
                "flushing the transaction log {} took {} ms, which delays every write; its file \
                 has {} bytes. Is its disk shared or too slow?",
                segment.path().display(),
                elapsed.as_millis(),
                segment.position()
            );
        }
        Ok(Some(elapsed))
    }

    /// Makes the next append start a new file. What was appended is flushed first.
    pub fn roll(&mut self) -> Result<(), LogError> {
        self.guarded(Self::sync)?;
        self.close_segment();
        Ok(())
    }

    /// The log is about to be cut after `last`, or replaced by a snapshot of it: what was appended
    /// is flushed, the file is let go, and the next append starts a new one.
    pub fn restart_after(&mut self, last: Zxid) -> Result<(), LogError> {
        self.roll()?;
        self.last_zxid = last;
        Ok(())
    }

    fn close_segment(&mut self) {
        self.closed_bytes += self.current_size();
        self.segment = None;
    }

    /// Bytes written to the current file, without its padding; 0 between files.
    pub fn current_size(&self) -> u64 {
        self.segment.as_ref().map_or(0, LogSegment::position)
    }

    /// Bytes written to all files since this writer was made or [`FileTxnLog::reset_total_size`].
    pub fn total_size(&self) -> u64 {
        self.closed_bytes + self.current_size()
    }

    /// Starts [`FileTxnLog::total_size`] anew, as after a snapshot.
    pub fn reset_total_size(&mut self) {
        self.closed_bytes = 0;
    }

    /// Why nothing is written any more, after a failure.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Does one step unless an earlier one failed, and remembers if this one does.
    fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if let Some(cause) = &self.failure {
            return Err(LogError::Poisoned { cause: cause.clone() });
        }
        step(self).inspect_err(|error| self.failure = Some(error.to_string()))
    }
}

/// The zxid of the last transaction in the log files of `dir`
/// (`FileTxnLog.getLastLoggedZxid`); `None` without any.
pub fn last_logged_zxid(disk: &impl Disk, dir: &Path) -> Result<Option<Zxid>, LogError> {
    let logs = list_logs(disk, dir).map_err(LogError::io("list", dir))?;
    // A last file whose only record is torn holds none: go back until one is found.
    for log in logs.iter().rev() {
        let mut reader = LogReader::open(disk, dir, log.zxid)?;
        let mut last = None;
        while let Some(record) = reader.next_record()? {
            last = Some(record.zxid());
        }
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::log_batch::tests::push;
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::process::Command;

    fn small() -> LogOptions {
        LogOptions { prealloc_bytes: 1 << 20, ..LogOptions::default() }
    }

    /// Appends and flushes a batch of the zxids, each entry with `more` bytes.
    fn log(log: &mut FileTxnLog, zxids: std::ops::RangeInclusive<i64>, more: usize) {
        let mut batch = LogBatch::new();
        zxids.for_each(|zxid| push(&mut batch, zxid, &vec![zxid as u8; more]));
        log.append(&batch).unwrap();
        assert!(log.flush().unwrap().is_some());
    }

    fn zxids(dir: &Path, from: i64) -> Vec<i64> {
        let mut reader = LogReader::open(&OsDisk, dir, Zxid(from)).unwrap();
        let mut zxids = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            zxids.push(record.zxid().0);
        }
        zxids
    }

    fn names(dir: &Path) -> Vec<String> {
        let logs = list_logs(&OsDisk, dir).unwrap();
        logs.iter().map(|log| log.path.file_name().unwrap().to_str().unwrap().into()).collect()
    }

    #[test]
    fn the_first_file_has_the_size_and_header_of_apaches() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = FileTxnLog::new(OsDisk, dir.path(), LogOptions::default());
        assert_eq!(names(dir.path()), [""; 0]);
        log(&mut writer, 0x1f..=0x1f, 0);
        assert_eq!(names(dir.path()), ["log.1f"]);
        let bytes = fs::read(dir.path().join("log.1f")).unwrap();
        assert_eq!(bytes.len(), 67_108_880);
        assert_eq!(bytes[..16], *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0");
        assert_eq!(bytes[64..67], [b'B', 0, 0]);
        assert_eq!((writer.current_size(), writer.total_size()), (65, 65));
        drop(writer);
        assert_eq!(fs::read(dir.path().join("log.1f")).unwrap(), bytes[..65]);
    }

    #[test]
    fn a_roll_and_a_restart_begin_new_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = FileTxnLog::new(OsDisk, dir.path(), small());
        log(&mut writer, 1..=10, 5);
        assert_eq!(writer.flush().unwrap(), None, "nothing to flush");
        writer.roll().unwrap();
        assert_eq!(writer.current_size(), 0);
        log(&mut writer, 11..=20, 5);
        drop(writer);
        log(&mut FileTxnLog::new(OsDisk, dir.path(), small()), 21..=30, 5);
        assert_eq!(names(dir.path()), ["log.1", "log.b", "log.15"]);
        assert_eq!(zxids(dir.path(), 0), (1..=30).collect::<Vec<_>>());
        assert_eq!(zxids(dir.path(), 15), (15..=30).collect::<Vec<_>>());
        assert_eq!(zxids(dir.path(), 31), [0; 0]);
        assert_eq!(last_logged_zxid(&OsDisk, dir.path()).unwrap(), Some(Zxid(30)));
    }

    #[test]
    fn a_log_that_was_cut_goes_on_in_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = FileTxnLog::new(OsDisk, dir.path(), small());
        log(&mut writer, 1..=10, 5);
        writer.restart_after(Zxid(10)).unwrap();
        log(&mut writer, 11..=20, 5);
        writer.restart_after(Zxid(10)).unwrap();
        fs::remove_file(dir.path().join("log.b")).unwrap();
        log(&mut writer, 11..=12, 6);
        assert_eq!(zxids(dir.path(), 0), (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn the_size_limit_rolls_after_a_flush() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { size_limit_bytes: Some(1000), ..small() };
        let mut writer = FileTxnLog::new(OsDisk, dir.path(), options);
        log(&mut writer, 1..=5, 300);
        log(&mut writer, 6..=6, 1);
        assert_eq!(names(dir.path()), ["log.1", "log.6"]);
        assert!(writer.total_size() > 1500);
        writer.reset_total_size();
        assert_eq!(writer.total_size(), writer.current_size());
    }

    #[test]
    fn batches_larger_than_windows_and_reservations_fit() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = FileTxnLog::new(OsDisk, dir.path(), small());
        log(&mut writer, 1..=3, 100);
        log(&mut writer, 4..=6, 1_500_000);
        log(&mut writer, 7..=9, 100);
        assert_eq!(names(dir.path()), ["log.1"]);
        assert_eq!(zxids(dir.path(), 0), (1..=9).collect::<Vec<_>>());
    }

    #[test]
    fn without_force_sync_nothing_is_flushed() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { force_sync: false, ..small() };
        let mut writer = FileTxnLog::new(OsDisk, dir.path(), options);
        let mut batch = LogBatch::new();
        push(&mut batch, 1, b"x");
        writer.append(&batch).unwrap();
        assert_eq!(writer.flush().unwrap(), None);
        assert_eq!(zxids(dir.path(), 0), [1]);
    }

    /// A file system of this many KiB, unmounted when dropped.
    struct SmallDisk(tempfile::TempDir);

    impl SmallDisk {
        fn mount(kib: u32) -> Option<Self> {
            let dir = tempfile::tempdir().unwrap();
            let size = format!("size={kib}k");
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                .arg(dir.path())
                .output();
            match mount {
                Ok(output) if output.status.success() => Some(Self(dir)),
                _ => {
                    eprintln!("not tested: mounting a tmpfs needs root");
                    None
                }
            }
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let unmounted = Command::new("umount").arg(self.0.path()).status();
            assert!(unmounted.is_ok_and(|status| status.success()));
        }
    }

    #[test]
    fn a_full_disk_refuses_whole_batches_and_then_everything() {
        let Some(disk) = SmallDisk::mount(2048) else { return };
        let dir = disk.0.path();
        let mut writer = FileTxnLog::new(OsDisk, dir, LogOptions::default());
        let mut acknowledged = 0;
        let refused = loop {
            let mut batch = LogBatch::new();
            for zxid in acknowledged + 1..=acknowledged + 3 {
                push(&mut batch, zxid, &[7; 10_000]);
            }
            if let Err(error) = writer.append(&batch) {
                break error;
            }
            writer.flush().unwrap();
            acknowledged += 3;
            assert!(acknowledged < 1000, "the disk has 2 MiB");
        };
        assert!(matches!(refused, LogError::DiskFull { .. }), "{refused}");
        assert!(acknowledged > 150, "{acknowledged}: the disk was used to its end");
        let mut batch = LogBatch::new();
        push(&mut batch, acknowledged + 1, b"");
        let later = writer.append(&batch).unwrap_err();
        assert!(matches!(later, LogError::Poisoned { .. }), "{later}");
        assert!(matches!(writer.flush(), Err(LogError::Poisoned { .. })));
        assert!(matches!(writer.roll(), Err(LogError::Poisoned { .. })));
        assert_eq!(zxids(dir, 0), (1..=acknowledged).collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_was_flushed_is_read_after_any_batches_and_rolls(
            batches in prop::collection::vec((1_i64..20, 0_usize..3000, any::<bool>()), 1..20))
        {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = FileTxnLog::new(OsDisk, dir.path(), small());
            let mut last = 0;
            for (count, more, roll) in batches {
                log(&mut writer, last + 1..=last + count, more);
                last += count;
                if roll {
                    writer.roll().unwrap();
                }
            }
            prop_assert_eq!(zxids(dir.path(), 0), (1..=last).collect::<Vec<_>>());
            prop_assert_eq!(zxids(dir.path(), last), [last]);
        }
    }
}
