//! Syncs among writes, through followers of the other kind: Java's `CommitProcessor` takes what
//! comes from the leader in the order of its clients' requests, and a SYNC that overtakes a COMMIT
//! leaves every later write unanswered.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use compat_tests::ensemble::Layout;
use compat_tests::hosts::Hosts;
use compat_tests::raw_client::op;
use compat_tests::server::ServerUnderTest;
use compat_tests::wire::{Body, Connection, Received};

const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;

/// Pairs of a sync and a write that one connection sends at once.
const PAIRS: i32 = 300;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The two that start first elect one of them.
#[test]
fn syncs_among_writes_are_answered_in_their_order() {
    let (oldest, newest) = (ServerUnderTest::Apache("3.8.0"), ServerUnderTest::Apache("3.9.6"));
    for mix in [[OURS, OURS, oldest, newest], [newest, newest, OURS, OURS]] {
        let mut ensemble = Layout::new(&mix[..3]).with_observer(mix[3]).prepare();
        [0, 1].into_iter().for_each(|member| ensemble.launch(member));
        assert!(ensemble.wait_for_leader() < 2);
        [2, 3].into_iter().for_each(|member| ensemble.launch(member));
        ensemble.wait_until_all_serve();
        let clients = [0, 1, 2, 3, 2, 3].map(|member| {
            let address = ensemble.address(member);
            thread::spawn(move || sync_and_write(address))
        });
        for client in clients {
            client.join().expect("a client whose requests are all answered");
        }
    }
}

fn sync_and_write(address: SocketAddr) {
    let mut connection = Connection::open(address, PATIENCE).expect("a connection");
    assert!(matches!(connection.start_session(30_000), Received::Frame(_)), "no session");
    let sync = Body::new().text("/").into_bytes();
    let write = Body::new().text("/zookeeper/nothing").bytes(Some(b"x")).int(-1).into_bytes();
    let frame = |xid: i32, opcode: i32, body: &[u8]| {
        Connection::frame(&Body::new().int(xid).int(opcode).raw(body).into_bytes())
    };
    for round in 0..3 {
        let first = round * 2 * PAIRS + 1;
        let pair = |i| {
            let xid = first + 2 * i;
            [frame(xid, op::SYNC, &sync), frame(xid + 1, op::SET_DATA, &write)].concat()
        };
        connection.send(&(0..PAIRS).flat_map(pair).collect::<Vec<u8>>());
        for expected in first..first + 2 * PAIRS {
            let Received::Frame(reply) = connection.receive() else {
                panic!("{address} leaves request {expected} unanswered");
            };
            let xid = i32::from_be_bytes(*reply.first_chunk().expect("a reply's header"));
            assert_eq!(xid, expected, "the next answer of {address}");
        }
    }
}
