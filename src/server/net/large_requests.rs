//! The bytes that large requests may hold at a time
//! (`ZooKeeperServer.checkRequestSizeWhenReceivingMessage`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::{Bytes, BytesMut};

use crate::server::config::LargeRequestConfig;

/// The budget; without a threshold no request is large.
#[derive(Debug)]
pub struct LargeRequests {
    config: LargeRequestConfig,
    bytes: AtomicI64,
}

/// A large request would hold more than the budget has left: its connection is to be closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

impl LargeRequests {
    /// A budget of which nothing is used.
    pub fn new(config: LargeRequestConfig) -> Self {
        Self { config, bytes: AtomicI64::new(0) }
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
        if !self.is_large(frame.len()) {
            return Ok(frame.freeze());
        }
        let length = frame.len() as i64;
        let held = Held { frame, budget: self.clone() };
        let bytes = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        if bytes > i64::from(self.config.max_bytes) {
            return Err(OverBudget);
        }
        Ok(Bytes::from_owner(held))
    }

    fn is_large(&self, length: usize) -> bool {
        self.config.threshold_bytes.is_some_and(|threshold| length > threshold as usize)
    }
}

/// A large request; gives its bytes back to the budget when it goes.
struct Held {
    frame: BytesMut,
    budget: Arc<LargeRequests>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.frame.len() as i64, Ordering::Relaxed);
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
    fn without_a_threshold_nothing_is_large() {
        let config = LargeRequestConfig { threshold_bytes: None, max_bytes: 1 };
        let budget = Arc::new(LargeRequests::new(config));
        assert!(budget.check(1 << 20).is_ok());
        assert!(budget.hold(frame(1 << 20)).is_ok());
    }
}
