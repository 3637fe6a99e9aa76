//! What the server as a whole has done (`ServerStats`).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::proto::Millis;

/// Counts since the start or the last `srst`; written by all workers, a batch at a time.
#[derive(Debug, Default)]
pub struct ServerStats {
    packets_received: AtomicU64,
    packets_sent: AtomicU64,
    count: AtomicU64,
    total_latency: AtomicI64,
    min_latency: AtomicI64,
    max_latency: AtomicI64,
    response_bytes_last: AtomicI64,
    response_bytes_min: AtomicI64,
    response_bytes_max: AtomicI64,
}

/// What a batch of replies adds.
#[derive(Debug, Clone, Copy)]
pub struct ReplyBatch {
    /// Replies.
    count: u64,
    /// Sum of their latencies, in milliseconds.
    total_latency: Millis,
    min_latency: Millis,
    max_latency: Millis,
    bytes_last: i64,
    bytes_min: i64,
    bytes_max: i64,
}

impl ReplyBatch {
    /// Nothing yet.
    pub const EMPTY: ReplyBatch = ReplyBatch {
        count: 0,
        total_latency: 0,
        min_latency: Millis::MAX,
        max_latency: 0,
        bytes_last: -1,
        bytes_min: i64::MAX,
        bytes_max: -1,
    };

    /// One more reply, with the bytes of its body.
    pub fn add(&mut self, latency: Millis, bytes: usize) {
        let latency = latency.max(0);
        self.count += 1;
        self.total_latency += latency;
        self.min_latency = self.min_latency.min(latency);
        self.max_latency = self.max_latency.max(latency);
        if bytes > 0 {
            self.bytes_last = bytes as i64;
            self.bytes_min = self.bytes_min.min(self.bytes_last);
            self.bytes_max = self.bytes_max.max(self.bytes_last);
        }
    }
}

impl ServerStats {
    /// Nothing yet.
    pub fn new() -> Self {
        let stats = Self::default();
        stats.reset();
        stats
    }

    /// Starts anew (`srst`).
    pub fn reset(&self) {
        for zero in [&self.packets_received, &self.packets_sent, &self.count] {
            zero.store(0, Ordering::Relaxed);
        }
        self.total_latency.store(0, Ordering::Relaxed);
        self.min_latency.store(Millis::MAX, Ordering::Relaxed);
        self.max_latency.store(0, Ordering::Relaxed);
        self.response_bytes_last.store(-1, Ordering::Relaxed);
        self.response_bytes_min.store(-1, Ordering::Relaxed);
        self.response_bytes_max.store(-1, Ordering::Relaxed);
    }

    /// Packets came in.
    pub fn received(&self, packets: u64) {
        self.packets_received.fetch_add(packets, Ordering::Relaxed);
    }

    /// Packets were queued to go out.
    pub fn sent(&self, packets: u64) {
        self.packets_sent.fetch_add(packets, Ordering::Relaxed);
    }

    /// Replies were queued.
    pub fn replied(&self, batch: &ReplyBatch) {
        if batch.count == 0 {
            return;
        }
        self.count.fetch_add(batch.count, Ordering::Relaxed);
        self.total_latency.fetch_add(batch.total_latency, Ordering::Relaxed);
        self.min_latency.fetch_min(batch.min_latency, Ordering::Relaxed);
        self.max_latency.fetch_max(batch.max_latency, Ordering::Relaxed);
        if batch.bytes_last >= 0 {
            self.response_bytes_last.store(batch.bytes_last, Ordering::Relaxed);
            self.response_bytes_max.fetch_max(batch.bytes_max, Ordering::Relaxed);
            let shorter = |min| (min < 0 || batch.bytes_min < min).then_some(batch.bytes_min);
            let min = &self.response_bytes_min;
            let _ = min.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
        }
    }

    /// Packets received.
    pub fn packets_received(&self) -> u64 {
        self.packets_received.load(Ordering::Relaxed)
    }

    /// Packets sent.
    pub fn packets_sent(&self) -> u64 {
        self.packets_sent.load(Ordering::Relaxed)
    }

    /// Shortest latency in milliseconds, 0 before there was one.
    pub fn min_latency(&self) -> Millis {
        match self.min_latency.load(Ordering::Relaxed) {
            Millis::MAX => 0,
            latency => latency,
        }
    }

    /// Mean latency in milliseconds, with the four decimals ZooKeeper shows.
    pub fn avg_latency(&self) -> f64 {
        let count = self.count.load(Ordering::Relaxed);
        if count == 0 {
            return 0.0;
        }
        let mean = self.total_latency.load(Ordering::Relaxed) as f64 / count as f64;
        (mean * 10_000.0).round() / 10_000.0
    }

    /// Longest latency in milliseconds.
    pub fn max_latency(&self) -> Millis {
        self.max_latency.load(Ordering::Relaxed)
    }

    /// Bytes of the last, the shortest and the longest reply's body; -1 before there was one.
    pub fn response_bytes(&self) -> (i64, i64, i64) {
        let load = |value: &AtomicI64| value.load(Ordering::Relaxed);
        (
            load(&self.response_bytes_last),
            load(&self.response_bytes_min),
            load(&self.response_bytes_max),
        )
    }
}
