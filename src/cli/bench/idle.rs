//! Idle sessions: each sends a ping three times in its timeout, evenly spread, and nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::driver::{Control, Phase};
use super::error::BenchError;
use super::link::Incoming;
use super::pool::{POLL, Pool};
use super::stats::Stats;
use super::workload::Asked;

/// Pings in one session timeout.
pub(super) const PINGS_PER_TIMEOUT: u64 = 3;

/// Keeps the sessions of `pool` alive until the stop; one that ends is counted, and the others go
/// on.
pub(super) fn run(mut pool: Pool, timeout_ms: u32, control: &Control) -> Result<Stats, BenchError> {
    let mut stats = Stats::new(&["ping"]);
    let clock = pool.clock;
    let start = clock.now();
    let sessions = pool.links.len() as u64;
    let period_ns = u64::from(timeout_ms) * 1_000_000 / PINGS_PER_TIMEOUT;
    let due = |ping: u64| {
        start + (u128::from(period_ns) * u128::from(ping) / u128::from(sessions)) as u64
    };
    let mut next_ping = 0;
    let mut ready = Vec::new();
    while control.phase() != Phase::Stop {
        let left = Duration::from_nanos(due(next_ping).saturating_sub(clock.now()));
        pool.wait(left.min(POLL), &mut ready)?;
        let mut answered = 0;
        for &ready in &ready {
            if pool.links[ready.index].is_lost() {
                continue;
            }
            let served = pool.serve(ready, |now, incoming| {
                if let Incoming::Reply { sent, err: 0, .. } = incoming {
                    stats.success(0, now - sent, 1);
                    answered += 1;
                } else if let Incoming::Reply { err, .. } = incoming {
                    stats.error(err);
                }
                Ok(())
            });
            if let Err(loss) = served {
                stats.loss(&loss);
            }
        }
        control.progress.fetch_add(answered, Ordering::Relaxed);
        let now = clock.now();
        while due(next_ping) <= now {
            let link = &mut pool.links[(next_ping % sessions) as usize];
            next_ping += 1;
            if link.is_lost() {
                continue;
            }
            link.put_ping(now, Asked::one(0));
            if let Err(loss) = link.flush() {
                stats.loss(&loss);
            }
        }
    }
    pool.close()?;
    Ok(stats)
}
