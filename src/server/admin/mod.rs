//! What administrators ask the server: [`queries`] has the answers as types, [`four_letter`] prints
//! them as Apache does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::proto::Millis;
use crate::server::metrics::Registry;

mod environment;
pub mod four_letter;
mod java_text;
pub mod member;
mod monitor;
pub mod queries;

/// What is traced until somebody says otherwise (`ZooTrace.traceMask`).
const TRACE_MASK_DEFAULT: i64 = 0b1_0011_0010;

/// No port, which has 16 bits, is this.
const NO_PORT: u32 = u32::MAX;

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
    client_port: AtomicU32,
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
            client_port: AtomicU32::new(NO_PORT),
            trace_mask: AtomicI64::new(TRACE_MASK_DEFAULT),
        })
    }

    /// Clients connect to this port from now on.
    pub fn set_client_port(&self, port: u16) {
        self.client_port.store(port.into(), Ordering::Relaxed);
    }

    /// The port clients connect to, once it is open.
    pub fn client_port(&self) -> Option<u16> {
        u16::try_from(self.client_port.load(Ordering::Relaxed)).ok()
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
