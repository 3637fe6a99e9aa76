//! One non-blocking connection: requests are collected and written at once, replies are taken as
//! many as a read brings, and each must answer the oldest request that is still open.
//!
//! Invariants:
//! 1. `pending` holds the requests put into `outbox` and not answered, in order.
//! 2. `outbox[written..]` is what the socket has not taken yet.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Instant;

use bytes::BytesMut;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::error::BenchError;
use super::session::Session;
use super::workload::Asked;
use crate::client::wire::{self, XID_NOTIFICATION};
use crate::proto::XID_PING;
use crate::proto::{OpCode, Xid};

/// Bytes offered to each read.
const READ_BYTES: usize = 64 << 10;

/// The longest reply taken, in bytes.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// Frame length and reply header.
const PREFIX_BYTES: usize = 20;

/// Kind of a closeSession, which nobody counts.
const CLOSE_KIND: u8 = u8::MAX;

/// Nanoseconds since the start of the program's measurement; shared by all threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since its start.
    pub(super) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// What a server sent.
#[derive(Debug)]
pub(super) enum Incoming<'a> {
    /// The answer to the oldest open request.
    Reply {
        /// What was asked.
        asked: Asked,
        /// When it was put into the send buffer.
        sent: u64,
        /// Error code, 0 for success.
        err: i32,
        /// What follows the header.
        body: &'a [u8],
    },
    /// A watch event.
    Notification,
}

/// Memory a thread reads into, for one connection after the other.
pub(super) type Scratch = Vec<u8>;

/// One connection with a session.
#[derive(Debug)]
pub(super) struct Link {
    /// Which session it is, for messages.
    pub(super) number: usize,
    stream: TcpStream,
    /// The start of a frame whose rest has not come.
    carry: Vec<u8>,
    outbox: BytesMut,
    written: usize,
    pending: VecDeque<Pending>,
    next_xid: Xid,
    is_lost: bool,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    sent: u64,
    xid: Xid,
    asked: Asked,
}

impl Link {
    /// Takes over a session's socket.
    pub(super) fn new(
        session: Session,
        number: usize,
        token: usize,
        registry: &Registry,
    ) -> Result<Self, BenchError> {
        let stream = session.stream;
        let adopt = || {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut stream, Token(token), interest)?;
            Ok(stream)
        };
        Ok(Self {
            number,
            stream: adopt().map_err(BenchError::io("registering a connection"))?,
            carry: Vec::new(),
            outbox: BytesMut::with_capacity(READ_BYTES),
            written: 0,
            pending: VecDeque::with_capacity(64),
            next_xid: 1,
            is_lost: false,
        })
    }

    /// Requests not answered yet.
    pub(super) fn open_requests(&self) -> usize {
        self.pending.len()
    }

    /// Whether an error has ended the connection.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether the socket has not taken everything yet.
    pub(super) fn has_unsent(&self) -> bool {
        self.written < self.outbox.len()
    }

    /// Puts a request into the send buffer: `encode` appends its frame with the xid it is given and
    /// says what it asks, or appends nothing and returns `None`.
    pub(super) fn put(
        &mut self,
        now: u64,
        encode: impl FnOnce(Xid, &mut BytesMut) -> Option<Asked>,
    ) -> bool {
        let xid = self.next_xid;
        match encode(xid, &mut self.outbox) {
            Some(asked) => {
                self.next_xid = if xid == Xid::MAX { 1 } else { xid + 1 };
                self.pending.push_back(Pending { sent: now, xid, asked });
                true
            }
            None => false,
        }
    }

    /// Puts a ping into the send buffer; it has an xid of its own and is answered in its turn.
    pub(super) fn put_ping(&mut self, now: u64, asked: Asked) {
        wire::put_ping(&mut self.outbox);
        self.pending.push_back(Pending { sent: now, xid: XID_PING, asked });
    }

    /// Puts the end of the session into the send buffer.
    pub(super) fn put_close(&mut self, now: u64) {
        self.put(now, |xid, out| {
            wire::put_bare_request(out, xid, OpCode::CloseSession);
            Some(Asked::one(CLOSE_KIND))
        });
    }

    /// Writes what is in the send buffer, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<(), BenchError> {
        while self.has_unsent() {
            match self.stream.write(&self.outbox[self.written..]) {
                Ok(count) => self.written += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(&e)),
            }
        }
        self.outbox.clear();
        self.written = 0;
        Ok(())
    }

    /// Takes what the server has sent and hands it to `on`, together with the time of the read that
    /// brought it. Returns the time of the last read, `None` if nothing had come. `closing` says
    /// that the poll saw the end of the stream, which is an error, after what came before it.
    pub(super) fn receive(
        &mut self,
        scratch: &mut Scratch,
        clock: Clock,
        closing: bool,
        mut on: impl FnMut(u64, Incoming<'_>) -> Result<(), BenchError>,
    ) -> Result<Option<u64>, BenchError> {
        let mut last = None;
        loop {
            let kept = self.carry.len();
            if scratch.len() < kept + READ_BYTES {
                scratch.resize(kept + READ_BYTES, 0);
            }
            scratch[..kept].copy_from_slice(&self.carry);
            let count = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Err(self.lost("the server closed it")),
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(last),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.failed(&e)),
            };
            let now = clock.now();
            last = Some(now);
            let used = self.frames(&scratch[..kept + count], now, &mut on)?;
            self.carry.clear();
            self.carry.extend_from_slice(&scratch[used..kept + count]);
            // A read that leaves room has emptied the socket; the poll tells when more comes.
            if kept + count < scratch.len() && !closing {
                return Ok(last);
            }
        }
    }

    /// Hands over each whole frame of `bytes` and returns how many bytes they take.
    fn frames(
        &mut self,
        bytes: &[u8],
        now: u64,
        on: &mut impl FnMut(u64, Incoming<'_>) -> Result<(), BenchError>,
    ) -> Result<usize, BenchError> {
        let mut at = 0;
        while let Some(prefix) = bytes[at..].first_chunk::<PREFIX_BYTES>() {
            let length = int(prefix, 0) as u32 as usize;
            if !(PREFIX_BYTES - 4..=REPLY_BYTES_MAX).contains(&length) {
                return Err(self.lost(&format!("a reply of {length} bytes cannot be")));
            }
            let Some(frame) = bytes[at..].get(..4 + length) else { break };
            let (xid, err) = (int(prefix, 4), int(prefix, 16));
            at += frame.len();
            if xid == XID_NOTIFICATION {
                on(now, Incoming::Notification)?;
                continue;
            }
            match self.pending.pop_front() {
                Some(Pending { sent, xid: due, asked }) if due == xid => {
                    on(now, Incoming::Reply { asked, sent, err, body: &frame[PREFIX_BYTES..] })?;
                }
                Some(Pending { xid: due, .. }) => {
                    let text = format!("a reply has xid {xid} where {due} is due");
                    return Err(self.lost(&text));
                }
                None => return Err(self.lost(&format!("a reply to nothing, xid {xid}"))),
            }
        }
        Ok(at)
    }

    fn failed(&mut self, error: &io::Error) -> BenchError {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match error.kind() {
            BrokenPipe | ConnectionReset => self.lost("the server closed it"),
            _ => self.lost(&error.to_string()),
        }
    }

    fn lost(&mut self, why: &str) -> BenchError {
        self.is_lost = true;
        BenchError::Protocol(format!(
            "connection of session {}: {why} (next xid {}, {} requests open)",
            self.number,
            self.next_xid,
            self.pending.len()
        ))
    }
}

fn int(bytes: &[u8; PREFIX_BYTES], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
