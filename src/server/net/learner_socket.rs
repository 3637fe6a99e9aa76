//! The socket of a connection between a leader and a learner, seen from either end: sending, the
//! limit of silence, and the end of the connection.
//!
//! The engine and the quorum thread both send. Whoever does takes the `sending` lock, drains the
//! outbox into the socket without waiting, and looks once more after giving the lock back, so that
//! packets queued meanwhile never stay behind. If the peer takes no more, the quorum thread waits
//! until it does.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::quorum::{LearnerCnxn, LearnerTransport};

/// Pieces of the outbox that one system call takes.
const SLICES_PER_WRITE: usize = 64;

/// What engine and quorum thread share of a socket.
pub(super) struct LearnerSocket {
    write_half: OwnedWriteHalf,
    /// Taken out of the outbox and not sent yet.
    sending: Mutex<VecDeque<Bytes>>,
    is_blocked: AtomicBool,
    silence: Mutex<Silence>,
    /// Why the connection is over; the first reason counts.
    end: OnceLock<String>,
    /// Rung when the quorum thread has to wait for the peer.
    blocked: Notify,
    /// Rung when the limit of silence has changed.
    limit_changed: Notify,
    /// Rung when the connection is over.
    ended: Notify,
}

#[derive(Clone, Copy)]
struct Silence {
    /// `None` while nobody listens.
    since: Option<Instant>,
    limit: Duration,
}

impl LearnerSocket {
    pub(super) fn new(write_half: OwnedWriteHalf, read_timeout: Duration) -> Self {
        Self {
            write_half,
            sending: Mutex::default(),
            is_blocked: AtomicBool::new(false),
            silence: Mutex::new(Silence { since: Some(Instant::now()), limit: read_timeout }),
            end: OnceLock::new(),
            blocked: Notify::new(),
            limit_changed: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Sends what waits, as far as the peer takes it.
    pub(super) fn send(&self, cnxn: &LearnerCnxn) {
        loop {
            let Some(mut sending) = self.sending.try_lock() else { return };
            let is_drained = self.drain(cnxn, &mut sending);
            drop(sending);
            if !is_drained || self.is_over() || cnxn.outbox().is_idle() {
                return;
            }
        }
    }

    /// Sends until nothing waits (true) or the peer takes no more.
    fn drain(&self, cnxn: &LearnerCnxn, sending: &mut VecDeque<Bytes>) -> bool {
        if cnxn.outbox().is_overrun() {
            self.finish("it is too far behind: its outbox is full");
        }
        loop {
            if sending.is_empty() {
                let mut outbox = cnxn.outbox();
                *sending = outbox.take();
                if sending.is_empty() {
                    let is_closing = outbox.is_closing();
                    drop(outbox);
                    if is_closing {
                        self.finish("closed by this server");
                    }
                    return true;
                }
            }
            if self.is_over() {
                sending.clear();
                return true;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let count = sending.len().min(SLICES_PER_WRITE);
            for (slice, piece) in slices.iter_mut().zip(&*sending) {
                *slice = IoSlice::new(piece);
            }
            match self.write_half.try_write_vectored(&slices[..count]) {
                Ok(sent) => advance(sending, sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked.store(true, Ordering::Release);
                    self.blocked.notify_one();
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.finish(&format!("cannot send: {error}"));
                    return true;
                }
            }
        }
    }

    /// Sends a piece of what is written past the held outbox, behind what was queued before the
    /// hold; false if the connection is over. That the peer takes it counts as a sign of life.
    pub(super) async fn send_past_outbox(&self, cnxn: &LearnerCnxn, piece: Bytes) -> bool {
        {
            let mut sending = self.sending.lock();
            sending.append(&mut cnxn.outbox().take());
            sending.push_back(piece);
        }
        loop {
            self.send(cnxn);
            if self.is_over() {
                return false;
            }
            if self.sending.lock().is_empty() {
                self.heard();
                return true;
            }
            let _ = self.write_half.writable().await;
        }
    }

    /// Sends for as long as the connection lasts what the peer did not take at once.
    pub(super) async fn keep_sending(&self, cnxn: &LearnerCnxn) -> ! {
        loop {
            while self.is_blocked.load(Ordering::Acquire) {
                // Ready or broken: sending again tells which.
                let _ = self.write_half.writable().await;
                self.is_blocked.store(false, Ordering::Release);
                self.send(cnxn);
            }
            self.blocked.notified().await;
        }
    }

    /// The peer lives.
    pub(super) fn heard(&self) {
        if self.silence.lock().since.replace(Instant::now()).is_none() {
            self.limit_changed.notify_one();
        }
    }

    /// This end reads nothing until it calls [`LearnerSocket::heard`]: silence says nothing.
    pub(super) fn stop_listening_for_silence(&self) {
        self.silence.lock().since = None;
    }

    /// From now on the peer may be silent for so long.
    pub(super) fn set_read_timeout(&self, limit: Duration) {
        let mut silence = self.silence.lock();
        silence.limit = limit;
        if let Some(since) = &mut silence.since {
            *since = Instant::now();
        }
        drop(silence);
        self.limit_changed.notify_one();
    }

    /// Returns when the peer has been silent for too long, and says for how long.
    pub(super) async fn silent_for_too_long(&self) -> Duration {
        loop {
            let Silence { since, limit } = *self.silence.lock();
            let Some(until) = since.map(|since| since + limit) else {
                self.limit_changed.notified().await;
                continue;
            };
            if Instant::now() >= until {
                return limit;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.limit_changed.notified() => {}
            }
        }
    }

    /// Ends the connection, for this reason unless it has ended before.
    pub(super) fn finish(&self, reason: &str) {
        if self.end.set(reason.to_owned()).is_ok() {
            // Neither end waits any longer; the descriptor lives as long as the core's handle.
            let _ = SockRef::from(self.write_half.as_ref()).shutdown(Shutdown::Both);
            self.ended.notify_waiters();
        }
    }

    /// Whether the connection has ended.
    pub(super) fn is_over(&self) -> bool {
        self.end.get().is_some()
    }

    /// Waits until the connection has ended, and says why.
    pub(super) async fn over(&self) -> String {
        loop {
            let notified = self.ended.notified();
            if let Some(reason) = self.end.get() {
                return reason.clone();
            }
            notified.await;
        }
    }
}

/// Drops the first `count` bytes.
fn advance(pieces: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = pieces.front_mut() {
        if count < first.len() {
            first.advance(count);
            return;
        }
        count -= first.len();
        pieces.pop_front();
    }
    assert_eq!(count, 0, "no more is sent than there was");
}

/// The core's handle on a socket.
pub(super) struct SocketTransport(pub(super) Arc<LearnerSocket>);

impl LearnerTransport for SocketTransport {
    fn flush(&self, cnxn: &LearnerCnxn) {
        self.0.send(cnxn);
    }
}
