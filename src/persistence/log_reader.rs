//! The transactions of a log directory from a zxid on, across its files
//! (`FileTxnLog.FileTxnIterator`).
//!
//! A file is mapped and its records are lent out as they stand there. How the end of a file is read
//! is told in [`super::log_scan`]; what is decided here is whether a torn end may stand where it
//! does:
//!
//! * in the last file: yes, it is the write a crash cut off;
//! * in an earlier one: yes, if the next file goes on where it was cut, because the server was
//!   started again after that crash. If transactions are missing in between, they were damaged.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::log_scan::{LOG_HEADER, LOG_HEADER_BYTES, LogScan, Tail};
use super::{DataFile, Disk, DiskFile, LogError, OsDisk, list_logs, logs_from};
use crate::proto::{TxnEntry, Zxid};

/// Blocks that a file may have beyond its data, in bytes, before a start gives them back: Apache's
/// padding is a hole, and its files are left as they are.
const RESERVED_BYTES_KEPT_MAX: u64 = 1 << 20;

/// Walks the transactions of a log directory in order.
#[derive(Debug)]
pub struct LogReader<D: Disk = OsDisk> {
    disk: D,
    /// Transactions below it are skipped.
    from: Zxid,
    waiting: VecDeque<DataFile>,
    current: Option<OpenLog<<D::File as DiskFile>::Map>>,
    /// The last zxid that was read, or the one before `from`.
    last: Zxid,
    end: Option<LogEnd>,
}

#[derive(Debug)]
struct OpenLog<M> {
    path: PathBuf,
    /// The file up to its last byte that is not zero.
    map: M,
    position: usize,
}

/// How the last file of a directory ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// The file.
    pub path: PathBuf,
    /// Behind its last record.
    pub offset: u64,
    /// Whether something else than zeros stands there: a write that a crash cut off.
    pub is_torn: bool,
}

/// One transaction, where it stands in its file.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// The entry: header, transaction and digest, as it is sent to learners.
    pub raw: &'a [u8],
    /// The file.
    pub path: &'a Path,
    /// Where its record begins there.
    pub offset: u64,
}

impl LogRecord<'_> {
    /// The transaction's zxid.
    pub fn zxid(&self) -> Zxid {
        super::log_batch::zxid_of(self.raw)
    }

    /// Splits the entry.
    pub fn decode(&self) -> Result<TxnEntry<'_>, LogError> {
        TxnEntry::decode(self.raw).map_err(|source| LogError::BadEntry {
            path: self.path.to_owned(),
            offset: self.offset,
            source,
        })
    }
}

impl<D: Disk> LogReader<D> {
    /// A reader of the transactions of `dir` with zxid `from` or higher.
    pub fn open(disk: &D, dir: &Path, from: Zxid) -> Result<Self, LogError> {
        let logs = list_logs(disk, dir).map_err(LogError::io("list", dir))?;
        let waiting = logs_from(&logs, from).to_vec().into();
        let last = Zxid(from.0.saturating_sub(1));
        Ok(Self { disk: disk.clone(), from, waiting, current: None, last, end: None })
    }

    /// Bytes of the files not finished yet, padding included (`getStorageSize`).
    pub fn storage_bytes(&self) -> u64 {
        let current = self.current.iter().map(|log| &log.path);
        let paths = current.chain(self.waiting.iter().map(|log| &log.path));
        paths.map(|path| self.disk.open(path).and_then(|file| file.length()).unwrap_or(0)).sum()
    }

    /// How the last file ends; known once everything is read.
    pub fn end(&self) -> Option<&LogEnd> {
        self.end.as_ref().filter(|_| self.current.is_none() && self.waiting.is_empty())
    }

    /// The next transaction; `None` behind the last one.
    pub fn next_record(&mut self) -> Result<Option<LogRecord<'_>>, LogError> {
        let (offset, length) = loop {
            let Some(log) = &mut self.current else {
                match self.waiting.pop_front() {
                    None => return Ok(None),
                    Some(file) => self.current = self.open_log(&file)?,
                }
                continue;
            };
            let mut scan = LogScan::from(&log.map, log.position);
            match scan.next_record() {
                Ok(record) => {
                    let (offset, zxid, length) = (record.offset, record.zxid(), record.entry.len());
                    log.position = scan.position();
                    if zxid >= self.from {
                        self.last = self.last.max(zxid);
                        break (offset, length);
                    }
                }
                Err(stop) => {
                    let (tail, scan_end) = (scan.tail(stop), scan.position());
                    self.check_tail(tail)?;
                    let offset = scan_end as u64;
                    let is_torn = tail != Tail::Clean;
                    self.end =
                        self.current.take().map(|log| LogEnd { path: log.path, offset, is_torn });
                }
            }
        };
        let log = self.current.as_ref().expect("a record was found in it");
        let end = log.position - 1;
        let raw = &log.map[end - length..end];
        Ok(Some(LogRecord { raw, path: &log.path, offset: offset as u64 }))
    }

    /// Opens the next file; `None` if a crash left it without a header.
    fn open_log(
        &self,
        file: &DataFile,
    ) -> Result<Option<OpenLog<<D::File as DiskFile>::Map>>, LogError> {
        let path = file.path.clone();
        let opened = self.disk.open(&path).map_err(LogError::io("open", &path))?;
        let size = opened.length().map_err(LogError::io("look at", &path))?;
        let data_end = data_end(&opened, size).map_err(LogError::io("read", &path))?;
        let length = data_end.max(LOG_HEADER_BYTES as u64).min(size) as usize;
        let map = opened.map_for_reading(length).map_err(LogError::io("read", &path))?;
        let not_a_log = |reason: String| LogError::NotALog { path: path.clone(), reason };
        if !has_header(&map) {
            if !self.waiting.is_empty() {
                return Err(not_a_log("it ends before its header does".into()));
            }
            warn!("the log file {} has no header: a crash came before it", path.display());
            return Ok(None);
        }
        if map[..8] != LOG_HEADER[..8] {
            let bytes: Vec<String> = map[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(not_a_log(format!(
                "it begins with {}, not with \"ZKLG\" and version 2",
                bytes.join(" ")
            )));
        }
        Ok(Some(OpenLog { path, map, position: LOG_HEADER_BYTES }))
    }

    /// Refuses damage, and tells of a torn end.
    fn check_tail(&self, tail: Tail) -> Result<(), LogError> {
        let log = self.current.as_ref().expect("its tail was read");
        let next = self.waiting.front().map(|file| file.zxid);
        // The next file begins with the zxid that would have followed, so nothing is missing.
        let goes_on = next.is_some_and(|next| next <= self.last.next());
        let corrupt = |offset: usize, reason: String| {
            let path = log.path.clone();
            Err(LogError::Corrupt { path, offset: offset as u64, reason })
        };
        match (tail, next) {
            (Tail::Clean, _) => Ok(()),
            (Tail::Damaged { offset, next_valid, stop }, _) if !goes_on => {
                corrupt(offset, format!("{stop}, but a valid record follows at {next_valid}"))
            }
            (Tail::Torn { offset, stop, .. }, Some(next))
                if !goes_on && next.epoch() == self.last.epoch() =>
            {
                corrupt(offset, format!("{stop}, and the next file begins only at zxid 0x{next}"))
            }
            (Tail::Torn { offset, stop, .. } | Tail::Damaged { offset, stop, .. }, _) => {
                warn!(
                    "the log file {} ends at byte {offset} with a write that was cut off ({stop}); \
                     the last transaction is 0x{}",
                    log.path.display(),
                    self.last
                );
                Ok(())
            }
        }
    }
}

/// Cuts off what a crash left of the last write, so that Apache, which looks less closely, reads
/// the file too, and gives back the blocks it had reserved. The caller owns the directory.
pub(super) fn tidy_end(disk: &impl Disk, end: &LogEnd) -> Result<(), LogError> {
    let path = &end.path;
    let file = disk.open_for_writing(path).map_err(LogError::io("open", path))?;
    let allocated = file.allocated_bytes().map_err(LogError::io("look at", path))?;
    if end.is_torn || allocated >= end.offset + RESERVED_BYTES_KEPT_MAX {
        if end.is_torn {
            warn!("cutting the log file {} at byte {}", path.display(), end.offset);
        }
        file.set_length(end.offset).map_err(LogError::io("truncate", path))?;
    }
    // What was read may not be on disk yet: the process before may have died before its flush.
    file.sync_all().map_err(LogError::io("flush", path))
}

/// Whether a log's bytes reach beyond its header, and that is not all zeros.
fn has_header(bytes: &[u8]) -> bool {
    bytes.get(..LOG_HEADER_BYTES).is_some_and(|header| header != [0; LOG_HEADER_BYTES])
}

/// Deletes the last log file of `dir` if a crash left it without a header (a zero length file as of
/// ZOOKEEPER-4816's kin, see `FileTxnIterator.goToNextLog`): once it is no longer the last one, it
/// would stop every later start. The caller owns the directory.
pub(super) fn remove_empty_tail(disk: &impl Disk, dir: &Path) -> Result<(), LogError> {
    let logs = list_logs(disk, dir).map_err(LogError::io("list", dir))?;
    let Some(DataFile { path, .. }) = logs.last() else {
        return Ok(());
    };
    let mut head = [0; LOG_HEADER_BYTES];
    let read = disk.open(path).and_then(|file| file.read_at_most(&mut head, 0));
    let read = read.map_err(LogError::io("read", path))?;
    if !has_header(&head[..read]) {
        warn!("deleting the log file {}: a crash came before its header", path.display());
        disk.remove(path).map_err(LogError::io("delete", path))?;
    }
    Ok(())
}

/// Where the last byte of a file that is not zero ends. Padding is most of a log: asking the file
/// system for its holes and looking back from the end reads little of it, where touching it through
/// the mapping would take seconds.
fn data_end(file: &impl DiskFile, length: u64) -> io::Result<u64> {
    let mut piece = vec![0; 64 << 10];
    for (start, mut end) in file.data_extents(length).into_iter().rev() {
        while end > start {
            let size = (end - start).min(piece.len() as u64);
            let piece = &mut piece[..size as usize];
            file.read_exact_at(piece, end - size)?;
            if let Some(last) = piece.iter().rposition(|&byte| byte != 0) {
                return Ok(end - size + last as u64 + 1);
            }
            end -= size;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::log_batch::tests::{hex, push};
    use super::super::{LogBatch, log_name};
    use super::*;
    use crate::proto::TxnBody;
    use std::fs;

    /// Writes a log file of the zxids and gives its bytes.
    fn file(dir: &Path, zxids: std::ops::RangeInclusive<i64>) -> Vec<u8> {
        let mut batch = LogBatch::new();
        let first = Zxid(*zxids.start());
        zxids.for_each(|zxid| push(&mut batch, zxid, &[0xa5; 50]));
        let bytes = [&LOG_HEADER, batch.bytes(), &[0; 3000]].concat();
        fs::write(dir.join(log_name(first)), &bytes).unwrap();
        bytes
    }

    fn read(dir: &Path, from: i64) -> Result<Vec<i64>, LogError> {
        let mut reader = LogReader::open(&OsDisk, dir, Zxid(from))?;
        let mut zxids = Vec::new();
        while let Some(record) = reader.next_record()? {
            zxids.push(record.zxid().0);
        }
        Ok(zxids)
    }

    #[test]
    fn the_log_of_a_live_server_is_read() {
        let bytes = hex("5a4b4c47 00000002 0000000000000000 00000000ad570995 00000030 \
             0100000f34a60000 00000000 0000000000000001 000001a1fc150b72 fffffff6 00002710 \
             00000002 0000000051c6d660 42 00000000a4110cab 00000058 \
             0100000f34a60000 00000001 0000000000000002 000001a1fc150b88 00000001 \
             00000002 2f61 00000002 6869 00000001 0000001f 00000005 776f726c64 \
             00000006 616e796f6e65 00 00000001 00000002 00000000ead9bfaf 42 0000000000");
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log.1"), bytes).unwrap();
        let mut reader = LogReader::open(&OsDisk, dir.path(), Zxid(2)).unwrap();
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!((record.offset, record.raw.len()), (77, 88));
        let entry = record.decode().unwrap();
        let TxnBody::Create(create) = entry.body else { panic!("{entry:?}") };
        assert_eq!((create.path.as_ref(), create.data), ("/a", Some(&b"hi"[..])));
        assert!(reader.next_record().unwrap().is_none());
    }

    #[test]
    fn a_torn_end_is_passed_over_in_the_last_file_and_where_the_next_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = file(dir.path(), 1..=5);
        let torn = &bytes[..bytes.len() - 3000 - 20];
        fs::write(dir.path().join("log.1"), torn).unwrap();
        assert_eq!(read(dir.path(), 1).unwrap(), [1, 2, 3, 4]);
        let mut reader = LogReader::open(&OsDisk, dir.path(), Zxid(3)).unwrap();
        while reader.next_record().unwrap().is_some() {}
        let log = dir.path().join("log.1");
        let end = LogEnd { path: log, offset: 412, is_torn: true };
        assert_eq!(reader.end(), Some(&end));
        file(dir.path(), 5..=6);
        assert_eq!(read(dir.path(), 1).unwrap(), [1, 2, 3, 4, 5, 6]);
        // Without what follows 4, the next file proves that something is missing.
        fs::rename(dir.path().join("log.5"), dir.path().join("log.6")).unwrap();
        let error = read(dir.path(), 1).unwrap_err().to_string();
        assert!(error.contains("log.1 is corrupt at byte 412"), "{error}");
        // It does not matter to who does not need it: a snapshot covers the gap.
        assert_eq!(read(dir.path(), 6).unwrap(), [6]);
    }

    #[test]
    fn damage_in_the_middle_names_file_and_offset() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = file(dir.path(), 1..=5);
        let third = 16 + 2 * 99;
        bytes[third + 40] ^= 1;
        fs::write(dir.path().join("log.1"), &bytes).unwrap();
        let error = read(dir.path(), 1).unwrap_err();
        let LogError::Corrupt { path, offset, .. } = &error else { panic!("{error}") };
        assert_eq!((path, *offset), (&dir.path().join("log.1"), third as u64));
        assert!(error.to_string().contains("a valid record follows at 313"), "{error}");
    }

    #[test]
    fn a_last_file_without_header_holds_nothing_and_is_removed() {
        for head in [&[][..], &LOG_HEADER[..9], &[0; 5000]] {
            let dir = tempfile::tempdir().unwrap();
            file(dir.path(), 1..=5);
            fs::write(dir.path().join("log.6"), head).unwrap();
            assert_eq!(read(dir.path(), 1).unwrap(), [1, 2, 3, 4, 5]);
            file(dir.path(), 7..=8);
            let refused = read(dir.path(), 1).unwrap_err().to_string();
            assert!(refused.contains("log.6 is not a transaction log"), "{refused}");
            fs::remove_file(dir.path().join("log.7")).unwrap();
            remove_empty_tail(&OsDisk, dir.path()).unwrap();
            remove_empty_tail(&OsDisk, dir.path()).unwrap();
            assert!(!dir.path().join("log.6").exists());
            assert!(dir.path().join("log.1").exists());
        }
    }

    #[test]
    fn a_file_that_is_no_log_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log.1"), b"#!/bin/sh\necho 1\n").unwrap();
        let refused = read(dir.path(), 1).unwrap_err().to_string();
        assert!(refused.contains("it begins with 23 21 2f"), "{refused}");
    }
}
