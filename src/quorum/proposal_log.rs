//! The newest proposals this server has logged, in memory (`ZKDatabase.committedLog`, and the part
//! of the log that is not known to be committed): what a learner that is a little behind is sent,
//! and what is applied once it is known to be committed.
//!
//! ```text
//!   first() ........ applied to the tree ........ | not known to be committed | last_zxid()
//! ```
//!
//! Invariants:
//! 1. zxids only go up, within an epoch by one and from its first on: a log with a hole is never
//!    handed out (ZOOKEEPER-4925).
//! 2. Everything in it has been handed to the log on disk, in this order.
//! 3. What is not in the tree yet is never dropped.
//! 4. It survives the end of a role: what was logged may have been committed by others
//!    (ZOOKEEPER-2678), and is committed or cut off by the next leader.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::mutation::{self, Mutation};
use crate::persistence::LogBatch;
use crate::proto::quorum_packet::put_packet;
use crate::proto::{Millis, PacketType, TxnEntry, Zxid};

/// Applied proposals kept unless told otherwise (`zookeeper.commitLogCount`).
pub const COMMIT_LOG_COUNT: usize = 500;

/// Bytes of proposals beyond which applied ones are dropped though fewer are left.
const COMMIT_LOG_BYTES_MAX: usize = 64 << 20;

/// Bytes of a packet around its body.
const PACKET_BYTES: usize = 20;

/// One proposal, in the batch with which it went to the log.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its zxid.
    pub zxid: Zxid,
    /// The batch.
    pub batch: Arc<LogBatch>,
    /// Where its entry lies in the batch.
    pub entry: Range<usize>,
}

impl Proposal {
    /// The entry: header, transaction and digest.
    pub fn bytes(&self) -> &[u8] {
        &self.batch.bytes()[self.entry.clone()]
    }

    /// When its leader made it, in milliseconds since 1970.
    pub fn made(&self) -> Millis {
        TxnEntry::header_of(self.bytes()).expect("it is logged").time
    }
}

/// The log.
#[derive(Debug, Clone)]
pub struct ProposalLog {
    /// Applied proposals kept at least.
    count_max: usize,
    /// The number that the first of an epoch may follow, as well as 0.
    initial_counter: u32,
    proposals: VecDeque<Proposal>,
    bytes: usize,
    /// The transaction before the oldest in memory.
    before: Zxid,
    last: Zxid,
}

impl ProposalLog {
    /// A log that goes on after `last`, the last transaction on disk.
    pub fn new(last: Zxid) -> Self {
        let count_max = COMMIT_LOG_COUNT;
        let proposals = VecDeque::new();
        Self { count_max, initial_counter: 0, proposals, bytes: 0, before: last, last }
    }

    /// Keeps so many applied proposals.
    pub fn with_count_max(self, count_max: usize) -> Self {
        Self { count_max, ..self }
    }

    /// Takes an epoch's first transaction with the number behind this one, too
    /// (`testingonly.initialZxid`).
    pub fn with_initial_counter(self, initial_counter: u32) -> Self {
        Self { initial_counter, ..self }
    }

    /// The last proposal logged, in memory or only on disk.
    pub fn last_zxid(&self) -> Zxid {
        self.last
    }

    /// The oldest proposal in memory.
    pub fn first(&self) -> Option<Zxid> {
        self.proposals.front().map(|proposal| proposal.zxid)
    }

    /// The transaction before the oldest in memory: up to here history is on disk only.
    pub fn before_first(&self) -> Zxid {
        self.before
    }

    /// Adds a batch on its way to the log on disk. What is in the tree, everything up to `applied`,
    /// may be dropped once there is more than need be.
    pub fn append(&mut self, batch: &Arc<LogBatch>, applied: Zxid) {
        for (zxid, entry) in batch.entry_ranges() {
            assert!(
                zxid.may_follow_from(self.last, self.initial_counter)
                    || mutation::is_on(Mutation::HoleInHistory),
                "proposal 0x{zxid} does not follow 0x{}",
                self.last
            );
            self.last = zxid;
            self.bytes += entry.len();
            self.proposals.push_back(Proposal { zxid, batch: batch.clone(), entry });
        }
        while let Some(oldest) = self.proposals.front()
            && oldest.zxid <= applied
            && (self.proposals.len() > self.count_max || self.bytes > COMMIT_LOG_BYTES_MAX)
        {
            self.bytes -= oldest.entry.len();
            self.before = oldest.zxid;
            self.proposals.pop_front();
        }
    }

    /// The proposals in (`after`, `up_to`].
    pub fn range(&self, after: Zxid, up_to: Zxid) -> impl Iterator<Item = &Proposal> {
        let start = self.proposals.partition_point(|proposal| proposal.zxid <= after);
        self.proposals.range(start..).take_while(move |proposal| proposal.zxid <= up_to)
    }

    /// Whether this very transaction is in memory.
    pub fn contains(&self, zxid: Zxid) -> bool {
        self.proposals.binary_search_by_key(&zxid, |proposal| proposal.zxid).is_ok()
    }

    /// The last transaction in memory below `zxid`.
    pub fn last_below(&self, zxid: Zxid) -> Option<Zxid> {
        let end = self.proposals.partition_point(|proposal| proposal.zxid < zxid);
        end.checked_sub(1).map(|last| self.proposals[last].zxid)
    }

    /// Forgets everything above `to`, which is the last transaction from here on.
    pub fn truncate(&mut self, to: Zxid) {
        while let Some(newest) = self.proposals.back()
            && newest.zxid > to
        {
            self.bytes -= newest.entry.len();
            self.proposals.pop_back();
        }
        self.last = to;
        self.before = self.before.min(to);
    }

    /// Forgets everything: the database was replaced by one whose last transaction is `last`.
    pub fn reset(&mut self, last: Zxid) {
        self.proposals.clear();
        (self.bytes, self.before, self.last) = (0, last, last);
    }

    /// PROPOSAL packets of (`after`, `up_to`], each followed by its COMMIT.
    pub fn committed_packets(&self, after: Zxid, up_to: Zxid) -> Bytes {
        let mut out = BytesMut::new();
        for proposal in self.range(after, up_to) {
            put_packet(PacketType::Proposal, proposal.zxid, Some(proposal.bytes()), &mut out);
            put_packet(PacketType::Commit, proposal.zxid, None, &mut out);
        }
        out.freeze()
    }

    /// Packets of this kind, PROPOSAL or INFORM, of (`after`, `up_to`].
    pub fn packets(&self, kind: PacketType, after: Zxid, up_to: Zxid) -> Bytes {
        let len = self.range(after, up_to).map(|p| p.entry.len() + PACKET_BYTES).sum();
        let mut out = BytesMut::with_capacity(len);
        for proposal in self.range(after, up_to) {
            put_packet(kind, proposal.zxid, Some(proposal.bytes()), &mut out);
        }
        out.freeze()
    }

    /// COMMIT packets of (`after`, `up_to`].
    pub fn commits(&self, after: Zxid, up_to: Zxid) -> Bytes {
        let mut out = BytesMut::new();
        for proposal in self.range(after, up_to) {
            put_packet(PacketType::Commit, proposal.zxid, None, &mut out);
        }
        out.freeze()
    }
}

/// Packets without a body of this kind, one for each transaction of `zxids`.
pub(super) fn bare_packets(kind: PacketType, zxids: impl Iterator<Item = Zxid>) -> Bytes {
    let mut out = BytesMut::new();
    for zxid in zxids {
        out.reserve(PACKET_BYTES);
        put_packet(kind, zxid, None, &mut out);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(zxids: impl Iterator<Item = i64>) -> Arc<LogBatch> {
        let mut batch = LogBatch::new();
        for zxid in zxids {
            let header = jute::TxnHeader { zxid, kind: -11, ..Default::default() };
            batch.push(|out| jute::Field::write(&header, out));
        }
        Arc::new(batch)
    }

    fn zxids(log: &ProposalLog, after: i64, up_to: i64) -> Vec<i64> {
        log.range(Zxid(after), Zxid(up_to)).map(|proposal| proposal.zxid.0).collect()
    }

    #[test]
    fn ranges_leave_out_their_start_and_hold_their_end() {
        let mut log = ProposalLog::new(Zxid(4));
        log.append(&batch(5..=7), Zxid(4));
        log.append(&batch(8..=8), Zxid(4));
        assert_eq!(zxids(&log, 5, 7), [6, 7]);
        assert_eq!(zxids(&log, 0, 99), [5, 6, 7, 8]);
        assert!(log.contains(Zxid(6)) && !log.contains(Zxid(4)));
        assert_eq!((log.last_below(Zxid(5)), log.last_below(Zxid(99))), (None, Some(Zxid(8))));
    }

    #[test]
    fn applied_proposals_beyond_the_count_are_dropped_and_others_never() {
        let mut log = ProposalLog::new(Zxid(0));
        log.append(&batch(1..=2000), Zxid(0));
        assert_eq!(log.first(), Some(Zxid(1)));
        log.append(&batch(2001..=2001), Zxid(1800));
        assert_eq!(log.first(), Some(Zxid(2001 - COMMIT_LOG_COUNT as i64 + 1)));
        log.append(&batch(2002..=2600), Zxid(1800));
        assert_eq!(log.first(), Some(Zxid(1801)));
        let mut long = ProposalLog::new(Zxid(0)).with_count_max(1500);
        long.append(&batch(1..=2000), Zxid(2000));
        assert_eq!(long.first(), Some(Zxid(501)));
        long.reset(Zxid(2000));
        long.append(&batch(2001..=4000), Zxid(4000));
        assert_eq!(long.first(), Some(Zxid(2501)));
    }

    #[test]
    fn what_is_cut_off_is_gone_and_the_log_goes_on_there() {
        let mut log = ProposalLog::new(Zxid(0));
        log.append(&batch(1..=9), Zxid(0));
        log.truncate(Zxid(6));
        log.append(&batch(7..=7), Zxid(0));
        assert_eq!((zxids(&log, 0, 99), log.last_zxid()), (vec![1, 2, 3, 4, 5, 6, 7], Zxid(7)));
        let next_epoch = (5 << 32) + 1;
        log.append(&batch(next_epoch..=next_epoch), Zxid(0));
        assert_eq!(log.last_zxid(), Zxid(next_epoch));
    }

    #[test]
    #[should_panic(expected = "does not follow")]
    fn a_hole_is_never_taken_in() {
        ProposalLog::new(Zxid(4)).append(&batch(6..=6), Zxid(0));
    }

    #[test]
    #[should_panic(expected = "does not follow")]
    fn an_epoch_is_taken_in_from_its_first_transaction_on() {
        let second = (1 << 32) + 2;
        ProposalLog::new(Zxid(4)).append(&batch(second..=second), Zxid(0));
    }

    #[test]
    fn where_a_test_numbers_from_is_an_epochs_first_transaction() {
        let mut log = ProposalLog::new(Zxid(4)).with_initial_counter(8);
        log.reset(Zxid(5));
        for first in [(1 << 32) + 9, (2 << 32) + 1] {
            log.append(&batch(first..=first), Zxid(0));
        }
        assert_eq!(log.first(), Some(Zxid((1 << 32) + 9)));
    }
}
