//! What the members of an ensemble may be told to do otherwise (`QuorumPeer`, `Leader`,
//! `LearnerHandler`): options that concern one part each.

use crate::proto::{Millis, Sid};
use crate::quorum::COMMIT_LOG_COUNT;
use crate::session::{LearnerSessionTracker, SessionTracker, first_session_id};

/// Options of a member.
#[derive(Debug, Clone, Copy)]
pub struct MemberOptions {
    /// Whether it serves reads while it is cut off (`readonlymode.enabled`).
    pub read_only_mode: bool,
    /// Whether new sessions are known to this server only (`localSessionsEnabled`).
    pub local_sessions: bool,
    /// Whether such a session becomes a global one when it creates an ephemeral node
    /// (`localSessionsUpgradingEnabled`).
    pub local_sessions_upgrading: bool,
    /// Whether a leader serves clients (`leaderServes`).
    pub leader_serves: bool,
    /// Whether an observer writes to disk (`syncEnabled`).
    pub sync_enabled: bool,
    /// Applied proposals that are kept in memory for learners (`commitLogCount`).
    pub commit_log_count: usize,
    /// Observers that a leader sends a snapshot at a time (`leader.maxConcurrentSnapSyncs`).
    pub snap_syncs_max: usize,
    /// Observers that it sends transactions at a time (`leader.maxConcurrentDiffSyncs`).
    pub diff_syncs_max: usize,
    /// Whether learners get a snapshot in any case (`forceSnapshotSync`).
    pub force_snapshot_sync: bool,
    /// How long a leader waits for epochs, in milliseconds, once a voter looks for a leader again;
    /// none if that does not matter (`leader.maxTimeToWaitForEpoch`).
    pub wait_for_epoch_ms_max: Option<Millis>,
    /// Where followers serve observers (`observerMasterPort`).
    pub observer_master_port: Option<u16>,
    /// What an observer waits at most, in milliseconds, before it connects to a leader, or to
    /// another follower when it has tried all (`observer.reconnectDelayMs`).
    pub observer_reconnect_delay_ms: Millis,
    /// What an observer waits at most, in milliseconds, before it looks for a leader again
    /// (`observer.election.DelayMs`).
    pub observer_election_delay_ms: Millis,
    /// The number within its epoch that the first transaction of a leadership follows; only tests
    /// of the rollover have it (`testingonly.initialZxid`).
    pub initial_counter: u32,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self {
            read_only_mode: false,
            local_sessions: false,
            local_sessions_upgrading: false,
            leader_serves: true,
            sync_enabled: true,
            commit_log_count: COMMIT_LOG_COUNT,
            snap_syncs_max: 10,
            diff_syncs_max: 100,
            force_snapshot_sync: false,
            wait_for_epoch_ms_max: None,
            observer_master_port: None,
            observer_reconnect_delay_ms: 0,
            observer_election_delay_ms: 200,
            initial_counter: 0,
        }
    }
}

impl MemberOptions {
    /// The tracker of local sessions, if there may be any.
    pub(super) fn local_tracker(
        &self,
        my_id: Sid,
        tick_time_ms: i32,
        wall: Millis,
    ) -> Option<SessionTracker> {
        let first = first_session_id(my_id.0, wall);
        self.local_sessions.then(|| SessionTracker::new(tick_time_ms, first))
    }

    /// The tracker of a member that does not lead.
    pub(super) fn learner_tracker(
        &self,
        my_id: Sid,
        tick_time_ms: i32,
        wall: Millis,
    ) -> LearnerSessionTracker {
        let local = self.local_tracker(my_id, tick_time_ms, wall);
        LearnerSessionTracker::new(first_session_id(my_id.0, wall), local)
    }
}
