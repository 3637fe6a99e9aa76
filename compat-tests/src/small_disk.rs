//! A disk that really is small, under one server's data directory: a tmpfs, where this process may
//! mount one. What [`crate::machine`] makes of calls, a file system makes of its blocks.

use std::path::PathBuf;
use std::process::Command;

use crate::server::Home;

/// A small disk. It is gone when dropped, with everything on it.
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
        let resized = mount(&["-o", &format!("remount,size={bytes}")], &self.dir);
        resized.expect("what was mounted is mounted anew");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
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
