//! What a member counts of transactions and of learners on their way.

use metrics::Histogram;

use super::input::Now;
use crate::quorum::Proposal;
use crate::stats::{Run, ServerMetrics};

/// Records how long ago each transaction was made, and says how many there are
/// (`Request.logLatency`). The clock of who made it may be ahead of this one: then it is left out.
pub(super) fn log_latency<'a>(
    latency: &Histogram,
    proposals: impl Iterator<Item = &'a Proposal>,
    now: Now,
) -> u64 {
    let mut run = Run::new(latency);
    let mut count = 0;
    for proposal in proposals {
        count += 1;
        let since = now.wall - proposal.made();
        if since >= 0 {
            run.add(since);
        }
    }
    count
}

/// A learner begins or ends to be brought up to date, by a snapshot or by what it lacks; so many
/// are by the same means.
pub(super) fn count_sync(
    metrics: &ServerMetrics,
    by_snapshot: bool,
    begins: bool,
    in_flight: usize,
) {
    let (count, all) = match by_snapshot {
        true => (&metrics.snap_count, &metrics.inflight_snap_count),
        false => (&metrics.diff_count, &metrics.inflight_diff_count),
    };
    count.increment(u64::from(begins));
    all.record(in_flight as f64);
}
