//! The keys of an ensemble: its members and how they work together (`QuorumPeerConfig`,
//! `QuorumMaj`, `QuorumHierarchical`). They are read and checked in full, so that a standalone
//! server refuses what Apache refuses and tells an ensemble from a single server.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::member_config::MemberConfig;
use super::properties::{Properties, Setting};
use super::reader::Reader;
use super::zoo_cfg::ZooCfg;
use crate::proto::Sid;
use crate::quorum::{LearnerType, MembersError, QuorumMembers, id_after_dot};

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

/// The messages and connections of an election (`FastLeaderElection`, `QuorumCnxManager`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionConfig {
    /// How long connecting may take (`cnxTimeout`).
    pub cnx_timeout_ms: i32,
    /// How long a peer may take to introduce itself; `syncLimit` if not above 0
    /// (`quorumCnxnTimeoutMs`).
    pub quorum_cnxn_timeout_ms: i32,
    /// Attempts to open the election port; 0 for no end (`electionPortBindRetry`).
    pub election_port_bind_retry: u32,
    /// Whether TCP probes silent election connections (`tcpKeepAlive`).
    pub tcp_keep_alive: bool,
    /// Silence after which votes are sent again first (`fastleader.minNotificationInterval`).
    pub notification_interval_ms_min: i32,
    /// The longest such silence (`fastleader.maxNotificationInterval`).
    pub notification_interval_ms_max: i32,
}

impl ElectionConfig {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let bind_retry = reader.number_from_0("electionPortBindRetry");
        Ok(Self {
            cnx_timeout_ms: reader.strict_number("cnxTimeout")?,
            quorum_cnxn_timeout_ms: reader.number("quorumCnxnTimeoutMs"),
            election_port_bind_retry: bind_retry.unsigned_abs(),
            tcp_keep_alive: reader.boolean("tcpKeepAlive"),
            notification_interval_ms_min: reader.number("fastleader.minNotificationInterval"),
            notification_interval_ms_max: reader.number("fastleader.maxNotificationInterval"),
        })
    }
}

/// Everything that is said about an ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumConfig {
    /// The members; none are named for a plain standalone server.
    pub members: QuorumMembers,
    /// The members that were proposed before this server ended and are not known to be committed
    /// (`zoo.cfg.dynamic.next`).
    pub last_seen: Option<QuorumMembers>,
    /// How a leader is elected.
    pub election: ElectionConfig,
    /// Pause between two attempts to connect to a leader (`leaderConnectDelayDuringRetryMs`).
    pub leader_connect_delay_ms: i32,
    /// The id in `dataDir/myid`, if there is such a file.
    pub my_id: Option<Sid>,
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
    /// How it works as a member.
    pub member: MemberConfig,
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
    /// The number that the first transaction of each epoch follows, for tests of the rollover
    /// (`testingonly.initialZxid`). Apache's leader takes its whole 64 bits.
    pub initial_zxid_counter: u32,
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
            None => read_members(reader.properties, multi_address_enabled)?,
            Some(file) => {
                refuse_static_members(reader.properties)?;
                dynamic_members(Path::new(&file.value), multi_address_enabled)?
            }
        };
        check_members(&members, standalone_enabled, place)?;
        let my_id = my_id(data_dir)?;
        let init_limit_ticks = reader.line_number("initLimit")?;
        let connect_limit: i32 = reader.line_number("connectToLearnerMasterLimit")?;
        let observer_master_port: i32 = reader.line_number("observerMasterPort")?;
        let threads: i32 = reader.line_number("quorum.cnxn.threads.size")?;
        let peer_type = peer_type(reader, &members, my_id)?;
        let oracle_path = reader.line("oraclePath").map(|path| PathBuf::from(&path.value));
        let quorum = Self {
            election: ElectionConfig::read(reader)?,
            leader_connect_delay_ms: reader.number("leaderConnectDelayDuringRetryMs"),
            initial_zxid_counter: initial_zxid_counter(reader),
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
            member: MemberConfig::read(reader)?,
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
            last_seen: None,
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
    my_id: Option<Sid>,
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
    match properties.lines_with("").find(|(key, _)| QuorumMembers::is_key(key)) {
        None => Ok(()),
        Some((key, setting)) => Err(setting.refused(
            format!("{key} stands beside dynamicConfigFile"),
            "move the line into the dynamic configuration file",
        )),
    }
}

/// At least one number is left to each epoch.
fn initial_zxid_counter(reader: &mut Reader) -> u32 {
    let counter: i64 = reader.number_opt("testingonly.initialZxid").unwrap_or(0);
    counter.clamp(0, i64::from(u32::MAX - 1)) as u32
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
        if !QuorumMembers::is_key(key) {
            return Err(setting.refused(
                format!("{key} does not belong into a dynamic configuration file"),
                "only server.N, group.N and weight.N lines do",
            ));
        }
    }
    let mut members = read_members(&properties, multi_address)?;
    let version = file.extension().and_then(|extension| extension.to_str());
    members.version =
        version.and_then(|version| i64::from_str_radix(version, 16).ok()).unwrap_or(0);
    Ok(members)
}

/// `QuorumPeerConfig.setupMyId`: the first line of `dataDir/myid`, if there is that file.
fn my_id(data_dir: &Path) -> Result<Option<Sid>, ConfigError> {
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
    line.parse().map(|id| Some(Sid(id))).map_err(|_| ConfigError::Invalid {
        place: format!("{}:1", path.display()),
        problem: format!("the server id {line:?} is not a whole number"),
        fix: "write the N of this server's server.N line, and nothing else".to_owned(),
    })
}

/// Reads `server.N`, `group.N`, `weight.N` and `version` lines.
pub(super) fn read_members(
    properties: &Properties,
    multi_address: bool,
) -> Result<QuorumMembers, ConfigError> {
    let lines = properties.lines_with("").map(|(key, setting)| (key, setting.value.as_str()));
    QuorumMembers::from_lines(lines, multi_address).map_err(|error| {
        let line = |key: &str| {
            let setting = properties.line(key);
            setting.unwrap_or_else(|| panic!("{key} was read from a line"))
        };
        match error {
            MembersError::BadValue { key, expected, example } => line(&key).bad(expected, example),
            MembersError::Refused { key, problem, fix } => line(&key).refused(problem, fix),
            MembersError::BadKey { key, example } => line(&key).refused(
                format!("{key} does not end in the number of a server or group"),
                format!("write for example {example}"),
            ),
            MembersError::Escape(_) | MembersError::NoVoters => {
                panic!("only a text as a whole is refused with {error}")
            }
        }
    })
}

/// The rules of `QuorumPeerConfig.parseDynamicConfig` on how many there must be.
fn check_members(
    members: &QuorumMembers,
    standalone_enabled: bool,
    place: &str,
) -> Result<(), ConfigError> {
    let invalid = |problem: &str, fix: &str| {
        Err(ConfigError::Invalid {
            place: place.to_owned(),
            problem: problem.to_owned(),
            fix: fix.to_owned(),
        })
    };
    let observers = members.observers().count();
    match members.voters().count() {
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

/// The line of a server or group; a number may be written with zeros before it.
pub(super) fn numbered_line<'a>(
    properties: &'a Properties,
    stem: &'a str,
    id: Sid,
) -> Option<&'a Setting> {
    let mut lines = properties.lines_with(stem);
    let line = lines.find(|(key, _)| id_after_dot(key) == Some(id.0));
    line.map(|(_, setting)| setting)
}
