//! What will happen, by time: the simulated clock and the events that wait for it.
//!
//! Events of one moment come in the order of their class, then of whom they concern, then in which
//! they were planned. So what the core hands out in no particular order, such as connections to be
//! closed, does not change what follows.

use std::collections::BTreeMap;

/// Microseconds since the simulation began.
pub type Time = u64;

/// Microseconds of a millisecond.
pub const MS: Time = 1_000;

/// Microseconds of a second.
pub const SECOND: Time = 1_000_000;

/// A process of a server: the server's index, and which of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId {
    /// Index of the server.
    pub server: usize,
    /// How often it was started before.
    pub life: u32,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Who connected: a learner or a client.
    Caller,
    /// Who was connected to: the leader, or a server.
    Callee,
}

impl End {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// Something that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The next fault, or the end of one.
    Fault(usize),
    /// A server's process starts.
    Start(usize),
    /// A process looks into its mailbox.
    Step(ProcessId),
    /// What a process wrote to its disk is written.
    DiskDone(ProcessId),
    /// A process goes on with its snapshot.
    Snapshot(ProcessId),
    /// A process sends a learner the next piece of a snapshot or of history.
    Sync(ProcessId, u64),
    /// A learner tries to connect to its leader.
    Connect(ProcessId, u64),
    /// Bytes arrive at an end of a connection between servers.
    Stream(u64, End),
    /// An end of a connection between servers may have heard nothing for too long.
    Silence(u64, End),
    /// An election message arrives.
    Election(usize, usize),
    /// Bytes arrive at an end of a client's connection.
    ClientCnxn(u64, End),
    /// A client has something to do.
    Client(usize),
}

/// The clock and what waits for it.
#[derive(Debug, Default)]
pub struct Queue {
    now: Time,
    waiting: BTreeMap<(Time, Event, u64), ()>,
    planned: u64,
}

impl Queue {
    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Plans an event, not before now.
    pub fn at(&mut self, time: Time, event: Event) {
        self.planned += 1;
        self.waiting.insert((time.max(self.now), event, self.planned), ());
    }

    /// Plans an event some time from now.
    pub fn after(&mut self, delay: Time, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The next event, to whose time the clock moves.
    pub fn advance(&mut self) -> Option<Event> {
        let ((time, event, _), ()) = self.waiting.pop_first()?;
        self.now = time;
        Some(event)
    }
}
