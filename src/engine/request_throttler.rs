//! Holds requests back in front of the processors while too many are inside (`RequestThrottler`).
//!
//! It stands in the way of the requests that reach the engine: writes, and reads behind writes of
//! their session. Other reads are over the moment they arrive and never wait. Without a limit, and
//! without a longest wait, it is not asked at all.

use std::collections::VecDeque;

use crate::processor::ClientRequest;
use crate::proto::{Millis, OpCode};
use crate::stats::ServerMetrics;

/// When requests wait, and what becomes of those that have waited in vain.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestThrottleOptions {
    /// Requests inside from which others wait; 0 for no limit (`request_throttle_max_requests`).
    pub requests_max: usize,
    /// Longest time between two looks at who waits (`request_throttle_stall_time`).
    pub stall_time_ms: Millis,
    /// Whether stale requests are dropped while there is a limit (`request_throttle_drop_stale`).
    pub drop_stale: bool,
    /// A request of a closed connection is stale (`request_stale_connection_check`).
    pub stale_connection_check: bool,
    /// A request that has waited for its session's timeout is stale
    /// (`request_stale_latency_check`).
    pub stale_latency_check: bool,
    /// A request that has waited longer is refused; 0 for never (`throttled_op_wait_time`).
    pub throttled_op_wait_ms: Millis,
}

/// What becomes of the request that has waited longest.
pub(super) enum Verdict {
    /// The processors take it.
    Admit(ClientRequest),
    /// It is answered with `ThrottledOp`.
    Refuse(ClientRequest),
    /// It is dropped, and its connection with all further requests of it.
    Drop(ClientRequest),
}

/// The requests that wait.
#[derive(Default)]
pub(super) struct RequestThrottler {
    options: RequestThrottleOptions,
    waiting: VecDeque<ClientRequest>,
    next_look: Millis,
}

impl RequestThrottler {
    pub(super) fn new(options: RequestThrottleOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Whether every request goes through at once.
    pub(super) fn is_off(&self) -> bool {
        self.options.requests_max == 0 && self.options.throttled_op_wait_ms == 0
    }

    pub(super) fn push(&mut self, request: ClientRequest) {
        self.waiting.push_back(request);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Everything that waits, when nothing will be answered any more.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = ClientRequest> {
        self.waiting.drain(..)
    }

    /// When [`Self::next`] may have something to say, given how many requests are inside.
    pub(super) fn deadline(&self, inside: usize) -> Option<Millis> {
        let look = if self.is_full(inside) { self.next_look } else { 0 };
        (!self.waiting.is_empty()).then_some(look)
    }

    /// What becomes of the next request at `now`; none if it has to wait, or none waits.
    pub(super) fn next(
        &mut self,
        now: Millis,
        inside: usize,
        metrics: &ServerMetrics,
    ) -> Option<Verdict> {
        let front = self.waiting.front()?;
        if front.cnxn.as_ref().is_some_and(|cnxn| cnxn.is_invalid()) {
            return self.waiting.pop_front().map(Verdict::Drop);
        }
        let is_stale = self.is_stale(front, now);
        if self.options.requests_max > 0 {
            if is_stale && self.options.drop_stale {
                metrics.stale_requests_dropped.increment(1);
                return self.waiting.pop_front().map(Verdict::Drop);
            }
            if self.is_full(inside) {
                metrics.request_throttle_wait_count.increment(1);
                self.next_look = now + self.options.stall_time_ms.max(1);
                return None;
            }
        }
        if is_stale {
            metrics.stale_requests.increment(1);
        }
        let request = self.waiting.pop_front()?;
        let waited = (now - request.arrival.at).max(0);
        metrics.request_throttle_queue_time_ms.record(waited as f64);
        let longest = self.options.throttled_op_wait_ms;
        if longest > 0 && waited > longest && request.arrival.op != OpCode::CloseSession {
            metrics.throttled_ops.increment(1);
            return Some(Verdict::Refuse(request));
        }
        Some(Verdict::Admit(request))
    }

    fn is_full(&self, inside: usize) -> bool {
        self.options.requests_max > 0 && inside >= self.options.requests_max
    }

    /// `Request.isStale`: a closeSession never is, it still has to clear up.
    fn is_stale(&self, request: &ClientRequest, now: Millis) -> bool {
        let Some(cnxn) = &request.cnxn else { return false };
        if request.arrival.op == OpCode::CloseSession {
            return false;
        }
        let timeout = cnxn.session.get().map(|session| Millis::from(session.handle.timeout_ms()));
        (self.options.stale_connection_check && cnxn.outbox().is_closing())
            || (self.options.stale_latency_check
                && timeout.is_some_and(|timeout| now - request.arrival.at > timeout))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::proto::SessionId;
    use crate::session::{Arrival, ClientCnxn, CnxnId, Owner, Transport};

    struct NoSocket;

    impl Transport for NoSocket {
        fn flush(&self, _cnxn: &ClientCnxn) {}
        fn resume(&self) {}
    }

    fn cnxn() -> Arc<ClientCnxn> {
        let peer = "127.0.0.1:1".parse().unwrap();
        Arc::new(ClientCnxn::new(CnxnId(1), peer, Arc::new([]), 0, Box::new(NoSocket)))
    }

    fn request(cnxn: &Arc<ClientCnxn>, xid: i32, op: OpCode, at: Millis) -> ClientRequest {
        ClientRequest {
            cnxn: Some(cnxn.clone()),
            owner: Owner::ME,
            session: SessionId(1),
            identities: Arc::new([]),
            arrival: Arrival { xid, op, at },
            body: Bytes::new(),
        }
    }

    /// What comes next, as a word and the request's number.
    fn next(throttler: &mut RequestThrottler, now: Millis, inside: usize) -> Option<(char, i32)> {
        throttler.next(now, inside, &ServerMetrics::noop()).map(|verdict| match verdict {
            Verdict::Admit(request) => ('a', request.arrival.xid),
            Verdict::Refuse(request) => ('r', request.arrival.xid),
            Verdict::Drop(request) => ('d', request.arrival.xid),
        })
    }

    #[test]
    fn without_settings_it_is_off() {
        assert!(RequestThrottler::new(RequestThrottleOptions::default()).is_off());
    }

    #[test]
    fn requests_wait_while_too_many_are_inside() {
        let options =
            RequestThrottleOptions { requests_max: 2, stall_time_ms: 100, ..Default::default() };
        let mut throttler = RequestThrottler::new(options);
        assert_eq!(throttler.deadline(0), None);
        let cnxn = cnxn();
        (1..=2).for_each(|xid| throttler.push(request(&cnxn, xid, OpCode::SetData, 0)));
        assert_eq!(next(&mut throttler, 7, 2), None);
        assert_eq!((throttler.deadline(2), throttler.deadline(1)), (Some(107), Some(0)));
        assert_eq!(next(&mut throttler, 8, 1), Some(('a', 1)));
        assert_eq!(next(&mut throttler, 8, 2), None);
        assert_eq!(next(&mut throttler, 9, 0), Some(('a', 2)));
        assert_eq!(next(&mut throttler, 9, 0), None);
    }

    #[test]
    fn requests_of_closed_connections_are_dropped_but_not_the_closing_itself() {
        let options = RequestThrottleOptions {
            requests_max: 1,
            drop_stale: true,
            stale_connection_check: true,
            ..Default::default()
        };
        let mut throttler = RequestThrottler::new(options);
        let cnxn = cnxn();
        throttler.push(request(&cnxn, 1, OpCode::CloseSession, 0));
        throttler.push(request(&cnxn, 2, OpCode::SetData, 0));
        throttler.push(request(&cnxn, 3, OpCode::CloseSession, 0));
        cnxn.outbox().close();
        assert_eq!(next(&mut throttler, 0, 0), Some(('a', 1)));
        assert_eq!(next(&mut throttler, 0, 1), Some(('d', 2)));
        // Once a request is dropped none after it may run.
        cnxn.invalidate();
        assert_eq!(next(&mut throttler, 0, 1), Some(('d', 3)));
    }

    #[test]
    fn who_has_waited_too_long_is_refused() {
        let options = RequestThrottleOptions { throttled_op_wait_ms: 50, ..Default::default() };
        let mut throttler = RequestThrottler::new(options);
        let cnxn = cnxn();
        throttler.push(request(&cnxn, 1, OpCode::SetData, 100));
        throttler.push(request(&cnxn, 2, OpCode::SetData, 99));
        throttler.push(request(&cnxn, 3, OpCode::CloseSession, 99));
        assert_eq!(next(&mut throttler, 150, 0), Some(('a', 1)));
        assert_eq!(next(&mut throttler, 150, 0), Some(('r', 2)));
        assert_eq!(next(&mut throttler, 150, 0), Some(('a', 3)));
    }
}
