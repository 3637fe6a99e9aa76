//! What the members of an ensemble count (`mntr`) beside Apache's: the same clients do the same at
//! both, and what Apache's leader, follower and observer count, ours count too.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::hosts::{Hosts, Role};
use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::ServerUnderTest;
use jute::{GetDataRequest, SetDataRequest, SyncRequest};

const ROLES: [Role; 3] = [Role::Leader, Role::Follower, Role::Observer];

/// Times that a client writes, and reads behind that.
const ROUNDS: usize = 5;

/// How long what is counted may take to be there.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// What a member has counted, by name.
type Counts = BTreeMap<String, i64>;

/// The number of an ensemble's transactions depends on what its clients do alone. These count
/// them, and must be equal to the last one.
const EXACT: &[(Role, &[&str])] = &[
    (
        Role::Leader,
        &[
            "proposal_count",
            "commit_count",
            "request_commit_queued",
            "sync_processor_request_queued",
            "cnt_quorum_ack_latency",
            "cnt_proposal_ack_creation_latency",
            "cnt_propagation_latency",
            "cnt_write_commitproc_time_ms",
            "cnt_local_write_committed_time_ms",
            "cnt_write_final_proc_time_ms",
            "cnt_updatelatency",
        ],
    ),
    (
        Role::Follower,
        &[
            "learner_proposal_received_count",
            "learner_commit_received_count",
            "request_commit_queued",
            "sync_processor_request_queued",
            "cnt_proposal_latency",
            "cnt_proposal_ack_creation_latency",
            "cnt_commit_propagation_latency",
            "cnt_propagation_latency",
            "cnt_server_write_committed_time_ms",
            "cnt_updatelatency",
        ],
    ),
    (
        Role::Observer,
        &[
            "learner_commit_received_count",
            "request_commit_queued",
            "sync_processor_request_queued",
            "cnt_commit_propagation_latency",
            "cnt_propagation_latency",
            "cnt_server_write_committed_time_ms",
            "cnt_updatelatency",
        ],
    ),
];

/// What Apache's servers count and ours do not; docs/COMPAT.md says why of each.
const NOT_COUNTED: &[&str] = &[
    "close_session_prep_time",
    "concurrent_request_processing_in_commit_processor",
    "learner_handler_qp",
    "learner_request_processor_queue_size",
    "pending_session_queue_size",
    "proposal_process_time",
    "read_commit_proc_issued",
    "reads_after_write_in_session_queue",
    "request_throttle_queue_time_ms",
    "requests_in_session_queue",
    "response_packet_cache",
    "session_queues_drained",
    "time_waiting_empty_pool_in_commit_processor_read_ms",
    "zookeeper_write_per_namespace",
];

/// What may or may not have happened: which side of a closed session was first to close, how a
/// learner was brought up to date at the start, and pauses.
const BY_CHANCE: &[&str] = &[
    "connection_drop_count",
    "diff_count",
    "snap_count",
    "snapshottime",
    "inflight",
    "jvm_pause_time_ms",
    "socket_closing_time",
];

/// Learners that are being brought up to date, whenever one begins or ends.
const IN_FLIGHT: [&str; 2] = ["cnt_inflight_diff_count", "cnt_inflight_snap_count"];

/// A session at each member, with writes, reads behind them, a write that is refused and a sync.
fn used(kind: ServerUnderTest) -> Ensemble {
    // Half a minute of silence, so that a busy machine changes no leader meanwhile.
    let layout = Layout::new(&[kind; 3]).with_observer(kind).with_config("syncLimit=60");
    let ensemble = layout.with_config("initLimit=60").start();
    for member in 0..ensemble.len() {
        let mut client = RawClient::connect(ensemble.address(member), 30_000).expect("a session");
        let path = format!("/node-{member}");
        client.queue_create(&path, b"data", open_acl(), mode::PERSISTENT, 0);
        client.queue_create(&path, b"data", open_acl(), mode::PERSISTENT, 0);
        for _ in 0..ROUNDS {
            let (path, data) = ((&*path).into(), Some(&b"more"[..]));
            client.queue(op::SET_DATA, &SetDataRequest { path, data, version: -1 });
            client.queue(op::GET_DATA, &GetDataRequest { path: "/".into(), watch: false });
        }
        client.queue(op::SYNC, &SyncRequest { path: Some("/".into()) });
        client.flush().expect("requests are sent");
        for _ in 0..3 + 2 * ROUNDS {
            client.receive().expect("an answer");
        }
        client.close().expect("the session is closed");
    }
    ensemble
}

/// What the first member in this role has counted.
fn counts(ensemble: &Ensemble, role: Role) -> Counts {
    let text = ensemble.server(ensemble.wait_for(role)).four_letter_word("mntr");
    let count = |line: &str| {
        let (name, value) = line.strip_prefix("zk_")?.split_once('\t')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(count).collect()
}

/// Whether this is a count. Sums, means and the like are times that may well be less than a
/// millisecond; how many there were stands beside them.
fn is_count(name: &str) -> bool {
    let of_summaries = ["avg_", "min_", "max_", "sum_", "p50_", "p95_", "p99_", "p999_"];
    !of_summaries.iter().any(|prefix| name.starts_with(prefix))
        && !NOT_COUNTED.iter().chain(BY_CHANCE).any(|part| name.contains(part))
}

#[test]
fn members_count_what_apaches_count() {
    let [apache, ours] = [ServerUnderTest::Apache("3.9.6"), ServerUnderTest::from_env()].map(used);
    for (role, names) in EXACT {
        let pick = |ensemble| -> Vec<(&str, i64)> {
            let counts = counts(ensemble, *role);
            names.iter().map(|name| (*name, counts[*name])).collect()
        };
        // The last of it may be on its way to a member still.
        let deadline = Instant::now() + SETTLE_LIMIT;
        while pick(&ours) != pick(&apache) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(pick(&ours), pick(&apache), "counts of a {role:?}");
    }
    for role in ROLES {
        let (theirs, mine) = (counts(&apache, role), counts(&ours, role));
        let missing: Vec<_> = theirs
            .iter()
            .filter(|(name, count)| **count != 0 && is_count(name))
            .filter(|(name, _)| mine.get(*name).is_none_or(|count| *count == 0))
            .collect();
        assert!(
            missing.is_empty(),
            "a {role:?} of Apache's counts, and ours does not: {missing:?}"
        );
    }
    for ensemble in [&apache, &ours] {
        let counts = counts(ensemble, Role::Leader);
        let [syncs, begun_and_ended] = [["diff_count", "snap_count"], IN_FLIGHT]
            .map(|names| names.iter().map(|name| counts[*name]).sum::<i64>());
        assert!(syncs >= 3 && begun_and_ended >= 2 * 3, "three learners have joined: {counts:?}");
    }
}
