//! What comes to the election port and the quorum port from strangers and broken servers: each ends
//! its own connection, and the ensemble serves on.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::ensemble::{Ensemble, Layout, Role};
use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::ServerUnderTest;
use jute::CreateRequest;

/// How long the end of a connection may take.
const LIMIT: Duration = Duration::from_secs(60);

const REQUEST: i32 = 1;
const ACK: i32 = 3;
const PING: i32 = 5;
const REVALIDATE: i32 = 6;
const NEW_LEADER: i32 = 10;
const FOLLOWER_INFO: i32 = 11;
const OBSERVER_INFO: i32 = 16;
const ACK_EPOCH: i32 = 18;

/// Bytes of a LEADERINFO: type, zxid, a body of four bytes with its length, and no identities.
const LEADER_INFO_BYTES: usize = 24;

/// An id that no member has.
const STRANGER: i64 = 77;

fn packet(kind: i32, zxid: i64, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).expect("a short body");
    let mut packet = Vec::new();
    packet.extend(kind.to_be_bytes());
    packet.extend(zxid.to_be_bytes());
    packet.extend(length.to_be_bytes());
    packet.extend(body);
    packet.extend((-1i32).to_be_bytes());
    packet
}

fn introduction(kind: i32, zxid: i64, sid: i64) -> Vec<u8> {
    let mut info = sid.to_be_bytes().to_vec();
    info.extend(0x10000i32.to_be_bytes());
    info.extend(0i64.to_be_bytes());
    packet(kind, zxid, &info)
}

fn connect(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    stream.write_all(bytes).expect("it is taken");
    stream
}

/// Waits for the end of a connection; gives what came before it.
fn wait_until_closed(mut stream: TcpStream, what: &str) -> Vec<u8> {
    let deadline = Instant::now() + LIMIT;
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return all,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{what}: {error}"),
            Ok(count) => all.extend(&bytes[..count]),
            Err(_) => assert!(Instant::now() < deadline, "{what}: it stays open"),
        }
    }
}

/// An observer that the leader serves; gives its connection and the leader's epoch.
fn observer(leader: SocketAddr) -> (TcpStream, i64) {
    let mut stream = connect(leader, &introduction(OBSERVER_INFO, 0, STRANGER));
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let mut info = [0; LEADER_INFO_BYTES];
    stream.read_exact(&mut info).expect("LEADERINFO");
    let zxid = i64::from_be_bytes(*info[4..].first_chunk().expect("a zxid"));
    stream.write_all(&packet(ACK_EPOCH, 0, &0i32.to_be_bytes())).expect("it is taken");
    let new_leader: Vec<u8> = [&NEW_LEADER.to_be_bytes()[..], &zxid.to_be_bytes()].concat();
    let (mut seen, mut bytes) = (Vec::<u8>::new(), [0; 65_536]);
    while !seen.windows(new_leader.len()).any(|window| window == new_leader) {
        let count = stream.read(&mut bytes).expect("the leader's history");
        assert!(count > 0, "the leader closes the connection of an observer");
        seen.extend(&bytes[..count]);
    }
    stream.write_all(&packet(ACK, zxid, &[])).expect("it is taken");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    (stream, zxid)
}

/// A write at each member.
fn serves_on(ensemble: &Ensemble, name: &str) {
    for member in 0..ensemble.len() {
        let mut client = RawClient::connect(ensemble.address(member), 30_000).expect("a session");
        let request = CreateRequest {
            path: format!("/{name}-{member}").into(),
            data: None,
            acl: open_acl(),
            flags: mode::PERSISTENT,
        };
        assert_eq!(client.call(op::CREATE, &request).expect("a reply").header.err, 0, "{name}");
    }
}

#[test]
fn a_bad_learner_loses_its_connection_and_nothing_else() {
    let ensemble = Layout::new(&[ServerUnderTest::from_env(); 3]).start();
    let leader = ensemble.wait_for_leader();
    let address = ensemble.quorum_address(leader);
    let own_id = leader as i64 + 1;
    let last_epoch = i64::from(i32::MAX) << 32;
    let openings = [
        ("garbage", vec![0xff; 64]),
        ("zeros", vec![0; 64]),
        ("a ping first", packet(PING, 0, &[])),
        ("an introduction without a body", packet(FOLLOWER_INFO, 0, &[])),
        ("a body of two gigabytes", [&FOLLOWER_INFO.to_be_bytes()[..], &[0x7f; 12]].concat()),
        ("the leader's own id", introduction(FOLLOWER_INFO, 0, own_id)),
        ("the last epoch", introduction(FOLLOWER_INFO, last_epoch, STRANGER)),
        ("the last zxid", introduction(OBSERVER_INFO, i64::MAX, STRANGER)),
    ];
    for (what, bytes) in openings {
        let answer = wait_until_closed(connect(address, &bytes), what);
        assert!(answer.is_empty(), "{what} is answered");
    }
    let mut short = introduction(OBSERVER_INFO, 0, STRANGER);
    short.extend(packet(ACK_EPOCH, 0, &[0, 0]));
    wait_until_closed(connect(address, &short), "an ACKEPOCH without an epoch");

    let (mut stream, epoch) = observer(address);
    // Neither closes it: what no server of ours or Apache's asks for is answered or passed over.
    let request = |op: i32, body: &[u8]| {
        let mut data = 7i64.to_be_bytes().to_vec();
        data.extend(1i32.to_be_bytes());
        data.extend(op.to_be_bytes());
        data.extend(body);
        packet(REQUEST, -1, &data)
    };
    for op in [-1, 0, 1, 2, 5, 7, 13, 14, 15, 16, 19, 20, 21, -10, -11, 99, 101, i32::MAX] {
        for body in [&[][..], &[0xff; 40], &[0x7f; 4]] {
            stream.write_all(&request(op, body)).expect("it is taken");
        }
    }
    serves_on(&ensemble, "after-requests");
    stream.write_all(&packet(ACK, epoch | 0x7fff_ffff, &[])).expect("it is taken");
    wait_until_closed(stream, "an ACK of what was never proposed");

    let bad = [
        ("a REQUEST that is too short", packet(REQUEST, -1, &[1, 2, 3])),
        ("a PING with half a session", packet(PING, 0, &[9; 17])),
        ("a REVALIDATE that is too short", packet(REVALIDATE, -1, &[1])),
        ("an unknown packet", packet(4711, 0, &[])),
        ("a body of negative length", [&PING.to_be_bytes()[..], &[0xfe; 12]].concat()),
        ("an introduction again", introduction(FOLLOWER_INFO, 0, STRANGER)),
    ];
    for (what, bytes) in bad {
        let (mut stream, _) = observer(address);
        stream.write_all(&bytes).expect("it is taken");
        if what == "an introduction again" {
            // It is passed over with a warning, as Apache's leader does.
            continue;
        }
        wait_until_closed(stream, what);
    }
    serves_on(&ensemble, "after-all");
    assert_eq!(ensemble.wait_for_leader(), leader, "the leader has not changed");
}

#[test]
fn bad_voters_do_not_keep_others_from_electing() {
    let mut ensemble = Layout::new(&[ServerUnderTest::from_env(); 3]).start();
    let introduction = |sid: i64| {
        let address = b"127.0.0.1:9";
        let mut bytes = (-65_536i64).to_be_bytes().to_vec();
        bytes.extend(sid.to_be_bytes());
        bytes.extend((address.len() as i32).to_be_bytes());
        bytes.extend(address);
        bytes
    };
    // State, leader, zxid, round, epoch, version and no configuration.
    let vote = |leader: i64, highest: i64| {
        let mut message = 0i32.to_be_bytes().to_vec();
        for number in [leader, highest, highest, highest] {
            message.extend(number.to_be_bytes());
        }
        message.extend(2i32.to_be_bytes());
        message.extend(0i32.to_be_bytes());
        [&(message.len() as i32).to_be_bytes()[..], &message].concat()
    };
    let mut open = Vec::new();
    for member in 0..3 {
        let address = ensemble.election_address(member);
        for (what, bytes) in [
            ("garbage", vec![0xff; 64]),
            ("its own id", introduction(member as i64 + 1)),
            ("addresses of two gigabytes", {
                let mut bytes = introduction(STRANGER);
                bytes[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
                bytes
            }),
            ("a message of two gigabytes", {
                [introduction(STRANGER), i32::MAX.to_be_bytes().to_vec()].concat()
            }),
            ("a message of negative length", {
                [introduction(STRANGER), i32::MIN.to_be_bytes().to_vec()].concat()
            }),
        ] {
            wait_until_closed(connect(address, &bytes), what);
        }
        for highest in [i64::MAX, i64::MIN, -1] {
            let bytes = [introduction(STRANGER), vote(STRANGER, highest), vote(1, highest)];
            open.push(connect(address, &bytes.concat()));
        }
        // One byte and then nothing.
        open.push(connect(address, &[0xff]));
    }
    thread::sleep(Duration::from_millis(300));
    let leader = ensemble.wait_for_leader();
    ensemble.kill(leader);
    let survivors: Vec<usize> = (0..3).filter(|member| *member != leader).collect();
    ensemble.wait_until_serving(&survivors);
    ensemble.launch(leader);
    ensemble.wait_until_all_serve();
    assert!((0..3).any(|member| ensemble.role(member) == Role::Leader));
    serves_on(&ensemble, "after-votes");
}
