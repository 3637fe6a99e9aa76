//! What the server as a whole has done (`ServerStats`).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::proto::Millis;
use crate::stats::{Run, ServerMetrics, Tally};

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

/// What a batch of replies and notifications adds. Sizes are those of frames, without the length in
/// front of each.
pub struct ReplyBatch<'a> {
    metrics: &'a ServerMetrics,
    read_latencies: Run<'a>,
    update_latencies: Run<'a>,
    /// Replies and notifications.
    packets: u64,
    latencies: Tally,
    sizes: Tally,
    last_size: i64,
    response_bytes: u64,
    watch_bytes: u64,
}

impl<'a> ReplyBatch<'a> {
    /// Nothing yet.
    pub fn new(metrics: &'a ServerMetrics) -> Self {
        Self {
            metrics,
            read_latencies: Run::new(&metrics.readlatency),
            update_latencies: Run::new(&metrics.updatelatency),
            packets: 0,
            latencies: Tally::default(),
            sizes: Tally::default(),
            last_size: -1,
            response_bytes: 0,
            watch_bytes: 0,
        }
    }

    /// A reply to a read, or to a request that became no transaction.
    pub fn read(&mut self, latency: Millis, bytes: usize) {
        let latency = latency.max(0);
        self.read_latencies.add(latency);
        self.reply(latency, bytes);
    }

    /// A reply to a transaction.
    pub fn update(&mut self, latency: Millis, bytes: usize) {
        let latency = latency.max(0);
        self.update_latencies.add(latency);
        self.reply(latency, bytes);
    }

    /// A notification.
    pub fn event(&mut self, bytes: usize) {
        self.watch_bytes += bytes as u64;
        self.packet(bytes);
    }

    fn reply(&mut self, latency: Millis, bytes: usize) {
        self.latencies.add_many(latency, 1);
        self.response_bytes += bytes as u64;
        self.packet(bytes);
    }

    fn packet(&mut self, bytes: usize) {
        if bytes > 0 {
            self.packets += 1;
            self.last_size = bytes as i64;
            self.sizes.add_many(bytes as i64, 1);
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

    /// Replies and notifications were queued.
    pub fn replied(&self, batch: &ReplyBatch<'_>) {
        let (latencies, sizes) = (&batch.latencies, &batch.sizes);
        if latencies.count() > 0 {
            self.count.fetch_add(latencies.count(), Ordering::Relaxed);
            self.total_latency.fetch_add(latencies.sum(), Ordering::Relaxed);
            self.min_latency.fetch_min(latencies.min(), Ordering::Relaxed);
            self.max_latency.fetch_max(latencies.max(), Ordering::Relaxed);
            batch.metrics.response_bytes.increment(batch.response_bytes);
        }
        if batch.watch_bytes > 0 {
            batch.metrics.watch_bytes.increment(batch.watch_bytes);
        }
        if sizes.count() > 0 {
            self.sent(batch.packets);
            self.response_bytes_last.store(batch.last_size, Ordering::Relaxed);
            self.response_bytes_max.fetch_max(sizes.max(), Ordering::Relaxed);
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
}
