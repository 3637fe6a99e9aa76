//! Why a benchmark could not be run to its end.

use std::io;

use thiserror::Error;

use crate::client::ClientError;

/// Why a benchmark could not be run to its end. Error replies are no such reason: they are counted.
#[derive(Debug, Error)]
pub(super) enum BenchError {
    /// An argument that cannot be.
    #[error("{0}")]
    Usage(String),
    /// No session could be had.
    #[error("no session at {server}: {reason}")]
    Connect {
        /// host:port
        server: String,
        /// What failed.
        reason: String,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
        source: io::Error,
    },
    /// The server did what the protocol does not allow, or closed the connection.
    #[error("{0}")]
    Protocol(String),
    /// A step before or after the measurement failed.
    #[error("{what}: {source}")]
    Step {
        /// The step.
        what: String,
        /// Why.
        source: ClientError,
    },
}

impl BenchError {
    /// A step before or after the measurement that failed.
    pub(super) fn step(what: impl Into<String>, source: ClientError) -> Self {
        Self::Step { what: what.into(), source }
    }

    /// Turns an I/O error into one that says what was tried.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
