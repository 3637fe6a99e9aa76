//! What servers vote for, and which vote is the better one (`Vote`,
//! `FastLeaderElection.totalOrderPredicate`).

use crate::proto::{Sid, Zxid};

/// Who should lead, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The candidate.
    pub leader: Sid,
    /// Its last logged transaction.
    pub zxid: Zxid,
    /// The round of the election in which this was said (`electionEpoch`, the logical clock).
    pub round: i64,
    /// The epoch the candidate last took part in.
    pub peer_epoch: i64,
}

impl Vote {
    /// Whether this vote is to be preferred to `current`: by epoch, then zxid, then id. A candidate
    /// whose votes weigh nothing is never preferred (`totalOrderPredicate`).
    #[must_use]
    pub fn succeeds(&self, current: &Self, weight_of_leader: i64) -> bool {
        let rank = |vote: &Self| (vote.peer_epoch, vote.zxid, vote.leader);
        weight_of_leader != 0 && rank(self) > rank(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_then_zxid_then_id_decide() {
        let vote = |peer_epoch, zxid, leader| Vote {
            leader: Sid(leader),
            zxid: Zxid(zxid),
            round: 1,
            peer_epoch,
        };
        let current = vote(5, 50, 2);
        let better = [vote(6, 0, 0), vote(5, 51, 0), vote(5, 50, 3)];
        let not_better = [vote(4, 99, 9), vote(5, 49, 9), vote(5, 50, 1), current];
        assert!(better.iter().all(|vote| vote.succeeds(&current, 1)));
        assert!(better.iter().all(|vote| !vote.succeeds(&current, 0)));
        assert!(not_better.iter().all(|vote| !vote.succeeds(&current, 1)));
        let none = vote(i64::MIN, i64::MIN, i64::MIN);
        assert!(vote(0, 0, 0).succeeds(&none, 1) && !none.succeeds(&none, 1));
    }
}
