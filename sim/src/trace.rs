//! What happened in a run, line by line: printed if asked for, and summed up in a number by which
//! two runs are compared.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use crate::queue::Time;

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    hasher: DefaultHasher,
    is_printed: bool,
}

impl Trace {
    /// An empty trace; its lines go to standard output too if `is_printed`.
    pub fn new(is_printed: bool) -> Self {
        Self { hasher: DefaultHasher::new(), is_printed }
    }

    /// Adds a line.
    pub fn line(&mut self, now: Time, text: fmt::Arguments<'_>) {
        let line = format!("{:>5}.{:06} {text}", now / 1_000_000, now % 1_000_000);
        self.hasher.write(line.as_bytes());
        if self.is_printed {
            println!("{line}");
        }
    }

    /// A number that two different traces do not share.
    pub fn sum(&self) -> u64 {
        self.hasher.finish()
    }
}
