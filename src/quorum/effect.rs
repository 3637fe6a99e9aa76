//! What leaders and learners want done outside, in this order.

use std::sync::Arc;

use bytes::Bytes;

use super::configs::Configs;
use super::learner_cnxn::LearnerCnxn;
use crate::proto::HostPort;
use crate::proto::{Millis, Sid, Zxid};

/// An attempt to connect to a leader: what comes of an earlier one is told from what comes of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectId(pub u64);

/// How the log on disk can bring a learner up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryPlan {
    /// It holds the learner's last transaction and what follows.
    Diff,
    /// The learner is to be cut at this transaction first.
    Trunc(Zxid),
    /// Not at all: a snapshot has to do.
    Snap,
}

/// Something to be done outside. Each is done, and where it writes to disk is durable, before the
/// next one begins: what is sent never tells of what could still be lost.
#[derive(Debug)]
pub enum QuorumEffect {
    /// Queue these packets on the connection and send what it takes.
    Send(Arc<LearnerCnxn>, Bytes),
    /// Close the connection behind what waits on it.
    Close(Arc<LearnerCnxn>),
    /// From here on the connection ends after a silence this long, in milliseconds.
    ReadTimeout(Arc<LearnerCnxn>, Millis),
    /// Write `acceptedEpoch`.
    SetAcceptedEpoch(i64),
    /// Write `currentEpoch`.
    SetCurrentEpoch(i64),
    /// Other configurations are known: write them to disk, and reach the servers where they say.
    StoreConfigs(Configs),
    /// Let learners connect.
    Listen,
    /// Let observers connect to this follower, on this port.
    ListenForObservers(u16),
    /// Let them no more.
    StopListening,
    /// Connect to a leader.
    Connect {
        /// The attempt, which what comes of it names.
        id: ConnectId,
        /// The leader.
        leader: Sid,
        /// Where it may be reached.
        addresses: Vec<HostPort>,
    },
    /// Give up connecting.
    CancelConnect,
    /// Send SNAP and a snapshot of the tree as it is now; packets sent later follow them.
    SendSnapshot(Arc<LearnerCnxn>),
    /// Look whether the log on disk can bring a learner from `last` to `up_to`, which is on disk,
    /// and say what was found.
    FindHistory {
        /// Whom.
        cnxn: Arc<LearnerCnxn>,
        /// The last transaction it has.
        last: Zxid,
        /// The last one to be sent from there.
        up_to: Zxid,
    },
    /// Send the transactions in (`after`, `up_to`] from the log on disk, each with its commit;
    /// packets sent later follow them.
    SendHistory {
        /// To whom.
        cnxn: Arc<LearnerCnxn>,
        /// The last transaction it will have before.
        after: Zxid,
        /// The last one to be sent.
        up_to: Zxid,
    },
    /// Send an election message; only the newest to a server counts.
    SendElection {
        /// To whom.
        to: Sid,
        /// Its body.
        message: Bytes,
    },
    /// Close the election port and its connections, for good.
    StopElection,
}
