//! What an engine takes in, and what comes out of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::persistence::LogBatch;
use crate::processor::{ClientRequest, ZkDatabase};
use crate::proto::{Millis, Notification, Packet, SessionId, Sid, Zxid};
use crate::quorum::{
    ConnectId, HistoryPlan, LeaderDescription, LearnerCnxn, LearnerCnxnId, Link, QuorumEffect,
    QuorumVerifier,
};
use crate::session::ClientCnxn;

/// Something that happened outside.
pub enum Input {
    /// A connection asks for a session.
    Connect(ConnectAttempt),
    /// A connection with a session made a request.
    Request(ClientRequest),
    /// A connection is gone.
    Disconnected(Arc<ClientCnxn>),
    /// The log's batches up to this zxid are on disk.
    Flushed(Zxid),
    /// The log cannot be written any more.
    LogFailed,
    /// The history cannot be cut where [`Effect::TruncateLog`] wanted it, for this reason: nothing
    /// has changed, and only a snapshot of the leader helps.
    CannotTruncate(String),
    /// A snapshot is finished, well or not.
    SnapshotDone,
    /// Somebody asks about the sessions (`dump`).
    DescribeSessions(Box<dyn FnOnce(SessionsDescription) + Send>),
    /// Somebody asks about the ensemble (`conf`, `mntr`); a standalone server has none.
    DescribeQuorum(Box<dyn FnOnce(Option<QuorumDescription>) + Send>),
    /// Something happened on the election port.
    Election(ElectionEvent),
    /// Something happened on the quorum port.
    Learner(LearnerEvent),
    /// The server is to stop: if it leads, others are to lead. [`super::Engine::may_stop`] says
    /// when that is done.
    Retire,
    /// Nothing but that time has passed.
    Tick,
}

/// What happens on the election port.
#[derive(Debug)]
pub enum ElectionEvent {
    /// A server has sent a notification.
    Notification {
        /// Who.
        from: Sid,
        /// What it says.
        notification: Notification,
    },
    /// The connection to a server has changed.
    Link {
        /// To whom.
        sid: Sid,
        /// How it is now.
        link: Link,
    },
    /// The election port cannot be opened: this server cannot take part.
    CannotListen(String),
}

/// What happens on the connections between a leader and its learners.
pub enum LearnerEvent {
    /// A learner has connected.
    Accepted(Arc<LearnerCnxn>),
    /// This server has connected to its leader, at this attempt.
    Connected(ConnectId, Arc<LearnerCnxn>),
    /// It could not.
    ConnectFailed(ConnectId, String),
    /// A packet has come.
    Packet(LearnerCnxnId, Packet),
    /// The snapshot that followed a SNAP packet has come, or could not be read.
    Snapshot(LearnerCnxnId, Result<Box<ZkDatabase>, String>),
    /// The log on disk was looked through for what a learner lacks.
    HistoryFound(LearnerCnxnId, HistoryPlan),
    /// A connection is over.
    Closed(LearnerCnxnId, String),
    /// Learners cannot be listened for.
    ListenFailed(String),
    /// Dropped once everything read before it is taken: nothing more is read until then.
    ReadTaken(Box<dyn Send>),
}

/// A connect request whose form and zxid are in order.
pub struct ConnectAttempt {
    /// The connection.
    pub cnxn: Arc<ClientCnxn>,
    /// The session it wants back, 0 for a new one.
    pub session: SessionId,
    /// The password of that session.
    pub password: Bytes,
    /// Its timeout as negotiated, in milliseconds.
    pub timeout_ms: i32,
    /// Whether the request had the read-only byte, so that the answer has it too.
    pub has_read_only: bool,
    /// Whether a server that takes no writes will do.
    pub accepts_read_only: bool,
    /// When it came, in milliseconds of the monotonic clock.
    pub at: Millis,
}

/// The sessions there are.
pub struct SessionsDescription {
    /// Those that only this server knows by the time at which they expire, in milliseconds of the
    /// monotonic clock; none if there may be none.
    pub local: Option<BTreeMap<Millis, Vec<SessionId>>>,
    /// The others.
    pub global: GlobalSessions,
}

/// What a server knows of the sessions of its ensemble.
#[derive(Debug)]
pub enum GlobalSessions {
    /// Those of a server that ends them, by the time at which they expire, in milliseconds of the
    /// monotonic clock.
    Expiry(BTreeMap<Millis, Vec<SessionId>>),
    /// Those of one that does not, with their timeouts in milliseconds.
    Timeouts(BTreeMap<SessionId, i32>),
}

/// What a member knows of its ensemble.
#[derive(Debug, Clone)]
pub struct QuorumDescription {
    /// The members.
    pub verifier: Arc<QuorumVerifier>,
    /// Whom it follows or observes.
    pub leader: Option<Sid>,
    /// What it leads.
    pub leading: Option<LeaderDescription>,
}

/// Something to be done outside, in this order.
pub enum Effect {
    /// Write this batch to the log and flush it; then say `Flushed`.
    Append {
        /// The entries.
        batch: Arc<LogBatch>,
        /// When the first one was made, in milliseconds of the monotonic clock.
        since: Millis,
    },
    /// Cut the log behind this transaction, and take what is left of snapshots and log for the
    /// database if it has been applied beyond.
    TruncateLog {
        /// The last transaction that stays.
        to: Zxid,
        /// Whether the database must be read anew.
        reload: bool,
    },
    /// Write this database as a snapshot, so that it lasts, drop what the log holds beyond it, and
    /// serve from it.
    InstallSnapshot {
        /// What the leader sent.
        database: Box<ZkDatabase>,
    },
    /// Write the database as it is, so that it lasts, and drop what the log holds: nothing has been
    /// written for a while.
    StoreDatabase,
    /// A step of the ensemble's protocols.
    Quorum(QuorumEffect),
    /// End the process: this server cannot take part in its ensemble, for this reason.
    Exit(String),
    /// Begin a new log file with the next batch.
    RollLog,
    /// Take a snapshot of the tree as it is now.
    TakeSnapshot,
    /// Send what waits on this connection.
    Flush(Arc<ClientCnxn>),
    /// The connection's worker may go on: its session is established or its requests are answered.
    Resume(Arc<ClientCnxn>),
}

/// What time it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// Milliseconds of a clock that only goes forward.
    pub monotonic: Millis,
    /// Milliseconds since 1970.
    pub wall: Millis,
}
