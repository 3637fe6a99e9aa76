//! A disk in memory, below the real persistence (`gamekeeper::persistence::Disk`).
//!
//! Files and names have a live image, which processes see, and a durable one.
//!
//! 1. What a process has written survives its death, whole calls and a part of the last one.
//! 2. The loss of power leaves of what was not flushed the first changes, torn at any byte but
//!    within a word, or of every sector any version; of a file's length any that it had. Zeros
//!    stand where nothing came.
//! 3. A name whose directory was not flushed may be the old one, whatever became of the file.
//! 4. While the disk fails nothing can be read or written; while it is full nothing grows.
//! 5. Bits of a file may turn over.

mod image;
mod names;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fastrand::Rng;
use gamekeeper::persistence::{Disk, DiskFile, DiskWindow};

pub use image::{Content, Image};
pub use names::{Inode, Names};

/// Why the disk refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// It fails.
    Io,
    /// It is full.
    NoSpace,
}

/// A disk; clones are the same one.
#[derive(Clone)]
pub struct SimDisk(Rc<RefCell<State>>);

struct State {
    names: Names,
    error: Option<DiskError>,
    /// Changes that the process lives to make; none if it lives on.
    life: Option<u64>,
    /// Changes made.
    changes: u64,
    random: Rng,
}

/// An open file.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

/// A part of a file mapped for writing.
#[derive(Debug)]
pub struct SimWindow {
    disk: SimDisk,
    inode: Inode,
    offset: usize,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SimDisk")
    }
}

impl SimDisk {
    /// An empty disk with chance of its own.
    pub fn new(random: Rng) -> Self {
        let mut names = Names::default();
        names.create_dirs(Path::new("/"));
        Self(Rc::new(RefCell::new(State { names, error: None, life: None, changes: 0, random })))
    }

    /// From now on the disk refuses, or does not.
    pub fn set_error(&self, error: Option<DiskError>) {
        self.0.borrow_mut().error = error;
    }

    /// How it refuses now.
    pub fn error(&self) -> Option<DiskError> {
        self.0.borrow().error
    }

    /// How often it was changed.
    pub fn changes(&self) -> u64 {
        self.0.borrow().changes
    }

    /// The process dies with its next change but so many. Nothing that it still does counts.
    pub fn die_after(&self, changes: u64) {
        self.0.borrow_mut().life = Some(changes);
    }

    /// The process is gone, what it wrote stays. Nothing of it may hold the disk any more.
    pub fn kill(&self) {
        let mut state = self.0.borrow_mut();
        state.life = None;
        state.error = None;
    }

    /// The power is gone, and with it what was not flushed.
    pub fn lose_power(&self) {
        self.kill();
        let state = &mut *self.0.borrow_mut();
        // Also those that have a name only if the change of it is not lost.
        let mut inodes: Vec<Inode> = state.names.live().values().cloned().collect();
        inodes.extend(state.names.durable().values().cloned());
        inodes.iter().for_each(|inode| inode.borrow_mut().lose_power(&mut state.random));
        state.names.lose_power(&mut state.random);
    }

    /// Looks at the durable files below a directory, in the order of their names.
    pub fn for_each_durable(&self, dir: &Path, mut look: impl FnMut(&Path, &Inode)) {
        let state = self.0.borrow();
        let files = state.names.durable().range(dir.to_owned()..);
        let below = files.take_while(|(path, _)| path.starts_with(dir));
        below.for_each(|(path, inode)| look(path, inode));
    }

    /// Whether a process that was to die has died.
    pub fn is_dead(&self) -> bool {
        self.0.borrow().life == Some(0)
    }

    /// The process lives on after all.
    ///
    /// # Errors
    /// It is dead.
    pub fn live_on(&self) -> io::Result<()> {
        self.read_error()?;
        self.0.borrow_mut().life = None;
        Ok(())
    }

    /// The bytes of a file, up to the last that is not a zero.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        state.names.live().get(path).map(|inode| inode.borrow().live().bytes().to_vec())
    }

    /// A bit of the first `end` bytes of this file turns over.
    pub fn rot(&self, path: &Path, end: usize) {
        let state = &mut *self.0.borrow_mut();
        if let Some(inode) = state.names.live().get(path) {
            inode.borrow_mut().rot(end, &mut state.random);
        }
    }

    /// Whether bits of any file have turned over.
    pub fn is_rotten(&self) -> bool {
        self.0.borrow().names.live().values().any(|inode| inode.borrow().is_rotten())
    }

    /// Restores the files whose bits have turned over, and says which they were.
    pub fn heal(&self) -> Vec<PathBuf> {
        let state = self.0.borrow();
        let rotten = state.names.live().iter().filter(|(_, inode)| inode.borrow().is_rotten());
        let heal = |(path, inode): (&PathBuf, &Inode)| {
            inode.borrow_mut().heal();
            path.clone()
        };
        rotten.map(heal).collect()
    }

    /// Whether the process lives to make a change; the last one may be made in part.
    fn change(&self) -> io::Result<Part> {
        let state = &mut *self.0.borrow_mut();
        if state.error == Some(DiskError::Io) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        match &mut state.life {
            None => {}
            Some(0) => return Err(io::Error::other("the process is dead")),
            Some(left) => {
                *left -= 1;
                if *left == 0 {
                    return Ok(Part::Some(state.random.f64()));
                }
            }
        }
        state.changes += 1;
        Ok(Part::All)
    }

    /// The same for a change that takes room.
    fn grow(&self) -> io::Result<Part> {
        match self.error() {
            Some(DiskError::NoSpace) => Err(io::Error::from_raw_os_error(ENOSPC)),
            _ => self.change(),
        }
    }

    fn read_error(&self) -> io::Result<()> {
        let state = self.0.borrow();
        match state.error {
            Some(DiskError::Io) => Err(io::Error::from_raw_os_error(EIO)),
            _ if state.life == Some(0) => Err(io::Error::other("the process is dead")),
            _ => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<SimFile> {
        self.read_error()?;
        let inode = self.0.borrow().names.live().get(path).cloned();
        let inode = inode.ok_or(io::ErrorKind::NotFound)?;
        Ok(SimFile { disk: self.clone(), inode })
    }
}

/// Bytes that are stored at once.
const WORD_BYTES: usize = 8;

/// Linux's numbers.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How much of a change is made.
#[derive(Debug, Clone, Copy)]
enum Part {
    All,
    /// The process dies while it makes it.
    Some(f64),
}

impl Part {
    fn of(self, length: usize) -> usize {
        match self {
            Self::All => length,
            Self::Some(part) if length <= WORD_BYTES => length * usize::from(part < 0.5),
            Self::Some(part) => (length as f64 * part) as usize,
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::All => Ok(()),
            Self::Some(_) => Err(io::Error::other("the process is dead")),
        }
    }
}

fn found(is_found: bool) -> io::Result<()> {
    if is_found { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = ();

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        if let Ok(file) = self.find(path) {
            file.set_length(0)?;
            return Ok(file);
        }
        let part = self.grow()?;
        let inode = self.0.borrow_mut().names.create(path);
        part.end()?;
        Ok(SimFile { disk: self.clone(), inode })
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        self.find(path)
    }

    fn open_for_writing(&self, path: &Path) -> io::Result<SimFile> {
        self.find(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let part = self.change()?;
        found(self.0.borrow_mut().names.rename(from, to))?;
        part.end()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        found(self.exists(path))?;
        let part = self.change()?;
        found(self.0.borrow_mut().names.remove(path))?;
        part.end()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.read_error()?;
        let state = self.0.borrow();
        found(state.names.is_dir(dir))?;
        let files = state.names.live().range(dir.to_owned()..).map(|(path, _)| path);
        let below = files.take_while(|path| path.starts_with(dir));
        Ok(below.filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let part = self.change()?;
        self.0.borrow_mut().names.flush(dir);
        part.end()
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let part = self.change()?;
        self.0.borrow_mut().names.create_dirs(dir);
        part.end()
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.0.borrow();
        state.names.is_dir(path) || state.names.live().contains_key(path)
    }

    fn is_same(&self, a: &Path, b: &Path) -> bool {
        a == b
    }

    fn check_writable(&self, dir: &Path) -> io::Result<()> {
        found(self.exists(dir))
    }

    fn lock(&self, _dir: &Path) -> io::Result<Option<()>> {
        Ok(Some(()))
    }
}

impl DiskFile for SimFile {
    type Map = Vec<u8>;
    type Window = SimWindow;

    fn length(&self) -> io::Result<u64> {
        Ok(self.inode.borrow().live().length() as u64)
    }

    fn allocated_bytes(&self) -> io::Result<u64> {
        self.length()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_error()?;
        let image = self.inode.borrow();
        let (bytes, length) = (image.live().bytes(), image.live().length());
        let offset = (offset as usize).min(length);
        let count = into.len().min(length - offset);
        let known = bytes.len().saturating_sub(offset).min(count);
        into[..known].copy_from_slice(&bytes[bytes.len().min(offset)..][..known]);
        into[known..count].fill(0);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset as usize + bytes.len();
        let is_larger = end > self.inode.borrow().live().length();
        let part = if is_larger { self.disk.grow() } else { self.disk.change() }?;
        self.inode.borrow_mut().write(offset as usize, &bytes[..part.of(bytes.len())]);
        part.end()?;
        Ok(bytes.len())
    }

    fn write_zeros(&self, start: u64, end: u64) -> io::Result<()> {
        let is_larger = end as usize > self.inode.borrow().live().length();
        let part = if is_larger { self.disk.grow() } else { self.disk.change() }?;
        let end = start as usize + part.of((end - start) as usize);
        self.inode.borrow_mut().write_zeros(start as usize, end);
        part.end()
    }

    fn allocate(&self, _start: u64, end: u64) -> io::Result<()> {
        let part = self.disk.grow()?;
        self.inode.borrow_mut().set_length(end as usize);
        part.end()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let part = self.disk.change()?;
        self.inode.borrow_mut().set_length(length as usize);
        part.end()
    }

    fn sync_data(&self) -> io::Result<()> {
        // What a flush that is cut off has written, the loss of power tells.
        self.disk.change()?.end()?;
        self.inode.borrow_mut().flush();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn data_extents(&self, length: u64) -> Vec<(u64, u64)> {
        vec![(0, length.min(self.inode.borrow().live().bytes().len() as u64))]
    }

    fn set_direct(&self, _is_direct: bool) -> io::Result<()> {
        Ok(())
    }

    fn map_for_reading(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn map_for_writing(&self, offset: u64, _length: usize) -> io::Result<SimWindow> {
        let (disk, inode) = (self.disk.clone(), self.inode.clone());
        Ok(SimWindow { disk, inode, offset: offset as usize })
    }
}

impl DiskWindow for SimWindow {
    fn store(&mut self, at: usize, bytes: &[u8]) {
        // A store does not fail: what becomes of it the next flush tells.
        let part = match self.disk.error() {
            Some(DiskError::Io) => Ok(Part::All),
            _ => self.disk.change(),
        };
        if let Ok(part) = part {
            let bytes = &bytes[..part.of(bytes.len())];
            self.inode.borrow_mut().write(self.offset + at, bytes);
        }
    }

    fn store_word(&mut self, at: usize, word: [u8; 8]) {
        self.store(at, &word);
    }
}

#[cfg(test)]
mod tests;
