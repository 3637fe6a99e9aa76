//! The operating system's file systems, as a [`Disk`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapMut};
use rustix::fs::{FallocateFlags, OFlags, SeekFrom};
use rustix::io::Errno;
use tracing::warn;

use super::disk::{Disk, DiskFile, DiskWindow};
use super::mapping;

/// Bytes of a file read at a time before it is mapped.
const READ_THROUGH_BYTES: usize = 256 << 10;

/// Zeros written at a time. The page cache keeps a large write as one large folio, and a store
/// through a mapping makes the whole of it dirty: with pieces of 1 MiB each small flush of a log
/// wrote a megabyte and took 0.3 ms.
const ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// Files of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    type File = File;
    type Lock = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn open_for_writing(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_same(&self, a: &Path, b: &Path) -> bool {
        a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
    }

    fn check_writable(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::access(dir, rustix::fs::Access::WRITE_OK)?)
    }

    fn lock(&self, dir: &Path) -> io::Result<Option<File>> {
        let opened = File::open(dir)?;
        match opened.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Some network file systems have no locks; a server must run there all the same.
            Err(TryLockError::Error(error)) => {
                warn!("the data directory {} cannot be locked: {error}", dir.display());
            }
        }
        Ok(Some(opened))
    }
}

impl DiskFile for File {
    type Map = Mmap;
    type Window = MmapMut;

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn allocated_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.blocks() * 512)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn write_zeros(&self, start: u64, end: u64) -> io::Result<()> {
        let piece = ZEROS.len() as u64;
        let mut at = start;
        while at < end {
            let length = (piece - at % piece).min(end - at);
            FileExt::write_all_at(self, &ZEROS[..length as usize], at)?;
            at += length;
        }
        Ok(())
    }

    fn allocate(&self, start: u64, end: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), start, end - start) {
            // File systems without fallocate: the zeros themselves are the reservation.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(start, end),
            done => Ok(done?),
        }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn data_extents(&self, length: u64) -> Vec<(u64, u64)> {
        let mut extents = Vec::new();
        let mut at = 0;
        while at < length {
            let data = match rustix::fs::seek(self, SeekFrom::Data(at)) {
                Ok(data) => data,
                Err(Errno::NXIO) => return extents,
                Err(_) => return vec![(0, length)],
            };
            let hole = rustix::fs::seek(self, SeekFrom::Hole(data)).unwrap_or(length);
            let end = hole.min(length);
            if end <= data {
                break;
            }
            extents.push((data, end));
            at = end;
        }
        extents
    }

    fn set_direct(&self, is_direct: bool) -> io::Result<()> {
        let mut flags = rustix::fs::fcntl_getfl(self)?;
        flags.set(OFlags::DIRECT, is_direct);
        Ok(rustix::fs::fcntl_setfl(self, flags)?)
    }

    /// Reads what is about to be mapped, so that a bad sector is an error with the file's name,
    /// where touching it through the mapping would be a SIGBUS. The pages stay in memory for the
    /// mapping.
    fn map_for_reading(&self, length: usize) -> io::Result<Mmap> {
        let mut piece = vec![0; READ_THROUGH_BYTES];
        let mut at = 0;
        while at < length {
            match FileExt::read_at(self, &mut piece, at as u64) {
                Ok(0) => break,
                Ok(read) => at += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        mapping::map_for_reading(self, length)
    }

    fn map_for_writing(&self, offset: u64, length: usize) -> io::Result<MmapMut> {
        mapping::map_for_writing(self, offset, length)
    }
}

impl DiskWindow for MmapMut {
    fn store(&mut self, at: usize, bytes: &[u8]) {
        self[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn store_word(&mut self, at: usize, word: [u8; 8]) {
        self[at..at + 8].copy_from_slice(&word);
    }
}
