//! The end of an epoch's numbers (ZOOKEEPER-1277): a zxid has 32 bits for the number within its
//! epoch, and with 50,000 writes a second they last for a day. Apache's leader goes on to the last
//! number and then ends with requests outstanding. Here the leadership is handed over before: in a
//! moment without writes once [`SOON`] is reached, and without waiting for one at [`NOW`].
//!
//! No number behind the limit is given out, so that none can run into the next epoch.

use crate::proto::{Millis, Zxid};

/// From here on a quiet moment is waited for: 16 million numbers are left.
const SOON: u32 = 0xff00_0000;

/// Here it is done at once: a million is left, more than can be outstanding.
const NOW: u32 = 0xfff0_0000;

/// A moment without writes is this long, in milliseconds.
const QUIET_MS: Millis = 500;

/// Why a leadership ends.
pub(super) const REASON: &str = "the numbers of its epoch run out";

/// The numbers of one epoch.
#[derive(Debug)]
pub(super) struct ZxidRollover {
    start: Zxid,
    soon: u32,
    limit: u32,
    is_announced: bool,
    /// The last number that was seen given out, and since when none has followed.
    last: Zxid,
    since: Millis,
}

impl ZxidRollover {
    /// Of an epoch whose first number follows `start`. One that begins behind the limit, which only
    /// tests have (`testingonly.initialZxid`), still has half of what is left to it.
    pub(super) fn new(start: Zxid, now: Millis) -> Self {
        let first = start.counter();
        let limit = if first < NOW { NOW } else { first + (u32::MAX - first).div_ceil(2) };
        let soon = if first < SOON { SOON } else { limit };
        Self { start, soon, limit, is_announced: false, last: start, since: now }
    }

    /// Whether none was given out yet.
    pub(super) fn is_start(&self, last: Zxid) -> bool {
        last == self.start
    }

    /// Whether `last` was the last number to be given out.
    pub(super) fn is_over(&self, last: Zxid) -> bool {
        last.counter() >= self.limit
    }

    /// Whether the leadership is to be handed over, `last` being the last number given out.
    pub(super) fn is_due(&mut self, last: Zxid, now: Millis) -> bool {
        if last != self.last {
            (self.last, self.since) = (last, now);
        }
        if last.counter() < self.soon {
            return false;
        }
        if !self.is_announced {
            self.is_announced = true;
            let left = self.limit.saturating_sub(last.counter());
            tracing::warn!(
                epoch = last.epoch(),
                "the numbers of this epoch run out: the leadership will be handed over in a quiet \
                 moment, or after {left} more transactions"
            );
        }
        self.is_over(last) || now - self.since >= QUIET_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zxid(counter: u32) -> Zxid {
        Zxid(7 << 32 | i64::from(counter))
    }

    #[test]
    fn a_quiet_moment_is_waited_for_and_not_for_long() {
        let mut epoch = ZxidRollover::new(zxid(0), 0);
        assert!(!epoch.is_due(zxid(SOON - 1), 10_000), "there are enough");
        assert!(!epoch.is_due(zxid(SOON), 20_000), "it has just been given out");
        assert!(!epoch.is_due(zxid(SOON), 20_000 + QUIET_MS - 1));
        assert!(epoch.is_due(zxid(SOON), 20_000 + QUIET_MS));
        assert!(!epoch.is_due(zxid(NOW - 1), 30_000) && !epoch.is_over(zxid(NOW - 1)));
        assert!(epoch.is_due(zxid(NOW), 30_000) && epoch.is_over(zxid(NOW)));
    }

    #[test]
    fn an_epoch_that_begins_near_its_end_has_half_of_what_is_left() {
        for (start, limit) in [(u32::MAX - 15, u32::MAX - 7), (u32::MAX - 1, u32::MAX)] {
            let epoch = ZxidRollover::new(zxid(start), 0);
            assert!(!epoch.is_over(zxid(start)) && !epoch.is_over(zxid(limit - 1)));
            assert!(epoch.is_over(zxid(limit)));
            let mut epoch = epoch;
            assert!(!epoch.is_due(zxid(start), 10_000), "nothing was given out");
        }
    }
}
