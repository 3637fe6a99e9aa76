//! The seam below persistence: what it asks of a file system, and nothing more. [`OsDisk`] is that
//! of the operating system; the simulator has one in memory, whose power can fail.
//!
//! Nothing is durable but by [`DiskFile::sync_data`], [`DiskFile::sync_all`] and, for the names in
//! a directory, [`Disk::sync_dir`].
//!
//! [`OsDisk`]: super::OsDisk

use std::fmt::Debug;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A file system.
pub trait Disk: Clone + Debug {
    /// An open file.
    type File: DiskFile;
    /// What keeps others from a directory until it is dropped.
    type Lock: Debug;

    /// Creates a file for reading and writing, or empties the one of that name.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file that is there for writing.
    fn open_for_writing(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a file another name, in the place of one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates a directory and those it is in, where they are missing.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;

    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &Path) -> bool;

    /// Whether both paths lead to one directory; the first may not exist yet.
    fn is_same(&self, a: &Path, b: &Path) -> bool;

    /// An error if files cannot be made in this directory.
    fn check_writable(&self, dir: &Path) -> io::Result<()>;

    /// Keeps others from a directory; `None` if another has it.
    fn lock(&self, dir: &Path) -> io::Result<Option<Self::Lock>>;

    /// The whole content of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let mut content = vec![0; file.length()? as usize];
        let length = file.read_at_most(&mut content, 0)?;
        content.truncate(length);
        Ok(content)
    }

    /// Makes the name of a file durable.
    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        self.sync_dir(parent.unwrap_or(Path::new(".")))
    }
}

/// An open file.
pub trait DiskFile: Debug {
    /// Bytes mapped for reading.
    type Map: Deref<Target = [u8]> + Debug;
    /// Bytes mapped for writing.
    type Window: DiskWindow;

    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Bytes it takes of the disk.
    fn allocated_bytes(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset`; 0 at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some bytes at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Writes zeros from `start` up to `end`.
    fn write_zeros(&self, start: u64, end: u64) -> io::Result<()>;

    /// Reserves room from `start`, the file's length, up to `end`, which becomes its length.
    fn allocate(&self, start: u64, end: u64) -> io::Result<()>;

    /// Cuts or extends it.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes its content and length durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes everything about it durable but its name.
    fn sync_all(&self) -> io::Result<()>;

    /// The parts of its first `length` bytes that are not holes; all of it where that is unknown.
    fn data_extents(&self, length: u64) -> Vec<(u64, u64)>;

    /// Whether writes go past the page cache from now on.
    fn set_direct(&self, is_direct: bool) -> io::Result<()>;

    /// Maps its first `length` bytes for reading them once from front to back; an error, and not
    /// a signal later, if they cannot be read.
    fn map_for_reading(&self, length: usize) -> io::Result<Self::Map>;

    /// Maps `length` bytes at `offset`, a multiple of the page size, for writing. They have been
    /// written before.
    fn map_for_writing(&self, offset: u64, length: usize) -> io::Result<Self::Window>;

    /// Reads as many bytes at `offset` as there are, up to the length of `into`.
    fn read_at_most(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Fills `into` with the bytes at `offset`.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let wanted = into.len();
        match self.read_at_most(into, offset)? {
            read if read < wanted => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Writes all the bytes at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.write_at(&bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A part of a file that is mapped for writing. What is stored is in the file at once.
pub trait DiskWindow: Debug {
    /// Stores bytes at this offset of the window.
    fn store(&mut self, at: usize, bytes: &[u8]);

    /// Stores a word, at once: no process is killed between two bytes of it.
    fn store_word(&mut self, at: usize, word: [u8; 8]);
}

/// Reads a file from front to back.
#[derive(Debug)]
pub(super) struct FileReader<F> {
    file: F,
    position: u64,
}

impl<F: DiskFile> FileReader<F> {
    pub(super) fn new(file: F) -> Self {
        Self { file, position: 0 }
    }
}

impl<F: DiskFile> io::Read for FileReader<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
