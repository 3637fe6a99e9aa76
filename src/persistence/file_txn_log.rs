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

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::log_segment::LogSegment;
use super::{LogBatch, LogError, LogReader, list_logs, log_name};
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
pub struct FileTxnLog {
    dir: PathBuf,
    options: LogOptions,
    segment: Option<LogSegment>,
    /// Whether something was appended since the last flush.
    dirty: bool,
    /// Bytes in the files this writer has closed.
    closed_bytes: u64,
    last_zxid: Zxid,
    failure: Option<String>,
}

impl FileTxnLog {
    /// A writer for `dir`, the version-2 directory. Nothing is created before the first append.
    pub fn new(dir: impl Into<PathBuf>, options: LogOptions) -> Self {
        Self {
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
        self.guarded(|log| log.write(first, batch.bytes()))?;
        self.last_zxid = self.last_zxid.max(last);
        Ok(())
    }

    fn write(&mut self, first: Zxid, bytes: &[u8]) -> Result<(), LogError> {
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => {
                let path = self.dir.join(log_name(first));
                info!("creating the log file {}", path.display());
                none.insert(LogSegment::create(path, self.options.force_sync)?)
            }
        };
        segment.reserve(bytes.len(), self.options.prealloc_bytes)?;
        self.dirty = true;
        segment.append(bytes)
    }

    /// Makes everything appended durable. Returns how long the disk took, for `fsynctime`; nothing
    /// if there was nothing to flush or `forceSync` is off.
    pub fn flush(&mut self) -> Result<Option<Duration>, LogError> {
        let elapsed = self.guarded(Self::sync)?;
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
pub fn last_logged_zxid(dir: &Path) -> Result<Option<Zxid>, LogError> {
    let logs = list_logs(dir).map_err(LogError::io("list", dir))?;
    // A last file whose only record is torn holds none: go back until one is found.
    for log in logs.iter().rev() {
        let mut reader = LogReader::open(dir, log.zxid)?;
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

/// Removes every transaction above `zxid` (TRUNC; `FileTxnLog.truncate`). Later files go first, so
/// that a crash in between leaves a log without a gap. Apache keeps the first transaction above
/// `zxid` where `zxid` itself is not in the log; this does not.
///
/// The directory must not be open for appending.
pub fn truncate(dir: &Path, zxid: Zxid) -> Result<(), LogError> {
    let logs = list_logs(dir).map_err(LogError::io("list", dir))?;
    if logs.is_empty() {
        return Err(LogError::NothingToTruncate { dir: dir.to_owned() });
    }
    // Where the first record above zxid begins, if one stands behind others in its file.
    let mut cut = None;
    let mut reader = LogReader::open(dir, zxid)?;
    while let Some(record) = reader.next_record()? {
        if record.zxid() > zxid {
            cut = Some((record.path.to_owned(), record.offset));
            break;
        }
    }
    drop(reader);
    for log in logs.iter().rev().filter(|log| log.zxid > zxid) {
        info!("truncating the log to 0x{zxid}: deleting {}", log.path.display());
        fs::remove_file(&log.path).map_err(LogError::io("delete", &log.path))?;
    }
    if let Some((path, offset)) = cut
        && path.exists()
    {
        info!("truncating the log to 0x{zxid}: cutting {} at {offset}", path.display());
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(LogError::io("open for truncation", &path))?;
        file.set_len(offset).map_err(LogError::io("truncate", &path))?;
        file.sync_all().map_err(LogError::io("flush", &path))?;
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(LogError::io("flush", dir))
}
