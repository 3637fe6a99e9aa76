//! The loop of one thread: its sessions keep a number of requests unanswered, and each batch of
//! replies is followed by one write with as many new requests.
//!
//! It ends when the workload has no more requests, or when it is told to stop; then every open
//! request is waited for and every session closed.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::error::BenchError;
use super::link::{Clock, Incoming};
use super::pool::{POLL, Pool};
use super::stats::Stats;
use super::workload::{Kind, Workload};

/// What the threads of a run share.
#[derive(Debug)]
pub(super) struct Control {
    phase: AtomicU8,
    /// Operations answered since the start, for the progress bar.
    pub(super) progress: AtomicU64,
    /// The time of all threads.
    pub(super) clock: Clock,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Load without counting.
    WarmUp,
    /// Load that is counted.
    Measure,
    /// No new requests.
    Stop,
}

impl Control {
    /// A run that is warming up.
    pub(super) fn new(clock: Clock) -> Self {
        let phase = AtomicU8::new(Phase::WarmUp as u8);
        Self { phase, progress: AtomicU64::new(0), clock }
    }

    /// Goes on to `phase`.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// What the run is doing.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::WarmUp,
            1 => Phase::Measure,
            _ => Phase::Stop,
        }
    }
}

/// Runs `workload` to its end, or to the stop, and returns what was seen in the measurement.
pub(super) fn drive(
    mut pool: Pool,
    workload: &mut dyn Workload,
    outstanding: usize,
    control: &Control,
) -> Result<Stats, BenchError> {
    let kinds = workload.kinds();
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    let mut stats = Stats::new(&names);
    let mut phase = control.phase();
    let mut stopped = None;
    for index in 0..pool.links.len() {
        refill(&mut pool, index, workload, outstanding)?;
    }
    let mut ready = Vec::new();
    while pool.links.iter().any(|link| link.open_requests() > 0) {
        pool.wait(POLL, &mut ready)?;
        let seen = control.phase();
        if seen != phase && seen == Phase::Measure {
            stats.reset();
        }
        phase = seen;
        if phase == Phase::Stop {
            pool.check_drain(*stopped.get_or_insert(pool.clock.now()))?;
        }
        let mut answered = 0;
        for &ready in &ready {
            let last = pool.serve(ready, |now, incoming| {
                let Incoming::Reply { asked, sent, err, body } = incoming else {
                    return Err(BenchError::Protocol("an event where no watch was left".into()));
                };
                answered += u64::from(asked.operations);
                if phase == Phase::Stop {
                    return Ok(());
                }
                match judge(&kinds[usize::from(asked.kind)], err, body)? {
                    0 => stats.success(asked.kind, now - sent, asked.operations.into()),
                    code => stats.error(code),
                }
                Ok(())
            })?;
            if last.is_some() && phase != Phase::Stop {
                refill(&mut pool, ready.index, workload, outstanding)?;
            }
        }
        control.progress.fetch_add(answered, Ordering::Relaxed);
    }
    pool.close()?;
    Ok(stats)
}

/// Puts and sends requests until `outstanding` are open.
fn refill(
    pool: &mut Pool,
    index: usize,
    workload: &mut dyn Workload,
    outstanding: usize,
) -> Result<(), BenchError> {
    let now = pool.clock.now();
    let link = &mut pool.links[index];
    while link.open_requests() < outstanding
        && link.put(now, |xid, out| workload.request(index, xid, out))
    {}
    link.flush()
}

/// The error code in a reply, 0 for success.
fn judge(kind: &Kind, err: i32, body: &[u8]) -> Result<i32, BenchError> {
    if err != 0 {
        return Ok(err);
    }
    if !kind.body_bytes.contains(&body.len()) {
        return Err(BenchError::Protocol(format!(
            "the reply to {} has {} bytes after its header, {} to {} are due",
            kind.name,
            body.len(),
            kind.body_bytes.start(),
            kind.body_bytes.end()
        )));
    }
    if !kind.is_multi {
        return Ok(0);
    }
    multi_error(body)
}

/// The code that made a multi fail: of its results, all errors, the first that is not 0. A result
/// is a header of nine bytes, whose first four are -1 for an error, and an error's code again.
fn multi_error(body: &[u8]) -> Result<i32, BenchError> {
    const RESULT_BYTES: usize = 9 + 4;
    if !body.starts_with(&[0xff; 4]) {
        return Ok(0);
    }
    let codes = body
        .chunks_exact(RESULT_BYTES)
        .map(|result| i32::from_be_bytes([result[9], result[10], result[11], result[12]]));
    codes.into_iter().find(|&code| code != 0).ok_or_else(|| {
        BenchError::Protocol("a multi failed, and none of its results says why".into())
    })
}
