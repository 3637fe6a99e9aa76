//! Watch fan-out: sessions watch one znode and one more session writes it.
//!
//! A round is one set, an event at every watching session and, with one-shot watches, a getData of
//! each that leaves the next watch. The next round starts when all of that is answered, so no event
//! is ever merged with another.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use jute::{AddWatchRequest, GetDataRequest, SetDataRequest};

use super::driver::{Control, Phase};
use super::error::BenchError;
use super::idle::PINGS_PER_TIMEOUT;
use super::link::Incoming;
use super::pool::{POLL, Pool};
use super::stats::Stats;
use super::workload::Asked;
use crate::client::wire;
use crate::proto::{AddWatchMode, OpCode};

/// An event, from the set put into the send buffer to the event read.
const EVENT: u8 = 0;
/// The last event of a round.
const LAST_EVENT: u8 = 1;
/// The set itself.
const SET: u8 = 2;
/// Leaving a watch.
const ARM: u8 = 3;
/// A ping of a session that has nothing else to say.
const PING: u8 = 4;

const NAMES: [&str; 5] = ["event", "last event", "set", "arm", "ping"];

/// What happens to the znode.
pub(super) struct Watch<'a> {
    /// The znode that is written and watched.
    pub(super) path: &'a str,
    /// What is written.
    pub(super) data: &'a [u8],
    /// Persistent watches, left once, instead of one-shot watches.
    pub(super) is_persistent: bool,
    /// Session timeout, in milliseconds.
    pub(super) timeout_ms: u32,
}

impl Watch<'_> {
    /// Runs rounds until the stop. The first session of `pool` writes, the others watch.
    pub(super) fn run(&self, mut pool: Pool, control: &Control) -> Result<Stats, BenchError> {
        let mut stats = Stats::new(&NAMES);
        let mut phase = control.phase();
        let watchers = pool.links.len() - 1;
        for index in 1..=watchers {
            self.arm(&mut pool, index)?;
        }
        let mut round = Round { set_at: 0, events: 0, replies: watchers };
        let mut round_since = pool.clock.now();
        let mut pings: VecDeque<_> = (0..pool.links.len()).map(|i| (round_since, i)).collect();
        let mut ready = Vec::new();
        let mut fired = Vec::new();
        loop {
            pool.wait(POLL, &mut ready)?;
            let seen = control.phase();
            if seen != phase && seen == Phase::Measure {
                stats.reset();
            }
            phase = seen;
            if pool.is_overdue(round_since) {
                return Err(round.late());
            }
            for &ready in &ready {
                pool.serve(ready, |now, incoming| {
                    round.take(now, incoming, &mut stats, phase, || fired.push(ready.index))
                })?;
            }
            control.progress.fetch_add(fired.len() as u64, Ordering::Relaxed);
            for index in fired.drain(..) {
                if !self.is_persistent {
                    round.replies += 1;
                    self.arm(&mut pool, index)?;
                }
            }
            if round.is_over() {
                if phase == Phase::Stop {
                    break;
                }
                round_since = pool.clock.now();
                round = Round { set_at: round_since, events: watchers, replies: 1 };
                self.set(&mut pool, round_since)?;
            }
            self.ping(&mut pool, &mut pings, &mut round)?;
        }
        pool.close()?;
        Ok(stats)
    }

    fn set(&self, pool: &mut Pool, now: u64) -> Result<(), BenchError> {
        let record = SetDataRequest { path: self.path.into(), data: Some(self.data), version: -1 };
        pool.links[0].put(now, |xid, out| {
            wire::put_request(out, xid, OpCode::SetData, &record);
            Some(Asked { kind: SET, operations: 0 })
        });
        pool.links[0].flush()
    }

    fn arm(&self, pool: &mut Pool, index: usize) -> Result<(), BenchError> {
        let now = pool.clock.now();
        pool.links[index].put(now, |xid, out| {
            let path = self.path.into();
            if self.is_persistent {
                let mode = AddWatchMode::Persistent as i32;
                let record = AddWatchRequest { path, mode };
                wire::put_request(out, xid, OpCode::AddWatch, &record);
            } else {
                let record = GetDataRequest { path, watch: true };
                wire::put_request(out, xid, OpCode::GetData, &record);
            }
            Some(Asked { kind: ARM, operations: 0 })
        });
        pool.links[index].flush()
    }

    /// Pings the sessions whose last ping is long ago; `pings` has them in that order.
    fn ping(
        &self,
        pool: &mut Pool,
        pings: &mut VecDeque<(u64, usize)>,
        round: &mut Round,
    ) -> Result<(), BenchError> {
        let now = pool.clock.now();
        let ping_ns = u64::from(self.timeout_ms) * 1_000_000 / PINGS_PER_TIMEOUT;
        while let Some(&(last, index)) = pings.front()
            && now - last > ping_ns
        {
            pings.pop_front();
            pings.push_back((now, index));
            round.replies += 1;
            pool.links[index].put_ping(now, Asked { kind: PING, operations: 0 });
            pool.links[index].flush()?;
        }
        Ok(())
    }
}

/// What is still to come of a round.
struct Round {
    set_at: u64,
    events: usize,
    replies: usize,
}

impl Round {
    fn is_over(&self) -> bool {
        self.events == 0 && self.replies == 0
    }

    fn late(&self) -> BenchError {
        let Self { events, replies, .. } = self;
        BenchError::Protocol(format!(
            "{events} events and {replies} replies are missing a minute after a set"
        ))
    }

    fn take(
        &mut self,
        now: u64,
        incoming: Incoming<'_>,
        stats: &mut Stats,
        phase: Phase,
        fired: impl FnOnce(),
    ) -> Result<(), BenchError> {
        let is_counted = phase != Phase::Stop;
        match incoming {
            Incoming::Reply { asked, sent, err, .. } => {
                self.replies -= 1;
                match err {
                    _ if !is_counted => {}
                    0 => stats.success(asked.kind, now - sent, asked.operations.into()),
                    code => stats.error(code),
                }
            }
            Incoming::Notification => {
                self.events = self.events.checked_sub(1).ok_or_else(|| {
                    BenchError::Protocol("more events than watches in a round".into())
                })?;
                if is_counted {
                    stats.success(EVENT, now - self.set_at, 1);
                    if self.events == 0 {
                        stats.success(LAST_EVENT, now - self.set_at, 0);
                    }
                }
                fired();
            }
        }
        Ok(())
    }
}
