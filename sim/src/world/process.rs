//! A server: its disk, its clock, and the process that runs on it now.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use gamekeeper::engine::{Effect, Engine, Input, Now};
use gamekeeper::persistence::{DataDirs, EpochFiles, FileTxnLog};
use gamekeeper::processor::{ServerMode, ServerState, ZkDatabase};
use gamekeeper::proto::{Millis, Zxid};
use gamekeeper::quorum::{Configs, ConnectId, LearnerCnxnId};
use gamekeeper::server::storage::SnapshotInProgress;

use super::learner_cnxn::SyncJob;
use crate::config_files::ConfigFiles;
use crate::history::{History, Record};
use crate::queue::{End, MS, ProcessId, Time};
use crate::sim_disk::SimDisk;

/// The wall clock of every server when the simulation begins, in milliseconds since 1970.
const WALL_START_MS: Millis = 1_700_000_000_000;

/// A server of the ensemble.
pub struct Server {
    /// What stays when the process ends.
    pub disk: SimDisk,
    /// What the disk stands for, for whoever judges.
    pub history: History,
    /// Its configurations, once it is set up.
    pub config_files: Option<ConfigFiles>,
    /// The process, if one runs.
    pub process: Option<Process>,
    /// How often one was started.
    pub lives: u32,
    /// How far the wall clock is off, in milliseconds.
    pub clock_skew_ms: Millis,
    /// How much slower the disk is than in quiet times.
    pub disk_slowness: u64,
    /// Whether a start is planned.
    pub starts: bool,
    /// Chance of this server.
    pub random: Rng,
}

/// Something that a process does with its disk, and that takes time.
pub enum DiskWork {
    /// The log is flushed up to this transaction.
    Flush(Zxid),
    /// `acceptedEpoch`.
    SetAcceptedEpoch(i64),
    /// `currentEpoch`.
    SetCurrentEpoch(i64),
    /// These configurations are stored.
    StoreConfigs(Configs),
    /// The history is cut; the database may have to be read anew.
    Truncate { to: Zxid, reload: bool },
    /// This database takes the place of everything.
    Install(Box<ZkDatabase>),
}

/// A process's files.
pub struct Files {
    /// The directories.
    pub dirs: DataDirs<SimDisk>,
    /// The log.
    pub log: FileTxnLog<SimDisk>,
    /// The epochs.
    pub epochs: EpochFiles<SimDisk>,
    /// The snapshot being taken.
    pub snapshot: Option<SnapshotInProgress<SimDisk>>,
}

/// An attempt to connect to a leader.
pub struct Connecting {
    /// The engine's number of it.
    pub id: ConnectId,
    /// Ours.
    pub attempt: u64,
    /// Whom to.
    pub leader: usize,
    /// Whether at the port that a follower has for observers.
    pub as_observers: bool,
    /// Tries so far.
    pub tries: u32,
}

/// Where a process listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Listens {
    /// At the quorum port.
    pub to_learners: bool,
    /// At the port of an observer master.
    pub to_observers: bool,
}

/// A running process: an engine, and the shell's part around it.
pub struct Process {
    /// Which one.
    pub id: ProcessId,
    /// The engine.
    pub engine: Engine,
    /// What it shares with those who read.
    pub state: Arc<ServerState>,
    /// Inputs that wait.
    pub mailbox: VecDeque<Input>,
    /// Inputs taken from there.
    pub inputs: VecDeque<Input>,
    /// Effects to be carried out.
    pub effects: VecDeque<Effect>,
    /// What comes after them.
    pub more: Vec<Effect>,
    /// Whether the engine has rested since it last had inputs.
    pub has_rested: bool,
    /// Its files.
    pub files: Files,
    /// What the process waits for the disk for.
    pub disk_work: Option<DiskWork>,
    /// When it looks into its mailbox next.
    pub wakes_at: Option<Time>,
    /// The configurations, as they are on disk.
    pub configs: Configs,
    /// Whether it was told to stop.
    pub is_retiring: bool,
    /// Whether its election port is open.
    pub takes_votes: bool,
    /// Until when it gets no processor time.
    pub paused_until: Time,
    /// When it was started.
    pub started: Time,
    /// The ports at which learners, and observers of a follower, may connect.
    pub listens: Listens,
    /// The attempt to connect to a leader.
    pub connecting: Option<Connecting>,
    /// The connection that came of it.
    pub wanted: Option<LearnerCnxnId>,
    /// Which connection is which end of which stream.
    pub cnxns: BTreeMap<LearnerCnxnId, (u64, End)>,
    /// What learners are being sent.
    pub syncs: BTreeMap<u64, SyncJob>,
    /// The history that the snapshot stands for which was received last.
    pub received: Vec<Record>,
    /// Mode and last transaction as they were last seen.
    pub seen: (ServerMode, Zxid),
    next_cnxn: u64,
}

impl Server {
    /// A server that has never run.
    pub fn new(mut random: Rng) -> Self {
        Self {
            disk: SimDisk::new(random.fork()),
            history: History::default(),
            config_files: None,
            process: None,
            lives: 0,
            clock_skew_ms: 0,
            disk_slowness: 1,
            starts: false,
            random,
        }
    }

    /// Whether it is one by now.
    pub fn is_set_up(&self) -> bool {
        self.config_files.is_some()
    }

    /// The time as this server's process knows it.
    pub fn clock(&self, now: Time) -> Now {
        let started = self.process.as_ref().map_or(now, |process| process.started);
        let monotonic = ((now - started) / MS) as Millis;
        Now { monotonic, wall: WALL_START_MS + (now / MS) as Millis + self.clock_skew_ms }
    }
}

/// The server that leads, if one says so.
pub fn leader_of(servers: &[Server]) -> Option<usize> {
    let leads = |server: &Server| {
        server.process.as_ref().is_some_and(|process| process.state.mode() == ServerMode::Leader)
    };
    servers.iter().position(leads)
}

impl Process {
    /// A process with a new engine, and what the engine wanted done when it was made.
    pub fn new(
        id: ProcessId,
        engine: Engine,
        state: Arc<ServerState>,
        files: Files,
        configs: Configs,
        effects: Vec<Effect>,
        started: Time,
    ) -> Self {
        Self {
            id,
            engine,
            state,
            mailbox: VecDeque::new(),
            inputs: VecDeque::new(),
            effects: effects.into(),
            more: Vec::new(),
            has_rested: true,
            files,
            disk_work: None,
            wakes_at: None,
            configs,
            is_retiring: false,
            takes_votes: true,
            paused_until: 0,
            started,
            listens: Listens::default(),
            connecting: None,
            wanted: None,
            cnxns: BTreeMap::new(),
            syncs: BTreeMap::new(),
            received: Vec::new(),
            seen: (ServerMode::NotServing, Zxid(-1)),
            next_cnxn: 0,
        }
    }

    /// The number of a new connection.
    pub fn next_cnxn(&mut self) -> LearnerCnxnId {
        self.next_cnxn += 1;
        LearnerCnxnId(self.next_cnxn)
    }
}
