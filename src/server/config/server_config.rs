//! The configuration of a server, typed and checked: who holds a [`ServerConfig`] need not check
//! anything again (`QuorumPeerConfig`, `ServerConfig`, `ZooKeeperServerMain`).

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::auth_config::{AuthConfig, FourLetterConfig};
use super::dynamic_config_files::DynamicConfigFiles;
use super::error::{ConfigError, Origin};
use super::known_keys;
use super::limits_config::LimitsConfig;
use super::properties::Properties;
use super::quorum_config::{QuorumConfig, numbered_line};
use super::reader::Reader;
use super::storage_config::StorageConfig;
use super::zoo_cfg::ZooCfg;
use crate::proto::HostPort;
use crate::proto::Sid;

/// What a server without a configuration file is configured with: the values of the sample
/// file, data in `data` under the working directory.
const EMBEDDED: [(&str, &str); 3] =
    [("tickTime", "2000"), ("dataDir", "data"), ("clientPort", "2181")];

/// How the server is called, for the error about wrong arguments.
const USAGE: &str =
    "gamekeeper server [-Dkey=value ...] [zoo.cfg | port datadir [ticktime] [maxcnxns]]";

/// Where a port is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address; none for all of them, IPv4 and IPv6.
    pub ip: Option<IpAddr>,
    /// The port; 0 lets the system choose one.
    pub port: u16,
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        HostPort { host, port: self.port }.fmt(f)
    }
}

/// Everything a server is told.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// Its text; empty if there is none (`QuorumPeerConfig.initialConfig`).
    pub initial_config: String,
    /// Where clients connect (`clientPort`, `clientPortAddress`, or this server's server line).
    pub client_address: Option<ListenAddress>,
    /// Where clients connect with TLS (`secureClientPort`, `secureClientPortAddress`).
    pub secure_client_address: Option<ListenAddress>,
    /// Connections that may wait to be accepted; -1: as the system likes
    /// (`clientPortListenBacklog`).
    pub client_port_listen_backlog: i32,
    /// The basic unit of time, above 0 (`tickTime`).
    pub tick_time_ms: i32,
    /// Sessions.
    pub session: SessionConfig,
    /// Limits on connections, requests and packets.
    pub limits: LimitsConfig,
    /// Data on disk.
    pub storage: StorageConfig,
    /// Who may do what.
    pub auth: AuthConfig,
    /// The four-letter words.
    pub four_letter: FourLetterConfig,
    /// The removal of container and TTL nodes.
    pub container: ContainerConfig,
    /// Whether TTL nodes are allowed (`extendedTypesEnabled`).
    pub extended_types_enabled: bool,
    /// Whether TTLs in the form of release 3.5.3 are read (`emulate353TTLNodes`).
    pub emulate_353_ttl_nodes: bool,
    /// Which of ZooKeeper's watch managers is asked for (`watchManagerName`).
    pub watch_manager: WatchManagerKind,
    /// Whether the ensemble may be changed while it runs (`reconfigEnabled`).
    pub reconfig_enabled: bool,
    /// Whether a server cut off from its ensemble serves reads (`readonlymode.enabled`).
    pub read_only_mode_enabled: bool,
    /// The HTTP administration server.
    pub admin: AdminConfig,
    /// Whether changes are written to the audit log (`audit.enable`).
    pub audit_enabled: bool,
    /// The metrics provider.
    pub metrics: MetricsConfig,
    /// The ensemble.
    pub quorum: QuorumConfig,
    /// What to tell the operator once at start, one line each: values that were replaced and
    /// settings without effect.
    pub warnings: Vec<String>,
}

/// Sessions (`SessionTrackerImpl`, `ZooKeeperServer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// Shortest timeout a client gets; 2 ticks unless given (`minSessionTimeout`).
    pub session_timeout_ms_min: i32,
    /// Longest timeout a client gets; 20 ticks unless given (`maxSessionTimeout`).
    pub session_timeout_ms_max: i32,
    /// Whether a closeSession transaction lists the ephemerals it removes
    /// (`closeSessionTxn.enabled`).
    pub close_session_txn_enabled: bool,
}

impl SessionConfig {
    /// Shortest and longest timeout, in milliseconds.
    pub fn limits_ms(&self) -> (i32, i32) {
        (self.session_timeout_ms_min, self.session_timeout_ms_max)
    }
}

/// The task that removes empty containers and expired TTL nodes (`ContainerManager`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerConfig {
    /// Time between two runs (`znode.container.checkIntervalMs`).
    pub check_interval_ms: i32,
    /// Removals in a minute at most (`znode.container.maxPerMinute`).
    pub max_per_minute: i32,
    /// Age at which a container that never had a child is removed; 0: never
    /// (`znode.container.maxNeverUsedIntervalMs`).
    pub max_never_used_interval_ms: i64,
}

/// A watch manager of ZooKeeper, whose answers to some four-letter words differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchManagerKind {
    /// `WatchManager`
    Default,
    /// `WatchManagerOptimized`
    Optimized,
}

/// The HTTP administration server (`JettyAdminServer`, `Commands`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Whether it runs; only the exact word `false` keeps it from it (`admin.enableServer`).
    pub enabled: bool,
    /// Address it listens on (`admin.serverAddress`).
    pub server_address: String,
    /// Port it listens on (`admin.serverPort`).
    pub server_port: i32,
    /// When an idle connection is closed (`admin.idleTimeout`).
    pub idle_timeout_ms: i32,
    /// Path of the commands (`admin.commandURL`).
    pub command_url: String,
    /// One TLS and plain port (`admin.portUnification`).
    pub port_unification: bool,
    /// TLS only (`admin.forceHttps`).
    pub force_https: bool,
    /// Whether clients must show a certificate (`admin.needClientAuth`).
    pub need_client_auth: bool,
    /// Least time between two snapshots or restores (`admin.rateLimiterIntervalInMS`).
    pub rate_limiter_interval_ms: i32,
    /// Whether the snapshot command is there (`admin.snapshot.enabled`).
    pub snapshot_enabled: bool,
    /// Whether the restore command is there (`admin.restore.enabled`).
    pub restore_enabled: bool,
}

/// A metrics provider of ZooKeeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsConfig {
    /// `DefaultMetricsProvider`: metrics are read by `mntr` and the administration server.
    Default,
    /// `NullMetricsProvider`: there are none.
    Null,
    /// `PrometheusMetricsProvider`: they are also served over HTTP.
    Prometheus {
        /// `metricsProvider.httpHost`
        http_host: String,
        /// `metricsProvider.httpPort`
        http_port: u16,
    },
}

impl ServerConfig {
    /// The configuration `gamekeeper server ARGS` asks for: `-D` flags from the values of the
    /// environment variables `SERVER_JVMFLAGS` and `JVMFLAGS` and from the arguments (later
    /// ones win), then a file, the old form `port datadir [ticktime] [maxcnxns]`, or nothing
    /// for the built-in defaults.
    pub fn from_args(
        args: &[String],
        server_jvmflags: Option<&str>,
        jvmflags: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let mut properties = Properties::default();
        for (source, flags) in [("SERVER_JVMFLAGS", server_jvmflags), ("JVMFLAGS", jvmflags)] {
            properties.add_flags(source, flags.unwrap_or_default().split_whitespace());
        }
        properties.add_flags("command line", args.iter().map(String::as_str));
        let words: Vec<&str> =
            args.iter().map(String::as_str).filter(|arg| !arg.starts_with("-D")).collect();
        if let Some(option) = words.iter().find(|word| word.starts_with('-')) {
            return Err(usage(format!("there is no option {option}")));
        }
        match words.as_slice() {
            [] => Self::embedded(properties),
            [file] => Self::from_file(Path::new(file), properties),
            [port, data_dir, more @ ..] if more.len() <= 2 => {
                Self::from_port_and_directory(properties, port, data_dir, more)
            }
            _ => Err(usage(format!("{} arguments are too many", words.len()))),
        }
    }

    /// The configuration of a file.
    pub fn from_file(path: &Path, properties: Properties) -> Result<Self, ConfigError> {
        Self::from_zoo_cfg(ZooCfg::read(path)?, properties)
    }

    /// The configuration of a file that has been read.
    pub fn from_zoo_cfg(cfg: ZooCfg, mut properties: Properties) -> Result<Self, ConfigError> {
        properties.add_file(&cfg);
        let mut config = Self::build(&properties, &cfg.file.display().to_string())?;
        config.file = Some(cfg.file.to_path_buf());
        let quorum = &mut config.quorum;
        if quorum.dynamic_config_file.is_some() {
            let files = DynamicConfigFiles::beside(&cfg.file);
            quorum.last_seen = files.read_next(quorum.multi_address_enabled)?;
        }
        config.initial_config = cfg.text;
        Ok(config)
    }

    /// The configuration of a server that is given nothing: client port 2181 and the directory
    /// `data` under the working directory.
    pub fn embedded_defaults() -> Result<Self, ConfigError> {
        Self::embedded(Properties::default())
    }

    fn embedded(mut properties: Properties) -> Result<Self, ConfigError> {
        for (key, value) in EMBEDDED {
            properties.add_line(key, value, Origin::Embedded);
        }
        Self::build(&properties, "built-in defaults")
    }

    /// The old form of `ZooKeeperServerMain`; it knows no limit per address unless given.
    fn from_port_and_directory(
        mut properties: Properties,
        port: &str,
        data_dir: &str,
        more: &[&str],
    ) -> Result<Self, ConfigError> {
        let mut add = |key, value| properties.add_line(key, value, Origin::Argument);
        add("clientPort", port);
        add("dataDir", data_dir);
        if let Some(tick_time) = more.first() {
            add("tickTime", tick_time);
        }
        add("maxClientCnxns", more.get(1).copied().unwrap_or("0"));
        Self::build(&properties, "command line")
    }

    /// Reads and checks everything.
    fn build(properties: &Properties, place: &str) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(properties);
        let reader = &mut reader;
        let tick_time_ms = tick_time_ms(reader)?;
        let session = SessionConfig::read(reader, tick_time_ms)?;
        let limits = LimitsConfig::read(reader)?;
        let storage = StorageConfig::read(reader, place)?;
        check_java_tuning(reader)?;
        let secure_client_address =
            listen_address(reader, "secureClientPort", "secureClientPortAddress")?;
        let quorum = QuorumConfig::read(reader, &storage.data_dir, place)?;
        let client_address = client_address(reader, &quorum)?;
        let mut config = Self {
            file: None,
            initial_config: String::new(),
            client_address,
            secure_client_address,
            client_port_listen_backlog: reader.line_number("clientPortListenBacklog")?,
            tick_time_ms,
            session,
            limits,
            storage,
            auth: AuthConfig::read(reader)?,
            four_letter: FourLetterConfig::read(reader),
            container: ContainerConfig::read(reader),
            extended_types_enabled: reader.boolean("extendedTypesEnabled"),
            emulate_353_ttl_nodes: reader.boolean("emulate353TTLNodes"),
            watch_manager: reader.class(
                reader.property("watchManagerName"),
                "watchManagerName",
                &[
                    ("org.apache.zookeeper.server.watch.WatchManager", WatchManagerKind::Default),
                    (
                        "org.apache.zookeeper.server.watch.WatchManagerOptimized",
                        WatchManagerKind::Optimized,
                    ),
                ],
            )?,
            reconfig_enabled: reader.line_bool("reconfigEnabled")?,
            read_only_mode_enabled: reader.boolean("readonlymode.enabled"),
            admin: AdminConfig::read(reader)?,
            audit_enabled: reader.boolean("audit.enable"),
            metrics: MetricsConfig::read(reader)?,
            quorum,
            warnings: Vec::new(),
        };
        config.warnings = std::mem::take(&mut reader.warnings);
        let is_member = config.quorum.is_distributed();
        config.warnings.extend(known_keys::without_effect(properties, is_member));
        Ok(config)
    }

    /// What stands in for the file's name in messages.
    #[must_use]
    pub fn place(&self) -> String {
        let file = self.file.as_deref();
        file.map_or_else(|| "built-in defaults".to_owned(), |file| file.display().to_string())
    }

    /// Refuses what no server can be: one alone that no client could connect to, or a member of an
    /// ensemble whose servers are to be guarded by what is not there yet.
    pub fn require_runnable(&self) -> Result<(), ConfigError> {
        let sasl = &self.quorum.sasl;
        let guards = [
            ("sslQuorum", self.quorum.ssl_quorum, "TLS between servers"),
            ("quorum.auth.enableSasl", sasl.enabled, "SASL between servers"),
        ];
        if let Some((key, _, what)) = guards.into_iter().find(|(_, is_set, _)| *is_set)
            && self.quorum.is_distributed()
        {
            return Err(ConfigError::Invalid {
                place: self.place(),
                problem: format!("{key} is true, but {what} is not there yet"),
                fix: format!("remove {key} if the servers may talk to each other in the clear"),
            });
        }
        let is_member = |id: &Sid| self.quorum.members.servers.contains_key(id);
        if let Some(id) = self.quorum.my_id.filter(|id| !is_member(id))
            && self.quorum.is_distributed()
        {
            return Err(ConfigError::Invalid {
                place: self.place(),
                problem: format!("dataDir/myid says {id}, but there is no server.{id}"),
                fix: format!("correct myid, or add a line server.{id}=..."),
            });
        }
        if self.client_address.is_none() && !self.quorum.is_distributed() {
            return Err(ConfigError::Invalid {
                place: self.place(),
                problem: "clientPort is not set, so no client could connect".to_owned(),
                fix: "add for example clientPort=2181".to_owned(),
            });
        }
        Ok(())
    }
}

fn usage(problem: String) -> ConfigError {
    let fix = format!("usage: {USAGE}");
    ConfigError::Invalid { place: "command line".to_owned(), problem, fix }
}

fn tick_time_ms(reader: &Reader) -> Result<i32, ConfigError> {
    let tick_time_ms: i32 = reader.line_number("tickTime")?;
    match reader.line("tickTime") {
        Some(setting) if tick_time_ms <= 0 => {
            Err(setting.bad("a whole number of milliseconds above 0", "2000"))
        }
        _ => Ok(tick_time_ms),
    }
}

/// The address of a port key and its address key; the address alone is refused.
fn listen_address(
    reader: &Reader,
    port_key: &str,
    address_key: &str,
) -> Result<Option<ListenAddress>, ConfigError> {
    let port: Option<u16> = reader.line_number_opt(port_key)?;
    let address = reader.line(address_key);
    match (port, address) {
        (None, Some(setting)) => Err(setting.refused(
            format!("{address_key} is set, but {port_key} is not"),
            format!("add a line {port_key}=..."),
        )),
        (None, None) => Ok(None),
        (Some(port), None) => Ok(Some(ListenAddress { ip: None, port })),
        (Some(port), Some(setting)) => {
            let address = resolve(&setting.value, port).map_err(|problem| {
                setting.refused(
                    format!("{}: {problem}", setting.with(&setting.value)),
                    "write an address of this machine",
                )
            })?;
            Ok(Some(address))
        }
    }
}

/// An address by name or number; that of all addresses becomes none.
fn resolve(host: &str, port: u16) -> Result<ListenAddress, String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let address = found.next().ok_or_else(|| "the name has no address".to_owned())?;
    Ok(ListenAddress { ip: Some(address.ip()).filter(|ip| !ip.is_unspecified()), port })
}

/// The client address of the file and of this server's own server line, which must agree
/// (`QuorumPeerConfig.setupClientPort`).
fn client_address(
    reader: &Reader,
    quorum: &QuorumConfig,
) -> Result<Option<ListenAddress>, ConfigError> {
    let given = listen_address(reader, "clientPort", "clientPortAddress")?;
    let server = quorum.my_id.and_then(|id| quorum.members.servers.get(&id));
    let Some(listed) = server.and_then(|server| server.client_address.as_ref()) else {
        return Ok(given);
    };
    let key = format!("server.{}", quorum.my_id.unwrap_or_default());
    let at = quorum.my_id.and_then(|id| numbered_line(reader.properties, "server.", id));
    let at = at.or_else(|| reader.line("dynamicConfigFile"));
    let at = at.unwrap_or_else(|| panic!("{key} comes from one of two files"));
    let resolved = resolve(&listed.host, listed.port).map_err(|problem| {
        at.refused(
            format!("the client address {listed} of {key}: {problem}"),
            "write an address of this machine",
        )
    })?;
    let agree = given.is_none_or(|given| match given.ip {
        None => given.port == resolved.port,
        Some(_) => given == resolved,
    });
    if let (Some(given), false) = (given, agree) {
        return Err(at.refused(
            format!("clientPort says {given}, but {key} says {listed}"),
            "remove clientPort and clientPortAddress",
        ));
    }
    Ok(Some(resolved))
}

/// Keys that only steer Java, but for which Java refuses some values.
fn check_java_tuning(reader: &mut Reader) -> Result<(), ConfigError> {
    reader.line_bool("jvm.pause.monitor")?;
    for key in
        ["jvm.pause.sleep.time.ms", "jvm.pause.warn-threshold.ms", "jvm.pause.info-threshold.ms"]
    {
        reader.line_number::<i64>(key)?;
    }
    reader.class(
        reader.property("serverCnxnFactory"),
        "serverCnxnFactory",
        &[
            ("org.apache.zookeeper.server.NIOServerCnxnFactory", ()),
            ("org.apache.zookeeper.server.NettyServerCnxnFactory", ()),
        ],
    )?;
    for (key, min) in [("nio.numSelectorThreads", 1), ("intBufferStartingSizeBytes", 32)] {
        let given: Option<i32> = reader.number_opt(key);
        if let (Some(given), Some(setting)) = (given, reader.property(key))
            && given < min
        {
            let expected = format!("a whole number of at least {min}");
            return Err(setting.bad(&expected, &min.to_string()));
        }
    }
    Ok(())
}

impl SessionConfig {
    fn read(reader: &mut Reader, tick_time_ms: i32) -> Result<Self, ConfigError> {
        // Java lets 20 ticks overflow into a negative number, which it then refuses as well.
        let timeout = |key, ticks| match reader.line_number::<i32>(key)? {
            -1 => tick_time_ms.checked_mul(ticks).ok_or_else(|| {
                let tick_time = reader.line("tickTime");
                let tick_time =
                    tick_time.unwrap_or_else(|| panic!("the default does not overflow"));
                tick_time.refused(
                    format!("{ticks} ticks of {tick_time_ms} ms are too long for {key}"),
                    format!("make tickTime smaller or set {key}"),
                )
            }),
            timeout => Ok(timeout),
        };
        let min = timeout("minSessionTimeout", 2)?;
        let max = timeout("maxSessionTimeout", 20)?;
        let given = reader.line("minSessionTimeout").or_else(|| reader.line("maxSessionTimeout"));
        if let (true, Some(given)) = (min > max, given) {
            return Err(given.refused(
                format!("minSessionTimeout ({min}) is larger than maxSessionTimeout ({max})"),
                "they are in milliseconds, and 2 and 20 ticks unless set",
            ));
        }
        assert!(min <= max, "2 ticks are at most 20 ticks");
        Ok(Self {
            session_timeout_ms_min: min,
            session_timeout_ms_max: max,
            close_session_txn_enabled: reader.boolean("closeSessionTxn.enabled"),
        })
    }
}

impl ContainerConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            check_interval_ms: reader.number("znode.container.checkIntervalMs"),
            max_per_minute: reader.number("znode.container.maxPerMinute"),
            max_never_used_interval_ms: reader.number("znode.container.maxNeverUsedIntervalMs"),
        }
    }
}

impl AdminConfig {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: reader.text("admin.enableServer") != "false",
            server_address: reader.text("admin.serverAddress"),
            server_port: reader.number("admin.serverPort"),
            idle_timeout_ms: reader.number("admin.idleTimeout"),
            command_url: reader.text("admin.commandURL"),
            port_unification: reader.boolean("admin.portUnification"),
            force_https: reader.boolean("admin.forceHttps"),
            need_client_auth: reader.boolean("admin.needClientAuth"),
            rate_limiter_interval_ms: reader.strict_number("admin.rateLimiterIntervalInMS")?,
            snapshot_enabled: reader.boolean("admin.snapshot.enabled"),
            restore_enabled: reader.boolean("admin.restore.enabled"),
        })
    }
}

impl MetricsConfig {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Class {
            Default,
            Null,
            Prometheus,
        }
        let setting = reader.line("metricsProvider.className");
        let class = reader.class(
            setting,
            "metricsProvider.className",
            &[
                ("org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", Class::Default),
                ("org.apache.zookeeper.metrics.impl.NullMetricsProvider", Class::Null),
                (
                    "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
                    Class::Prometheus,
                ),
            ],
        )?;
        if let (Some(setting), Class::Prometheus) = (setting, class) {
            let text = "the metrics are kept, but not served over HTTP yet; mntr shows them";
            reader.warn(setting, text);
        }
        let host = reader.properties.line("metricsProvider.httpHost");
        let port = reader.properties.line("metricsProvider.httpPort");
        Ok(match class {
            Class::Default => Self::Default,
            Class::Null => Self::Null,
            Class::Prometheus => Self::Prometheus {
                http_host: host.map_or("0.0.0.0", |setting| setting.value.as_str()).to_owned(),
                http_port: match port {
                    None => 7000,
                    Some(setting) => setting
                        .value
                        .parse()
                        .map_err(|_| setting.bad("a port between 0 and 65535", "7000"))?,
                },
            },
        })
    }
}
