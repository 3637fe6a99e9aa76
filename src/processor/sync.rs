//! The second processor of a write (`SyncRequestProcessor`): it gathers log entries into batches,
//! each of which the shell writes and flushes as one (group commit), and decides when the log rolls
//! and a snapshot is due.
//!
//! Invariants:
//! 1. Batches leave in the order of their zxids, and only a flushed one is applied.
//! 2. The log rolls between two batches, right before a snapshot is asked for.

use std::sync::Arc;

use crate::persistence::LogBatch;
use crate::proto::{Millis, Zxid};

/// A batch of this many bytes is full: what a torn write can take with it is bounded.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A batch that grew beyond this many bytes is not kept for the next one: its memory goes back.
const SPARE_BYTES_MAX: usize = 2 << 20;

/// When batches are flushed and snapshots taken.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotPolicy {
    /// Transactions between snapshots; a random half of them is waited for beyond the first half
    /// (`snapCount`).
    pub snap_count: i64,
    /// Log bytes between snapshots, likewise; none if they do not count (`snapSizeLimitInKb`).
    pub snap_bytes: Option<i64>,
    /// How long a batch may wait for more, in milliseconds (`flushDelay`).
    pub flush_delay_ms: Millis,
    /// How long a waiting batch waits for the next transaction, in milliseconds
    /// (`maxWriteQueuePollTime`).
    pub poll_ms: Millis,
    /// Transactions that make a batch full (`maxBatchSize`).
    pub batch_max: usize,
}

/// The processor.
pub struct SyncRequestProcessor {
    policy: SnapshotPolicy,
    random: fastrand::Rng,
    batch: LogBatch,
    /// A batch that was applied, to be filled again.
    spare: Option<LogBatch>,
    batch_since: Millis,
    last_added: Millis,
    txns_since_snapshot: i64,
    bytes_since_snapshot: i64,
    /// The random part of both thresholds.
    random_count: i64,
    random_bytes: i64,
}

impl SyncRequestProcessor {
    /// A processor with an empty batch; `seed` decides when snapshots fall due.
    pub fn new(policy: SnapshotPolicy, seed: u64) -> Self {
        let mut processor = Self {
            policy,
            random: fastrand::Rng::with_seed(seed),
            batch: LogBatch::default(),
            spare: None,
            batch_since: 0,
            last_added: 0,
            txns_since_snapshot: 0,
            bytes_since_snapshot: 0,
            random_count: 0,
            random_bytes: 0,
        };
        processor.draw();
        processor
    }

    /// Where the next entry is to be written.
    pub fn batch(&mut self) -> &mut LogBatch {
        &mut self.batch
    }

    /// An entry was written to the batch at `now`.
    pub fn added(&mut self, now: Millis, bytes: usize) {
        if self.batch.count() == 1 {
            self.batch_since = now;
        }
        self.last_added = now;
        self.txns_since_snapshot += 1;
        self.bytes_since_snapshot += bytes as i64;
    }

    /// Whether the batch is to be flushed at `now`, given whether more requests are at hand.
    pub fn is_due(&self, now: Millis, is_idle: bool) -> bool {
        if self.batch.is_empty() {
            return false;
        }
        self.batch.count() >= self.policy.batch_max
            || self.batch.bytes().len() >= BATCH_BYTES_MAX
            || if self.policy.flush_delay_ms > 0 { now >= self.patience() } else { is_idle }
    }

    /// When [`Self::is_due`] may next say so by itself.
    pub fn deadline(&self) -> Option<Millis> {
        (!self.batch.is_empty()).then_some(self.patience())
    }

    /// When the first entry of the batch was written.
    pub fn batch_since(&self) -> Millis {
        self.batch_since
    }

    /// Until when the batch may wait.
    fn patience(&self) -> Millis {
        let SnapshotPolicy { flush_delay_ms, poll_ms, .. } = self.policy;
        (self.batch_since + flush_delay_ms).min(self.last_added + poll_ms)
    }

    /// Takes the batch for writing.
    pub fn take(&mut self) -> Arc<LogBatch> {
        let empty = self.spare.take().unwrap_or_default();
        Arc::new(std::mem::replace(&mut self.batch, empty))
    }

    /// Forgets the batch: nobody else has it.
    pub fn discard(&mut self) {
        self.batch.clear();
    }

    /// Gives back a batch that is applied, so that its memory is used again.
    pub fn recycle(&mut self, batch: Arc<LogBatch>) {
        if batch.bytes().len() > SPARE_BYTES_MAX {
            return;
        }
        if let Ok(mut batch) = Arc::try_unwrap(batch) {
            batch.clear();
            self.spare = Some(batch);
        }
    }

    /// Whether the log is to roll and a snapshot to be taken; if so, counting starts anew.
    pub fn snapshot_is_due(&mut self) -> bool {
        let SnapshotPolicy { snap_count, snap_bytes, .. } = self.policy;
        let by_count = self.txns_since_snapshot > snap_count / 2 + self.random_count;
        let by_bytes = snap_bytes
            .is_some_and(|limit| self.bytes_since_snapshot > limit / 2 + self.random_bytes);
        let is_due = by_count || by_bytes;
        if is_due {
            self.txns_since_snapshot = 0;
            self.bytes_since_snapshot = 0;
            self.draw();
        }
        is_due
    }

    /// The zxid of the last entry in the batch.
    pub fn last_zxid(&self) -> Option<Zxid> {
        self.batch.last_zxid()
    }

    /// Servers of an ensemble should not all take their snapshots at once.
    fn draw(&mut self) {
        self.random_count = self.random.i64(0..(self.policy.snap_count / 2).max(1));
        self.random_bytes = self.random.i64(0..(self.policy.snap_bytes.unwrap_or(0) / 2).max(1));
    }
}
