//! A leader's view of one learner (`LearnerHandler`).
//!
//! ```text
//! AwaitInfo --FOLLOWERINFO / OBSERVERINFO--> AwaitEpoch --epoch chosen: LEADERINFO-->
//!   AwaitAckEpoch --ACKEPOCH--> AwaitEpochQuorum --a quorum has: DIFF / TRUNC / SNAP, NEWLEADER-->
//!   AwaitNewLeaderAck --ACK--> AwaitStart --a quorum has: UPTODATE--> Serving
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::learner_cnxn::LearnerCnxn;
use super::quorum_server::LearnerType;
use crate::proto::{Millis, Sid, Zxid};

/// How far a learner has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandlerPhase {
    AwaitInfo,
    AwaitEpoch,
    AwaitAckEpoch,
    AwaitEpochQuorum {
        last_zxid: Zxid,
    },
    /// The log on disk is looked through for what this one lacks.
    AwaitHistory {
        last_zxid: Zxid,
    },
    AwaitNewLeaderAck,
    AwaitStart,
    Serving,
}

/// One learner.
#[derive(Debug)]
pub(super) struct LearnerHandler {
    pub cnxn: Arc<LearnerCnxn>,
    pub sid: Sid,
    pub learner_type: LearnerType,
    pub phase: HandlerPhase,
    /// The last proposal it has acknowledged.
    pub acked: Zxid,
    /// When it was last heard of.
    pub heard: Millis,
    /// Proposals it was sent and has not acknowledged: the last one of each batch, and when it went
    /// out.
    unacked: VecDeque<(Zxid, Millis)>,
}

impl LearnerHandler {
    pub(super) fn new(cnxn: Arc<LearnerCnxn>, now: Millis) -> Self {
        Self {
            cnxn,
            sid: Sid(-1),
            learner_type: LearnerType::Participant,
            phase: HandlerPhase::AwaitInfo,
            acked: Zxid(-1),
            heard: now,
            unacked: VecDeque::new(),
        }
    }

    /// Whether it is sent what is proposed and committed.
    pub(super) fn is_forwarding(&self) -> bool {
        matches!(
            self.phase,
            HandlerPhase::AwaitNewLeaderAck | HandlerPhase::AwaitStart | HandlerPhase::Serving
        )
    }

    /// Whether it has the leader's history on disk.
    pub(super) fn has_acked_new_leader(&self) -> bool {
        matches!(self.phase, HandlerPhase::AwaitStart | HandlerPhase::Serving)
    }

    pub(super) fn is_follower(&self) -> bool {
        self.learner_type == LearnerType::Participant
    }

    /// It was sent proposals, the last of them `zxid`.
    pub(super) fn proposed(&mut self, zxid: Zxid, now: Millis) {
        if self.is_follower() {
            self.unacked.push_back((zxid, now));
        }
    }

    /// It has acknowledged `zxid`, and with it everything before.
    pub(super) fn ack(&mut self, zxid: Zxid) {
        self.acked = self.acked.max(zxid);
        while self.unacked.front().is_some_and(|(last, _)| *last <= zxid) {
            self.unacked.pop_front();
        }
    }

    /// Since when it has owed an acknowledgement (`SyncLimitCheck`); proposals count from when it
    /// has the history before them.
    pub(super) fn owes_since(&self) -> Option<Millis> {
        let (_, since) = self.unacked.front()?;
        self.has_acked_new_leader().then_some(*since)
    }

    /// It has the history: what it owes counts from now.
    pub(super) fn start_counting(&mut self, now: Millis) {
        self.unacked.iter_mut().for_each(|(_, since)| *since = now);
    }
}
