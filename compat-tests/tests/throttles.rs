//! The throttles at this server (`COMPAT_SERVER` names another), each configured as Apache's: what
//! is over the limit waits, is refused or loses its connection, and everyone else is served.

use std::net::SocketAddr;
use std::time::Duration;

use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::{Home, Server, ServerUnderTest};
use jute::{GetDataRequest, GetDataResponse, SetDataRequest};

/// How long a session lives without a packet, in milliseconds: longer than any test.
const SESSION_TIMEOUT_MS: i32 = 1_800_000;

/// `KeeperException.Code.THROTTLEDOP`
const THROTTLED_OP: i32 = -127;

/// Requests that are sent at once where some are to wait.
const REQUESTS: usize = 300;

fn start(config: &[&str]) -> Server {
    let mut lines = vec!["maxSessionTimeout=3600000"];
    lines.extend(config);
    ServerUnderTest::from_env().start(Home::new(&lines))
}

fn connect(address: SocketAddr) -> std::io::Result<RawClient> {
    RawClient::connect(address, SESSION_TIMEOUT_MS)
}

/// A node to write to, and the connection that made it; while a server warms up, even that may be
/// throttled.
fn client_with_node(server: &Server) -> RawClient {
    let mut client = connect(server.address()).expect("a session");
    let mut error = THROTTLED_OP;
    for _ in 0..1000 {
        client.queue_create("/node", b"", open_acl(), mode::PERSISTENT, 0);
        client.flush().expect("a request is sent");
        error = client.receive().expect("a reply").header.err;
        if error != THROTTLED_OP {
            break;
        }
    }
    assert_eq!(error, 0, "the node is created");
    client
}

/// Sends all requests at once; the error codes of the replies.
fn set_data_at_once(client: &mut RawClient) -> Vec<i32> {
    let mut errors = Vec::new();
    let request = |client: &mut RawClient, _| {
        let request = SetDataRequest { path: "/node".into(), data: Some(b"data"), version: -1 };
        client.queue(op::SET_DATA, &request);
    };
    let sent =
        client.pipeline(REQUESTS, REQUESTS, request, |_, reply| errors.push(reply.header.err));
    sent.expect("every request is answered");
    errors
}

fn metric(server: &Server, name: &str) -> i64 {
    let mntr = server.four_letter_word("mntr");
    let line = mntr.lines().find_map(|line| line.strip_prefix(&format!("zk_{name}\t")));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {mntr}"))
}

#[test]
fn sessions_beyond_the_tokens_are_refused() {
    let config = ["connection_throttle_tokens=2", "connection_throttle_fill_time=3600000"];
    let server = start(&config);
    let _served = [connect(server.address()), connect(server.address())]
        .map(|client| client.expect("there are tokens for two"));
    assert!(connect(server.address()).is_err(), "there is no token for a third");
    assert_eq!(metric(&server, "connection_rejected"), 1);
    assert_eq!(metric(&server, "connection_request_count"), 2);
    assert_eq!(metric(&server, "max_connection_token_deficit"), 2);
}

#[test]
fn requests_wait_for_the_ones_inside() {
    let server = start(&["request_throttle_max_requests=1"]);
    let mut client = client_with_node(&server);
    let errors = set_data_at_once(&mut client);
    assert_eq!(errors, vec![0; REQUESTS]);
    assert!(metric(&server, "request_throttle_wait_count") > 0);
    assert_eq!(metric(&server, "stale_requests_dropped"), 0);
}

#[test]
fn requests_that_have_waited_too_long_are_refused() {
    let server = start(&["request_throttle_max_requests=1", "throttled_op_wait_time=1"]);
    let mut client = client_with_node(&server);
    let errors = set_data_at_once(&mut client);
    let refused = errors.iter().filter(|error| **error == THROTTLED_OP).count();
    assert!(refused > 0, "one of so many waits for more than a millisecond");
    assert!(errors.iter().all(|error| [0, THROTTLED_OP].contains(error)), "{errors:?}");
    assert!(metric(&server, "throttled_ops") >= refused as i64);
}

#[test]
fn large_requests_beyond_the_budget_lose_their_connection() {
    let server = start(&["largeRequestThreshold=1000", "largeRequestMaxBytes=5000"]);
    let mut client = client_with_node(&server);
    let set = |client: &mut RawClient, bytes: usize| {
        let data = vec![b'x'; bytes];
        let request = SetDataRequest { path: "/node".into(), data: Some(&data), version: -1 };
        client.call(op::SET_DATA, &request).map(|reply| reply.header.err)
    };
    for bytes in [900, 4000, 4000, 4000] {
        assert_eq!(set(&mut client, bytes).expect("within the budget"), 0);
    }
    assert!(set(&mut client, 6000).is_err(), "more than all large requests may hold");
    assert_eq!(metric(&server, "large_requests_rejected"), 1);
    let mut other = connect(server.address()).expect("a session");
    assert_eq!(set(&mut other, 4000).expect("the budget is free again"), 0);
}

/// What waits to be sent is bounded, and whoever asks for more at once gets it all the same.
#[test]
fn reads_of_more_than_may_wait_are_all_answered() {
    let server = ServerUnderTest::from_env().start(Home::new(&[]));
    let mut client = RawClient::connect(server.address(), 30_000).expect("a session");
    client.set_answer_limit(Duration::from_secs(20)).expect("a socket");
    let large = vec![b'x'; 100_000];
    client.queue_create("/large", &large, open_acl(), mode::PERSISTENT, 0);
    client.flush().expect("it is taken");
    assert_eq!(client.receive().expect("an answer").header.err, 0);
    // 20 MB in all, and more than once what waits at most.
    for _ in 0..200 {
        client.queue(op::GET_DATA, &GetDataRequest { path: "/large".into(), watch: false });
    }
    client.flush().expect("they are taken");
    for number in 0..200 {
        let reply = client.receive().unwrap_or_else(|error| panic!("read {number}: {error}"));
        assert_eq!(reply.record::<GetDataResponse<'_>>().data, Some(&large[..]), "read {number}");
    }
}
