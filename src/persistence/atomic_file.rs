//! Small files that are replaced as a whole (`AtomicFileOutputStream`): a crash leaves the old
//! content or the new one.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};

/// The name under which Apache writes the new content, and finds it again after a crash.
pub(super) fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Replaces the file at `path`; durable when it returns.
pub(crate) fn write_atomically(disk: &impl Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary_of(path);
    let written = disk.create(&temporary).and_then(|file| {
        file.write_all_at(content, 0)?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, path)?;
    disk.sync_parent(path)
}
