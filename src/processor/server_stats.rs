//! What the server as a whole has done (`ServerStats`).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use metrics::Histogram;

use crate::proto::Millis;
use crate::stats::{ServerMetrics, Tally};

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
    proposal_bytes_last: AtomicI64,
    proposal_bytes_min: AtomicI64,
    proposal_bytes_max: AtomicI64,
}

/// What a batch of replies and notifications adds. Sizes are those of frames, without the length in
/// front of each.
pub struct ReplyBatch<'a> {
    metrics: &'a ServerMetrics,
    reads: Latencies<'a>,
    updates: Latencies<'a>,
    /// Of replies and notifications.
    sizes: Tally,
    last_size: i64,
    watch_bytes: i64,
}

impl<'a> ReplyBatch<'a> {
    /// Nothing yet.
    pub fn new(metrics: &'a ServerMetrics) -> Self {
        Self {
            metrics,
            reads: Latencies::new(&metrics.readlatency),
            updates: Latencies::new(&metrics.updatelatency),
            sizes: Tally::default(),
            last_size: -1,
            watch_bytes: 0,
        }
    }

    /// A reply to a read, or to a request that became no transaction.
    pub fn read(&mut self, latency: Millis, bytes: usize) {
        self.reads.add(latency.max(0));
        self.packet(bytes);
    }

    /// A reply to a transaction.
    pub fn update(&mut self, latency: Millis, bytes: usize) {
        self.updates.add(latency.max(0));
        self.packet(bytes);
    }

    /// A notification.
    pub fn event(&mut self, bytes: usize) {
        self.watch_bytes += bytes as i64;
        self.packet(bytes);
    }

    fn packet(&mut self, bytes: usize) {
        if bytes > 0 {
            self.last_size = bytes as i64;
            self.sizes.add(bytes as i64);
        }
    }
}

/// Latencies of replies of one kind. Most of a batch are equal, so they are recorded in runs.
struct Latencies<'a> {
    histogram: &'a Histogram,
    all: Tally,
    run_value: Millis,
    run_count: u64,
}

impl<'a> Latencies<'a> {
    fn new(histogram: &'a Histogram) -> Self {
        Self { histogram, all: Tally::default(), run_value: 0, run_count: 0 }
    }

    fn add(&mut self, latency: Millis) {
        if latency != self.run_value {
            self.end_run();
            self.run_value = latency;
        }
        self.run_count += 1;
    }

    fn end_run(&mut self) {
        if self.run_count > 0 {
            self.histogram.record_many(self.run_value as f64, self.run_count as usize);
            self.all.add_many(self.run_value, self.run_count);
            self.run_count = 0;
        }
    }

    fn finish(mut self) -> Tally {
        self.end_run();
        self.all
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
        self.reset_proposals();
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

    /// Replies and notifications were queued.
    pub fn replied(&self, batch: ReplyBatch<'_>) {
        let ReplyBatch { metrics, reads, updates, sizes, last_size, watch_bytes } = batch;
        let mut latencies = reads.finish();
        latencies.merge(&updates.finish());
        if latencies.count() > 0 {
            self.count.fetch_add(latencies.count(), Ordering::Relaxed);
            self.total_latency.fetch_add(latencies.sum(), Ordering::Relaxed);
            lower(&self.min_latency, latencies.min());
            raise(&self.max_latency, latencies.max());
        }
        if watch_bytes > 0 {
            metrics.watch_bytes.increment(watch_bytes as u64);
        }
        if sizes.count() > 0 {
            metrics.response_bytes.increment((sizes.sum() - watch_bytes) as u64);
            self.sent(sizes.count());
            self.response_bytes_last.store(last_size, Ordering::Relaxed);
            raise(&self.response_bytes_max, sizes.max());
            let shorter = |min| (min < 0 || sizes.min() < min).then_some(sizes.min());
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

    /// Bytes of the last, the shortest and the longest reply or notification; -1 before there was
    /// one.
    pub fn response_bytes(&self) -> (i64, i64, i64) {
        let load = |value: &AtomicI64| value.load(Ordering::Relaxed);
        (
            load(&self.response_bytes_last),
            load(&self.response_bytes_min),
            load(&self.response_bytes_max),
        )
    }

    /// A leader proposes a transaction of this size (`BufferStats`). Only the engine does.
    pub fn proposed(&self, bytes: usize) {
        let bytes = bytes as i64;
        self.proposal_bytes_last.store(bytes, Ordering::Relaxed);
        raise(&self.proposal_bytes_max, bytes);
        let min = self.proposal_bytes_min.load(Ordering::Relaxed);
        if min < 0 || bytes < min {
            self.proposal_bytes_min.store(bytes, Ordering::Relaxed);
        }
    }

    /// Sizes of the last, the smallest and the largest proposal, each -1 before the first one.
    pub fn proposal_bytes(&self) -> (i64, i64, i64) {
        let load = |value: &AtomicI64| value.load(Ordering::Relaxed);
        (
            load(&self.proposal_bytes_last),
            load(&self.proposal_bytes_min),
            load(&self.proposal_bytes_max),
        )
    }

    /// Forgets the sizes of proposals.
    pub fn reset_proposals(&self) {
        let sizes = [&self.proposal_bytes_last, &self.proposal_bytes_min, &self.proposal_bytes_max];
        sizes.into_iter().for_each(|size| size.store(-1, Ordering::Relaxed));
    }
}

/// Makes `value` no greater than `bound`; mostly it is not, and then nothing is written.
fn lower(value: &AtomicI64, bound: i64) {
    if bound < value.load(Ordering::Relaxed) {
        value.fetch_min(bound, Ordering::Relaxed);
    }
}

/// Makes `value` no less than `bound`.
fn raise(value: &AtomicI64, bound: i64) {
    if bound > value.load(Ordering::Relaxed) {
        value.fetch_max(bound, Ordering::Relaxed);
    }
}
