//! The connections of one thread and the poll that tells which of them have something to do.

use std::io;
use std::time::Duration;

use mio::{Events, Poll};

use super::error::BenchError;
use super::link::{Clock, Incoming, Link, Scratch};
use super::session::Session;

/// Events taken from one poll.
const EVENTS: usize = 1024;

/// How often a thread without events looks whether it should stop.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// How long what is due may take before the run is given up, in nanoseconds.
const PATIENCE_NS: u64 = 60_000_000_000;

/// The connections of one thread.
pub(super) struct Pool {
    /// One for each session; the index is the token.
    pub(super) links: Vec<Link>,
    /// The time of all threads.
    pub(super) clock: Clock,
    /// Shortest session timeout granted, in milliseconds.
    pub(super) timeout_ms: u32,
    poll: Poll,
    events: Events,
    scratch: Scratch,
}

/// A connection with something to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    /// Which of `Pool::links`.
    pub(super) index: usize,
    /// Bytes have come, or the end.
    pub(super) readable: bool,
    /// There is room for bytes.
    pub(super) writable: bool,
    /// The other side has closed.
    pub(super) closing: bool,
}

impl Pool {
    /// Takes over `sessions`, the first of which is number `first` of the run.
    pub(super) fn new(
        sessions: Vec<Session>,
        first: usize,
        clock: Clock,
    ) -> Result<Self, BenchError> {
        let poll = Poll::new().map_err(BenchError::io("epoll"))?;
        let timeout_ms = sessions.iter().map(|session| session.timeout_ms).min().unwrap_or(0);
        let links = sessions.into_iter().enumerate();
        let links = links
            .map(|(token, session)| Link::new(session, first + token, token, poll.registry()))
            .collect::<Result<_, _>>()?;
        let events = Events::with_capacity(EVENTS);
        Ok(Self { links, clock, timeout_ms, poll, events, scratch: Vec::new() })
    }

    /// Waits, at most `timeout`, and fills `ready`.
    pub(super) fn wait(
        &mut self,
        timeout: Duration,
        ready: &mut Vec<Ready>,
    ) -> Result<(), BenchError> {
        ready.clear();
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(BenchError::io("epoll")(e)),
            Ok(()) => {}
        }
        ready.extend(self.events.iter().map(|event| Ready {
            index: event.token().0,
            readable: event.is_readable(),
            writable: event.is_writable(),
            closing: event.is_read_closed() || event.is_error(),
        }));
        Ok(())
    }

    /// Does what a connection is ready for: sends what waits, and hands what has come to `on`.
    /// Returns the time of the last read, `None` if nothing had come.
    pub(super) fn serve(
        &mut self,
        ready: Ready,
        on: impl FnMut(u64, Incoming<'_>) -> Result<(), BenchError>,
    ) -> Result<Option<u64>, BenchError> {
        let link = &mut self.links[ready.index];
        if ready.writable && link.has_unsent() {
            link.flush()?;
        }
        match ready.readable {
            true => link.receive(&mut self.scratch, self.clock, ready.closing, on),
            false => Ok(None),
        }
    }

    /// Whether what is due since then is a minute late.
    pub(super) fn is_overdue(&self, since: u64) -> bool {
        self.clock.now().saturating_sub(since) > PATIENCE_NS
    }

    /// Fails if replies are missing a minute after `stopped`, the time of the end.
    pub(super) fn check_drain(&self, stopped: u64) -> Result<(), BenchError> {
        if !self.is_overdue(stopped) {
            return Ok(());
        }
        let open: usize = self.links.iter().map(Link::open_requests).sum();
        let text = format!("{open} requests are unanswered a minute after the end");
        Err(BenchError::Protocol(text))
    }

    /// Closes every session, once its open requests are answered, and waits for the server's word.
    pub(super) fn close(mut self) -> Result<(), BenchError> {
        let start = self.clock.now();
        for link in self.links.iter_mut().filter(|link| !link.is_lost()) {
            link.put_close(start);
            link.flush()?;
        }
        let mut ready = Vec::new();
        let waits = |link: &Link| !link.is_lost() && link.open_requests() > 0;
        let mut waiting = self.links.iter().filter(|link| waits(link)).count();
        while waiting > 0 {
            self.check_drain(start)?;
            self.wait(POLL, &mut ready)?;
            for &ready in &ready {
                if !waits(&self.links[ready.index]) {
                    continue;
                }
                // The server closes behind its last reply: that is no loss.
                self.serve(Ready { closing: false, ..ready }, |_, _| Ok(()))?;
                waiting -= usize::from(!waits(&self.links[ready.index]));
            }
        }
        Ok(())
    }
}
