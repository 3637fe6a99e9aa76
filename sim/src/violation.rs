//! What must never be, and was.

use std::fmt;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant: a file of [`crate::invariants`], [`crate::linearizability`], `wire` if bytes
    /// cannot be read, `restart` if a server cannot read what it wrote, or `panic`.
    pub invariant: &'static str,
    /// What was seen.
    pub text: String,
}

impl Violation {
    /// A broken invariant, and what was seen.
    pub fn new(invariant: &'static str, text: impl Into<String>) -> Self {
        Self { invariant, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.text)
    }
}

/// Whether an invariant holds.
pub type Verdict = Result<(), Violation>;

/// A violation, unless `holds`.
pub fn require(holds: bool, invariant: &'static str, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation::new(invariant, text())) }
}
