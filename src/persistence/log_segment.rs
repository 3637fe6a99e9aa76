//! One transaction log file while it is written: reserved ahead, initialised in steps, mapped in
//! windows (`FilePadding` and the stream inside `FileTxnLog`).
//!
//! Why it is done this way, with figures of ext4 on a virtio disk (`fdatasync` after each batch of
//! 5,000 bytes; median, CPU per flush):
//!
//! * the file grows, or is only `fallocate`d: 180 us, 83 us. Each flush that reaches new blocks
//!   must also commit to the file system's journal that they are allocated, or no longer unwritten;
//! * zeros were really written before: 105 us, 50 us. Only data goes to the disk.
//!
//! So blocks are *reserved* by `fallocate`, the file's size included, as many at a time as Apache
//! pads (`preAllocSize`); a full disk is an error there and not a SIGBUS at a store. And they are
//! *initialised* with zeros one window ahead of the data, which costs about 0.3 ms per window
//! instead of 60 ms for the whole of 64 MiB at each roll.
//!
//! Only one window is mapped at a time, so the log does not count into resident memory. A file that
//! is closed is cut to its data; Apache leaves its padding, but that is a hole.
//!
//! Invariants:
//! 1. `position <= reserved`, and `position` is within or at the end of the mapped window.
//! 2. Every byte of the window has been written before, as a zero or as data.
//! 3. The header is on disk before the file is larger than it, so no crash leaves a file of zeros.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, compiler_fence};

use super::log_batch::FRAME_HEAD_BYTES;
use super::log_scan::{LOG_HEADER, LOG_HEADER_BYTES};
use super::{Disk, DiskFile, DiskWindow, LogError};

/// Bytes initialised and mapped at a time; a multiple of every page size in use.
const WINDOW_BYTES: usize = 512 << 10;

/// Apache pads when this close to the end.
const PADDING_MARGIN_BYTES: u64 = 4096;

/// The log file that is being written.
#[derive(Debug)]
pub(super) struct LogSegment<F: DiskFile> {
    path: PathBuf,
    file: F,
    /// Where the next record goes.
    position: u64,
    /// The file's size: up to here blocks are allocated.
    reserved: u64,
    window: Option<F::Window>,
    /// Where the window begins in the file.
    window_start: u64,
    /// Where the window ends in the file.
    window_end: u64,
}

impl<F: DiskFile> LogSegment<F> {
    /// Creates the file, or empties one of that name, and makes its header durable.
    pub(super) fn create(
        disk: &impl Disk<File = F>,
        path: PathBuf,
        durable: bool,
    ) -> Result<Self, LogError> {
        let file = disk.create(&path).map_err(LogError::io("create", &path))?;
        let position = LOG_HEADER_BYTES as u64;
        file.write_all_at(&LOG_HEADER, 0).map_err(no_space_or(&path, position))?;
        if durable {
            file.sync_data().map_err(LogError::io("flush", &path))?;
            disk.sync_parent(&path).map_err(LogError::io("flush the directory of", &path))?;
        }
        Ok(Self {
            path,
            file,
            position,
            reserved: position,
            window: None,
            window_start: 0,
            window_end: 0,
        })
    }

    /// Bytes of header and records.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that `length` more bytes have blocks, reserving `prealloc_bytes` at a time.
    /// Nothing has been written when it fails.
    pub(super) fn reserve(&mut self, length: usize, prealloc_bytes: u64) -> Result<(), LogError> {
        let needed = self.position + length as u64;
        if needed + PADDING_MARGIN_BYTES < self.reserved {
            return Ok(());
        }
        let step = prealloc_bytes.max(WINDOW_BYTES as u64);
        let mut wanted = self.reserved;
        while needed + PADDING_MARGIN_BYTES >= wanted {
            wanted += step;
        }
        let least = needed.max(self.reserved);
        loop {
            match self.file.allocate(self.reserved, wanted) {
                Ok(()) => {
                    self.reserved = wanted;
                    return Ok(());
                }
                // A nearly full disk is used to its end, by halves.
                Err(source) if source.kind() == io::ErrorKind::StorageFull => {
                    // Blocks that were found before the disk was full must not stay behind.
                    let _ = self.file.set_length(self.reserved);
                    if least <= self.reserved {
                        return Ok(());
                    }
                    if wanted == least {
                        let wanted_bytes = least - self.reserved;
                        return Err(no_space_or(&self.path, wanted_bytes)(source));
                    }
                    wanted = least + (wanted - least) / 2;
                    if wanted - least < WINDOW_BYTES as u64 {
                        wanted = least;
                    }
                }
                Err(source) => {
                    return Err(LogError::io("reserve space for", &self.path)(source));
                }
            }
        }
    }

    /// Stores a batch, for which space is reserved. The head of its first frame goes last: until
    /// then the log ends where the batch begins, however much of it a process that is killed has
    /// stored, and in whatever order. The head begins with four zeros, the upper half of the
    /// checksum, so that what is left of it is one word.
    pub(super) fn append(&mut self, batch: &[u8]) -> Result<(), LogError> {
        let start = self.position;
        assert!(start + batch.len() as u64 <= self.reserved, "space is reserved first");
        let (head, mut rest) = batch.split_at(batch.len().min(FRAME_HEAD_BYTES));
        let mut skip = head.len();
        while skip + rest.len() > 0 {
            if self.position == self.window_end || self.window.is_none() {
                self.advance_window()?;
            }
            let left = (self.window_end - self.position) as usize;
            let skipped = skip.min(left);
            let (now, later) = rest.split_at(rest.len().min(left - skipped));
            let at = (self.position - self.window_start) as usize + skipped;
            self.window.as_mut().expect("advance_window maps one").store(at, now);
            self.position += (skipped + now.len()) as u64;
            skip -= skipped;
            rest = later;
        }
        // Stores before this line stay before those behind it.
        compiler_fence(Ordering::SeqCst);
        let (Some(window), Some(&word)) = (&mut self.window, head.last_chunk()) else {
            return Ok(());
        };
        let word_at = start + (head.len() - word.len()) as u64;
        match word_at.checked_sub(self.window_start) {
            Some(at) => {
                window.store_word(at as usize, word);
                Ok(())
            }
            // It began in a window that is no longer mapped; file and map are one.
            None => {
                let written = self.file.write_all_at(&word, word_at);
                written.map_err(LogError::io("write", &self.path))
            }
        }
    }

    /// Initialises and maps the window that `position` is in.
    fn advance_window(&mut self) -> Result<(), LogError> {
        let start = self.position - self.position % WINDOW_BYTES as u64;
        let end = (start + WINDOW_BYTES as u64).min(self.reserved);
        self.window = None;
        let zeros = self.file.write_zeros(self.position, end);
        zeros.map_err(no_space_or(&self.path, end - start))?;
        let window = self.file.map_for_writing(start, (end - start) as usize);
        self.window = Some(window.map_err(LogError::io("map", &self.path))?);
        (self.window_start, self.window_end) = (start, end);
        Ok(())
    }

    /// Makes everything appended durable. `fdatasync` takes in what was stored through the mapping.
    pub(super) fn flush(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(LogError::io("flush", &self.path))
    }
}

/// What was reserved and not used is given back: Apache's padding is a hole and costs nothing,
/// while 64 MiB of blocks left behind by each roll and start would fill a disk.
impl<F: DiskFile> Drop for LogSegment<F> {
    fn drop(&mut self) {
        self.window = None;
        // If this fails the file stays longer than it need be, and is read all the same.
        let _ = self.file.set_length(self.position);
    }
}

/// A full disk is told apart: it is what an operator can mend.
fn no_space_or(path: &Path, wanted_bytes: u64) -> impl FnOnce(io::Error) -> LogError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            LogError::DiskFull { path: path.to_owned(), wanted_bytes, source }
        }
        _ => LogError::io("write", path)(source),
    }
}
