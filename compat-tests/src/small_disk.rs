//! A disk that really is small, under one server's data directory: a tmpfs, where this process may
//! mount one. What [`crate::machine`] makes of calls, a file system makes of its blocks.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use rustix::fs::statvfs;

use crate::server::Home;

/// How often it is tried to make a disk as small as what is on it, while more comes.
const FILLS_MAX: usize = 100;

/// A small disk. It is gone when dropped, with everything on it; of a test that has failed a copy
/// is kept beside it.
#[derive(Debug)]
pub struct SmallDisk {
    dir: PathBuf,
}

impl SmallDisk {
    /// A disk of so many bytes under the servers of this home, which has no data yet; why not,
    /// where that is not permitted.
    pub fn under(home: &Home, bytes: usize) -> Result<Self, String> {
        let dir = home.dir().join("data");
        std::fs::create_dir_all(&dir).expect("a data directory");
        mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"], &dir)?;
        Ok(Self { dir })
    }

    /// It has so many bytes from now on.
    pub fn resize(&self, bytes: usize) {
        self.try_resize(bytes as u64).expect("what was mounted is mounted anew");
    }

    /// It has no more than so many free bytes from now on.
    pub fn fill(&self, free: u64) {
        let is_full = (0..FILLS_MAX).any(|_| {
            let now = statvfs(&self.dir).expect("figures of a disk");
            // It cannot be smaller than what has come onto it meanwhile.
            self.try_resize((now.f_blocks - now.f_bfree) * now.f_frsize + free).is_ok()
        });
        assert!(is_full, "{} is filled", self.dir.display());
    }

    fn try_resize(&self, bytes: u64) -> Result<(), String> {
        mount(&["-o", &format!("remount,size={bytes}")], &self.dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if thread::panicking() {
            let copy = self.dir.with_extension("copy");
            let status = Command::new("cp").arg("-r").arg(&self.dir).arg(&copy).status();
            eprintln!("what is on the small disk is kept: {} ({status:?})", copy.display());
        }
        // Lazily: of a test that failed the server may still run.
        let status = Command::new("umount").arg("-l").arg(&self.dir).status();
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("{} stays mounted: {status:?}", self.dir.display());
        }
    }
}

fn mount(arguments: &[&str], dir: &PathBuf) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(dir).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
