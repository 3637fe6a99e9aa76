//! How a learner is brought to the leader's history (`LearnerHandler.syncFollower`): a pure choice.
//!
//! With L the learner's last transaction and Z the leader's last committed one:
//!
//! ```text
//! L = Z                                            DIFF, nothing follows
//! L > Z, of one epoch                              TRUNC to Z
//! L in the proposals in memory                     DIFF, what follows L
//! L between them, in an epoch whose last one is P  TRUNC to P, what follows P
//! L an epoch's start, the epoch's first in memory  DIFF, what follows L
//! L before them                                    from the log on disk, if it reaches back
//! any other                                        SNAP
//! ```
//!
//! 1. Within an epoch all histories are prefixes of one another, as one leader made it: so a log
//!    can be cut within its epoch, and never across (Java's learner would be left with a hole).
//! 2. The start of an epoch is the number of a snapshot, not of a transaction. It stands for the
//!    leader's own history only if that epoch's first transaction does, too: otherwise its leader
//!    may have had what was never committed.

use super::proposal_log::ProposalLog;
use crate::mutation::{self, Mutation};
use crate::proto::Zxid;

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncPlan {
    /// DIFF, and the proposals in memory behind this one.
    Diff { after: Zxid },
    /// TRUNC to this one, and the proposals in memory behind it.
    Trunc { to: Zxid },
    /// The log on disk has to be looked through.
    FindOnDisk,
    /// It holds what follows this one: DIFF, that, and the proposals in memory behind it.
    Disk { after: Zxid },
    /// Likewise behind TRUNC to this one.
    TruncDisk { to: Zxid },
    /// A snapshot.
    Snap,
}

/// What to send to a learner whose last transaction is `last`, when `committed` is the leader's.
pub(super) fn plan(last: Zxid, committed: Zxid, log: &ProposalLog) -> SyncPlan {
    let is_start = last.counter() == 0;
    if last == committed {
        return SyncPlan::Diff { after: last };
    }
    if last > committed {
        return match !is_start && last.epoch() == committed.epoch() {
            true => cut(committed),
            false => SyncPlan::Snap,
        };
    }
    if is_start {
        return match log.contains(last.next()) {
            true => SyncPlan::Diff { after: last },
            false => SyncPlan::Snap,
        };
    }
    if log.contains(last) {
        return SyncPlan::Diff { after: last };
    }
    match log.last_below(last) {
        Some(before) if before.epoch() == last.epoch() => cut(before),
        Some(_) => SyncPlan::Snap,
        None if last == log.before_first() => SyncPlan::Diff { after: last },
        None if mutation::is_on(Mutation::DiffInsteadOfSnap) => {
            SyncPlan::Diff { after: log.before_first() }
        }
        None => SyncPlan::FindOnDisk,
    }
}

fn cut(to: Zxid) -> SyncPlan {
    match mutation::is_on(Mutation::DiffOnOtherHistory) {
        true => SyncPlan::Diff { after: to },
        false => SyncPlan::Trunc { to },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::persistence::LogBatch;

    const fn zxid(epoch: i64, counter: i64) -> Zxid {
        Zxid(epoch << 32 | counter)
    }

    /// A log of transactions 1 to `n` of each epoch, without the oldest `dropped`.
    fn log_of(epochs: &[(i64, i64)], dropped: usize) -> ProposalLog {
        let all = epochs.iter().flat_map(|&(epoch, n)| (1..=n).map(move |c| zxid(epoch, c)));
        let all: Vec<Zxid> = all.collect();
        let before = dropped.checked_sub(1).map_or(Zxid(0), |last| all[last]);
        let mut log = ProposalLog::new(before);
        let mut batch = LogBatch::new();
        for zxid in &all[dropped..] {
            let header = jute::TxnHeader { zxid: zxid.0, kind: -11, ..Default::default() };
            batch.push(|out| jute::Field::write(&header, out));
        }
        log.append(&Arc::new(batch), Zxid(0));
        log
    }

    /// ZOOKEEPER-3526 cut where it should not, ZOOKEEPER-4352 sent DIFF in the place of SNAP.
    #[test]
    fn each_row_of_the_table() {
        let log = log_of(&[(1, 9), (2, 5), (4, 3)], 4);
        let committed = zxid(4, 3);
        let plan = |last| plan(last, committed, &log);
        assert_eq!(plan(zxid(4, 3)), SyncPlan::Diff { after: zxid(4, 3) });
        assert_eq!(plan(zxid(4, 7)), SyncPlan::Trunc { to: committed });
        assert_eq!(plan(zxid(5, 1)), SyncPlan::Snap);
        assert_eq!(plan(zxid(5, 0)), SyncPlan::Snap);
        assert_eq!(plan(zxid(2, 2)), SyncPlan::Diff { after: zxid(2, 2) });
        assert_eq!(plan(zxid(2, 8)), SyncPlan::Trunc { to: zxid(2, 5) });
        assert_eq!(plan(zxid(3, 1)), SyncPlan::Snap);
        assert_eq!(plan(zxid(3, 0)), SyncPlan::Snap);
        assert_eq!(plan(zxid(2, 0)), SyncPlan::Diff { after: zxid(2, 0) });
        assert_eq!(plan(zxid(1, 4)), SyncPlan::Diff { after: zxid(1, 4) });
        assert_eq!(plan(zxid(1, 3)), SyncPlan::FindOnDisk);
        assert_eq!(plan(Zxid(0)), SyncPlan::Snap);
        let nothing = ProposalLog::new(committed);
        assert_eq!(super::plan(zxid(2, 2), committed, &nothing), SyncPlan::FindOnDisk);
    }

    proptest! {
        /// A learner whose history is one that an old leader may have left ends with the leader's
        /// (ZOOKEEPER-3526, 4352).
        #[test]
        fn the_learner_ends_with_the_leaders_history(
            ends in prop::collection::vec(0i64..6, 1..5),
            dropped in 0usize..6,
            epoch_at in 0usize..5,
            counter in 0i64..9,
        ) {
            let epochs: Vec<_> = ends.iter().enumerate().map(|(i, &n)| (i as i64 + 1, n)).collect();
            let all: Vec<Zxid> =
                epochs.iter().flat_map(|&(e, n)| (1..=n).map(move |c| zxid(e, c))).collect();
            prop_assume!(!all.is_empty());
            let dropped = dropped.min(all.len() - 1);
            let log = log_of(&epochs, dropped);
            let committed = *all.last().unwrap();
            let (epoch, _) = epochs[epoch_at.min(epochs.len() - 1)];
            let mut learner: Vec<Zxid> =
                all.iter().copied().filter(|z| z.epoch() < epoch).collect();
            learner.extend((1..=counter).map(|c| zxid(epoch, c)));
            let last = learner.last().copied().unwrap_or(Zxid(0));
            let in_memory = |after: Zxid| log.range(after, committed).map(|p| p.zxid);
            match plan(last, committed, &log) {
                SyncPlan::Diff { after } => {
                    prop_assert_eq!(after, last);
                    learner.extend(in_memory(after));
                }
                SyncPlan::Trunc { to } => {
                    prop_assert!(learner.contains(&to));
                    learner.retain(|zxid| *zxid <= to);
                    learner.extend(in_memory(to));
                }
                _ => learner = all.clone(),
            }
            prop_assert_eq!(learner, all);
        }
    }
}
