//! What a seed decides before a run begins: the ensemble, its settings, and how the world behaves.

use std::sync::Arc;

use fastrand::Rng;
use gamekeeper::engine::{ContainerOptions, EngineOptions, MemberOptions, RequestThrottleOptions};
use gamekeeper::op::PrepLimits;
use gamekeeper::processor::{PrepOptions, SnapshotPolicy};
use gamekeeper::proto::Millis;
use gamekeeper::quorum::{ElectionOptions, LearnerType, QuorumVerifier};

use crate::queue::{MS, SECOND, Time};
use crate::world::membership::config_of;

/// `tickTime`, in milliseconds.
pub const TICK_MS: Millis = 400;

/// `initLimit`, in milliseconds.
pub const INIT_LIMIT_MS: Millis = 10 * TICK_MS;

/// `syncLimit`, in milliseconds.
pub const SYNC_LIMIT_MS: Millis = 5 * TICK_MS;

/// `observerMasterPort`.
pub const OBSERVER_MASTER_PORT: u16 = 7;

/// Bytes of the longest frame and packet.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// The choices of a seed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Servers that vote in the beginning: the first ones.
    pub voters: usize,
    /// Servers that observe in the beginning: the next ones.
    pub observers: usize,
    /// Servers that may be set up later, to join.
    pub spares: usize,
    /// Whether the members may change (`reconfigEnabled`).
    pub has_reconfigs: bool,
    /// Time between two changes of the members, on average.
    pub reconfig_pause: Time,
    /// Clients, without the one that changes the members.
    pub clients: usize,
    /// Requests of clients that are to be made while there are faults.
    pub requests: usize,
    /// Time between two requests of a client, on average.
    pub pause: Time,
    /// Time between two faults, on average.
    pub fault_pause: Time,
    /// Longest delay of a message in quiet times.
    pub delay: Time,
    /// Longest time of a flush in quiet times.
    pub flush: Time,
    /// Transactions between two snapshots.
    pub snap_count: i64,
    /// Bytes of log beyond which a learner gets a snapshot.
    pub history_bytes_max: u64,
    /// How batches are gathered: `flushDelay`, in milliseconds.
    pub flush_delay_ms: Millis,
    /// Bytes of a log file beyond which the next one begins.
    pub log_bytes_max: Option<u64>,
    /// Whether followers serve observers (`observerMasterPort`).
    pub has_observer_masters: bool,
    /// Whether sessions are a server's own until they make an ephemeral node
    /// (`localSessionsEnabled`, `localSessionsUpgradingEnabled`).
    pub has_local_sessions: bool,
    /// Whether servers without a leader serve reads (`readonlymode.enabled`).
    pub has_read_only: bool,
    /// Applied proposals that a leader keeps in memory.
    pub commit_log_count: usize,
}

impl Plan {
    /// The choices of this seed, for so many requests; whether the members may change in it.
    pub fn of_seed(seed: u64, requests: usize, may_reconfigure: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let voters = random.usize(3..=7);
        let observers = random.usize(0..=2.min(7 - voters));
        let has_reconfigs = random.u8(..3) != 0 && may_reconfigure;
        let has_local_sessions = random.u8(..4) == 0;
        let pauses = [20, 60, 200];
        Self {
            seed,
            voters,
            observers,
            spares: if has_reconfigs { random.usize(2..=5) } else { 0 },
            has_reconfigs,
            reconfig_pause: [SECOND / 2, SECOND, 4 * SECOND][random.usize(..3)],
            clients: random.usize(4..=9),
            requests,
            pause: pauses[random.usize(..pauses.len())] * MS,
            fault_pause: [SECOND / 2, SECOND, 3 * SECOND][random.usize(..3)],
            delay: [MS / 2, 5 * MS, 50 * MS][random.usize(..3)],
            flush: [MS / 2, 3 * MS, 20 * MS][random.usize(..3)],
            snap_count: [12, 60, 400][random.usize(..3)],
            history_bytes_max: [0, 1 << 20, u64::MAX][random.usize(..3)],
            flush_delay_ms: [0, 0, 4][random.usize(..3)],
            log_bytes_max: [None, None, Some(3_000)][random.usize(..3)],
            has_observer_masters: random.u8(..3) == 0,
            has_local_sessions,
            // Without local sessions a server without a leader can make none.
            has_read_only: has_local_sessions && random.bool(),
            commit_log_count: [4, 50, 500][random.usize(..3)],
        }
    }

    /// How many servers there may ever be.
    pub fn slots(&self) -> usize {
        self.servers() + self.spares
    }

    /// How many servers there are in the beginning.
    pub fn servers(&self) -> usize {
        self.voters + self.observers
    }

    /// The configuration in the beginning.
    pub fn verifier(&self) -> Arc<QuorumVerifier> {
        let kind = |server| match server < self.voters {
            true => LearnerType::Participant,
            false => LearnerType::Observer,
        };
        config_of((0..self.servers()).map(|server| (server, kind(server))), 0)
    }

    /// What a member is told to do otherwise.
    pub fn member(&self) -> MemberOptions {
        MemberOptions {
            commit_log_count: self.commit_log_count,
            observer_master_port: self.has_observer_masters.then_some(OBSERVER_MASTER_PORT),
            local_sessions: self.has_local_sessions,
            local_sessions_upgrading: true,
            read_only_mode: self.has_read_only,
            ..MemberOptions::default()
        }
    }

    /// How elections go.
    pub fn election(&self) -> ElectionOptions {
        ElectionOptions {
            notification_interval_ms_min: 100,
            notification_interval_ms_max: 1_600,
            multi_address: false,
        }
    }

    /// How an engine works.
    pub fn engine(&self, seed: u64) -> EngineOptions {
        EngineOptions {
            tick_time_ms: TICK_MS as i32,
            prep: PrepOptions {
                limits: PrepLimits {
                    reconfig_enabled: self.has_reconfigs,
                    ..PrepLimits::default()
                },
                max_buffer_bytes: FRAME_BYTES_MAX,
            },
            sync: SnapshotPolicy {
                snap_count: self.snap_count,
                snap_bytes: None,
                flush_delay_ms: self.flush_delay_ms,
                poll_ms: self.flush_delay_ms,
                batch_max: 1_000,
            },
            containers: ContainerOptions {
                check_interval_ms: 60_000,
                per_minute_max: 10_000,
                never_used_ms_max: 0,
            },
            throttle: RequestThrottleOptions::default(),
            seed,
        }
    }
}
