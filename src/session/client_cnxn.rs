//! The core's half of a client connection (`ServerCnxn`): who it is, what it still owes, and the
//! bytes waiting to be sent. The shell's half, the socket, is behind [`Transport`].
//!
//! Whoever holds the lock on the tree, shared or exclusive, may take an outbox's lock inside it,
//! never the other way round.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, BytesMut};
use jute::{Field, ReplyHeader, Ustring, WatcherEvent};
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::{CnxnId, CnxnStats, SessionHandle};
use crate::auth::Identity;
use crate::proto::{
    ErrorCode, EventType, KEEPER_STATE_SYNC_CONNECTED, Millis, OpCode, SessionId, Xid, Zxid,
};

/// Bytes that may wait for one client before events for it end its connection.
const OUTBOX_BYTES_LIMIT: usize = 64 << 20;

/// The socket under a connection.
pub trait Transport: Send + Sync {
    /// Sends what waits in the outbox, as far as the peer takes it now, and the rest later; closes
    /// the connection behind the last byte if the outbox says so.
    fn flush(&self, cnxn: &ClientCnxn);

    /// Something the connection's worker may be waiting for has happened: its session is
    /// established, or one of its requests is answered.
    fn resume(&self);
}

/// The session a connection serves.
#[derive(Debug)]
pub struct CnxnSession {
    /// Its id.
    pub id: SessionId,
    /// Where packets of the client leave their mark.
    pub handle: SessionHandle,
}

/// A client connection.
pub struct ClientCnxn {
    /// Its number in this process.
    pub id: CnxnId,
    /// The client's address.
    pub peer: SocketAddr,
    /// The session, once there is one.
    pub session: OnceLock<CnxnSession>,
    identities: RwLock<Arc<[Identity]>>,
    /// Requests handed to the engine and not answered yet. Only the connection's worker adds to it.
    unfinished: AtomicU32,
    is_established: AtomicBool,
    is_invalid: AtomicBool,
    outbox: Mutex<Outbox>,
    transport: Box<dyn Transport>,
}

impl ClientCnxn {
    /// A connection of a client that is known by its address only.
    pub fn new(
        id: CnxnId,
        peer: SocketAddr,
        identities: Arc<[Identity]>,
        established: Millis,
        transport: Box<dyn Transport>,
    ) -> Self {
        Self {
            id,
            peer,
            session: OnceLock::new(),
            identities: RwLock::new(identities),
            unfinished: AtomicU32::new(0),
            is_established: AtomicBool::new(false),
            is_invalid: AtomicBool::new(false),
            outbox: Mutex::new(Outbox::new(established)),
            transport,
        }
    }

    /// Who it is.
    pub fn identities(&self) -> Arc<[Identity]> {
        self.identities.read().clone()
    }

    /// It has shown who else it is.
    pub fn set_identities(&self, identities: Arc<[Identity]>) {
        *self.identities.write() = identities;
    }

    /// Its session's id, 0 before there is one.
    pub fn session_id(&self) -> SessionId {
        self.session.get().map_or(SessionId(0), |session| session.id)
    }

    /// Whether its session may be used: the answer to its connect request is in the outbox.
    pub fn is_established(&self) -> bool {
        self.is_established.load(Ordering::Acquire)
    }

    /// Its session may be used.
    pub fn set_established(&self) {
        self.is_established.store(true, Ordering::Release);
    }

    /// Whether one of its requests was dropped, so that none after it may run.
    pub fn is_invalid(&self) -> bool {
        self.is_invalid.load(Ordering::Acquire)
    }

    /// One of its requests is dropped: it closes (`ServerCnxn.setInvalid`).
    pub fn invalidate(&self) {
        self.is_invalid.store(true, Ordering::Release);
        self.outbox().close();
    }

    /// What waits to be sent.
    pub fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock()
    }

    /// Requests that are with the engine.
    pub fn unfinished(&self) -> u32 {
        self.unfinished.load(Ordering::Acquire)
    }

    /// One more request is handed to the engine.
    pub fn add_unfinished(&self) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
    }

    /// The engine has answered one; its reply is in the outbox already.
    pub fn finish_one(&self) {
        let before = self.unfinished.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "a request is answered once");
    }

    /// Sends what waits.
    pub fn flush(&self) {
        self.transport.flush(self);
    }

    /// Tells the worker that it may go on.
    pub fn resume(&self) {
        self.transport.resume();
    }

    /// Closes it once what waits is sent.
    pub fn close(&self) {
        self.outbox().close();
        self.flush();
    }
}

/// Bytes that wait to be sent, and what is remembered of those that were.
pub struct Outbox {
    bytes: BytesMut,
    is_closing: bool,
    is_overrun: bool,
    /// Whether somebody has undertaken to flush.
    is_flush_promised: bool,
    /// What the connection has done so far.
    pub stats: CnxnStats,
}

impl Outbox {
    fn new(established: Millis) -> Self {
        Self {
            bytes: BytesMut::new(),
            is_closing: false,
            is_overrun: false,
            is_flush_promised: false,
            stats: CnxnStats::new(established),
        }
    }

    /// Queues a reply. If `body` fails, the reply is the error without a body. Returns its bytes,
    /// 0 if the connection is closing and there is none.
    pub fn reply(
        &mut self,
        xid: Xid,
        zxid: Zxid,
        body: impl FnOnce(&mut BytesMut) -> Result<(), ErrorCode>,
    ) -> usize {
        if self.is_closing {
            return 0;
        }
        let frame = self.begin_frame();
        let header = self.bytes.len();
        ReplyHeader { xid, zxid: zxid.0, err: 0 }.write(&mut self.bytes);
        if let Err(error) = body(&mut self.bytes) {
            self.bytes.truncate(header);
            ReplyHeader { xid, zxid: zxid.0, err: error.code() }.write(&mut self.bytes);
        }
        self.end_frame(frame)
    }

    /// Queues a reply that has a body even if there is an error. Returns its bytes.
    pub fn reply_whole(
        &mut self,
        xid: Xid,
        zxid: Zxid,
        body: impl FnOnce(&mut BytesMut) -> Option<ErrorCode>,
    ) -> usize {
        if self.is_closing {
            return 0;
        }
        let frame = self.begin_frame();
        ReplyHeader { xid, zxid: zxid.0, err: 0 }.write(&mut self.bytes);
        let start = self.bytes.len();
        if let Some(error) = body(&mut self.bytes) {
            self.bytes[start - size_of::<i32>()..start]
                .copy_from_slice(&error.code().to_be_bytes());
        }
        self.end_frame(frame)
    }

    /// Queues a notification; returns its bytes. Requests stop being read from a client that does
    /// not take its replies, but events come unasked: too many of them end the connection.
    pub fn notify(&mut self, zxid: Zxid, event: EventType, path: &str) -> usize {
        if self.is_closing {
            return 0;
        }
        if self.bytes.len() > OUTBOX_BYTES_LIMIT {
            self.bytes = BytesMut::new();
            self.is_closing = true;
            self.is_overrun = true;
            return 0;
        }
        let frame = self.begin_frame();
        ReplyHeader { xid: -1, zxid: zxid.0, err: 0 }.write(&mut self.bytes);
        let kind = event as i32;
        let state = KEEPER_STATE_SYNC_CONNECTED;
        WatcherEvent { kind, state, path: Ustring::from(path) }.write(&mut self.bytes);
        self.end_frame(frame)
    }

    /// Queues bytes that are a frame of their own, or no frame at all.
    pub fn raw(&mut self, bytes: &[u8]) {
        if !self.is_closing {
            self.bytes.extend_from_slice(bytes);
            self.stats.packet_sent();
        }
    }

    /// Nothing more is to be queued: the connection closes once what waits is sent.
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether so much waited that it was given up; the connection is over then.
    pub fn is_overrun(&self) -> bool {
        self.is_overrun
    }

    /// Whether the connection is to close.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Undertakes to flush; false if somebody else has already.
    pub fn promise_flush(&mut self) -> bool {
        !std::mem::replace(&mut self.is_flush_promised, true)
    }

    /// Takes what waits, for sending.
    pub fn take(&mut self) -> BytesMut {
        self.is_flush_promised = false;
        self.bytes.split()
    }

    fn begin_frame(&mut self) -> usize {
        let frame = self.bytes.len();
        self.bytes.put_i32(0);
        frame
    }

    /// Ends the frame that begins there; returns its bytes, without those of the length.
    fn end_frame(&mut self, frame: usize) -> usize {
        let len = self.bytes.len() - frame - 4;
        self.bytes[frame..frame + 4].copy_from_slice(&(len as i32).to_be_bytes());
        self.stats.packet_sent();
        len
    }
}

/// A request as it came off a connection.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Number of the request on its connection.
    pub xid: Xid,
    /// What it asks for.
    pub op: OpCode,
    /// When it came, in milliseconds of the monotonic clock.
    pub at: Millis,
}
