//! What an engine takes in, and what comes out of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::persistence::LogBatch;
use crate::processor::ClientRequest;
use crate::proto::{Millis, SessionId, Zxid};
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
    /// A snapshot is finished, well or not.
    SnapshotDone,
    /// Somebody asks about the sessions (`dump`).
    DescribeSessions(Box<dyn FnOnce(SessionsDescription) + Send>),
    /// Nothing but that time has passed.
    Tick,
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
    /// When it came, in milliseconds of the monotonic clock.
    pub at: Millis,
}

/// The sessions there are.
pub struct SessionsDescription {
    /// Sessions by the time at which they expire, in milliseconds of the monotonic clock.
    pub expiry: BTreeMap<Millis, Vec<SessionId>>,
    /// How many there are.
    pub count: usize,
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
