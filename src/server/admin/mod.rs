//! What administrators ask the server: [`queries`] has the answers as types, [`four_letter`] prints
//! them as Apache does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::proto::Millis;
use crate::server::metrics::Registry;

mod environment;
pub mod four_letter;
mod java_text;
mod monitor;
pub mod queries;

/// What is traced until somebody says otherwise (`ZooTrace.traceMask`).
const TRACE_MASK_DEFAULT: i64 = 0b1_0011_0010;

/// What only administrators ask for.
#[derive(Debug)]
pub struct AdminState {
    /// Where snapshots are.
    pub snapshots: PathBuf,
    /// Where transaction logs are.
    pub logs: PathBuf,
    /// The metrics.
    pub registry: Arc<Registry>,
    /// When the server began to serve, in milliseconds of the monotonic clock.
    pub started: Millis,
    client_port: OnceLock<u16>,
    trace_mask: AtomicI64,
}

impl AdminState {
    /// Of a server that begins to serve at `started` from these directories and counts in
    /// `registry`.
    pub fn new(
        snapshots: &Path,
        logs: &Path,
        registry: Arc<Registry>,
        started: Millis,
    ) -> io::Result<Self> {
        Ok(Self {
            registry,
            snapshots: std::path::absolute(snapshots)?,
            logs: std::path::absolute(logs)?,
            started,
            client_port: OnceLock::new(),
            trace_mask: AtomicI64::new(TRACE_MASK_DEFAULT),
        })
    }

    /// The client port that the configuration leaves to the system is this.
    pub fn set_client_port(&self, port: u16) {
        let is_new = self.client_port.set(port).is_ok();
        assert!(is_new, "the client port is opened once");
    }

    /// The port clients connect to, once it is open.
    pub fn client_port(&self) -> Option<u16> {
        self.client_port.get().copied()
    }

    /// What is to be traced; kept for who asks, there is nothing it changes.
    pub fn trace_mask(&self) -> i64 {
        self.trace_mask.load(Ordering::Relaxed)
    }

    /// Sets [`Self::trace_mask`].
    pub fn set_trace_mask(&self, mask: i64) {
        self.trace_mask.store(mask, Ordering::Relaxed);
    }
}
