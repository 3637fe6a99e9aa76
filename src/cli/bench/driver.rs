//! The loop of one thread: its sessions keep a number of requests unanswered, and each batch of replies is
//! followed by one write with as many new requests.
//!
//! It ends when the workload has no more requests, or when it is told to stop; then every open request is waited
//! for and every session closed.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use mio::{Events, Poll};

use super::error::BenchError;
use super::link::{Clock, Incoming, Link, Scratch};
use super::request;
use super::session::Session;
use super::stats::Stats;
use super::workload::{Asked, Kind, Workload};
use crate::proto::OpCode;

/// How often a thread without events looks at the phase.
const POLL: Duration = Duration::from_millis(50);

/// How long the last replies may take after the end.
const DRAIN_NS: u64 = 60_000_000_000;

/// The number of closeSession among the kinds.
const CLOSE_KIND: u8 = u8::MAX;

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

/// One thread's sessions and what they have seen.
pub(super) struct Driver<'a> {
    control: &'a Control,
    poll: Poll,
    links: Vec<Link>,
    scratch: Scratch,
    kinds: Vec<Kind>,
    stats: Stats,
}

impl<'a> Driver<'a> {
    /// Takes over `sessions`, the first of which is number `first` of the run.
    pub(super) fn new(
        sessions: Vec<Session>,
        first: usize,
        kinds: Vec<Kind>,
        control: &'a Control,
    ) -> Result<Self, BenchError> {
        let poll = Poll::new().map_err(BenchError::io("epoll"))?;
        let links = sessions.into_iter().enumerate();
        let links = links
            .map(|(token, session)| Link::new(session, first + token, token, poll.registry()))
            .collect::<Result<_, _>>()?;
        let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
        Ok(Self { control, poll, links, scratch: Vec::new(), kinds, stats: Stats::new(&names) })
    }

    /// Runs `workload` to its end, or to the stop, and returns what was seen in the measurement.
    pub(super) fn run(
        mut self,
        workload: &mut dyn Workload,
        outstanding: usize,
    ) -> Result<Stats, BenchError> {
        let clock = self.control.clock;
        let mut phase = self.control.phase();
        let mut stop_at = None;
        for index in 0..self.links.len() {
            self.refill(index, clock.now(), workload, outstanding)?;
        }
        let mut events = Events::with_capacity(1024);
        while !(self.links.iter().all(|link| link.open_requests() == 0)) {
            if let Err(e) = self.poll.poll(&mut events, Some(POLL)) {
                if e.kind() == std::io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(BenchError::io("epoll")(e));
            }
            let seen = self.control.phase();
            if seen != phase {
                if seen == Phase::Measure {
                    self.stats.reset();
                }
                phase = seen;
            }
            if phase == Phase::Stop {
                let now = clock.now();
                if now - *stop_at.get_or_insert(now) > DRAIN_NS {
                    return Err(self.silent());
                }
            }
            let mut answered = 0;
            for event in &events {
                let index = event.token().0;
                if event.is_writable() && self.links[index].has_unsent() {
                    self.links[index].flush()?;
                }
                if event.is_readable() {
                    let closing = event.is_read_closed() || event.is_error();
                    let last = self.receive(index, closing, phase, &mut answered)?;
                    if let (Some(now), false) = (last, phase == Phase::Stop) {
                        self.refill(index, now, workload, outstanding)?;
                    }
                }
            }
            self.control.progress.fetch_add(answered, Ordering::Relaxed);
        }
        self.close(&mut events)
    }

    /// Puts and sends requests until `outstanding` are open.
    fn refill(
        &mut self,
        index: usize,
        now: u64,
        workload: &mut dyn Workload,
        outstanding: usize,
    ) -> Result<(), BenchError> {
        let link = &mut self.links[index];
        while link.open_requests() < outstanding
            && link.put(now, |xid, out| workload.request(index, xid, out))
        {}
        link.flush()
    }

    fn receive(
        &mut self,
        index: usize,
        closing: bool,
        phase: Phase,
        answered: &mut u64,
    ) -> Result<Option<u64>, BenchError> {
        let (kinds, stats) = (&self.kinds, &mut self.stats);
        let clock = self.control.clock;
        self.links[index].receive(&mut self.scratch, clock, closing, |now, incoming| {
            let Incoming::Reply { asked, sent, err, body } = incoming else {
                return Err(BenchError::Protocol("an event where no watch was left".into()));
            };
            *answered += u64::from(asked.operations);
            if phase == Phase::Stop {
                return Ok(());
            }
            match judge(&kinds[usize::from(asked.kind)], err, body)? {
                0 => stats.success(asked.kind, now.saturating_sub(sent), asked.operations.into()),
                code => stats.error(code),
            }
            Ok(())
        })
    }

    /// Closes every session and waits for the answers.
    fn close(mut self, events: &mut Events) -> Result<Stats, BenchError> {
        let clock = self.control.clock;
        let start = clock.now();
        for link in &mut self.links {
            link.put(start, |xid, out| {
                request::bare_frame(xid, OpCode::CloseSession, out);
                Some(Asked::one(CLOSE_KIND))
            });
            link.flush()?;
        }
        let mut open = self.links.len();
        while open > 0 {
            if clock.now() - start > DRAIN_NS {
                return Err(self.silent());
            }
            if let Err(e) = self.poll.poll(events, Some(POLL))
                && e.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(BenchError::io("epoll")(e));
            }
            for event in &*events {
                let link = &mut self.links[event.token().0];
                if event.is_readable() && link.open_requests() > 0 {
                    link.receive(&mut self.scratch, clock, false, |_, _| Ok(()))?;
                    open -= usize::from(link.open_requests() == 0);
                }
            }
        }
        Ok(self.stats)
    }

    fn silent(&self) -> BenchError {
        let open: usize = self.links.iter().map(Link::open_requests).sum();
        BenchError::Protocol(format!(
            "{open} requests are unanswered {} s after the end",
            DRAIN_NS / 1_000_000_000
        ))
    }
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

/// The code that made a multi fail: of its results, all errors, the first that is not 0. A result is a header of
/// nine bytes, whose first four are -1 for an error, and an error's code again.
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
