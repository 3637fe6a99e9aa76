//! Named mistakes, each one that has cost users of ZooKeeper data or service, or that the simulator
//! has found here: they can be switched on, one at a time, to see that it finds them. Only builds
//! with the feature `mutations` can do so, and nothing but the simulator turns it on; in every
//! other build [`is_on`] is `false` at compile time.

#[cfg(feature = "mutations")]
use std::cell::Cell;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The database is kept where the log is cut, with what was never committed in it
    /// (ZOOKEEPER-2845, since 2678).
    KeepUncommitted,
    /// A leader's snapshot is served from before it is on disk (ZOOKEEPER-3104, 3642, 2872).
    ServeSnapshotInMemory,
    /// NEWLEADER is acknowledged before the history before it is on disk (ZOOKEEPER-3911, 4646).
    AckNewLeaderBeforeFlush,
    /// `currentEpoch` is written before the history of that epoch (ZOOKEEPER-4643).
    EpochBeforeHistory,
    /// A COMMIT between NEWLEADER and UPTODATE is the end of the learner (ZOOKEEPER-4394).
    DieOfEarlyCommit,
    /// A proposal is acknowledged before NEWLEADER is, and the leader does not bear it
    /// (ZOOKEEPER-4685, 3023).
    AckProposalBeforeNewLeader,
    /// What was gathered for the log in one role is written in the next (ZOOKEEPER-4712).
    WriteForDeadEpoch,
    /// A learner is sent history with a hole, and takes it (ZOOKEEPER-4925).
    HoleInHistory,
    /// A proposal is acknowledged before it is on disk (ZOOKEEPER-4785).
    AckBeforeFlush,
    /// A learner whose history is another is sent DIFF on top of it (ZOOKEEPER-2846).
    DiffOnOtherHistory,
    /// A learner that lacks more than memory holds is sent only that (ZOOKEEPER-3526, 4352).
    DiffInsteadOfSnap,
    /// A snapshot is taken for one of its end, not of its beginning (ZOOKEEPER-3127, 2355).
    SnapshotOfItsEnd,
    /// The end of a session does not take the nodes that are made while it ends (ZOOKEEPER-3144).
    UndeadEphemerals,
    /// A server whose disk is full goes on as if it had written (ZOOKEEPER-3701).
    GoOnAfterFullDisk,
    /// A new leader does not watch over the sessions that it finds (apache/zookeeper pull request
    /// 2154).
    ForgetSessions,
    /// A session that is closed twice takes the node that another made in between.
    TakeForeignNodes,
    /// A write that the last leader was sent is asked for again, though the history has it.
    AskAgainBlindly,
    /// While a reconfig is pending a quorum of the old members is enough (ZOOKEEPER-107, where the
    /// members change: both are needed).
    OldQuorumIsEnough,
    /// A learner takes a reconfig for committed that its leader has only proposed.
    ActivateProposed,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::KeepUncommitted,
        Self::ServeSnapshotInMemory,
        Self::AckNewLeaderBeforeFlush,
        Self::EpochBeforeHistory,
        Self::DieOfEarlyCommit,
        Self::AckProposalBeforeNewLeader,
        Self::WriteForDeadEpoch,
        Self::HoleInHistory,
        Self::AckBeforeFlush,
        Self::DiffOnOtherHistory,
        Self::DiffInsteadOfSnap,
        Self::SnapshotOfItsEnd,
        Self::UndeadEphemerals,
        Self::GoOnAfterFullDisk,
        Self::ForgetSessions,
        Self::TakeForeignNodes,
        Self::AskAgainBlindly,
        Self::OldQuorumIsEnough,
        Self::ActivateProposed,
    ];
}

#[cfg(feature = "mutations")]
thread_local! {
    static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Whether this mistake is made now, on this thread.
#[cfg(feature = "mutations")]
pub fn is_on(mutation: Mutation) -> bool {
    ON.get() == Some(mutation)
}

/// Whether this mistake is made now: never, in this build.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn is_on(_mutation: Mutation) -> bool {
    false
}

/// Switches a mistake on for this thread, or all off.
#[cfg(feature = "mutations")]
pub fn set(mutation: Option<Mutation>) {
    ON.set(mutation);
}

/// Switches nothing on, in this build.
#[cfg(not(feature = "mutations"))]
pub const fn set(_mutation: Option<Mutation>) {}
