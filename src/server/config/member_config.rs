//! The keys that tell a member of an ensemble how to lead, follow or observe (`Leader`,
//! `LearnerMaster`, `LearnerHandler`, `Observer`).

use super::error::ConfigError;
use super::reader::Reader;

/// How a member works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberConfig {
    /// Whether a leader serves clients (`leaderServes`).
    pub leader_serves: bool,
    /// Observers that are sent a snapshot at a time (`leader.maxConcurrentSnapSyncs`).
    pub snap_syncs_max: i32,
    /// Observers that are sent transactions at a time (`leader.maxConcurrentDiffSyncs`).
    pub diff_syncs_max: i32,
    /// Whether learners get a snapshot in any case (`forceSnapshotSync`).
    pub force_snapshot_sync: bool,
    /// How long a leader waits for the epochs of those that voted for it once one of them looks for
    /// a leader again; below 0: as long as it takes (`leader.maxTimeToWaitForEpoch`).
    pub wait_for_epoch_ms_max: i32,
    /// What an observer waits at most before it connects again, to the leader or, once it has tried
    /// all, to one that serves observers (`observer.reconnectDelayMs`).
    pub observer_reconnect_delay_ms: i64,
    /// What an observer waits at most before it looks for a leader again
    /// (`observer.election.DelayMs`).
    pub observer_election_delay_ms: i64,
    /// Whether a learner's connections send at once (`follower.nodelay`).
    pub follower_nodelay: bool,
    /// Whether a leader's do (`leader.nodelay`).
    pub leader_nodelay: bool,
    /// Whether an observer writes to disk (`observer.syncEnabled`, else `syncEnabled`).
    pub sync_enabled: bool,
}

impl MemberConfig {
    /// Reads every key of this group.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        // Any other word than this one lets a leader serve.
        let leader_serves = reader.text("leaderServes") != "no";
        let sync_enabled = match reader.property("observer.syncEnabled") {
            Some(_) => reader.boolean("observer.syncEnabled"),
            None => reader.line_bool("syncEnabled")?,
        };
        Ok(Self {
            leader_serves,
            snap_syncs_max: reader.number_above_0("leader.maxConcurrentSnapSyncs"),
            diff_syncs_max: reader.number_above_0("leader.maxConcurrentDiffSyncs"),
            force_snapshot_sync: reader.boolean("forceSnapshotSync"),
            wait_for_epoch_ms_max: reader.number("leader.maxTimeToWaitForEpoch"),
            observer_reconnect_delay_ms: reader.number("observer.reconnectDelayMs"),
            observer_election_delay_ms: reader.number("observer.election.DelayMs"),
            follower_nodelay: reader.boolean("follower.nodelay"),
            leader_nodelay: reader.boolean("leader.nodelay"),
            sync_enabled,
        })
    }
}
