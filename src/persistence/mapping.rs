//! The only unsafe code of persistence: files mapped into memory.
//!
//! A mapping is sound as long as nobody shortens the file under it. Two servers cannot open one
//! data directory ([`crate::persistence::DataDirs`] locks it), and this server maps for writing
//! only blocks it has reserved and initialised, and never truncates a file it has mapped.
#![allow(unsafe_code, reason = "memory maps; every use of one goes through this file")]

use std::fs::File;
use std::io;

use memmap2::{Advice, Mmap, MmapMut, MmapOptions};

/// Maps the first `length` bytes of a log for reading them once from front to back.
pub(super) fn map_for_reading(file: &File, length: usize) -> io::Result<Mmap> {
    // SAFETY: the file is a log of this server, which is not cut before the end of its data.
    let map = unsafe { MmapOptions::new().len(length).map(file)? };
    if !map.is_empty() {
        map.advise(Advice::Sequential)?;
    }
    Ok(map)
}

/// Maps `length` bytes at `offset`, a multiple of the page size, for writing.
pub(super) fn map_for_writing(file: &File, offset: u64, length: usize) -> io::Result<MmapMut> {
    // SAFETY: the caller owns the log file, has written these bytes, and never shortens it.
    unsafe { MmapOptions::new().offset(offset).len(length).map_mut(file) }
}
