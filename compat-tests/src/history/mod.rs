//! What clients did to an ensemble and what they were told, and whether that can be.
//!
//! [`workload`] runs clients while a scenario does harm, [`checker`] judges their notes and
//! the trees of all members afterwards, [`registers`] the order of what was done to shared nodes.

pub mod checker;
pub mod registers;
pub mod session;
pub mod workload;

use std::fmt;
use std::time::{Duration, Instant};

use session::Expired;

/// Something that must not happen and did.
#[derive(Debug, Clone)]
pub struct Trouble(String);

impl Trouble {
    /// In words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a writer asked for. The data of every write is different from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A sequential node with this prefix.
    CreateSequential {
        /// Its path without the number.
        prefix: String,
    },
    /// A node whose path nobody else uses.
    Create {
        /// Its path.
        path: String,
    },
    /// New data for a node, if its version is still this.
    Set {
        /// Its path.
        path: String,
        /// The version expected.
        version: i32,
    },
    /// The end of a node that was created before.
    Delete {
        /// Its path.
        path: String,
    },
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Acked {
        /// Its path, with the number of a sequential node.
        path: String,
        /// Its zxid; a delete's is not told.
        zxid: Option<i64>,
        /// Version of the node's data then.
        version: i32,
    },
    /// It was refused with this error code.
    Refused(i32),
    /// Nobody knows: the connection was lost.
    Unknown,
}

/// A write.
#[derive(Debug, Clone)]
pub struct Write {
    /// What was asked.
    pub action: Action,
    /// The node's data.
    pub data: String,
    /// When it was sent.
    pub invoked: Instant,
    /// When its outcome was known.
    pub completed: Instant,
    /// What became of it.
    pub outcome: Outcome,
    /// The session it was sent in.
    pub session: i64,
}

/// A read after a `sync`.
#[derive(Debug, Clone)]
pub struct Read {
    /// The node.
    pub path: String,
    /// When the `sync` was sent.
    pub invoked: Instant,
    /// When the data came.
    pub completed: Instant,
    /// The last transaction of the server that answered.
    pub zxid: i64,
    /// Version of the data.
    pub version: i32,
    /// The data.
    pub data: String,
}

/// An ephemeral node, and what became of its session.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    /// The node.
    pub path: String,
    /// Its session, which is over.
    pub session: i64,
}

/// The notes of all clients of a run.
#[derive(Debug, Default)]
pub struct History {
    /// Writes, each client's in its order.
    pub writes: Vec<Vec<Write>>,
    /// Reads, each client's in its order.
    pub reads: Vec<Vec<Read>>,
    /// Nodes of sessions that are over.
    pub ephemerals: Vec<Ephemeral>,
    /// Sessions lost.
    pub expired: Vec<Expired>,
    /// Connections made again.
    pub reconnects: usize,
    /// What clients themselves found wrong.
    pub troubles: Vec<Trouble>,
    /// What the scenario did, and when.
    pub steps: Vec<(Instant, String)>,
    /// When the clients began and ended.
    pub span: Option<(Instant, Instant)>,
}

/// Counts of a run, and how long writes stood still.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Writes sent.
    pub writes: usize,
    /// Those acknowledged.
    pub acked: usize,
    /// Those refused.
    pub refused: usize,
    /// Those with an unknown end.
    pub unknown: usize,
    /// Reads answered.
    pub reads: usize,
    /// Reads that came after a `sync` and still missed a write acknowledged before it. ZooKeeper
    /// does not promise that there are none: a leader that is cut off answers for a while.
    pub stale_reads: usize,
    /// Reads of shared registers that a leader may have answered that had been replaced.
    pub reads_left_out: usize,
    /// Connections made again.
    pub reconnects: usize,
    /// Sessions lost.
    pub expired: usize,
    /// The longest time without an acknowledged write.
    pub longest_stall: Duration,
    /// The same for each step of the scenario.
    pub step_stalls: Vec<(String, Duration)>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} writes: {} acknowledged, {} refused, {} unknown; {} reads, {} stale after sync, \
             {} left out; {} reconnects, {} sessions expired; longest write stall {} ms",
            self.writes,
            self.acked,
            self.refused,
            self.unknown,
            self.reads,
            self.stale_reads,
            self.reads_left_out,
            self.reconnects,
            self.expired,
            self.longest_stall.as_millis()
        )?;
        for (step, stall) in &self.step_stalls {
            write!(f, "\n  {:>6} ms  {step}", stall.as_millis())?;
        }
        Ok(())
    }
}

impl History {
    /// All writes, by client and in its order.
    pub fn all_writes(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter().flatten()
    }

    /// Requests whose end was noted: writes, and reads that were answered.
    pub fn operations(&self) -> usize {
        self.all_writes().count() + self.reads.iter().map(Vec::len).sum::<usize>()
    }

    /// Counts, and stalls.
    pub fn summary(&self) -> Summary {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.all_writes().filter(|write| wanted(&write.outcome)).count()
        };
        Summary {
            writes: self.all_writes().count(),
            acked: count(|outcome| matches!(outcome, Outcome::Acked { .. })),
            refused: count(|outcome| matches!(outcome, Outcome::Refused(_))),
            unknown: count(|outcome| matches!(outcome, Outcome::Unknown)),
            reads: self.reads.iter().map(Vec::len).sum(),
            stale_reads: checker::stale_reads(self),
            reads_left_out: registers::reads_left_out(self),
            reconnects: self.reconnects,
            expired: self.expired.len(),
            longest_stall: self.span.map_or(Duration::ZERO, |(from, to)| self.stall(from, to)),
            step_stalls: self.step_stalls(),
        }
    }

    /// The longest time without an acknowledged write that touches this span.
    pub fn stall(&self, from: Instant, to: Instant) -> Duration {
        let Some((begin, end)) = self.span else { return Duration::ZERO };
        let acked = self.all_writes().filter(|w| matches!(w.outcome, Outcome::Acked { .. }));
        let mut times: Vec<Instant> = acked.map(|write| write.completed).collect();
        times.extend([begin, end]);
        times.sort_unstable();
        let gaps = times.windows(2).filter(|pair| pair[1] > from && pair[0] < to);
        gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    fn step_stalls(&self) -> Vec<(String, Duration)> {
        let Some((_, end)) = self.span else { return Vec::new() };
        let next = |index: usize| self.steps.get(index + 1).map_or(end, |(at, _)| *at);
        let steps = self.steps.iter().enumerate();
        steps.map(|(i, (at, what))| (what.clone(), self.stall(*at, next(i)))).collect()
    }
}
