//! Machines that go wrong under a server (`programs/c/bad_machine.c`): flushes and writes of the
//! transaction log that are slow or fail, and a clock that is wrong.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::cache::{crate_dir, target_dir};
use crate::server::Home;

/// A call that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A flush (`fdatasync`, `fsync`).
    Flush,
    /// A write (`write`, `pwrite`).
    Write,
}

/// Where each number stands in the control file, in the order of the C program's `struct control`.
#[derive(Debug, Clone, Copy)]
enum Field {
    FlushError,
    FlushesLeft,
    WriteError,
    WritesLeft,
    FlushDelayMs,
    ClockOffsetSeconds,
    Count,
}

/// The machine under one server.
#[derive(Debug)]
pub struct Machine {
    control: File,
    may_have_failed: Cell<bool>,
}

impl Machine {
    /// A machine under the servers of this home, from their next start on; all is well with it.
    pub fn under(home: &mut Home) -> Self {
        let path = home.dir().join("machine");
        fs::write(&path, [0; 8 * Field::Count as usize]).expect("a control file");
        home.set_variable("LD_PRELOAD", library().to_str().expect("a path in UTF-8"));
        home.set_variable("BAD_MACHINE", path.to_str().expect("a path in UTF-8"));
        let control = File::options().write(true).open(&path).expect("the control file");
        Self { control, may_have_failed: Cell::new(false) }
    }

    /// Calls of this kind fail with this error number, as the disk's from then on, once so many
    /// more have worked.
    pub fn fail(&self, call: Call, error: i32, after: i64) {
        let (error_field, left_field) = match call {
            Call::Flush => (Field::FlushError, Field::FlushesLeft),
            Call::Write => (Field::WriteError, Field::WritesLeft),
        };
        self.set(left_field, after);
        self.set(error_field, error.into());
        self.may_have_failed.set(true);
    }

    /// Each flush takes so much longer.
    pub fn slow_flushes(&self, by: Duration) {
        self.set(Field::FlushDelayMs, i64::try_from(by.as_millis()).expect("a short delay"));
    }

    /// The time of day is wrong by so many seconds.
    pub fn set_clock_wrong(&self, by_seconds: i64) {
        self.set(Field::ClockOffsetSeconds, by_seconds);
    }

    /// All is well again, but for the clock, which nobody has set right. Whether a call may have
    /// failed.
    pub fn repair(&self) -> bool {
        for field in [Field::FlushError, Field::WriteError, Field::FlushDelayMs] {
            self.set(field, 0);
        }
        self.may_have_failed.take()
    }

    fn set(&self, field: Field, value: i64) {
        let at = 8 * field as u64;
        self.control.write_all_at(&value.to_ne_bytes(), at).expect("a write to the control file");
    }
}

/// The compiled library, the same for all.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = target_dir().join("compat-machine");
        fs::create_dir_all(&folder).expect("a folder for the library");
        // Test programs run side by side: each has its own.
        let library = folder.join(format!("bad_machine-{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        compiler.arg(&library).arg(crate_dir().join("programs/c/bad_machine.c")).arg("-ldl");
        let status = compiler.status().expect("cc (install gcc and libc6-dev)");
        assert!(status.success(), "{compiler:?} ended with {status}");
        library
    })
}
