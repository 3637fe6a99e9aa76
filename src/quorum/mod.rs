//! What the servers of an ensemble say to each other, as plain state machines: election, discovery,
//! synchronisation, broadcast (`org.apache.zookeeper.server.quorum`). No socket, file, thread or
//! clock is touched in here.

mod configs;
mod effect;
mod fast_leader_election;
mod leader;
mod learner;
mod learner_cnxn;
mod learner_handler;
mod learner_sync;
mod learner_sync_throttler;
mod members;
mod proposal_log;
mod quorum_server;
mod quorum_verifier;
mod reconfig;
mod vote;

pub use configs::Configs;
pub use effect::{ConnectId, HistoryPlan, QuorumEffect};
pub use fast_leader_election::{
    Elected, ElectionOptions, ElectionOutput, FastLeaderElection, InitialVote, Link,
};
pub use leader::{History, Leader, LeaderDescription, LeaderOptions, LeaderOutput, LearnerRequest};
pub use learner::{Learner, LearnerOptions, LearnerOutput, touched_sessions};
pub use learner_cnxn::{LearnerCnxn, LearnerCnxnId, LearnerTransport, OUTBOX_BYTES_MAX};
pub(crate) use members::id_after_dot;
pub use members::{MembersError, QuorumMembers};
pub use proposal_log::{COMMIT_LOG_COUNT, Proposal, ProposalLog};
pub use quorum_server::{LearnerType, QuorumServer, QuorumServerAddress};
pub use quorum_verifier::QuorumVerifier;
pub use reconfig::ReconfigRules;
pub use vote::Vote;
