//! What a connection has done, as `cons` shows it (`ServerCnxn.updateStatsForResponse`).

use crate::proto::{Millis, Xid, Zxid};

/// Counts and latencies of one connection; times are in milliseconds.
#[derive(Debug, Clone)]
pub struct CnxnStats {
    /// When it was made.
    pub established: Millis,
    /// Packets received.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// The last operation answered, in the four letters `cons` uses.
    pub last_op: &'static str,
    /// Number of the last request answered.
    pub last_cxid: Xid,
    /// zxid of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply was queued, by the monotonic clock.
    pub last_response: Millis,
    /// How long it took.
    pub last_latency: Millis,
    /// The shortest, [`Millis::MAX`] before there was one.
    pub min_latency: Millis,
    /// The longest.
    pub max_latency: Millis,
    /// Replies counted.
    pub count: u64,
    /// Sum of their latencies.
    pub total_latency: Millis,
}

impl CnxnStats {
    pub(super) fn new(established: Millis) -> Self {
        Self { established, packets_received: 0, ..Self::zero() }
    }

    fn zero() -> Self {
        Self {
            established: 0,
            packets_received: 0,
            packets_sent: 0,
            last_op: "NA",
            last_cxid: -1,
            last_zxid: Zxid(-1),
            last_response: 0,
            last_latency: 0,
            min_latency: Millis::MAX,
            max_latency: 0,
            count: 0,
            total_latency: 0,
        }
    }

    /// Starts anew (`crst`).
    pub fn reset(&mut self) {
        *self = Self { established: self.established, ..Self::zero() };
    }

    pub(super) fn packet_sent(&mut self) {
        self.packets_sent += 1;
    }

    /// A reply was queued.
    pub fn responded(
        &mut self,
        op: &'static str,
        xid: Xid,
        zxid: Zxid,
        received: Millis,
        now: Millis,
    ) {
        // A ping says nothing about where the client is (`ServerCnxn.updateStatsForResponse`).
        if xid >= 0 {
            self.last_cxid = xid;
        }
        let latency = (now - received).max(0);
        self.last_op = op;
        self.last_zxid = zxid;
        self.last_response = now;
        self.last_latency = latency;
        self.min_latency = self.min_latency.min(latency);
        self.max_latency = self.max_latency.max(latency);
        self.count += 1;
        self.total_latency += latency;
    }
}
