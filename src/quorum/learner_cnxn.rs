//! The core's half of a connection between a leader and a learner, seen from either end: the
//! packets waiting to be sent. The shell's half, the socket, is behind [`LearnerTransport`].

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

/// A connection's number in this process; never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LearnerCnxnId(pub u64);

impl fmt::Display for LearnerCnxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The socket under a connection.
pub trait LearnerTransport: Send + Sync {
    /// Sends what waits in the outbox, as far as the peer takes it now, and the rest later; not
    /// what waits behind a hold. Closes the connection behind the last byte if the outbox says so.
    fn flush(&self, cnxn: &LearnerCnxn);
}

/// A connection to a learner, or to the leader.
pub struct LearnerCnxn {
    /// Its number.
    pub id: LearnerCnxnId,
    /// The other end.
    pub peer: SocketAddr,
    outbox: Mutex<PacketOutbox>,
    transport: Box<dyn LearnerTransport>,
}

impl LearnerCnxn {
    /// A connection with nothing to send yet.
    pub fn new(id: LearnerCnxnId, peer: SocketAddr, transport: Box<dyn LearnerTransport>) -> Self {
        Self { id, peer, outbox: Mutex::default(), transport }
    }

    /// What waits to be sent.
    pub fn outbox(&self) -> MutexGuard<'_, PacketOutbox> {
        self.outbox.lock()
    }

    /// Sends what waits.
    pub fn flush(&self) {
        self.transport.flush(self);
    }
}

impl fmt::Debug for LearnerCnxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LearnerCnxn({} to {})", self.id, self.peer)
    }
}

/// Bytes that may wait on one connection, held back or not. A learner that falls further behind is
/// let go: it comes back and is synchronised anew. Packets for all learners share their bytes.
pub const OUTBOX_BYTES_MAX: usize = 512 << 20;

/// Bytes of whole packets that wait, in their order.
///
/// While somebody else writes to the socket (a snapshot, history from disk), what is queued waits
/// behind that:
///
/// ```text
/// push(SNAP)  hold()  [ the snapshot, straight to the socket ]  release()
///    push(PROPOSAL) .................................. waits ......... goes out
/// ```
///
/// 1. What was queued before [`PacketOutbox::hold`] goes out before what the other one writes, and
///    what is queued after it goes out after [`PacketOutbox::release`].
/// 2. No more than [`OUTBOX_BYTES_MAX`] wait; beyond that nothing is kept and the connection ends.
#[derive(Debug, Default)]
pub struct PacketOutbox {
    waiting: VecDeque<Bytes>,
    /// What was queued while it is held.
    behind: VecDeque<Bytes>,
    bytes: usize,
    is_held: bool,
    is_closing: bool,
    is_overrun: bool,
}

impl PacketOutbox {
    /// Queues the bytes of one or more packets; the same bytes may go to many peers.
    pub fn push(&mut self, packets: Bytes) {
        if self.is_closing || self.is_overrun || packets.is_empty() {
            return;
        }
        self.bytes += packets.len();
        if self.bytes > OUTBOX_BYTES_MAX {
            self.is_overrun = true;
            self.waiting.clear();
            self.behind.clear();
            self.bytes = 0;
        } else if self.is_held {
            self.behind.push_back(packets);
        } else {
            self.waiting.push_back(packets);
        }
    }

    /// What is queued from now on waits for [`PacketOutbox::release`]: somebody else is about to
    /// write to the socket, behind what was queued before.
    pub fn hold(&mut self) {
        assert!(!self.is_held, "one at a time writes to a learner's socket past its outbox");
        self.is_held = true;
    }

    /// That is over.
    pub fn release(&mut self) {
        self.is_held = false;
        self.waiting.append(&mut self.behind);
    }

    /// Nothing more is to be queued: the connection closes once what may be sent now is. What waits
    /// for a release is lost, and whoever writes past the outbox is cut off.
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether the connection is to close.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether more was queued than may wait: the connection is to close at once.
    pub fn is_overrun(&self) -> bool {
        self.is_overrun
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to do for now: nothing to take, and no reason to close.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_closing && !self.is_overrun
    }

    /// Takes what may be sent now, without what waits for a release.
    pub fn take(&mut self) -> VecDeque<Bytes> {
        self.bytes -= self.waiting.iter().map(Bytes::len).sum::<usize>();
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_during_a_hold_waits_and_what_was_queued_before_does_not() {
        let mut outbox = PacketOutbox::default();
        outbox.push(Bytes::from_static(b"snap"));
        outbox.hold();
        outbox.push(Bytes::from_static(b"proposal"));
        assert_eq!(outbox.bytes(), 12);
        assert_eq!(outbox.take(), [&b"snap"[..]]);
        assert_eq!((outbox.take().len(), outbox.is_idle(), outbox.bytes()), (0, true, 8));
        outbox.release();
        outbox.push(Bytes::from_static(b"commit"));
        assert_eq!(outbox.take(), [&b"proposal"[..], b"commit"]);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_learner_too_far_behind_is_let_go_and_nothing_is_kept_for_it() {
        let mut outbox = PacketOutbox::default();
        outbox.hold();
        let many = Bytes::from(vec![0; 1 << 20]);
        (0..OUTBOX_BYTES_MAX >> 20).for_each(|_| outbox.push(many.clone()));
        assert!(!outbox.is_overrun());
        outbox.push(Bytes::from_static(b"x"));
        assert!(outbox.is_overrun() && !outbox.is_idle());
        outbox.push(many);
        outbox.release();
        assert_eq!((outbox.bytes(), outbox.take().len()), (0, 0));
    }

    #[test]
    fn nothing_is_queued_behind_a_close() {
        let mut outbox = PacketOutbox::default();
        outbox.push(Bytes::from_static(b"last"));
        outbox.close();
        outbox.push(Bytes::from_static(b"late"));
        assert_eq!(outbox.take(), [&b"last"[..]]);
        assert!(!outbox.is_idle(), "whoever sends has yet to close");
    }
}
