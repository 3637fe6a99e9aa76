//! The contract of the official image, held by ours and by Apache's server alike: its variables,
//! volumes, ports and user, its health check, and how it ends.
//! `COMPAT_IMAGE_APACHE_3_9=zookeeper:3.9` puts the official image itself in Apache's place.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::hosts::containers::LABEL;
use compat_tests::hosts::engine::{Engine, Running};
use compat_tests::hosts::images::image_of;
use compat_tests::raw_client::{RawClient, create_nodes};
use compat_tests::server::{REFERENCE, ServerUnderTest, four_letter_word};
use testcontainers::core::{ContainerPort, Mount};
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;

/// How long a container may take to serve, and to find itself well.
const SERVE_LIMIT: Duration = Duration::from_secs(120);

/// A container of one server; removed when dropped.
struct Alone {
    engine: &'static Engine,
    kind: ServerUnderTest,
    container: Option<Running>,
}

impl Alone {
    fn container(&self) -> &Running {
        self.container.as_ref().expect("a container until it is dropped")
    }

    /// Where its clients connect, from outside.
    fn address(&self) -> SocketAddr {
        let ports = self.engine.ports(self.container()).expect("ports that are published");
        let port = ports.map_to_host_port_ipv4(ContainerPort::Tcp(2181)).expect("2181 is exposed");
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn word(&self, word: &str) -> String {
        let limit = Duration::from_secs(5);
        four_letter_word(self.address(), word, limit).unwrap_or_default()
    }

    /// The value of a key in the answer to `conf`.
    fn conf(&self, key: &str) -> Option<String> {
        let conf = self.word("conf");
        let mut lines = conf.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
    }

    fn file(&self, path: &str) -> String {
        let content = self.engine.read(self.container(), path);
        String::from_utf8(content.unwrap_or_else(|e| panic!("{path}: {e}"))).expect("UTF-8")
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + SERVE_LIMIT;
        while !is_so() {
            let log = || self.engine.log_tail(self.container());
            assert!(Instant::now() < deadline, "{} {what}, never:\n{}", self.kind, log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a client gets a session.
    fn wait_until_serving(&self) {
        self.wait_until("serves", || {
            let client = RawClient::connect(self.address(), 10_000);
            client.and_then(RawClient::close).is_ok()
        });
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let Some(container) = self.container.take() else { return };
        if thread::panicking() {
            eprintln!("--- the log of {}\n{}", self.kind, self.engine.log_tail(&container));
        }
        self.engine.remove(container);
    }
}

/// Volumes that vanish with their test.
struct Volumes(&'static Engine, Vec<String>);

impl Drop for Volumes {
    fn drop(&mut self) {
        for name in &self.1 {
            if let Err(error) = self.0.remove_volume(name) {
                eprintln!("the volume {name} is left: {error}");
            }
        }
    }
}

/// The engine, if both images can be had; else says why not.
fn engine() -> Option<&'static Engine> {
    let images = || [OURS, REFERENCE].iter().try_for_each(|kind| image_of(*kind).map(drop));
    match Engine::get().and_then(|engine| images().map(|()| engine)) {
        Ok(engine) => Some(engine),
        Err(reason) => {
            println!("skipped, no containers: {reason}");
            None
        }
    }
}

fn request(kind: ServerUnderTest, variables: &[(&str, &str)]) -> ContainerRequest<GenericImage> {
    let image = image_of(kind).expect("an image that was there");
    let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
    // The ports that the image exposes are published under any numbers.
    let request = GenericImage::new(name, tag).with_label(LABEL, "alone");
    variables.iter().fold(request, |request, (name, value)| request.with_env_var(*name, *value))
}

fn run(kind: ServerUnderTest, request: ContainerRequest<GenericImage>) -> Alone {
    let engine = Engine::get().expect("an engine that was there");
    let container = engine.run(request).unwrap_or_else(|e| panic!("a container of {kind}: {e}"));
    Alone { engine, kind, container: Some(container) }
}

fn both(check: impl Fn(ServerUnderTest)) {
    if engine().is_some() {
        [REFERENCE, OURS].into_iter().for_each(check);
    }
}

#[test]
fn without_variables_it_serves_alone_on_2181() {
    both(|kind| {
        let server = run(kind, request(kind, &[]));
        server.wait_until_serving();
        assert_eq!(server.file("/data/myid").trim(), "1", "{kind}");
        // Of the four-letter words only srvr is answered, as zoo.cfg names no others.
        assert!(server.word("srvr").contains("Mode: standalone"), "{kind}");
        assert!(server.word("ruok").contains("not in the whitelist"), "{kind}");
        let cfg = server.file("/conf/zoo.cfg");
        for line in [
            "dataDir=/data",
            "dataLogDir=/datalog",
            "tickTime=2000",
            "initLimit=5",
            "syncLimit=2",
            "autopurge.snapRetainCount=3",
            "autopurge.purgeInterval=0",
            "maxClientCnxns=60",
            "standaloneEnabled=true",
            "admin.enableServer=true",
            "server.1=localhost:2888:3888;2181",
        ] {
            assert!(cfg.lines().any(|own| own == line), "{kind}: {line} in\n{cfg}");
        }
    });
}

#[test]
fn each_variable_acts() {
    both(|kind| {
        let variables = [
            ("ZOO_MY_ID", "7"),
            ("ZOO_SERVERS", "server.7=localhost:2888:3888;2181"),
            ("ZOO_TICK_TIME", "1234"),
            ("ZOO_INIT_LIMIT", "11"),
            ("ZOO_SYNC_LIMIT", "9"),
            ("ZOO_MAX_CLIENT_CNXNS", "77"),
            ("ZOO_STANDALONE_ENABLED", "false"),
            ("ZOO_ADMINSERVER_ENABLED", "false"),
            ("ZOO_AUTOPURGE_PURGEINTERVAL", "12"),
            ("ZOO_AUTOPURGE_SNAPRETAINCOUNT", "5"),
            ("ZOO_4LW_COMMANDS_WHITELIST", "conf, srvr, ruok"),
            ("ZOO_CFG_EXTRA", "minSessionTimeout=4321 maxSessionTimeout=54321"),
            ("ZOO_DATA_DIR", "/elsewhere/data"),
            ("ZOO_DATA_LOG_DIR", "/elsewhere/log"),
            ("ZOO_CONF_DIR", "/conf"),
            ("ZOO_LOG_DIR", "/logs"),
        ];
        // Folders that the container's user may write.
        let request = ["/elsewhere/data", "/elsewhere/log"]
            .into_iter()
            .fold(request(kind, &variables), |request, path| {
                request.with_mount(Mount::tmpfs_mount(path).with_mode(0o1777))
            });
        let server = run(kind, request);
        server.wait_until_serving();
        let expected = [
            ("serverId", "7"),
            ("tickTime", "1234"),
            ("initLimit", "11"),
            ("syncLimit", "9"),
            ("maxClientCnxns", "77"),
            ("minSessionTimeout", "4321"),
            ("maxSessionTimeout", "54321"),
            ("dataDir", "/elsewhere/data/version-2"),
            ("dataLogDir", "/elsewhere/log/version-2"),
        ];
        for (key, value) in expected {
            assert_eq!(server.conf(key).as_deref(), Some(value), "{kind}: {key}");
        }
        // An ensemble of one, as it may not stand alone.
        assert!(server.word("srvr").contains("Mode: leader"), "{kind}");
        assert_eq!(server.word("ruok"), "imok", "{kind}");
        assert!(server.word("mntr").contains("not in the whitelist"), "{kind}");
        let cfg = server.file("/conf/zoo.cfg");
        for line in [
            "autopurge.purgeInterval=12",
            "autopurge.snapRetainCount=5",
            "admin.enableServer=false",
            "standaloneEnabled=false",
        ] {
            assert!(cfg.lines().any(|own| own.trim() == line), "{kind}: {line} in\n{cfg}");
        }
    });
}

#[test]
fn a_zoo_cfg_that_is_given_is_used_as_it_is() {
    both(|kind| {
        let cfg = "dataDir=/data\ntickTime=1500\nclientPort=2181\n4lw.commands.whitelist=*\n";
        let variables = [("ZOO_TICK_TIME", "999"), ("ZOO_MAX_CLIENT_CNXNS", "77")];
        let request = request(kind, &variables);
        let server = run(kind, request.with_copy_to("/conf/zoo.cfg", cfg.as_bytes().to_vec()));
        server.wait_until_serving();
        assert_eq!(server.file("/conf/zoo.cfg"), cfg, "{kind}");
        assert_eq!(server.conf("tickTime").as_deref(), Some("1500"), "{kind}");
        assert_eq!(server.conf("maxClientCnxns").as_deref(), Some("60"), "{kind}");
    });
}

/// Also: the data of the one is taken over by the other.
#[test]
fn data_outlives_the_container_on_its_volumes() {
    let Some(engine) = engine() else { return };
    let run_id = std::process::id();
    let names = ["data", "datalog"].map(|name| format!("gamekeeper-compat-{run_id}-{name}"));
    let volumes = Volumes(engine, names.into());
    for (made, kind) in [REFERENCE, OURS, REFERENCE].into_iter().enumerate() {
        let paths = ["/data", "/datalog"].iter().zip(&volumes.1);
        let request = paths.fold(request(kind, &[]), |request, (path, volume)| {
            request.with_mount(Mount::volume_mount(volume, *path))
        });
        let server = run(kind, request);
        server.wait_until_serving();
        let mut client = RawClient::connect(server.address(), 10_000).expect("a session");
        for number in 0..made {
            let path = format!("/kept-{number}-0");
            assert!(client.exists(&path).expect("an answer"), "{path} with {kind}");
        }
        client.close().expect("a session that ends");
        create_nodes(server.address(), &format!("/kept-{made}-"), 1);
        engine.stop(server.container()).expect("its end");
    }
}

/// Its user is not root, the health check finds it well, and SIGTERM ends it with 0.
#[test]
fn ours_runs_without_root_is_well_and_ends_when_told() {
    if engine().is_none() {
        return;
    }
    let server = run(OURS, request(OURS, &[]));
    let inspect = || server.engine.inspect(server.container()).expect("what the engine knows");
    let config = inspect().config.expect("a configuration");
    assert_eq!(config.user.as_deref(), Some("1000:1000"));
    let volumes = config.volumes.map(|all| all.into_iter().collect()).unwrap_or_default();
    let mut volumes: Vec<String> = volumes;
    volumes.sort_unstable();
    assert_eq!(volumes, ["/conf", "/data", "/datalog", "/logs"]);
    let mut ports = config.exposed_ports.unwrap_or_default();
    ports.sort_unstable();
    assert_eq!(ports, ["2181/tcp", "2888/tcp", "3888/tcp", "8080/tcp"]);
    server.wait_until_serving();
    server.wait_until("is well", || {
        let health = inspect().state.and_then(|state| state.health).and_then(|h| h.status);
        health.is_some_and(|status| status.to_string() == "healthy")
    });
    assert_eq!(server.engine.stop(server.container()), Ok(0));
}

/// An ensemble without a quorum is not well.
#[test]
fn ours_is_not_well_without_a_quorum() {
    if engine().is_none() {
        return;
    }
    let servers = "server.1=localhost:2888:3888;2181 server.2=nowhere.invalid:2888:3888;2181";
    let server = run(OURS, request(OURS, &[("ZOO_MY_ID", "1"), ("ZOO_SERVERS", servers)]));
    server.wait_until("answers", || server.word("srvr").contains("not currently serving"));
    let status = server.engine.exec(server.container(), &["gamekeeper", "container", "health"]);
    assert_eq!(status, Ok(1));
}
