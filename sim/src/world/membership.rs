//! Members that change: what servers keep of their configurations, and what an administrator does
//! on the machines themselves (`gamekeeper::server::ensemble` and its `DynamicConfigFiles`).
//!
//! A server that wants to join begins with an empty disk and a configuration of its own, that in
//! force with itself added. One that was removed may go on running. A server is never set up anew
//! under an id that was once a member's: what it has promised would be forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use gamekeeper::proto::Sid;
use gamekeeper::quorum::{Configs, LearnerType, QuorumMembers, QuorumServer, QuorumVerifier};

use super::World;
use super::driver::ProcessEnd;
use super::process::DiskWork;
use crate::config_files::ConfigFiles;
use crate::queue::{ProcessId, SECOND};

/// The id of a server.
pub fn sid_of(server: usize) -> Sid {
    Sid(server as i64 + 1)
}

/// The index of a server.
pub fn server_of(sid: Sid) -> usize {
    (sid.0 - 1) as usize
}

/// A server as configurations name it.
pub fn line_of(server: usize, kind: LearnerType) -> String {
    let id = sid_of(server);
    let kind = if kind == LearnerType::Observer { "observer" } else { "participant" };
    format!("h{id}:1:2:{kind};h{id}:3")
}

/// The configuration of these servers.
pub fn config_of(
    servers: impl Iterator<Item = (usize, LearnerType)>,
    version: i64,
) -> Arc<QuorumVerifier> {
    let parse = |(server, kind)| {
        let sid = sid_of(server);
        (sid, QuorumServer::parse(sid, &line_of(server, kind)).expect("it is well formed"))
    };
    let servers: BTreeMap<_, _> = servers.map(parse).collect();
    Arc::new(QuorumVerifier::new(QuorumMembers { servers, version, ..QuorumMembers::default() }))
}

/// The members of a configuration.
pub fn members_of(config: &QuorumVerifier) -> impl Iterator<Item = (usize, LearnerType)> {
    let servers = config.members().servers.values();
    servers.map(|server| (server_of(server.id), server.learner_type))
}

impl World {
    /// A server knows of other configurations: they go to its disk.
    pub(super) fn store_configs(&mut self, id: ProcessId, configs: Configs) {
        let process = self.process(id).expect("it carries out its effects");
        let before = process.configs.clone();
        self.note(format_args!(
            "server {} knows the configurations {:x} and {:x}",
            id.server,
            configs.committed().version(),
            configs.last_seen().version()
        ));
        let verdict = self.oracle.configs.stored(id.server, &before, &configs, &mut self.servers);
        self.judge(verdict);
        let server = &mut self.servers[id.server];
        server.config_files.as_mut().expect("it is set up").begin(before, configs.clone());
        self.begin_disk_work(id, DiskWork::StoreConfigs(configs));
    }

    /// They are written: `zoo.cfg` is taken to lie on a disk of its own, with room left. Where it
    /// cannot be written, a server says so and goes on, as Apache's do, and starts later with the
    /// configuration that it had before.
    pub(super) fn configs_stored(&mut self, id: ProcessId, configs: Configs) {
        let server = &mut self.servers[id.server];
        server.config_files.as_mut().expect("it is set up").finish();
        self.process(id).expect("it has stored them").configs = configs;
    }

    /// Sets up a new server that is to join.
    pub fn set_up(&mut self, index: usize, kind: LearnerType) {
        let members = members_of(self.oracle.configs.in_force()).chain([(index, kind)]);
        let config = config_of(members, 0);
        self.note(format_args!("server {index} is set up"));
        self.servers[index].config_files = Some(ConfigFiles::new(config));
        self.plan_start(index, SECOND / 10);
    }

    /// Gives a server the configuration in force, if it is a member that refuses to start, as it
    /// was written there last that it is none, or that was away so long that it knows nobody who
    /// votes.
    pub(super) fn correct_config_file(&mut self, index: usize) {
        let in_force = self.oracle.configs.in_force().clone();
        let Some(files) = &self.servers[index].config_files else { return };
        let configs = files.load(true);
        let knows = |sid: Sid| {
            let known = [configs.committed(), configs.last_seen()];
            known.iter().any(|config| config.members().servers.contains_key(&sid))
        };
        let sid = sid_of(index);
        let is_running = self.servers[index].process.is_some();
        let refuses = !is_running && !configs.committed().members().servers.contains_key(&sid);
        let is_lost = !in_force.voters().filter(|voter| *voter != sid).any(knows);
        let is_member = in_force.members().servers.contains_key(&sid);
        if is_member && (refuses || is_lost) && configs.committed().version() <= in_force.version()
        {
            self.note(format_args!("server {index} is given the configuration in force"));
            self.stop(index, ProcessEnd::Kill);
            self.servers[index].config_files = Some(ConfigFiles::new(in_force));
            self.plan_start(index, SECOND / 10);
        }
    }

    /// Looks after the files of all servers.
    pub fn correct_config_files(&mut self) {
        (0..self.servers.len()).for_each(|index| self.correct_config_file(index));
    }
}
