//! Data directories go from Apache to the server under test and back, with nothing lost and
//! nothing different: every node's data, Stat and ACL, sessions, ephemerals, tree digests.
//!
//! `COMPAT_ZNODES` sets the size of the large round trip.

use compat_tests::fill::{CONFIG, fill, quotas};
use compat_tests::raw_client::{RawClient, Session};
use compat_tests::server::{Home, REFERENCE, Server, ServerUnderTest};
use compat_tests::tree_dump::{State, digest_mismatches};

fn znodes() -> usize {
    let count = std::env::var("COMPAT_ZNODES").map(|count| count.parse().expect("a number"));
    count.unwrap_or(100_000)
}

fn home(config: &[&str]) -> Home {
    Home::new(&[&CONFIG, config].concat())
}

/// Starts `next` on what `before` left and compares; the server before it may be killed, so that
/// the files end in a log's tail, or be stopped.
fn hand_on(server: Server, kill: bool, next: ServerUnderTest, sessions: &[Session]) -> Server {
    let before = State::of(&server);
    let home = if kill { server.kill() } else { server.stop() };
    let server = next.start(home);
    before.assert_handed_on(&State::of(&server), &format!("handed on to {next}"));
    match digest_mismatches(server.address()) {
        Some(count) => assert_eq!(count, 0, "digest mismatches that {next} found"),
        None => assert_eq!(next, ServerUnderTest::Gamekeeper, "{next} tells of mismatches"),
    }
    for session in sessions {
        // The connection goes again, the session stays.
        RawClient::resume(server.address(), session, 0).expect("a session that lives on");
    }
    server
}

/// `first` writes, the others read and write on, each on the files of the one before.
fn round_trip(config: &[&str], count: usize, kinds: &[ServerUnderTest]) {
    let mut server = kinds[0].start(home(config));
    let mut sessions = fill(server.address(), "/from-0", count).expect("a filled server").to_vec();
    for (turn, next) in kinds.iter().enumerate().skip(1) {
        server = hand_on(server, turn % 2 == 0, *next, &sessions);
        let root = format!("/from-{turn}");
        sessions.extend(fill(server.address(), &root, 1000).expect("a filled server"));
    }
    // Once more as the last server reads its own files.
    let last = kinds[kinds.len() - 1];
    hand_on(server, true, last, &sessions);
}

#[test]
fn apache_to_us_to_apache() {
    let ours = ServerUnderTest::from_env();
    round_trip(&[], znodes(), &[REFERENCE, ours, REFERENCE]);
}

#[test]
fn us_to_apache_to_us() {
    let ours = ServerUnderTest::from_env();
    round_trip(&["snapCount=3000"], 10_000, &[ours, REFERENCE, ours]);
}

#[test]
fn the_oldest_and_the_newest_release() {
    let ours = ServerUnderTest::from_env();
    for version in ["3.8.0", "3.9.6"] {
        let apache = ServerUnderTest::Apache(version);
        round_trip(&["snapCount=3000"], 5000, &[apache, ours, apache]);
    }
}

#[test]
fn compressed_snapshots() {
    let ours = ServerUnderTest::from_env();
    for method in ["gz", "snappy"] {
        let compressed = format!("snapshot.compression.method={method}");
        let config = ["snapCount=1000", compressed.as_str()];
        round_trip(&config, 5000, &[REFERENCE, ours, REFERENCE]);
    }
}

#[test]
fn logs_apart_from_snapshots_and_in_small_files() {
    let ours = ServerUnderTest::from_env();
    // A log that ends by its size leaves several logs behind one snapshot.
    let config = ["dataLogDir=logs", "txnLogSizeLimitInKb=200", "preAllocSize=64"];
    round_trip(&config, 5000, &[REFERENCE, ours, REFERENCE]);
}

#[test]
fn quotas_and_their_counts() {
    let ours = ServerUnderTest::from_env();
    let mut server = REFERENCE.start(home(&[]));
    let mut sessions = Vec::new();
    for next in [ours, REFERENCE, ours] {
        let root = format!("/quota-{}", sessions.len());
        sessions.push(quotas(server.address(), &root, 2000).expect("a filled server"));
        server = hand_on(server, true, next, &sessions);
    }
}
