//! The four-letter words of this server (`COMPAT_SERVER` names another) beside Apache's, after the
//! same requests: the same lines in the same order, the same values where they do not depend on
//! time, addresses or the machine.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::{Home, Server, ServerUnderTest};
use jute::{ExistsRequest, GetChildrenRequest, GetDataRequest, SetDataRequest};

/// The release whose answers count.
const REFERENCE: ServerUnderTest = ServerUnderTest::Apache("3.9.6");

/// How long a session lives without a packet, in milliseconds: longer than any test.
const SESSION_TIMEOUT_MS: i32 = 1_800_000;

/// Every word but those that change something.
const WORDS: [&str; 15] = [
    "conf", "cons", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srvr", "stat",
    "wchc", "wchp", "wchs",
];

/// A server, and a client that has done what the tests look at.
struct Used {
    server: Server,
    client: RawClient,
}

impl Used {
    fn new(server: Server) -> Self {
        let client = use_server(&server).expect("requests are answered");
        // What the harness asked at the start depends on how long that took.
        server.four_letter_word("srst");
        Self { server, client }
    }

    fn ask(&self, word: &str) -> String {
        self.server.four_letter_word(word)
    }
}

fn both() -> [Used; 2] {
    let start = |kind: ServerUnderTest| kind.start(Home::new(&["maxSessionTimeout=3600000"]));
    [REFERENCE, ServerUnderTest::from_env()].map(start).map(Used::new)
}

/// Nodes, an ephemeral, watches, a quota, and transactions enough for a digest to be remembered.
fn use_server(server: &Server) -> std::io::Result<RawClient> {
    let mut client = RawClient::connect(server.address(), SESSION_TIMEOUT_MS)?;
    let nodes = [
        ("/app", mode::PERSISTENT),
        ("/app/short-lived", mode::EPHEMERAL),
        ("/zookeeper/quota/app", mode::PERSISTENT),
    ];
    for (path, flags) in nodes {
        client.queue_create(path, b"data", open_acl(), flags, 0);
    }
    let limits = b"count=5,bytes=1000";
    let path = "/zookeeper/quota/app/zookeeper_limits";
    client.queue_create(path, limits, open_acl(), mode::PERSISTENT, 0);
    let path = "/zookeeper/quota/app/zookeeper_stats";
    client.queue_create(path, b"count=0,bytes=0", open_acl(), mode::PERSISTENT, 0);
    client.flush()?;
    for _ in 0..5 {
        assert_eq!(client.receive()?.header.err, 0, "a node is created");
    }
    for version in 0..130 {
        let request = SetDataRequest { path: "/app".into(), data: Some(b"new data"), version };
        assert_eq!(client.call(op::SET_DATA, &request)?.header.err, 0, "data is set");
    }
    let path = || "/app".into();
    client.call(op::GET_DATA, &GetDataRequest { path: path(), watch: true })?;
    client.call(op::EXISTS, &ExistsRequest { path: "/not-there".into(), watch: true })?;
    client.call(op::GET_CHILDREN, &GetChildrenRequest { path: path(), watch: true })?;
    Ok(client)
}

/// The keys of lines such as `key=value`, in their order.
fn keys<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    text.lines().map(|line| line.split_once(separator).map_or(line, |(key, _)| key)).collect()
}

/// The text with every number made 0: what is left is its shape.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut in_number = false;
    for c in text.chars() {
        let is_digit = c.is_ascii_digit() || (in_number && c.is_ascii_hexdigit());
        if !is_digit {
            shape.push(c);
        } else if !in_number {
            shape.push('0');
        }
        in_number = is_digit || (in_number && c == 'x');
    }
    shape
}

#[test]
fn every_word_has_apaches_lines() {
    let [apache, ours] = both();
    for word in WORDS {
        let [apache, ours] = [apache.ask(word), ours.ask(word)];
        match word {
            "gtmk" | "isro" | "ruok" | "wchs" => assert_eq!(ours, apache, "{word}"),
            "conf" | "envi" => assert_eq!(keys(&ours, "="), keys(&apache, "="), "{word}"),
            "mntr" => assert_eq!(keys(&ours, "\t"), keys(&apache, "\t"), "{word}"),
            // Apache also shows the buckets that sessions have left.
            "dump" => assert_eq!(dump_shape(&ours), dump_shape(&apache), "{word}"),
            // The build's commit and date are each server's own.
            "srvr" | "stat" => {
                let rest = |text: &str| shape(text.split_once('\n').expect("lines").1);
                assert_eq!(sorted(&rest(&ours)), sorted(&rest(&apache)), "{word}");
            }
            "cons" => assert_eq!(sorted(&shape(&ours)), sorted(&shape(&apache)), "{word}"),
            _ => assert_eq!(shape(&ours), shape(&apache), "{word}"),
        }
    }
}

/// Lines in an order of their own: Apache lists connections in none.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// The shape of `dump` without times and empty buckets.
fn dump_shape(dump: &str) -> Vec<String> {
    let lines = dump.lines().filter(|line| !line.contains(" expire at "));
    let in_order = lines.map(|line| {
        let line = line.split_once("/(").map_or(line, |(_, elements)| elements);
        shape(line)
    });
    let mut lines: Vec<_> = in_order.collect();
    let connections = lines.iter().position(|line| line == "Connections dump:").expect("a part");
    lines[connections..].sort_unstable();
    lines
}

#[test]
fn settings_and_states_have_apaches_values() {
    let [apache, ours] = both();
    let values = |server: &Used, word: &str, separator: &str, keys: &[&str]| -> Vec<String> {
        let text = server.ask(word);
        let all: BTreeMap<_, _> =
            text.lines().filter_map(|line| line.split_once(separator)).collect();
        keys.iter().map(|key| format!("{key} {}", all[key])).collect()
    };
    let conf = [
        "secureClientPort",
        "tickTime",
        "maxClientCnxns",
        "minSessionTimeout",
        "maxSessionTimeout",
        "clientPortListenBacklog",
        "serverId",
    ];
    assert_eq!(values(&ours, "conf", "=", &conf), values(&apache, "conf", "=", &conf));
    let mntr = [
        "zk_server_state",
        "zk_ephemerals_count",
        "zk_num_alive_connections",
        "zk_znode_count",
        "zk_global_sessions",
        "zk_local_sessions",
        "zk_watch_count",
        "zk_approximate_data_size",
        "zk_max_client_response_size",
        "zk_app_quota_count_limit_per_namespace",
        "zk_app_quota_bytes_limit_per_namespace",
        "zk_app_quota_count_usage_per_namespace",
        "zk_app_quota_bytes_usage_per_namespace",
    ];
    assert_eq!(values(&ours, "mntr", "\t", &mntr), values(&apache, "mntr", "\t", &mntr));
}

#[test]
fn what_is_counted_has_apaches_values() {
    let [apache, ours] = both().map(|mut used| {
        for version in 0..20 {
            let request =
                SetDataRequest { path: "/app/short-lived".into(), data: Some(b"more"), version };
            used.client.call(op::SET_DATA, &request).expect("data is set");
        }
        for path in ["/app", "/app/short-lived", "/"] {
            let request = GetDataRequest { path: path.into(), watch: false };
            used.client.call(op::GET_DATA, &request).expect("data is read");
        }
        let request = SetDataRequest { path: "/app".into(), data: None, version: -1 };
        used.client.call(op::SET_DATA, &request).expect("the watch fires");
        used.ask("mntr")
    });
    // Not response_bytes: Apache counts a reply's after sending it, too late for who asks at once.
    let counted = [
        "zk_min_client_response_size",
        "zk_watch_bytes",
        "zk_cnt_updatelatency",
        "zk_cnt_readlatency",
        "zk_cnt_propagation_latency",
        "zk_outstanding_changes_queued",
        "zk_outstanding_changes_removed",
        "zk_cnt_node_changed_watch_count",
        "zk_sum_node_changed_watch_count",
        "zk_cnt_app_read_per_namespace",
        "zk_sum_app_read_per_namespace",
        "zk_min_app_write_per_namespace",
        "zk_sum_app_write_per_namespace",
        "zk_cnt_app_write_per_namespace",
        "zk_sum_sync_processor_batch_size",
    ];
    let lines = |mntr: &str| -> Vec<String> {
        let is_counted =
            |line: &&str| line.split_once('\t').is_some_and(|(key, _)| counted.contains(&key));
        mntr.lines().filter(is_counted).map(str::to_owned).collect()
    };
    assert_eq!(lines(&ours), lines(&apache));
    assert_eq!(lines(&ours).len(), counted.len());
}

#[test]
fn a_telnet_client_and_words_off_the_whitelist_get_apaches_answers() {
    let answers = |kind: ServerUnderTest| {
        let server = kind.start(Home::new(&["4lw.commands.whitelist=ruok, stat"]));
        let ask = |word: &[u8]| {
            let mut stream = TcpStream::connect(server.address()).expect("a server that accepts");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
            stream.write_all(word).expect("a word is sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            answer
        };
        [ask(b"ruok"), ask(b"conf"), ask(b"stmk"), ask(b"isro"), ask(b"\xff\xf4\xff\xfd")]
    };
    let apache = answers(REFERENCE);
    assert!(apache[1].contains("is not executed"), "{}", apache[1]);
    assert_eq!(answers(ServerUnderTest::from_env()), apache);
}
