//! The answers to four-letter words, line by line.

use std::sync::Arc;

use super::*;
use crate::auth::{AuthOptions, ProviderRegistry, ip_identity};
use crate::engine::{GlobalSessions, Input, SessionsDescription};
use crate::processor::{ServerMode, ServerState, ZkDatabase};
use crate::proto::{SessionId, Zxid};
use crate::server::admin::AdminState;
use crate::server::clock;
use crate::server::config::ServerConfig;
use crate::server::mailbox::Mailbox;
use crate::server::metrics::Registry;
use crate::server::net::{ConnectionThrottle, LargeRequests};
use crate::session::{ClientCnxn, CnxnSession, SessionTracker, Transport};
use crate::stats::{ServerMetrics, TrafficRun};
use crate::tree::{DataTree, TreeOptions};

struct NoSocket;

impl Transport for NoSocket {
    fn flush(&self, _cnxn: &ClientCnxn) {}
    fn resume(&self) {}
}

/// A server with an empty tree in a directory of its own.
struct Server {
    context: ServerContext,
    sessions: SessionTracker,
    _dir: tempfile::TempDir,
}

/// Who asks.
const ASKER: CnxnId = CnxnId(99);

impl Server {
    fn new(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let config = ServerConfig::from_args(&args, None, None).unwrap();
        let database = ZkDatabase {
            tree: DataTree::new(TreeOptions::default()),
            sessions: Default::default(),
        };
        let auth = ProviderRegistry::new(AuthOptions::default());
        let registry = Arc::new(Registry::new());
        let metrics = ServerMetrics::new(registry.clone());
        let admin =
            AdminState::new(dir.path(), dir.path(), registry, clock::monotonic_ms()).unwrap();
        admin.set_client_port(2181);
        let context = ServerContext {
            state: Arc::new(ServerState::new(database, auth, 1 << 20).with_metrics(metrics)),
            mailbox: Arc::new(Mailbox::default()),
            connection_throttle: ConnectionThrottle::new(
                config.limits.connection_throttle,
                false,
                0,
                0,
            ),
            large_requests: Arc::new(LargeRequests::new(config.limits.large_request)),
            config: Arc::new(config),
            admin,
        };
        context.state.set_mode(ServerMode::Standalone);
        Self { context, sessions: SessionTracker::new(2000, SessionId(0x100)), _dir: dir }
    }

    fn with_all_words() -> Self {
        Self::new(&["-Dzookeeper.4lw.commands.whitelist=*"])
    }

    /// A connection with a session, made at the time 7.
    fn connect(&mut self, id: u64) -> Arc<ClientCnxn> {
        let peer = format!("127.0.0.{id}:5{id}").parse().unwrap();
        let identities = Arc::new([ip_identity(peer)]);
        let cnxn = Arc::new(ClientCnxn::new(CnxnId(id), peer, identities, 7, Box::new(NoSocket)));
        let (id, handle) = self.sessions.create(30_000, 0);
        cnxn.session.set(CnxnSession { id, handle }).unwrap();
        self.context.state.cnxns.add(cnxn.clone());
        cnxn
    }

    fn ask(&self, word: &[u8; 4]) -> String {
        answer(&self.context, ASKER, *word, &[]).unwrap()
    }
}

#[test]
fn words_off_the_whitelist_are_refused() {
    let server = Server::new(&["-Dzookeeper.4lw.commands.whitelist=ruok, mntr"]);
    assert_eq!(server.ask(b"ruok"), "imok");
    assert_eq!(server.ask(b"conf"), "conf is not executed because it is not in the whitelist.\n");
    assert_eq!(
        server.ask(&TELNET_CLOSE),
        "telnet close is not executed because it is not in the whitelist.\n"
    );
    assert!(server.ask(b"srvr").starts_with("Zookeeper version: 3.9.6-gamekeeper-"));
    // Without an argument to wait for, the refusal comes at once.
    assert_eq!(argument_bytes(&server.context, *b"stmk"), 0);
    let all = Server::with_all_words();
    assert_eq!(answer(&all.context, ASKER, TELNET_CLOSE, &[]), None);
    assert_eq!(argument_bytes(&all.context, *b"stmk"), 8);
}

#[test]
fn conf_lists_the_settings() {
    let server = Server::with_all_words();
    let dir = &server.context.admin.snapshots;
    std::fs::write(dir.join("log.1"), [0; 100]).unwrap();
    std::fs::create_dir(dir.join("below")).unwrap();
    std::fs::write(dir.join("below/file"), [0; 23]).unwrap();
    let dir = dir.display();
    assert_eq!(
        server.ask(b"conf"),
        format!(
            "clientPort=2181\nsecureClientPort=-1\ndataDir={dir}\ndataDirSize=123\n\
             dataLogDir={dir}\ndataLogSize=123\ntickTime=2000\nmaxClientCnxns=60\n\
             minSessionTimeout=4000\nmaxSessionTimeout=40000\nclientPortListenBacklog=-1\n\
             serverId=0\n"
        )
    );
    assert_eq!(server.ask(b"dirs"), "datadir_size: 123\nlogdir_size: 123\n");
}

#[test]
fn connections_are_listed_and_their_counts_reset() {
    let mut server = Server::with_all_words();
    let cnxn = server.connect(1);
    server.connect(2);
    {
        let mut outbox = cnxn.outbox();
        outbox.stats.packets_received = 5;
        outbox.stats.packets_sent = 4;
        outbox.stats.responded("GETD", 26, Zxid(0x2a), 10, 13);
        outbox.stats.responded("GETD", 27, Zxid(0x2b), 20, 21);
    }
    let fresh = " /127.0.0.2:52[1](queued=0,recved=0,sent=0,sid=0x101,lop=NA,est=7,to=30000,\
                 lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0)";
    assert_eq!(
        server.ask(b"cons"),
        format!(
            " /127.0.0.1:51[1](queued=0,recved=5,sent=4,sid=0x100,lop=GETD,est=7,to=30000,\
             lcxid=0x1b,lzxid=0x2b,lresp=21,llat=1,minlat=1,avglat=2,maxlat=3)\n{fresh}\n\n"
        )
    );
    let stat = server.ask(b"stat");
    let clients = "Clients:\n /127.0.0.1:51[1](queued=0,recved=5,sent=4)\n \
                   /127.0.0.2:52[1](queued=0,recved=0,sent=0)\n\nLatency min/avg/max: 0/0.0/0\n";
    assert!(stat.contains(clients), "{stat}");
    assert_eq!(server.ask(b"crst"), "Connection stats reset.\n");
    assert!(server.ask(b"cons").starts_with(" /127.0.0.1:51[1](queued=0,recved=0,sent=0,"));
}

#[test]
fn srvr_counts_and_srst_starts_anew() {
    let server = Server::with_all_words();
    server.context.state.stats.received(7);
    server.context.state.stats.sent(6);
    let lines = "Latency min/avg/max: 0/0.0/0\nReceived: 7\nSent: 6\nConnections: 0\n\
                 Outstanding: 0\nZxid: 0x0\nMode: standalone\nNode count: 5\n";
    assert!(server.ask(b"srvr").ends_with(lines), "{}", server.ask(b"srvr"));
    assert_eq!(server.ask(b"srst"), "Server stats reset.\n");
    assert!(server.ask(b"srvr").contains("\nReceived: 0\nSent: 0\n"));
}

#[test]
fn watches_are_shown_in_three_ways() {
    let mut server = Server::with_all_words();
    server.connect(1);
    server.connect(2);
    let watches = &server.context.state.watches;
    watches.add_data("/b", CnxnId(1));
    watches.add_data("/a", CnxnId(1));
    watches.add_data("/a", CnxnId(2));
    watches.add_child("/c", CnxnId(2));
    assert_eq!(server.ask(b"wchs"), "2 connections watching 2 paths\nTotal watches:3\n");
    assert_eq!(server.ask(b"wchc"), "0x100\n\t/a\n\t/b\n0x101\n\t/a\n\n");
    assert_eq!(server.ask(b"wchp"), "/a\n\t0x100\n\t0x101\n/b\n\t0x100\n\n");
}

#[test]
fn dump_shows_what_ends_when() {
    let mut server = Server::with_all_words();
    server.connect(1);
    let mailbox = server.context.mailbox.clone();
    let expiry = server.sessions.expiry_map();
    let engine = std::thread::spawn(move || {
        let mut inputs = Vec::new();
        mailbox.take(&mut inputs, std::time::Duration::from_secs(60));
        match inputs.pop() {
            Some(Input::DescribeSessions(answer)) => {
                let global = GlobalSessions::Expiry(expiry);
                answer(SessionsDescription { local: None, global });
            }
            _ => panic!("a question about the sessions comes"),
        }
    });
    let dump = server.ask(b"dump");
    engine.join().unwrap();
    let (times, rest): (Vec<&str>, Vec<_>) =
        dump.lines().partition(|line| line.contains(" expire at "));
    assert_eq!(
        rest,
        [
            "SessionTracker dump:",
            "Session Sets (1)/(1):",
            "\t0x100",
            "ephemeral nodes dump:",
            "Sessions with Ephemerals (0):",
            "Connections dump:",
            "Connections Sets (1)/(1):",
            "\tip: /127.0.0.1:51 sessionId: 0x100",
        ]
    );
    assert_eq!(times.len(), 2);
}

#[test]
fn the_trace_mask_is_kept() {
    let server = Server::with_all_words();
    assert_eq!(server.ask(b"gtmk"), "306");
    let mask = 17_i64.to_be_bytes();
    assert_eq!(answer(&server.context, ASKER, *b"stmk", &mask), Some("17".into()));
    assert_eq!(server.ask(b"gtmk"), "17");
}

#[test]
fn the_shortest_words() {
    let server = Server::with_all_words();
    assert_eq!((server.ask(b"ruok"), server.ask(b"isro")), ("imok".into(), "rw".into()));
    assert_eq!(server.ask(b"hash"), "");
    let envi = server.ask(b"envi");
    assert!(envi.starts_with("Environment:\nzookeeper.version=3.9.6-gamekeeper-"), "{envi}");
}

#[test]
fn mntr_shows_every_metric_with_its_value() {
    let server = Server::with_all_words();
    let state = &server.context.state;
    state.metrics.response_bytes.increment(7);
    state.metrics.fsynctime.record(3.0);
    state.metrics.quota_exceeded("/app/x");
    TrafficRun::new(&state.reads).add("/app/x", 72);
    let mntr = server.ask(b"mntr");
    let lines: Vec<_> = mntr.lines().collect();
    assert!(lines[0].starts_with("zk_version\t3.9.6-gamekeeper-"), "{}", lines[0]);
    assert_eq!(lines[1..3], ["zk_server_state\tstandalone", "zk_ephemerals_count\t0"]);
    let expected = [
        "zk_avg_latency\t0.0",
        "zk_znode_count\t5",
        "zk_last_client_response_size\t-1",
        "zk_connection_drop_probability\t0.0",
        "zk_response_bytes\t7",
        "zk_app_quota_exceeded_error_per_namespace\t1",
        "zk_avg_fsynctime\t3.0",
        "zk_sum_fsynctime\t3",
        "zk_p999_readlatency\t0",
        "zk_cnt_app_read_per_namespace\t1",
        "zk_sum_app_read_per_namespace\t72",
    ];
    let places = expected.map(|line| lines.iter().position(|shown| *shown == line).expect(line));
    assert!(places.is_sorted(), "{places:?}");
    server.ask(b"srst");
    assert!(server.ask(b"mntr").contains("zk_response_bytes\t0\n"));
}

#[test]
fn mntr_shows_no_metric_of_the_null_provider() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    let class = "org.apache.zookeeper.metrics.impl.NullMetricsProvider";
    let lines = format!("dataDir=d\n4lw.commands.whitelist=*\nmetricsProvider.className={class}\n");
    std::fs::write(&file, lines).unwrap();
    let server = Server::new(&[file.to_str().unwrap()]);
    let mntr = server.ask(b"mntr");
    let names: Vec<_> = mntr.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["zk_version", "zk_server_state"]);
}
