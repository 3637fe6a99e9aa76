//! What ends by time goes on ending after a change of servers: sessions with their ephemerals,
//! TTL nodes and empty containers that Apache wrote are removed by the server under test, what
//! must stay stays, and the other way round.

use std::thread;
use std::time::{Duration, Instant};

use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::{Home, REFERENCE, Server, ServerUnderTest};
use jute::DeleteRequest;

const STAYS: [&str; 5] =
    ["/long-ttl", "/ttl-with-child", "/ttl-with-child/child", "/full", "/never-used"];
const ENDS: [&str; 3] = ["/ephemeral", "/short-ttl", "/emptied"];

/// More than long enough for a session of 4 s and checks every 500 ms, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

fn home() -> Home {
    Home::new(&["extendedTypesEnabled=true", "maxSessionTimeout=600000"])
        .with_property("znode.container.checkIntervalMs", "500")
}

fn write(server: &Server) {
    let mut client = RawClient::connect(server.address(), 600_000).expect("a session");
    let nodes = [
        ("/short-ttl", mode::PERSISTENT_WITH_TTL, 6000),
        ("/long-ttl", mode::PERSISTENT_WITH_TTL, 7_200_000),
        ("/ttl-with-child", mode::PERSISTENT_WITH_TTL, 500),
        ("/ttl-with-child/child", mode::PERSISTENT, 0),
        ("/full", mode::CONTAINER, 0),
        ("/full/child", mode::PERSISTENT, 0),
        ("/never-used", mode::CONTAINER, 0),
        ("/emptied", mode::CONTAINER, 0),
        ("/emptied/child", mode::PERSISTENT, 0),
    ];
    // One round trip, so that the first server's checks come to none of it too early.
    for (path, flags, ttl_ms) in nodes {
        client.queue_create(path, b"", open_acl(), flags, ttl_ms);
    }
    client.flush().expect("requests");
    for (path, ..) in nodes {
        assert_eq!(client.receive().expect("an answer").header.err, 0, "{path}");
    }
    let mut short = RawClient::connect(server.address(), 4000).expect("a session");
    short.queue_create("/ephemeral", b"", open_acl(), mode::EPHEMERAL, 0);
    short.flush().expect("a request");
    assert_eq!(short.receive().expect("an answer").header.err, 0);
    let path = "/emptied/child".into();
    let last = client.call(op::DELETE, &DeleteRequest { path, version: -1 });
    assert_eq!(last.expect("an answer").header.err, 0);
}

fn handed_on(first: ServerUnderTest, second: ServerUnderTest) {
    let server = first.start(home());
    write(&server);
    // Killed at once: most of what ends is still there for the second server.
    let server = second.start(server.kill());
    let deadline = Instant::now() + LIMIT;
    let mut client = RawClient::connect(server.address(), 600_000).expect("a session");
    let mut there = |path: &str| client.exists(path).expect("an answer");
    loop {
        let left: Vec<&str> = ENDS.into_iter().filter(|path| there(path)).collect();
        for path in STAYS {
            assert!(there(path), "{path} must stay on {second}");
        }
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{left:?} did not end on {second}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_apache_wrote_ends_here() {
    handed_on(REFERENCE, ServerUnderTest::from_env());
}

#[test]
fn what_we_wrote_ends_at_apache() {
    handed_on(ServerUnderTest::from_env(), REFERENCE);
}
