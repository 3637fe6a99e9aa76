//! The keys of an ensemble: its members and how they work together (`QuorumPeerConfig`,
//! `QuorumMaj`, `QuorumHierarchical`). They are read and checked in full, so that a standalone
//! server refuses what Apache refuses and tells an ensemble from a single server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::properties::{Properties, Setting};
use super::quorum_server::{LearnerType, QuorumServer};
use super::reader::Reader;
use super::zoo_cfg::ZooCfg;

/// Who belongs to an ensemble, from `zoo.cfg` or the dynamic configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuorumMembers {
    /// Every server by id.
    pub servers: BTreeMap<i64, QuorumServer>,
    /// The group of each server; empty unless the quorum is hierarchical.
    pub groups: BTreeMap<i64, i64>,
    /// The weights that are given; others are 1.
    pub weights: BTreeMap<i64, i64>,
    /// Whether `group.N` or `weight.N` lines make the quorum hierarchical.
    pub hierarchical: bool,
    /// The version of the configuration, the zxid of the reconfig that made it.
    pub version: i64,
}

/// SASL between servers (`QuorumAuth`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumSaslConfig {
    /// `quorum.auth.enableSasl`
    pub enabled: bool,
    /// `quorum.auth.serverRequireSasl`
    pub server_required: bool,
    /// `quorum.auth.learnerRequireSasl`
    pub learner_required: bool,
    /// `quorum.auth.learner.saslLoginContext`
    pub learner_login_context: String,
    /// `quorum.auth.server.saslLoginContext`
    pub server_login_context: String,
    /// `quorum.auth.kerberos.servicePrincipal`
    pub service_principal: String,
}

/// Everything that is said about an ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumConfig {
    /// The members; none are named for a plain standalone server.
    pub members: QuorumMembers,
    /// The id in `dataDir/myid`, if there is such a file.
    pub my_id: Option<i64>,
    /// Whether one voter makes a standalone server and not an ensemble of one
    /// (`standaloneEnabled`).
    pub standalone_enabled: bool,
    /// The file that lists the members (`dynamicConfigFile`).
    pub dynamic_config_file: Option<PathBuf>,
    /// Ticks a learner may take to connect and to synchronise (`initLimit`).
    pub init_limit_ticks: i32,
    /// Ticks a learner may be silent (`syncLimit`).
    pub sync_limit_ticks: i32,
    /// Ticks a learner may take to connect (`connectToLearnerMasterLimit`, else `initLimit`).
    pub connect_to_learner_master_limit_ticks: i32,
    /// Whether peers are listened to on all addresses (`quorumListenOnAllIPs`).
    pub quorum_listen_on_all_ips: bool,
    /// The part this server plays, by its server line if it has one (`peerType`).
    pub peer_type: LearnerType,
    /// Whether an observer writes to disk (`syncEnabled`).
    pub sync_enabled: bool,
    /// Port at which observers may follow this server, if any (`observerMasterPort`).
    pub observer_master_port: Option<u16>,
    /// `localSessionsEnabled`
    pub local_sessions_enabled: bool,
    /// `localSessionsUpgradingEnabled`
    pub local_sessions_upgrading_enabled: bool,
    /// Whether servers speak TLS with each other (`sslQuorum`).
    pub ssl_quorum: bool,
    /// Whether they accept plain connections too (`portUnification`).
    pub port_unification: bool,
    /// `sslQuorumReloadCertFiles`
    pub ssl_quorum_reload_cert_files: bool,
    /// SASL between servers.
    pub sasl: QuorumSaslConfig,
    /// Threads that authenticate peers, at least 20 (`quorum.cnxn.threads.size`).
    pub cnxn_threads_size: i32,
    /// `multiAddress.enabled`
    pub multi_address_enabled: bool,
    /// `multiAddress.reachabilityCheckTimeoutMs`
    pub reachability_check_timeout_ms: i32,
    /// `multiAddress.reachabilityCheckEnabled`
    pub reachability_check_enabled: bool,
    /// The file of the oracle of a two-server ensemble (`oraclePath`).
    pub oracle_path: Option<PathBuf>,
}

const CNXN_THREADS_SIZE_MIN: i32 = 20;

impl QuorumConfig {
    /// Reads every key of this group, the dynamic configuration file and `myid`; `place` names
    /// the configuration in errors that belong to no line.
    pub(super) fn read(
        reader: &mut Reader,
        data_dir: &Path,
        place: &str,
    ) -> Result<Self, ConfigError> {
        check_election_alg(reader)?;
        let standalone_enabled = reader.line_bool("standaloneEnabled")?;
        let multi_address_enabled = multi_address(reader, "multiAddress.enabled")?;
        let dynamic_config_file = reader.line("dynamicConfigFile");
        let members = match dynamic_config_file {
            None => QuorumMembers::read(reader.properties, multi_address_enabled)?,
            Some(file) => {
                refuse_static_members(reader.properties)?;
                dynamic_members(Path::new(&file.value), multi_address_enabled)?
            }
        };
        members.check(standalone_enabled, place)?;
        let my_id = my_id(data_dir)?;
        let init_limit_ticks = reader.line_number("initLimit")?;
        let connect_limit: i32 = reader.line_number("connectToLearnerMasterLimit")?;
        let observer_master_port: i32 = reader.line_number("observerMasterPort")?;
        let threads: i32 = reader.line_number("quorum.cnxn.threads.size")?;
        let peer_type = peer_type(reader, &members, my_id)?;
        let oracle_path = reader.line("oraclePath").map(|path| PathBuf::from(&path.value));
        let quorum = Self {
            my_id,
            standalone_enabled,
            dynamic_config_file: dynamic_config_file.map(|file| PathBuf::from(&file.value)),
            init_limit_ticks,
            sync_limit_ticks: reader.line_number("syncLimit")?,
            connect_to_learner_master_limit_ticks: match connect_limit {
                0 => init_limit_ticks,
                limit => limit,
            },
            quorum_listen_on_all_ips: reader.line_bool("quorumListenOnAllIPs")?,
            peer_type,
            sync_enabled: reader.line_bool("syncEnabled")?,
            observer_master_port: u16::try_from(observer_master_port).ok().filter(|&port| port > 0),
            local_sessions_enabled: reader.line_bool("localSessionsEnabled")?,
            local_sessions_upgrading_enabled: reader.line_bool("localSessionsUpgradingEnabled")?,
            ssl_quorum: reader.line_bool("sslQuorum")?,
            port_unification: reader.line_bool("portUnification")?,
            ssl_quorum_reload_cert_files: reader.line_bool("sslQuorumReloadCertFiles")?,
            sasl: QuorumSaslConfig::read(reader)?,
            cnxn_threads_size: threads.max(CNXN_THREADS_SIZE_MIN),
            multi_address_enabled,
            reachability_check_timeout_ms: reader
                .line_number("multiAddress.reachabilityCheckTimeoutMs")?,
            reachability_check_enabled: multi_address(
                reader,
                "multiAddress.reachabilityCheckEnabled",
            )?,
            oracle_path,
            members,
        };
        quorum.check_distributed(place)?;
        Ok(quorum)
    }

    /// Whether this is an ensemble (`QuorumPeerConfig.isDistributed`).
    #[must_use]
    pub fn is_distributed(&self) -> bool {
        !self.standalone_enabled || self.members.voters().count() > 1
    }

    /// `QuorumPeerConfig.checkValidity`.
    fn check_distributed(&self, place: &str) -> Result<(), ConfigError> {
        if !self.is_distributed() {
            return Ok(());
        }
        let missing = |problem: &str, fix: &str| ConfigError::Invalid {
            place: place.to_owned(),
            problem: format!("{problem}, but an ensemble needs it"),
            fix: fix.to_owned(),
        };
        if self.init_limit_ticks == 0 {
            return Err(missing("initLimit is not set", "add for example initLimit=10"));
        }
        if self.sync_limit_ticks == 0 {
            return Err(missing("syncLimit is not set", "add for example syncLimit=5"));
        }
        if self.my_id.is_none() {
            let fix = "write the N of this server's server.N line into dataDir/myid";
            return Err(missing("the file myid is missing from dataDir", fix));
        }
        Ok(())
    }
}

/// Of the election algorithms only number 3 is left.
fn check_election_alg(reader: &Reader) -> Result<(), ConfigError> {
    let algorithm: i32 = reader.line_number("electionAlg")?;
    match reader.line("electionAlg") {
        Some(setting) if algorithm != 3 => {
            Err(setting.bad("3, the only election algorithm left", "3"))
        }
        _ => Ok(()),
    }
}

/// A line of the file, else the system property of the same name.
fn multi_address(reader: &Reader, name: &str) -> Result<bool, ConfigError> {
    let property = reader.properties.property(&format!("zookeeper.{name}"));
    match (reader.line(name), property) {
        (None, Some(setting)) => Ok(setting.value.eq_ignore_ascii_case("true")),
        _ => reader.line_bool(name),
    }
}

/// The server list wins over `peerType` (`QuorumPeerConfig.setupPeerType`).
fn peer_type(
    reader: &mut Reader,
    members: &QuorumMembers,
    my_id: Option<i64>,
) -> Result<LearnerType, ConfigError> {
    let setting = reader.line("peerType");
    let given = setting.map(|setting| {
        LearnerType::from_name(&setting.value)
            .ok_or_else(|| setting.bad("participant or observer", "participant"))
    });
    let given = given.transpose()?.unwrap_or(LearnerType::Participant);
    let listed = my_id.and_then(|id| members.servers.get(&id));
    let listed = listed.map_or(LearnerType::Participant, |server| server.learner_type);
    if let Some(setting) = setting.filter(|_| given != listed) {
        let text = format!(
            "peerType={} does not match the list of servers; the list is used",
            setting.value
        );
        reader.warn(setting, &text);
    }
    Ok(listed)
}

impl QuorumSaslConfig {
    fn read(reader: &Reader) -> Result<Self, ConfigError> {
        let enabled = reader.line_bool("quorum.auth.enableSasl")?;
        let server_required = reader.line_bool("quorum.auth.serverRequireSasl")?;
        let learner_required = reader.line_bool("quorum.auth.learnerRequireSasl")?;
        let needs = |key: &str, needed: &str| match reader.line(key) {
            Some(setting) => Err(setting.refused(
                format!("{key} is true, but {needed} is not"),
                format!("write {needed}=true too"),
            )),
            None => Ok(()),
        };
        if server_required && !enabled {
            needs("quorum.auth.serverRequireSasl", "quorum.auth.enableSasl")?;
        }
        if learner_required && !enabled {
            needs("quorum.auth.learnerRequireSasl", "quorum.auth.enableSasl")?;
        }
        if server_required && !learner_required {
            needs("quorum.auth.serverRequireSasl", "quorum.auth.learnerRequireSasl")?;
        }
        Ok(Self {
            enabled,
            server_required,
            learner_required,
            learner_login_context: reader.line_text("quorum.auth.learner.saslLoginContext"),
            server_login_context: reader.line_text("quorum.auth.server.saslLoginContext"),
            service_principal: reader.line_text("quorum.auth.kerberos.servicePrincipal"),
        })
    }
}

/// With a dynamic file, the static one must not name members.
fn refuse_static_members(properties: &Properties) -> Result<(), ConfigError> {
    let stems = ["server.", "group", "weight"];
    let found = stems.iter().find_map(|stem| properties.lines_with(stem).next());
    match found {
        None => Ok(()),
        Some((key, setting)) => Err(setting.refused(
            format!("{key} stands beside dynamicConfigFile"),
            "move the line into the dynamic configuration file",
        )),
    }
}

/// Reads the members from a dynamic configuration file; the version is in the file's name.
fn dynamic_members(file: &Path, multi_address: bool) -> Result<QuorumMembers, ConfigError> {
    let cfg = ZooCfg::read(file)?;
    let mut properties = Properties::default();
    properties.add_file(&cfg);
    for (key, setting) in properties.lines_with("") {
        if key == "version" {
            return Err(setting.refused(
                "a dynamic configuration file has its version in its name, not in a line"
                    .to_owned(),
                "remove the line",
            ));
        }
        if !["server.", "group", "weight"].iter().any(|stem| key.starts_with(stem)) {
            return Err(setting.refused(
                format!("{key} does not belong into a dynamic configuration file"),
                "only server.N, group.N and weight.N lines do",
            ));
        }
    }
    let mut members = QuorumMembers::read(&properties, multi_address)?;
    let version = file.extension().and_then(|extension| extension.to_str());
    members.version =
        version.and_then(|version| i64::from_str_radix(version, 16).ok()).unwrap_or(0);
    Ok(members)
}

/// `QuorumPeerConfig.setupMyId`: the first line of `dataDir/myid`, if there is that file.
fn my_id(data_dir: &Path) -> Result<Option<i64>, ConfigError> {
    let path = data_dir.join("myid");
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable {
        path: path.clone(),
        source,
        fix: "make it readable for the server",
    })?;
    let line = text.lines().next().unwrap_or_default();
    line.parse().map(Some).map_err(|_| ConfigError::Invalid {
        place: format!("{}:1", path.display()),
        problem: format!("the server id {line:?} is not a whole number"),
        fix: "write the N of this server's server.N line, and nothing else".to_owned(),
    })
}

impl QuorumMembers {
    /// The servers that vote.
    pub fn voters(&self) -> impl Iterator<Item = &QuorumServer> {
        self.of_type(LearnerType::Participant)
    }

    /// The servers that only learn.
    pub fn observers(&self) -> impl Iterator<Item = &QuorumServer> {
        self.of_type(LearnerType::Observer)
    }

    fn of_type(&self, learner_type: LearnerType) -> impl Iterator<Item = &QuorumServer> {
        self.servers.values().filter(move |server| server.learner_type == learner_type)
    }

    /// Reads `server.N`, `group.N`, `weight.N` and `version` lines.
    fn read(properties: &Properties, multi_address: bool) -> Result<Self, ConfigError> {
        let mut members = Self::default();
        for (key, setting) in properties.lines_with("server.") {
            let id = id_of(key, setting, "server.1=host1:2888:3888;2181")?;
            let server = QuorumServer::parse(id, &setting.value).map_err(|problem| {
                setting.refused(
                    format!("{key}={}: {problem}", setting.value),
                    format!("write for example {key}=host1:2888:3888;2181"),
                )
            })?;
            if server.addresses.len() > 1 && !multi_address {
                return Err(setting.refused(
                    format!("{key} has several addresses, but multiAddress.enabled is not true"),
                    "write multiAddress.enabled=true too",
                ));
            }
            if members.servers.insert(id, server).is_some() {
                let problem = format!("{key} names server {id} once more");
                return Err(setting.refused(problem, "keep one line for each server"));
            }
        }
        for (key, setting) in properties.lines_with("group") {
            members.hierarchical = true;
            let group = id_of(key, setting, "group.1=1:2:3")?;
            for id in setting.value.split(':') {
                let id = id.trim().parse().map_err(|_| {
                    setting.bad("a list of server ids with : between them", "1:2:3")
                })?;
                if members.groups.insert(id, group).is_some() {
                    return Err(setting
                        .refused(format!("server {id} is in several groups"), "keep it in one"));
                }
            }
        }
        for (key, setting) in properties.lines_with("weight") {
            members.hierarchical = true;
            let id = id_of(key, setting, "weight.1=1")?;
            let weight = setting.value.parse().map_err(|_| setting.bad("a whole number", "1"))?;
            members.weights.insert(id, weight);
        }
        if let Some(setting) = properties.line("version") {
            let version = i64::from_str_radix(&setting.value, 16);
            members.version = version.map_err(|_| setting.bad("a hexadecimal number", "0"))?;
        }
        members.check_groups(properties)?;
        Ok(members)
    }

    /// In a hierarchical quorum every voter has a group, and only voters and servers with a
    /// weight do.
    fn check_groups(&self, properties: &Properties) -> Result<(), ConfigError> {
        if !self.hierarchical {
            return Ok(());
        }
        let line = |stem, id| {
            numbered_line(properties, stem, id)
                .unwrap_or_else(|| panic!("{stem}{id} was read from a line"))
        };
        if let Some(server) = self.voters().find(|server| !self.groups.contains_key(&server.id)) {
            let id = server.id;
            let fix = format!("add {id} to a group.N line");
            return Err(line("server.", id).refused(format!("server {id} is not in a group"), fix));
        }
        let votes = |id| self.voters().any(|server| server.id == id);
        let mut members = self.groups.iter();
        match members.find(|(id, _)| !votes(**id) && !self.weights.contains_key(id)) {
            None => Ok(()),
            Some((id, group)) => Err(line("group", *group).refused(
                format!("server {id} of group {group} is not a voting server"),
                format!("remove it from the group or add a line server.{id}=..."),
            )),
        }
    }

    /// The rules of `QuorumPeerConfig.parseDynamicConfig` on how many there must be.
    fn check(&self, standalone_enabled: bool, place: &str) -> Result<(), ConfigError> {
        let invalid = |problem: &str, fix: &str| {
            Err(ConfigError::Invalid {
                place: place.to_owned(),
                problem: problem.to_owned(),
                fix: fix.to_owned(),
            })
        };
        let observers = self.observers().count();
        match self.voters().count() {
            0 if !standalone_enabled => invalid(
                "standaloneEnabled is false, but no server votes",
                "add server.N lines or remove standaloneEnabled",
            ),
            0 if observers > 0 => {
                invalid("there are observers, but no server votes", "add voting server.N lines")
            }
            1 if standalone_enabled && observers > 0 => invalid(
                "there are observers, but one voter alone runs standalone",
                "add voting server.N lines or write standaloneEnabled=false",
            ),
            _ => Ok(()),
        }
    }
}

/// The line of a server or group; a number may be written with zeros before it.
pub(super) fn numbered_line<'a>(
    properties: &'a Properties,
    stem: &'a str,
    id: i64,
) -> Option<&'a Setting> {
    let mut lines = properties.lines_with(stem);
    let line = lines.find(|(key, _)| id_after_dot(key) == Some(id));
    line.map(|(_, setting)| setting)
}

fn id_after_dot(key: &str) -> Option<i64> {
    key.split_once('.').and_then(|(_, id)| id.parse().ok())
}

/// The number after the first dot of a key.
fn id_of(key: &str, setting: &Setting, example: &str) -> Result<i64, ConfigError> {
    id_after_dot(key).ok_or_else(|| {
        setting.refused(
            format!("{key} does not end in the number of a server or group"),
            format!("write for example {example}"),
        )
    })
}
