//! The names of the files of a simulated disk, as processes see them and as they are durable.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fastrand::Rng;

use super::image::Image;

/// A file that may have names.
pub type Inode = Rc<RefCell<Image>>;

/// A change of names that is not flushed.
#[derive(Debug, Clone)]
enum Change {
    Create(PathBuf, Inode),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// All names. Directories are durable once they are made.
#[derive(Debug, Default)]
pub struct Names {
    live: BTreeMap<PathBuf, Inode>,
    durable: BTreeMap<PathBuf, Inode>,
    unflushed: Vec<Change>,
    dirs: BTreeSet<PathBuf>,
}

impl Change {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        match self {
            Self::Create(path, _) | Self::Remove(path) => [Some(path), None],
            Self::Rename(from, to) => [Some(from), Some(to)],
        }
        .into_iter()
        .flatten()
    }

    fn make(&self, names: &mut BTreeMap<PathBuf, Inode>) {
        match self {
            Self::Create(path, inode) => drop(names.insert(path.clone(), inode.clone())),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

impl Names {
    /// The files as processes see them.
    pub fn live(&self) -> &BTreeMap<PathBuf, Inode> {
        &self.live
    }

    /// The files that survive the loss of power whatever happens.
    pub fn durable(&self) -> &BTreeMap<PathBuf, Inode> {
        &self.durable
    }

    /// Whether this is a directory.
    pub fn is_dir(&self, path: &Path) -> bool {
        self.dirs.contains(path)
    }

    /// Makes directories.
    pub fn create_dirs(&mut self, path: &Path) {
        self.dirs.extend(path.ancestors().map(Path::to_owned));
    }

    /// Names a new file.
    pub fn create(&mut self, path: &Path) -> Inode {
        let inode = Inode::default();
        self.change(Change::Create(path.to_owned(), inode.clone()));
        inode
    }

    /// Takes a name away; false if there is none.
    pub fn remove(&mut self, path: &Path) -> bool {
        let is_there = self.live.contains_key(path);
        if is_there {
            self.change(Change::Remove(path.to_owned()));
        }
        is_there
    }

    /// Changes a name; false if there is none.
    pub fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let is_there = self.live.contains_key(from);
        if is_there {
            self.change(Change::Rename(from.to_owned(), to.to_owned()));
        }
        is_there
    }

    fn change(&mut self, change: Change) {
        change.make(&mut self.live);
        self.unflushed.push(change);
    }

    /// Makes the names in a directory durable.
    pub fn flush(&mut self, dir: &Path) {
        for change in std::mem::take(&mut self.unflushed) {
            if change.paths().any(|path| path.parent() == Some(dir)) {
                change.make(&mut self.durable);
            } else {
                self.unflushed.push(change);
            }
        }
    }

    /// The power is lost: of the changes not flushed the first are made, or any that do not rest
    /// on others that are not.
    pub fn lose_power(&mut self, random: &mut Rng) {
        let changes = std::mem::take(&mut self.unflushed);
        let kept = random.usize(..=changes.len());
        let in_order = random.bool();
        let mut stale: BTreeSet<&PathBuf> = BTreeSet::new();
        for (number, change) in changes.iter().enumerate() {
            let is_kept = if in_order { number < kept } else { random.bool() };
            if is_kept && change.paths().all(|path| !stale.contains(path)) {
                change.make(&mut self.durable);
            } else {
                stale.extend(change.paths());
            }
        }
        self.live = self.durable.clone();
    }
}
