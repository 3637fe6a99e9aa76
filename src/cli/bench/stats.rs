//! What one thread has seen in the measurement, and how threads are added up.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::error::BenchError;

/// Longest latency kept apart, in nanoseconds: ten minutes. A longer one counts as this.
const LATENCY_MAX_NS: u64 = 600_000_000_000;

/// What is counted of one kind of request.
#[derive(Debug, Clone)]
pub(super) struct KindStats {
    /// What it is called.
    pub(super) name: &'static str,
    /// Latencies in nanoseconds.
    pub(super) latency: Histogram<u64>,
    /// Operations answered without an error; a multi counts as all of its operations. 0 if this
    /// kind only serves another.
    pub(super) operations: u64,
}

/// What is counted in the measurement.
#[derive(Debug, Clone)]
pub(super) struct Stats {
    /// By kind of request.
    pub(super) kinds: Vec<KindStats>,
    /// Error replies by code.
    pub(super) errors: BTreeMap<i32, u64>,
    /// Sessions that ended before the run did.
    pub(super) lost_sessions: u64,
    /// Why the first of them did.
    pub(super) first_loss: Option<String>,
}

impl Stats {
    /// Nothing counted yet.
    pub(super) fn new(names: &[&'static str]) -> Self {
        let kind = |&name| KindStats {
            name,
            latency: Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3)
                .expect("the bounds are those of a histogram"),
            operations: 0,
        };
        Self {
            kinds: names.iter().map(kind).collect(),
            errors: BTreeMap::new(),
            lost_sessions: 0,
            first_loss: None,
        }
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        for kind in &mut self.kinds {
            kind.latency.reset();
            kind.operations = 0;
        }
        self.errors.clear();
    }

    /// Counts a success.
    pub(super) fn success(&mut self, kind: u8, latency_ns: u64, operations: u64) {
        let kind = &mut self.kinds[usize::from(kind)];
        kind.latency.saturating_record(latency_ns);
        kind.operations += operations;
    }

    /// Counts a lost session.
    pub(super) fn loss(&mut self, why: &BenchError) {
        self.lost_sessions += 1;
        self.first_loss.get_or_insert_with(|| why.to_string());
    }

    /// Counts an error reply.
    pub(super) fn error(&mut self, code: i32) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// Adds what another thread counted of the same kinds.
    pub(super) fn add(&mut self, other: &Stats) {
        for (kind, more) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.latency.add(&more.latency).expect("all histograms have the same bounds");
            kind.operations += more.operations;
        }
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
        self.lost_sessions += other.lost_sessions;
        if self.first_loss.is_none() {
            self.first_loss.clone_from(&other.first_loss);
        }
    }

    /// Operations of all kinds.
    pub(super) fn operations(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.operations).sum()
    }

    /// Latencies of all kinds that count as operations together.
    pub(super) fn latency(&self) -> Histogram<u64> {
        let mut all = self.kinds[0].latency.clone();
        for kind in self.kinds[1..].iter().filter(|kind| kind.operations > 0) {
            all.add(&kind.latency).expect("all histograms have the same bounds");
        }
        all
    }
}
