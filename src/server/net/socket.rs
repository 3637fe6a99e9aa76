//! The sending half of a connection's socket.
//!
//! Worker and engine both send. Whoever does takes the `sending` lock, drains the outbox into the
//! socket without waiting, and looks once more after giving the lock back, so that bytes queued
//! meanwhile never stay behind. If the peer takes no more, the connection's worker waits until it
//! does.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tracing::warn;

use crate::session::{ClientCnxn, Transport};

/// What worker and engine share of a socket.
pub(super) struct Socket {
    write_half: OwnedWriteHalf,
    sending: Mutex<BytesMut>,
    is_blocked: AtomicBool,
    is_finished: AtomicBool,
    /// Whether the next send rings the bell.
    rings_after_send: AtomicBool,
    /// Rung when the worker has something to look at.
    bell: Notify,
}

impl Socket {
    pub(super) fn new(write_half: OwnedWriteHalf) -> Self {
        Self {
            write_half,
            sending: Mutex::default(),
            is_blocked: AtomicBool::new(false),
            is_finished: AtomicBool::new(false),
            rings_after_send: AtomicBool::new(false),
            bell: Notify::new(),
        }
    }

    /// Sends what waits, as far as the peer takes it.
    pub(super) fn send(&self, cnxn: &ClientCnxn) {
        loop {
            let Some(mut sending) = self.sending.try_lock() else { return };
            let is_drained = self.drain(cnxn, &mut sending);
            drop(sending);
            if !is_drained || self.is_finished() || cnxn.outbox().is_empty() {
                return;
            }
        }
    }

    /// Sends until nothing waits (true) or the peer takes no more.
    fn drain(&self, cnxn: &ClientCnxn, sending: &mut BytesMut) -> bool {
        if cnxn.outbox().is_overrun() {
            warn!(peer = %cnxn.peer, "closing connection: the client does not read its events");
            self.finish();
            return true;
        }
        loop {
            if sending.is_empty() {
                let mut outbox = cnxn.outbox();
                *sending = outbox.take();
                if sending.is_empty() {
                    let is_closing = outbox.is_closing();
                    drop(outbox);
                    if is_closing {
                        self.finish();
                    }
                    return true;
                }
            }
            match self.write_half.try_write(sending) {
                Ok(sent) => sending.advance(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked.store(true, Ordering::Release);
                    self.bell.notify_one();
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.finish();
                    return true;
                }
            }
        }
    }

    /// The worker waits until the engine has sent something.
    pub(super) fn ring_after_send(&self) {
        self.rings_after_send.store(true, Ordering::Release);
    }

    /// Whether the worker is to wait for the peer.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Acquire)
    }

    /// Whether the connection is over: everything owed is sent, or cannot be.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }

    /// Waits until the peer takes more.
    pub(super) async fn unblocked(&self) {
        // Ready or broken: sending again tells which.
        let _ = self.write_half.writable().await;
        self.is_blocked.store(false, Ordering::Release);
    }

    /// Waits until the bell rings.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn finish(&self) {
        self.is_finished.store(true, Ordering::Release);
        self.bell.notify_one();
    }
}

/// The core's handle on a socket.
pub(super) struct SocketTransport(pub(super) Arc<Socket>);

impl Transport for SocketTransport {
    fn flush(&self, cnxn: &ClientCnxn) {
        self.0.send(cnxn);
        if self.0.rings_after_send.swap(false, Ordering::AcqRel) {
            self.0.bell.notify_one();
        }
    }

    fn resume(&self) {
        self.0.bell.notify_one();
    }
}
