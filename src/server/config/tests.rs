//! The rules of the configuration as a whole: what each key does to the typed configuration,
//! what is refused and how that reads.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::known_keys::KNOWN_KEYS;
use super::*;
use crate::auth::DigestAlgorithm;
use crate::quorum::LearnerType;

/// What a file of these lines, beside `myid` and other files, amounts to. `DIR` stands for the
/// directory of the file in texts and in errors; `dataDir` is `DIR` unless a line says otherwise.
fn load(flags: &str, lines: &str, files: &[(&str, &str)]) -> Result<ServerConfig, String> {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().to_str().unwrap();
    for (file, text) in files {
        fs::write(dir.path().join(file), text.replace("DIR", name)).unwrap();
    }
    let data = if lines.contains("dataDir") { "" } else { "\ndataDir=DIR" };
    let file = dir.path().join("zoo.cfg");
    fs::write(&file, format!("{lines}{data}\n").replace("DIR", name)).unwrap();
    let arguments = [file.to_str().unwrap().to_owned()];
    let config = ServerConfig::from_args(&arguments, Some(flags), None);
    config
        .map(|mut config| {
            for warning in &mut config.warnings {
                *warning = warning.replace(name, "DIR");
            }
            config
        })
        .map_err(|error| error.to_string().replace(name, "DIR"))
}

fn lines(lines: &str) -> ServerConfig {
    load("", lines, &[]).unwrap()
}

fn refused(lines: &str) -> String {
    load("", lines, &[]).unwrap_err()
}

#[test]
fn defaults_are_apaches() {
    let config = lines("clientPort=2181");
    assert_eq!(config.tick_time_ms, 3000);
    assert_eq!(config.client_port_listen_backlog, -1);
    let session = SessionConfig {
        session_timeout_ms_min: 6000,
        session_timeout_ms_max: 60_000,
        close_session_txn_enabled: true,
    };
    assert_eq!(config.session, session);
    let limits = &config.limits;
    assert_eq!((limits.max_client_cnxns, limits.max_cnxns), (60, 0));
    assert_eq!(limits.jute_max_buffer_bytes, 0xf_ffff);
    assert_eq!(limits.jute_max_buffer_extra_bytes, 0xf_ffff);
    assert_eq!(limits.global_outstanding_limit, 1000);
    assert_eq!(limits.large_request.threshold_bytes, None);
    assert_eq!(limits.large_request.max_bytes, 100 << 20);
    assert_eq!(limits.connection_throttle.max_tokens, 0);
    assert!(limits.request_throttle.drop_stale);
    let storage = &config.storage;
    assert_eq!(storage.data_log_dir, storage.data_dir);
    assert_eq!((storage.snap_count, storage.max_batch_size), (100_000, 1000));
    assert_eq!(storage.snap_size_limit_bytes, Some(4 << 30));
    assert_eq!(storage.pre_alloc_size_bytes, 64 << 20);
    assert_eq!(storage.txn_log_size_limit_bytes, None);
    assert!(storage.force_sync && storage.digest_enabled && storage.db_autocreate);
    assert!(!storage.snapshot_trust_empty);
    assert_eq!(storage.snapshot_compression, SnapshotCompression::None);
    let purge = AutopurgeConfig { snap_retain_count: 3, purge_interval_hours: 0 };
    assert_eq!(storage.autopurge, purge);
    let container = ContainerConfig {
        check_interval_ms: 60_000,
        max_per_minute: 10_000,
        max_never_used_interval_ms: 0,
    };
    assert_eq!(config.container, container);
    assert!(!config.auth.skip_acl && config.auth.digest_enabled);
    assert_eq!(config.auth.digest_algorithm, DigestAlgorithm::Sha1);
    assert_eq!(config.auth.enforced_schemes, None);
    assert_eq!(config.four_letter.whitelist, BTreeSet::from(["srvr".to_owned()]));
    assert!(!config.reconfig_enabled && !config.extended_types_enabled);
    assert!(config.admin.enabled && !config.audit_enabled);
    assert_eq!(config.metrics, MetricsConfig::Default);
    assert_eq!(config.quorum.my_id, None);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn an_error_names_file_line_and_fix() {
    assert_eq!(
        refused("# two\ntickTime=abc"),
        "DIR/zoo.cfg:2: tickTime=abc is not a whole number of milliseconds above 0; \
         write for example tickTime=2000"
    );
    assert_eq!(
        load("-Dzookeeper.watchManagerName=x", "", &[]).unwrap_err(),
        "SERVER_JVMFLAGS: -Dzookeeper.watchManagerName=x is not the class name of one of \
         ZooKeeper's watch managers; write for example \
         -Dzookeeper.watchManagerName=org.apache.zookeeper.server.watch.WatchManager"
    );
}

#[test]
fn what_apache_refuses_is_refused_at_its_line() {
    for (text, problem) in [
        ("clientPort=", "clientPort= is not a port"),
        ("clientPort=65536", "clientPort=65536 is not a port"),
        ("clientPortAddress=127.0.0.1", "clientPortAddress is set, but clientPort is not"),
        ("clientPort=1\nclientPortAddress=no.such.host.invalid", "clientPortAddress=no.such"),
        ("secureClientPortAddress=::1", "secureClientPortAddress is set, but secureClientPort"),
        ("tickTime=0", "tickTime=0 is not"),
        ("tickTime=2000.5", "tickTime=2000.5 is not"),
        ("tickTime=200000000", "20 ticks of 200000000 ms are too long for maxSessionTimeout"),
        ("maxClientCnxns=many", "maxClientCnxns=many is not a whole number"),
        ("maxClientCnxns=3000000000", "maxClientCnxns=3000000000 is not a whole number"),
        ("minSessionTimeout=70000", "minSessionTimeout (70000) is larger than maxSessionTimeout"),
        ("maxSessionTimeout=5", "minSessionTimeout (6000) is larger than maxSessionTimeout (5)"),
        ("electionAlg=1", "electionAlg=1 is not 3"),
        ("peerType=spectator", "peerType=spectator is not participant or observer"),
        ("syncEnabled=yes", "syncEnabled=yes is not true or false"),
        ("reconfigEnabled=1", "reconfigEnabled=1 is not true or false"),
        ("localSessionsEnabled=", "localSessionsEnabled= is not true or false"),
        ("autopurge.purgeInterval=1h", "autopurge.purgeInterval=1h is not a whole number of hours"),
        ("jvm.pause.monitor=on", "jvm.pause.monitor=on is not true or false"),
        ("metricsProvider.className=X", "metricsProvider.className=X is not the class name"),
        ("quorum.auth.learnerRequireSasl=true", "quorum.auth.enableSasl is not"),
        (
            "quorum.auth.enableSasl=true\nquorum.auth.serverRequireSasl=true",
            "quorum.auth.learnerRequireSasl is not",
        ),
        ("server.a=h:1:2", "server.a does not end in the number"),
        ("server.1=h:1", "server.1=h:1: it does not have the form"),
        ("server.1=h:1:2|i:1:2", "multiAddress.enabled is not true"),
        ("group.1=1:x", "group.1=1:x is not a list of server ids"),
        ("group.1=1\ngroup.2=1", "server 1 is in several groups"),
        ("server.1=h:1:2\nserver.01=h:1:2", "names server 1 once more"),
        ("server.01=h:1:2\nweight.1=1", "server 1 is not in a group"),
        ("groups.01=1:2\nserver.1=h:1:2", "server 2 of group 1 is not a voting server"),
        ("version=xyz", "version=xyz is not a hexadecimal number"),
        ("connection_throttle_drop_increase=x", "connection_throttle_drop_increase=x is not"),
        ("admin.rateLimiterIntervalInMS=5m", "admin.rateLimiterIntervalInMS=5m is not"),
        ("intBufferStartingSizeBytes=16", "intBufferStartingSizeBytes=16 is not"),
        ("nio.numSelectorThreads=0", "nio.numSelectorThreads=0 is not"),
        ("serverCnxnFactory=X", "serverCnxnFactory=X is not the class name"),
        ("DigestAuthenticationProvider.digestAlg=ROT13", "digestAlg=ROT13 is not the name"),
        ("enforce.auth.enabled=true", "enforce.auth.schemes is not set"),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=ip,nope",
            "the authentication scheme \"nope\" is not offered",
        ),
        ("enforce.auth.enabled=true\nenforce.auth.schemes=sasl", "SASL or x509"),
        ("sessionRequireClientSASLAuth=true", "needs SASL authentication"),
    ] {
        let error = refused(text);
        let line = text.lines().count();
        let place = (1..=line).any(|line| error.starts_with(&format!("DIR/zoo.cfg:{line}: ")));
        assert!(place && error.contains(problem), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn what_apache_replaces_is_replaced_with_a_warning() {
    let config = lines(
        "snapCount=1\ncommitLogCount=9\nsnapshotSizeFactor=2\npreAllocSize=big\n\
         autopurge.snapRetainCount=1\nlargeRequestThreshold=0\nlargeRequestMaxBytes=-1\n\
         forceSync=never\nextendedTypesEnabled=yes\nsnapshot.compression.method=zip\n\
         connection_throttle_local_session_weight=0\nauthProvider.1=com.example.Own\n\
         jute.maxbuffer.extrasize=5",
    );
    let storage = &config.storage;
    assert_eq!((storage.snap_count, storage.commit_log_count), (2, 500));
    assert!((storage.snapshot_size_factor - 0.33).abs() < f64::EPSILON);
    assert_eq!(storage.pre_alloc_size_bytes, 64 << 20);
    assert_eq!(storage.autopurge.snap_retain_count, 3);
    assert!(storage.force_sync);
    assert_eq!(storage.snapshot_compression, SnapshotCompression::None);
    assert_eq!(config.limits.large_request.threshold_bytes, None);
    assert_eq!(config.limits.large_request.max_bytes, 104_857_600);
    assert_eq!(config.limits.connection_throttle.local_session_weight, 1);
    assert_eq!(config.limits.jute_max_buffer_extra_bytes, 1024);
    assert!(!config.extended_types_enabled);
    for line in 1..=12 {
        let place = format!("DIR/zoo.cfg:{line}: ");
        let count = config.warnings.iter().filter(|warning| warning.starts_with(&place)).count();
        assert!(count > 0, "line {line}: {:?}", config.warnings);
    }
}

#[test]
fn values_go_where_they_belong() {
    let config = load(
        "-Djute.maxbuffer=0x200000 -Dznode.container.checkIntervalMs=7 \
         -Dfsync.warningthresholdms=9",
        "tickTime=1000\nminSessionTimeout=-1\nmaxSessionTimeout=9000\nclientPort=0\n\
         clientPortAddress=127.0.0.1\nsnapSizeLimitInKb=0\ntxnLogSizeLimitInKb=8\n\
         flushDelay=30\nforceSync=no\nskipACL=yes\nsnapshot.compression.method=GZ\n\
         4lw.commands.whitelist = stat, ruok ,,conf\nsuperUser=x\nwatchManagerName=\
         org.apache.zookeeper.server.watch.WatchManagerOptimized\ndataLogDir=DIR/log\n\
         DigestAuthenticationProvider.superDigest=super:abc=\nenforce.auth.enabled=TRUE\n\
         enforce.auth.schemes=digest, ensemble\nensembleAuthName=a, b\nauthProvider.e=\
         org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider\n\
         connection_throttle_weight_enabled=true\nconnection_throttle_tokens=10\n",
        &[],
    )
    .unwrap();
    assert_eq!(config.session.session_timeout_ms_min, 2000);
    assert_eq!(config.session.session_timeout_ms_max, 9000);
    assert_eq!(config.client_address.unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(config.limits.jute_max_buffer_bytes, 2 << 20);
    assert_eq!(config.limits.jute_max_buffer_extra_bytes, 2 << 20);
    assert_eq!(config.limits.connection_throttle.max_tokens, 30);
    assert_eq!(config.container.check_interval_ms, 7);
    let storage = &config.storage;
    assert_eq!(storage.log_directory(), storage.data_dir.join("log/version-2"));
    assert_eq!(storage.snap_size_limit_bytes, None);
    assert_eq!(storage.txn_log_size_limit_bytes, Some(8192));
    assert_eq!((storage.flush_delay_ms, storage.max_write_queue_poll_time_ms), (30, 10));
    assert_eq!(storage.fsync_warning_threshold_ms, 9);
    assert_eq!(storage.snapshot_compression, SnapshotCompression::Gzip);
    assert!(!storage.force_sync && config.auth.skip_acl);
    let words: Vec<_> = config.four_letter.whitelist.iter().map(String::as_str).collect();
    assert_eq!(words, ["conf", "ruok", "srvr", "stat"]);
    assert_eq!(config.watch_manager, WatchManagerKind::Optimized);
    assert_eq!(config.auth.super_digest.as_deref(), Some("super:abc="));
    assert_eq!(config.auth.enforced_schemes.unwrap(), ["digest", "ensemble"]);
    assert_eq!(config.auth.ensemble_names.unwrap().len(), 2);
}

#[test]
fn a_star_enables_every_word_and_read_only_mode_isro() {
    let config = lines("4lw.commands.whitelist=*");
    assert!(FourLetterConfig::WORDS.iter().all(|word| config.four_letter.is_enabled(word)));
    let config = load("-Dreadonlymode.enabled=true", "", &[]).unwrap();
    assert!(config.four_letter.is_enabled("isro") && !config.four_letter.is_enabled("ruok"));
}

#[test]
fn settings_without_effect_are_told_once_each() {
    let config = load(
        "-Xmx1g -Dzookeeper.tickTime=5 -Dzookeeper.jmx.log4j.disable=true -Djava.io.tmpdir=/t \
         -Dzookeeper.snapCount=10 -Dsun.security.jgss.native=true",
        "clientPort=1\nmaxClientCnxn=5\naudit.enable=true\njute.maxbuffer=9\nmy.own=1\n",
        &[],
    )
    .unwrap();
    assert_eq!(
        config.warnings,
        [
            "DIR/zoo.cfg:3: audit.enable has no effect yet: it comes with the audit log",
            "DIR/zoo.cfg:4: jute.maxbuffer has no effect in a file; put -Djute.maxbuffer=9 into \
             SERVER_JVMFLAGS",
            "DIR/zoo.cfg:2: maxClientCnxn is not a key of ZooKeeper and has no effect; did you \
             mean maxClientCnxns?",
            "DIR/zoo.cfg:5: my.own is not a key of ZooKeeper and has no effect",
            "SERVER_JVMFLAGS: sun.security.jgss.native has no effect here: it chooses Java's GSS \
             library",
            "SERVER_JVMFLAGS: zookeeper.jmx.log4j.disable has no effect here: there is no JMX",
            "SERVER_JVMFLAGS: -Dzookeeper.tickTime has no effect; write tickTime=5 into zoo.cfg",
        ]
    );
}

#[test]
fn an_ensemble_is_read_in_full() {
    let ensemble = "initLimit=10\nsyncLimit=5\nserver.1=a:2888:3888\nserver.2=b:2888:3888;2182\n\
                    server.3=[::1]:2888:3888:observer\nserver.4=c:1:2|d:3:4\n\
                    multiAddress.enabled=true\npeerType=observer";
    let config = load("", ensemble, &[("myid", "2\n")]).unwrap();
    let quorum = &config.quorum;
    assert!(quorum.is_distributed());
    assert_eq!((quorum.members.voters().count(), quorum.members.observers().count()), (3, 1));
    assert_eq!(quorum.peer_type, LearnerType::Participant);
    assert_eq!(quorum.connect_to_learner_master_limit_ticks, 10);
    assert_eq!(config.client_address, Some(ListenAddress { ip: None, port: 2182 }));
    config.require_runnable().unwrap();

    let missing = |text: &str| load("", text, &[("myid", "1")]).unwrap_err();
    assert!(missing("server.1=a:1:2\nserver.2=b:1:2").contains("initLimit is not set"));
    assert!(missing("initLimit=1\nserver.1=a:1:2\nserver.2=b:1:2").contains("syncLimit is not"));
    assert!(refused(ensemble).contains("myid is missing"));
    let error = load("", "", &[("myid", "one\n")]).unwrap_err();
    assert!(error.starts_with("DIR/myid:1: the server id \"one\" is not"), "{error}");
}

#[test]
fn the_keys_of_the_election_are_typed() {
    let election = lines("").quorum.election;
    assert_eq!((election.cnx_timeout_ms, election.quorum_cnxn_timeout_ms), (5_000, -1));
    assert_eq!((election.election_port_bind_retry, election.tcp_keep_alive), (3, false));
    let intervals = (election.notification_interval_ms_min, election.notification_interval_ms_max);
    assert_eq!(intervals, (200, 60_000));
    let config = lines("cnxTimeout=7\nelectionPortBindRetry=0\ntcpKeepAlive=true");
    let election = config.quorum.election;
    assert_eq!((election.cnx_timeout_ms, election.election_port_bind_retry), (7, 0));
    assert!(election.tcp_keep_alive);
    let election = lines("electionPortBindRetry=-1").quorum.election;
    assert_eq!(election.election_port_bind_retry, 3);
    assert!(refused("cnxTimeout=soon").contains("cnxTimeout=soon is not"));
}

#[test]
fn one_server_line_is_standalone_unless_told_otherwise() {
    let one = "clientPort=2181\nserver.1=a:2888:3888";
    lines(one).require_runnable().unwrap();
    let alone = format!("{one}\nstandaloneEnabled=false\ninitLimit=1\nsyncLimit=1");
    let config = load("", &alone, &[("myid", "1")]).unwrap();
    assert!(config.quorum.is_distributed());
    assert!(refused("standaloneEnabled=false").contains("no server votes"));
    assert!(refused("server.1=a:1:2:observer").contains("no server votes"));
    let observed = format!("{one}\nserver.2=b:1:2:observer");
    assert!(refused(&observed).contains("one voter alone runs standalone"));
}

#[test]
fn the_client_port_of_the_own_server_line_must_agree() {
    let listed = "server.1=a:2888:3888;127.0.0.1:2182";
    let client = |text: &str| {
        load("", &format!("{text}\n{listed}"), &[("myid", "1")]).map(|c| c.client_address)
    };
    let address = client("").unwrap().unwrap();
    assert_eq!(address.to_string(), "127.0.0.1:2182");
    assert_eq!(client("clientPort=2182").unwrap(), Some(address));
    let same = "clientPort=2182\nclientPortAddress=127.0.0.1";
    assert_eq!(client(same).unwrap(), Some(address));
    assert!(client("clientPort=2181").unwrap_err().contains("clientPort says 0.0.0.0:2181"));
    let other = client("clientPort=2182\nclientPortAddress=127.0.0.2").unwrap_err();
    assert!(other.starts_with("DIR/zoo.cfg:3: clientPort says 127.0.0.2:2182"), "{other}");
}

#[test]
fn members_may_stand_in_a_dynamic_file_with_its_version_in_the_name() {
    let static_file = "clientPort=2181\ndynamicConfigFile=DIR/zoo.cfg.dynamic.1f";
    let with = |text: &str| load("", static_file, &[("zoo.cfg.dynamic.1f", text)]);
    let config = with("server.1=a:1:2\n").unwrap();
    assert_eq!((config.quorum.members.servers.len(), config.quorum.members.version), (1, 0x1f));
    let error = with("server.1=a:1:2\ntickTime=5").unwrap_err();
    assert!(error.starts_with("DIR/zoo.cfg.dynamic.1f:2: tickTime does not belong"), "{error}");
    assert!(with("version=5").unwrap_err().contains("its version in its name"));
    assert!(load("", static_file, &[]).unwrap_err().contains("cannot be read"));
    let both = format!("{static_file}\nserver.1=a:1:2");
    let error = load("", &both, &[("zoo.cfg.dynamic.1f", "")]).unwrap_err();
    assert!(error.starts_with("DIR/zoo.cfg:3: server.1 stands beside"), "{error}");
}

#[test]
fn the_sample_file_and_the_built_in_defaults_are_valid_and_say_nothing() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/zoo_sample.cfg");
    let sample = ServerConfig::from_file(&sample, Properties::default()).unwrap();
    let embedded = ServerConfig::embedded_defaults().unwrap();
    for config in [sample, embedded] {
        assert_eq!(config.client_address, Some(ListenAddress { ip: None, port: 2181 }));
        assert_eq!(config.tick_time_ms, 2000);
        assert_eq!(config.warnings, [""; 0]);
        config.require_runnable().unwrap();
    }
}

#[test]
fn a_server_needs_a_data_directory_and_a_client_port() {
    assert_eq!(
        refused("dataDir="),
        "DIR/zoo.cfg: dataDir is not set; add for example dataDir=/var/lib/zookeeper"
    );
    let error = lines("").require_runnable().unwrap_err().to_string();
    assert!(error.contains("clientPort is not set"), "{error}");
    let relative = lines("clientPort=1\ndataDir=data").warnings;
    assert_eq!(relative, ["DIR/zoo.cfg:2: dataDir=data is relative; prepend ./ if that is meant"]);
    let missing = ServerConfig::from_file(Path::new("/no/zoo.cfg"), Properties::default());
    assert!(missing.unwrap_err().to_string().starts_with("/no/zoo.cfg: cannot be read: "));
}

#[test]
fn arguments_are_flags_and_a_file_or_the_old_form_or_nothing() {
    let from = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let flags = (Some("-Dzookeeper.snapCount=5"), Some("-Dzookeeper.snapCount=6"));
        ServerConfig::from_args(&args, flags.0, flags.1)
    };
    let config = from(&["-Dzookeeper.maxCnxns=7"]).unwrap();
    assert_eq!(config.storage.data_dir, PathBuf::from("data"));
    assert_eq!((config.tick_time_ms, config.limits.max_client_cnxns), (2000, 60));
    assert_eq!((config.storage.snap_count, config.limits.max_cnxns), (6, 7));
    assert_eq!(from(&["-Dzookeeper.snapCount=8"]).unwrap().storage.snap_count, 8);

    let config = from(&["2182", "/d"]).unwrap();
    assert_eq!(config.client_address.unwrap().port, 2182);
    assert_eq!(config.storage.data_dir, PathBuf::from("/d"));
    assert_eq!((config.tick_time_ms, config.limits.max_client_cnxns), (3000, 0));
    let config = from(&["2182", "/d", "500", "9"]).unwrap();
    assert_eq!((config.tick_time_ms, config.limits.max_client_cnxns), (500, 9));

    let error = from(&["2182", "/d", "soon"]).unwrap_err().to_string();
    assert!(error.starts_with("command line: tickTime=soon is not"), "{error}");
    assert!(from(&["1", "2", "3", "4", "5"]).unwrap_err().to_string().contains("too many"));
    assert!(from(&["--help"]).unwrap_err().to_string().contains("no option --help"));
}

#[test]
fn the_table_names_each_key_once_and_its_suggestions_are_usable() {
    let mut names = BTreeSet::new();
    for key in KNOWN_KEYS {
        assert!(names.insert(key.name), "{} stands twice in the table", key.name);
        assert!(!key.values.is_empty(), "{}", key.name);
        if key.form == known_keys::Form::File && !key.name.contains('<') && key.name != "version" {
            let example = if key.example().is_empty() { "x" } else { key.example() };
            let needs = match key.name {
                "clientPortAddress" => "clientPort=1\n",
                "secureClientPortAddress" => "secureClientPort=1\n",
                "quorum.auth.serverRequireSasl" => "\n",
                _ => "",
            };
            let text = format!("{needs}{}={example}", key.name);
            let outcome = load("", &text, &[]);
            let expected = key.name == "dynamicConfigFile";
            assert_eq!(outcome.is_err(), expected, "{text}: {:?}", outcome.err());
        }
    }
}

#[test]
fn compat_md_lists_every_key_that_does_not_act() {
    let text = include_str!("../../../docs/COMPAT.md");
    let chapter = text.split("\n## ").find(|chapter| chapter.starts_with("Configuration keys"));
    let chapter = chapter.expect("docs/COMPAT.md has a chapter on configuration keys");
    let rows: Vec<&str> = chapter.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = KNOWN_KEYS
        .iter()
        .filter_map(|key| Some(format!("| `{}` | {} |", key.name, key.status.reason()?)))
        .collect();
    let expected_text = expected.join("\n");
    assert_eq!(rows, expected, "docs/COMPAT.md needs these rows, in this order:\n{expected_text}");
}

proptest! {
    /// Whatever stands in a file, it is read or refused with one line.
    #[test]
    fn any_value_of_any_key_is_read_or_refused(
        key in prop::sample::select(KNOWN_KEYS.iter().map(|key| key.name).collect::<Vec<_>>()),
        value in "[-+0-9a-zA-Z:;|.,*\\[\\]# ]{0,24}",
    ) {
        // These two would look a name up in the DNS or read another file.
        prop_assume!(!key.ends_with("Address") && key != "dynamicConfigFile" && key != "dataDir");
        let key = key.replace("<id>", "1").replace(['<', '>'], "");
        if let Err(error) = load(&format!("-D{key}={value}"), &format!("{key}={value}"), &[]) {
            prop_assert!(!error.contains('\n') && error.contains(';'), "{}", error);
        }
    }
}
