//! The bytes that requests may hold at a time
//! (`ZooKeeperServer.checkRequestSizeWhenReceivingMessage`).
//!
//! Two bounds: a large request for which ZooKeeper's budget has nothing left costs its connection;
//! and while the requests with the engine hold more than [`HELD_BYTES_MAX`], no more are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::{Bytes, BytesMut};

use crate::server::config::LargeRequestConfig;

/// Bytes that requests with the engine may hold before connections that have some of them wait.
/// Their number is bounded too (`globalOutstandingLimit`), but a thousand may be a gigabyte.
const HELD_BYTES_MAX: i64 = 8 << 20;

/// Requests of up to this many bytes are not counted: a thousand of them are little.
const UNCOUNTED_BYTES_MAX: usize = 4 << 10;

/// The budget; without a threshold no request is large.
#[derive(Debug)]
pub struct LargeRequests {
    config: LargeRequestConfig,
    /// Bytes of large requests.
    bytes: AtomicI64,
    /// Bytes of all requests that are counted.
    held: AtomicI64,
}

/// A large request would hold more than the budget has left: its connection is to be closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

impl LargeRequests {
    /// A budget of which nothing is used.
    pub fn new(config: LargeRequestConfig) -> Self {
        Self { config, bytes: AtomicI64::new(0), held: AtomicI64::new(0) }
    }

    /// Whether requests hold so much that no more are to be read for now.
    pub(super) fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > HELD_BYTES_MAX
    }

    /// Looks whether a request of this length fits, before it is read.
    pub(super) fn check(&self, length: usize) -> Result<(), OverBudget> {
        if !self.is_large(length) {
            return Ok(());
        }
        let bytes = self.bytes.load(Ordering::Relaxed) + length as i64;
        if bytes <= i64::from(self.config.max_bytes) { Ok(()) } else { Err(OverBudget) }
    }

    /// Takes a request into the budget for as long as its bytes live.
    pub(super) fn hold(self: &Arc<Self>, frame: BytesMut) -> Result<Bytes, OverBudget> {
        let is_large = self.is_large(frame.len());
        if !is_large && frame.len() <= UNCOUNTED_BYTES_MAX {
            return Ok(frame.freeze());
        }
        let length = frame.len() as i64;
        let large_length = if is_large { length } else { 0 };
        let held = Held { frame, large_length, budget: self.clone() };
        self.held.fetch_add(length, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(large_length, Ordering::Relaxed) + large_length;
        if is_large && bytes > i64::from(self.config.max_bytes) {
            return Err(OverBudget);
        }
        Ok(Bytes::from_owner(held))
    }

    fn is_large(&self, length: usize) -> bool {
        self.config.threshold_bytes.is_some_and(|threshold| length > threshold as usize)
    }
}

/// A request that is counted; gives its bytes back to the budget when it goes.
struct Held {
    frame: BytesMut,
    /// Its bytes if it is large, else 0.
    large_length: i64,
    budget: Arc<LargeRequests>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.large_length, Ordering::Relaxed);
        self.budget.held.fetch_sub(self.frame.len() as i64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> BytesMut {
        BytesMut::zeroed(bytes)
    }

    #[test]
    fn large_requests_share_a_budget() {
        let config = LargeRequestConfig { threshold_bytes: Some(10), max_bytes: 30 };
        let budget = Arc::new(LargeRequests::new(config));
        let small = budget.hold(frame(10)).unwrap();
        let large = budget.hold(frame(20)).unwrap();
        assert_eq!((small.len(), large.len()), (10, 20));
        assert_eq!(budget.check(10), Ok(()));
        assert_eq!(budget.check(11), Err(OverBudget));
        assert_eq!(budget.hold(frame(11)), Err(OverBudget));
        let part = large.slice(3..5);
        drop(large);
        assert_eq!(budget.check(11), Err(OverBudget));
        drop(part);
        assert_eq!(budget.check(11), Ok(()));
    }

    #[test]
    fn requests_that_are_not_small_fill_the_server() {
        let config = LargeRequestConfig { threshold_bytes: None, max_bytes: 1 };
        let budget = Arc::new(LargeRequests::new(config));
        let hold = |bytes| budget.hold(frame(bytes)).unwrap();
        let small: Vec<_> = (0..3000).map(|_| hold(4 << 10)).collect();
        assert!(!budget.is_full());
        let mut large: Vec<_> = (0..8).map(|_| hold(1 << 20)).collect();
        assert!(!budget.is_full());
        large.push(hold((4 << 10) + 1));
        assert!(budget.is_full());
        let part = large.remove(0).slice(3..5);
        drop(large);
        assert!(!budget.is_full());
        drop((small, part));
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn without_a_threshold_nothing_is_large() {
        let config = LargeRequestConfig { threshold_bytes: None, max_bytes: 1 };
        let budget = Arc::new(LargeRequests::new(config));
        assert!(budget.check(1 << 20).is_ok());
        assert!(budget.hold(frame(1 << 20)).is_ok());
    }
}
