//! Ids of things, each its own type, so that one is never taken for another.

use std::fmt;

/// Milliseconds: since 1970 where a znode or transaction shows them, else of a clock that only goes
/// forward.
pub type Millis = i64;

/// Number of a request on its connection.
pub type Xid = i32;

/// xid of a ping's reply, whatever the ping's was (`ClientCnxn.PING_XID`).
pub const XID_PING: Xid = -2;

/// Bytes of a session's password.
pub const PASSWORD_BYTES: usize = 16;

/// Number of a transaction: the epoch of its leader in the high half, a counter in the low half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub i64);

impl Zxid {
    /// The first zxid of nothing at all: a tree without transactions.
    pub const ZERO: Zxid = Zxid(0);

    /// The epoch of the leader that made it.
    pub fn epoch(self) -> i64 {
        self.0 >> 32
    }

    /// Its number within the epoch.
    pub fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The one that follows it.
    pub fn next(self) -> Self {
        Zxid(self.0 + 1)
    }

    /// Whether nothing is missing between `before` and this one, as far as can be told: an epoch's
    /// transactions are numbered from 1 on, and nobody knows how many the one before had.
    pub fn may_follow(self, before: Self) -> bool {
        self.may_follow_from(before, 0)
    }

    /// The same where leaders may also number the transactions of their epoch from behind
    /// `initial_counter` on (`testingonly.initialZxid`).
    pub fn may_follow_from(self, before: Self, initial_counter: u32) -> bool {
        let is_first = self.counter() == 1 || self.counter() == initial_counter.wrapping_add(1);
        self == before.next() || (self.epoch() > before.epoch() && is_first)
    }
}

/// Shown in hexadecimal, as in file names and four-letter words.
impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub i64);

/// Shown in hexadecimal with 0x, as ZooKeeper logs it.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// A server of an ensemble: what stands in its file `myid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sid(pub i64);

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
