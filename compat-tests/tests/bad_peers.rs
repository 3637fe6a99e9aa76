//! What comes to the election port and the quorum port from strangers and broken servers: each ends
//! its own connection, and the ensemble serves on.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::hosts::{Hosts, Role};
use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::ServerUnderTest;
use compat_tests::wire::Body;
use compat_tests::wire::quorum::{
    LOOKING, Vote, bare, election_introduction, introduction, kind, packet, read_packet,
};
use jute::CreateRequest;

/// How long the end of a connection may take.
const LIMIT: Duration = Duration::from_secs(60);

/// An id that no member has.
const STRANGER: i64 = 77;

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
    let mut stream = connect(leader, &introduction(kind::OBSERVER_INFO, 0, STRANGER));
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let info = read_packet(&mut stream).expect("LEADERINFO");
    assert_eq!(info.kind, kind::LEADER_INFO);
    stream.write_all(&packet(kind::ACK_EPOCH, 0, &0i32.to_be_bytes())).expect("it is taken");
    // A snapshot is no packet.
    let new_leader: Vec<u8> =
        [&kind::NEW_LEADER.to_be_bytes()[..], &info.zxid.to_be_bytes()].concat();
    let (mut seen, mut bytes) = (Vec::<u8>::new(), [0; 65_536]);
    while !seen.windows(new_leader.len()).any(|window| window == new_leader) {
        let count = stream.read(&mut bytes).expect("the leader's history");
        assert!(count > 0, "the leader closes the connection of an observer");
        seen.extend(&bytes[..count]);
    }
    stream.write_all(&packet(kind::ACK, info.zxid, &[])).expect("it is taken");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    (stream, info.zxid)
}

/// A write at each member.
fn serves_on(ensemble: &Ensemble, name: &str) {
    (0..ensemble.len()).for_each(|member| serves_on_at(ensemble, member, name));
}

fn serves_on_at(ensemble: &Ensemble, member: usize, name: &str) {
    let mut client = RawClient::connect(ensemble.address(member), 30_000).expect("a session");
    let request = CreateRequest {
        path: format!("/{name}-{member}").into(),
        data: None,
        acl: open_acl(),
        flags: mode::PERSISTENT,
    };
    assert_eq!(client.call(op::CREATE, &request).expect("a reply").header.err, 0, "{name}");
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
        ("a ping first", packet(kind::PING, 0, &[])),
        ("an introduction without a body", packet(kind::FOLLOWER_INFO, 0, &[])),
        ("a body of two gigabytes", [&kind::FOLLOWER_INFO.to_be_bytes()[..], &[0x7f; 12]].concat()),
        ("the leader's own id", introduction(kind::FOLLOWER_INFO, 0, own_id)),
        ("the last epoch", introduction(kind::FOLLOWER_INFO, last_epoch, STRANGER)),
        ("the last zxid", introduction(kind::OBSERVER_INFO, i64::MAX, STRANGER)),
    ];
    for (what, bytes) in openings {
        let answer = wait_until_closed(connect(address, &bytes), what);
        assert!(answer.is_empty(), "{what} is answered");
    }
    let mut short = introduction(kind::OBSERVER_INFO, 0, STRANGER);
    short.extend(packet(kind::ACK_EPOCH, 0, &[0, 0]));
    wait_until_closed(connect(address, &short), "an ACKEPOCH without an epoch");

    let (mut stream, epoch) = observer(address);
    // Neither closes it: what no server of ours or Apache's asks for is answered or passed over.
    let request = |op: i32, body: &[u8]| {
        let data = Body::new().long(7).int(1).int(op).raw(body).into_bytes();
        packet(kind::REQUEST, -1, &data)
    };
    for op in [-1, 0, 1, 2, 5, 7, 13, 14, 15, 16, 19, 20, 21, -10, -11, 99, 101, i32::MAX] {
        for body in [&[][..], &[0xff; 40], &[0x7f; 4]] {
            stream.write_all(&request(op, body)).expect("it is taken");
        }
    }
    serves_on(&ensemble, "after-requests");
    stream.write_all(&packet(kind::ACK, epoch | 0x7fff_ffff, &[])).expect("it is taken");
    wait_until_closed(stream, "an ACK of what was never proposed");

    let bad = [
        ("a REQUEST that is too short", packet(kind::REQUEST, -1, &[1, 2, 3])),
        ("a PING with half a session", packet(kind::PING, 0, &[9; 17])),
        ("a REVALIDATE that is too short", packet(kind::REVALIDATE, -1, &[1])),
        ("an unknown packet", packet(4711, 0, &[])),
        ("a body of negative length", [&kind::PING.to_be_bytes()[..], &[0xfe; 12]].concat()),
        ("an introduction again", introduction(kind::FOLLOWER_INFO, 0, STRANGER)),
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

/// Apache's leader bounds each read only, and would keep both for as long as they like.
#[test]
fn who_sends_a_packet_byte_by_byte_loses_its_place() {
    let ours = ServerUnderTest::Gamekeeper;
    let ensemble = Layout::new(&[ours; 3]).with_config("initLimit=8").start();
    let leader = ensemble.wait_for_leader();
    let address = ensemble.quorum_address(leader);
    // One that is only introduced, and one that is served.
    let mut introduced = connect(address, &introduction(kind::OBSERVER_INFO, 0, STRANGER + 1));
    introduced.set_read_timeout(Some(LIMIT)).expect("a timeout");
    assert_eq!(read_packet(&mut introduced).expect("LEADERINFO").kind, kind::LEADER_INFO);
    let (served, _) = observer(address);
    for (stream, what) in [(introduced, "introduced"), (served, "served")] {
        let mut slow = stream.try_clone().expect("a descriptor");
        let drip = thread::spawn(move || {
            let deadline = Instant::now() + LIMIT;
            // The head of a PING with a long body, and ever more of that.
            let head = [&kind::PING.to_be_bytes()[..], &[0; 8], &100_000i32.to_be_bytes()].concat();
            for byte in head.into_iter().chain(std::iter::repeat(0)) {
                if Instant::now() > deadline || slow.write_all(&[byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        wait_until_closed(stream, what);
        drip.join().expect("it ends with the connection");
    }
    serves_on(&ensemble, "after-drips");
    assert_eq!(ensemble.wait_for_leader(), leader, "the leader has not changed");
}

#[test]
fn bad_voters_do_not_keep_others_from_electing() {
    let mut ensemble = Layout::new(&[ServerUnderTest::from_env(); 3]).start();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let vote = |leader: i64, highest: i64| {
        let (zxid, round, peer_epoch) = (highest, highest, highest);
        Vote { state: LOOKING, leader, zxid, round, peer_epoch }.message()
    };
    let mut open = Vec::new();
    for member in 0..3 {
        let address = ensemble.election_address(member);
        for (what, bytes) in [
            ("garbage", vec![0xff; 64]),
            ("its own id", election_introduction(member as i64 + 1, nobody)),
            ("addresses of two gigabytes", {
                let mut bytes = election_introduction(STRANGER, nobody);
                bytes[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
                bytes
            }),
            ("a message of two gigabytes", {
                [election_introduction(STRANGER, nobody), i32::MAX.to_be_bytes().to_vec()].concat()
            }),
            ("a message of negative length", {
                [election_introduction(STRANGER, nobody), i32::MIN.to_be_bytes().to_vec()].concat()
            }),
        ] {
            wait_until_closed(connect(address, &bytes), what);
        }
        for highest in [i64::MAX, i64::MIN, -1] {
            let bytes = [
                election_introduction(STRANGER, nobody),
                vote(STRANGER, highest),
                vote(1, highest),
            ];
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

/// Followers of Apache's before 3.9.3 may acknowledge a proposal before NEWLEADER (ZOOKEEPER-4685).
#[test]
fn a_proposal_may_be_acknowledged_before_newleader() {
    let mut ensemble = Layout::new(&[ServerUnderTest::Gamekeeper; 3]).start();
    let (leader, member) = (ensemble.wait_for_leader(), ensemble.follower(0));
    ensemble.kill(member);
    serves_on_at(&ensemble, leader, "before");
    let last = ensemble.last_zxid(leader).expect("it serves");
    let sid = member as i64 + 1;
    let hello = introduction(kind::FOLLOWER_INFO, last >> 32 << 32, sid);
    let mut stream = connect(ensemble.quorum_address(leader), &hello);
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let epoch = next_to_act_on(&mut stream, kind::LEADER_INFO);
    let no_new_promise = packet(kind::ACK_EPOCH, last, &(-1i32).to_be_bytes());
    stream.write_all(&no_new_promise).expect("it is taken");
    assert_eq!(next_to_act_on(&mut stream, kind::DIFF), last, "nothing is missing");
    assert_eq!(next_to_act_on(&mut stream, kind::NEW_LEADER), epoch);
    serves_on_at(&ensemble, leader, "meanwhile");
    let mut proposed = next_to_act_on(&mut stream, kind::PROPOSAL);
    stream.write_all(&bare(kind::ACK, proposed)).expect("it is taken");
    stream.write_all(&bare(kind::ACK, epoch)).expect("it is taken");
    // What was written meanwhile, and then that it may serve.
    loop {
        let packet = read_packet(&mut stream).expect("the leader keeps it");
        match packet.kind {
            kind::PROPOSAL => proposed = packet.zxid,
            kind::UP_TO_DATE => break,
            _ => {}
        }
    }
    stream.write_all(&bare(kind::ACK, proposed)).expect("it is taken");
    serves_on_at(&ensemble, leader, "after");
    while next_to_act_on(&mut stream, kind::PROPOSAL) <= proposed {}
    assert_eq!(ensemble.wait_for_leader(), leader, "the leader has not changed");
}

/// The next packet behind commits and pings, which has to be of this type; gives its zxid.
fn next_to_act_on(stream: &mut TcpStream, wanted: i32) -> i64 {
    loop {
        let packet = read_packet(stream).expect("a packet of the leader");
        match packet.kind {
            kind::PING | kind::COMMIT => {}
            other => {
                assert_eq!(other, wanted, "{packet:?}");
                return packet.zxid;
            }
        }
    }
}
