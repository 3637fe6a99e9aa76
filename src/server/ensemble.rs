//! A member's ways to the other servers, and what their protocols write to disk: carries out the
//! effects of the ensemble's part of the engine.

use std::sync::Arc;

use parking_lot::RwLock;
use tracing::{error, info};

use super::config::{DynamicConfigFiles, ServerConfig};
use super::mailbox::Mailbox;
use super::net::{
    ClientPort, ElectionEvent as CnxEvent, HistoryDirs, LearnerCnxnFactory, LearnerCnxnOptions,
    LearnerEvent as CnxnEvent, QuorumCnxHandle, QuorumCnxManager, QuorumCnxOptions,
    election_addresses,
};
use super::run::{ServerError, restore_options, tree_options};
use super::storage::{SnapshotOptions, install_snapshot, restore_database};
use crate::engine::{ElectionEvent, EnsembleOptions, Input, LearnerEvent, MemberOptions};
use crate::persistence::{DataDirs, EpochFiles, OsDisk, RestoreOptions, truncate};
use crate::processor::{ServerState, ZkDatabase};
use crate::proto::{HostPort, Millis, Sid, Zxid};
use crate::quorum::{Configs, ElectionOptions, Link, QuorumEffect, QuorumVerifier, ReconfigRules};
use crate::tree::TreeOptions;

/// The ways out, and the files.
pub(super) struct Ensemble {
    state: Arc<ServerState>,
    my_id: Sid,
    /// As they are on disk.
    configs: Configs,
    /// Where they are kept, if they may change.
    files: Option<DynamicConfigFiles>,
    client_port: Arc<ClientPort>,
    epochs: EpochFiles,
    learners: LearnerCnxnFactory,
    election: QuorumCnxHandle,
    /// Where this server's election ports are.
    own_election_addresses: Vec<HostPort>,
    dirs: Arc<DataDirs>,
    snapshots: SnapshotOptions,
    restore: RestoreOptions,
    tree: TreeOptions,
}

impl Ensemble {
    /// Opens the ports that servers reach each other by; what happens there goes to the mailbox.
    pub(super) fn open(
        config: &ServerConfig,
        state: &Arc<ServerState>,
        mailbox: &Arc<Mailbox>,
        dirs: Arc<DataDirs>,
        snapshots: SnapshotOptions,
        client_port: Arc<ClientPort>,
    ) -> Result<Self, ServerError> {
        let quorum = &config.quorum;
        let my_id = quorum.my_id.expect("a member of an ensemble has an id");
        let verifier = |members| Arc::new(QuorumVerifier::new(members));
        let configs = Configs::new(
            verifier(quorum.members.clone()),
            quorum.last_seen.clone().map(verifier),
            config.reconfig_enabled,
        );
        let files = config.file.as_deref().filter(|_| config.reconfig_enabled);
        let files = files.map(DynamicConfigFiles::beside);
        if let (Some(files), None) = (&files, &quorum.dynamic_config_file) {
            files.back_up().map_err(|(path, source)| ServerError::Backup { path, source })?;
        }
        let last_zxid = state.database.read().tree.last_processed();
        let epochs = EpochFiles::load(OsDisk, dirs.snapshots(), last_zxid)?;
        let ticks = |count: i32| Millis::from(config.tick_time_ms) * Millis::from(count);
        let options = LearnerCnxnOptions {
            quorum_addresses: configs.quorum_addresses(my_id),
            listen_on_all_ips: quorum.quorum_listen_on_all_ips,
            init_limit_ms: ticks(quorum.init_limit_ticks),
            connect_limit_ms: ticks(quorum.connect_to_learner_master_limit_ticks),
            connect_retry_delay_ms: quorum.leader_connect_delay_ms.into(),
            follower_nodelay: quorum.member.follower_nodelay,
            leader_nodelay: quorum.member.leader_nodelay,
            packet_bytes_max: config.limits.buffer_bytes_max(),
            tree_options: tree_options(config),
            history: HistoryDirs {
                logs: dirs.logs().to_owned(),
                snapshots: dirs.snapshots().to_owned(),
                snapshot_size_factor: config.storage.snapshot_size_factor,
            },
        };
        let to = mailbox.clone();
        let learners = LearnerCnxnFactory::start(options, move |events| {
            let mut inputs = events.into_iter().filter_map(learner_input).collect();
            to.post_all(&mut inputs);
        })?;
        let to = mailbox.clone();
        let options = QuorumCnxOptions::new(config, my_id);
        let tell = move |event| {
            if let Some(input) = election_input(event) {
                to.post(input);
            }
        };
        let known = [configs.committed(), configs.last_seen()];
        let addresses = election_addresses(known.map(|config| config.members()));
        let own_election_addresses = addresses.get(&my_id).cloned().unwrap_or_default();
        let (manager, election) = QuorumCnxManager::new(options, addresses, tell);
        manager.start()?;
        Ok(Self {
            state: state.clone(),
            my_id,
            configs,
            files,
            client_port,
            epochs,
            learners,
            election,
            own_election_addresses,
            dirs,
            snapshots,
            restore: restore_options(config),
            tree: tree_options(config),
        })
    }

    /// What the engine needs to know of the ensemble.
    pub(super) fn options(&self, config: &ServerConfig) -> EnsembleOptions {
        let quorum = &config.quorum;
        let ticks = |count: i32| Millis::from(config.tick_time_ms) * Millis::from(count);
        EnsembleOptions {
            my_id: self.my_id,
            configs: self.configs.clone(),
            rules: ReconfigRules {
                standalone_enabled: quorum.standalone_enabled,
                multi_address: quorum.multi_address_enabled,
            },
            init_limit_ms: ticks(quorum.init_limit_ticks),
            sync_limit_ms: ticks(quorum.sync_limit_ticks),
            election: ElectionOptions {
                notification_interval_ms_min: quorum.election.notification_interval_ms_min.into(),
                notification_interval_ms_max: quorum.election.notification_interval_ms_max.into(),
                multi_address: quorum.multi_address_enabled,
            },
            member: member_options(config),
            accepted_epoch: self.epochs.accepted(),
            current_epoch: self.epochs.current(),
        }
    }

    /// Carries out one effect; what it writes is durable when it returns.
    pub(super) fn carry_out(&mut self, effect: QuorumEffect) -> Result<(), ServerError> {
        match effect {
            QuorumEffect::Send(cnxn, packets) => {
                cnxn.outbox().push(packets);
                cnxn.flush();
            }
            QuorumEffect::Close(cnxn) => {
                cnxn.outbox().close();
                cnxn.flush();
            }
            QuorumEffect::ReadTimeout(cnxn, limit_ms) => {
                self.learners.set_read_timeout(cnxn.id, limit_ms);
            }
            QuorumEffect::SetAcceptedEpoch(epoch) => self.epochs.set_accepted(epoch)?,
            QuorumEffect::SetCurrentEpoch(epoch) => self.epochs.set_current(epoch)?,
            QuorumEffect::StoreConfigs(configs) => self.store_configs(configs),
            QuorumEffect::Listen => self.learners.listen(),
            QuorumEffect::ListenForObservers(port) => self.learners.listen_for_observers(port),
            QuorumEffect::StopListening => self.learners.stop_listening(),
            QuorumEffect::Connect { id, leader, addresses } => {
                info!(%leader, "connecting to the leader");
                self.learners.connect(id, addresses);
            }
            QuorumEffect::CancelConnect => self.learners.cancel(),
            QuorumEffect::SendSnapshot(cnxn) => {
                self.learners.send_snapshot(&cnxn, self.state.clone());
                cnxn.flush();
            }
            QuorumEffect::FindHistory { cnxn, last, up_to } => {
                self.learners.find_history(&cnxn, last, up_to);
            }
            QuorumEffect::SendHistory { cnxn, after, up_to } => {
                self.learners.send_history(&cnxn, after, up_to);
                cnxn.flush();
            }
            QuorumEffect::SendElection { to, message } => self.election.send(to, message),
            QuorumEffect::StopElection => self.election.stop(),
        }
        Ok(())
    }

    /// Other configurations are known: they go to disk, and then the ports to where they say.
    fn store_configs(&mut self, configs: Configs) {
        if let Some(files) = &self.files {
            files.store(&self.configs, &configs, self.my_id);
        }
        let known = [configs.committed(), configs.last_seen()];
        let mut addresses = election_addresses(known.map(|config| config.members()));
        // Who is removed goes on listening where it did, so that members can connect back to it.
        match addresses.get(&self.my_id) {
            Some(own) => self.own_election_addresses = own.clone(),
            None => drop(addresses.insert(self.my_id, self.own_election_addresses.clone())),
        }
        self.election.set_addresses(addresses);
        let own = configs.committed().members().servers.get(&self.my_id);
        if let Some(own) = own {
            self.learners.set_quorum_addresses(configs.quorum_addresses(self.my_id));
            let is_new = configs.committed() != self.configs.committed();
            if let Some(address) = own.client_address.clone().filter(|_| is_new) {
                self.client_port.move_to(address);
            }
        }
        self.configs = configs;
    }

    /// Cuts the log on disk; reads the database anew if it has been applied beyond.
    pub(super) fn truncate_log(&mut self, to: Zxid, reload: bool) -> Result<(), ServerError> {
        let _turn = self.snapshots.history.lock();
        truncate(&self.dirs, to)?;
        if reload {
            let restored = restore_database(&self.dirs, self.restore, self.tree)?;
            info!(zxid = %restored.database.tree.last_processed(), "database read anew");
            *self.state.database.write() = restored.database;
        }
        Ok(())
    }

    /// The last transaction in the tree.
    pub(super) fn last_processed(&self) -> Zxid {
        self.state.database.read().tree.last_processed()
    }

    /// Writes the database as a snapshot; what the log holds is in it, or nothing.
    pub(super) fn store_database(&mut self) -> Result<(), ServerError> {
        let _turn = self.snapshots.history.lock();
        let file = install_snapshot(&self.dirs, &self.state.database, &self.snapshots)?;
        info!("the database is written to {}", file.path.display());
        Ok(())
    }

    /// Makes the leader's snapshot the database, on disk first.
    pub(super) fn install_snapshot(&mut self, database: ZkDatabase) -> Result<(), ServerError> {
        let _turn = self.snapshots.history.lock();
        let database = RwLock::new(database);
        let file = install_snapshot(&self.dirs, &database, &self.snapshots)?;
        info!("the leader's snapshot is written to {}", file.path.display());
        *self.state.database.write() = database.into_inner();
        Ok(())
    }
}

fn member_options(config: &ServerConfig) -> MemberOptions {
    let (quorum, member) = (&config.quorum, &config.quorum.member);
    MemberOptions {
        read_only_mode: config.read_only_mode_enabled,
        local_sessions: quorum.local_sessions_enabled,
        local_sessions_upgrading: quorum.local_sessions_upgrading_enabled,
        leader_serves: member.leader_serves,
        sync_enabled: member.sync_enabled,
        commit_log_count: config.storage.commit_log_count.max(0) as usize,
        snap_syncs_max: member.snap_syncs_max.max(0) as usize,
        diff_syncs_max: member.diff_syncs_max.max(0) as usize,
        force_snapshot_sync: member.force_snapshot_sync,
        wait_for_epoch_ms_max: u32::try_from(member.wait_for_epoch_ms_max).ok().map(Millis::from),
        observer_master_port: quorum.observer_master_port,
        observer_reconnect_delay_ms: member.observer_reconnect_delay_ms,
        observer_election_delay_ms: member.observer_election_delay_ms,
        initial_counter: quorum.initial_zxid_counter,
    }
}

/// What the engine is told of an event on the election port.
fn election_input(event: CnxEvent) -> Option<Input> {
    Some(Input::Election(match event {
        CnxEvent::Notification { from, notification } => {
            ElectionEvent::Notification { from, notification }
        }
        CnxEvent::Up(sid) => ElectionEvent::Link { sid, link: Link::Up },
        CnxEvent::Down(sid) => ElectionEvent::Link { sid, link: Link::Down },
        CnxEvent::Unreachable(sid) => ElectionEvent::Link { sid, link: Link::Unreachable },
        CnxEvent::CannotListen(reason) => {
            error!("cannot take part in elections: {reason}");
            ElectionEvent::CannotListen(reason)
        }
    }))
}

/// What the engine is told of an event on the quorum port, if it needs to know.
fn learner_input(event: CnxnEvent) -> Option<Input> {
    Some(Input::Learner(match event {
        CnxnEvent::Listening(_) | CnxnEvent::Sent(_) | CnxnEvent::SendFailed(..) => return None,
        CnxnEvent::ListenFailed(reason) => LearnerEvent::ListenFailed(reason),
        CnxnEvent::Accepted(cnxn) => LearnerEvent::Accepted(cnxn),
        CnxnEvent::Connected(attempt, cnxn) => LearnerEvent::Connected(attempt, cnxn),
        CnxnEvent::ConnectFailed(attempt, reason) => LearnerEvent::ConnectFailed(attempt, reason),
        CnxnEvent::Packet(id, packet) => LearnerEvent::Packet(id, packet),
        CnxnEvent::Snapshot(id, snapshot) => LearnerEvent::Snapshot(id, snapshot),
        CnxnEvent::HistoryFound(id, found) => LearnerEvent::HistoryFound(id, found),
        CnxnEvent::Closed(id, reason) => LearnerEvent::Closed(id, reason),
        CnxnEvent::Receipt(receipt) => LearnerEvent::ReadTaken(Box::new(receipt)),
    }))
}
