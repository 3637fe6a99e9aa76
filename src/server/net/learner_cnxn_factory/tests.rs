//! Both ends of the quorum port in one process, and strangers at its door.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute::{Acl, CreateTxn, Field, Id, LearnerInfo, TxnHeader};

use super::{HistoryDirs, LearnerCnxnFactory, LearnerCnxnOptions, LearnerEvent};
use crate::auth::{AuthOptions, ProviderRegistry};
use crate::persistence::{FileTxnLog, LogBatch, LogOptions, OsDisk};
use crate::processor::{ServerState, ZkDatabase};
use crate::proto::{HostPort, Packet, PacketType, SessionId, TxnEntry, Zxid};
use crate::quorum::{ConnectId, HistoryPlan, LearnerCnxn, LearnerCnxnId, OUTBOX_BYTES_MAX};
use crate::tree::{DataTree, TreeOptions};

/// How long an event may take that is certain to come.
const PATIENCE: Duration = Duration::from_secs(20);

struct End {
    factory: LearnerCnxnFactory,
    events: Receiver<LearnerEvent>,
    _logs: tempfile::TempDir,
}

fn end(change: impl FnOnce(&mut LearnerCnxnOptions)) -> End {
    let logs = tempfile::tempdir().unwrap();
    let mut options = LearnerCnxnOptions {
        quorum_addresses: vec![HostPort { host: "127.0.0.1".into(), port: 0 }],
        listen_on_all_ips: false,
        init_limit_ms: 20_000,
        connect_limit_ms: 20_000,
        connect_retry_delay_ms: 10,
        follower_nodelay: true,
        leader_nodelay: true,
        packet_bytes_max: 1 << 20,
        tree_options: TreeOptions::default(),
        history: HistoryDirs {
            logs: logs.path().to_owned(),
            snapshots: logs.path().to_owned(),
            snapshot_size_factor: 0.33,
        },
    };
    change(&mut options);
    let (tell, events) = channel();
    let sink = move |batch: Vec<LearnerEvent>| {
        batch.into_iter().for_each(|event| drop(tell.send(event)));
    };
    End { factory: LearnerCnxnFactory::start(options, sink).unwrap(), events, _logs: logs }
}

impl End {
    /// The next event that is not a receipt; those are dropped.
    fn next(&self) -> LearnerEvent {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an event is due") {
                LearnerEvent::Receipt(_) => {}
                event => return event,
            }
        }
    }

    fn packet(&self, of: LearnerCnxnId) -> Packet {
        match self.next() {
            LearnerEvent::Packet(id, packet) if id == of => packet,
            other => panic!("{other:?}"),
        }
    }

    fn closed(&self, of: LearnerCnxnId) -> String {
        match self.next() {
            LearnerEvent::Closed(id, reason) if id == of => reason,
            other => panic!("{other:?}"),
        }
    }

    fn listen(&self) -> SocketAddr {
        self.factory.listen();
        match self.next() {
            LearnerEvent::Listening(addresses) => addresses[0],
            other => panic!("{other:?}"),
        }
    }
}

fn at(address: SocketAddr) -> Vec<HostPort> {
    vec![HostPort { host: address.ip().to_string(), port: address.port() }]
}

fn encoded(packet: &Packet) -> Bytes {
    let mut bytes = BytesMut::new();
    packet.encode(&mut bytes);
    bytes.freeze()
}

fn introduction() -> Packet {
    let info = LearnerInfo { serverid: 7, protocol_version: 0x10000, config_version: 0 };
    Packet::with_data(PacketType::FollowerInfo, Zxid(0), info.to_vec().into())
}

fn send(cnxn: &LearnerCnxn, packet: &Packet) {
    cnxn.outbox().push(encoded(packet));
    cnxn.flush();
}

/// A leader and a learner with a connection between them: each end with its half.
fn pair(
    change: impl Fn(&mut LearnerCnxnOptions),
) -> (End, Arc<LearnerCnxn>, End, Arc<LearnerCnxn>) {
    let (leader, learner) = (end(&change), end(&change));
    learner.factory.connect(ConnectId(3), at(leader.listen()));
    let LearnerEvent::Connected(attempt, of_learner) = learner.next() else {
        panic!("not connected")
    };
    assert_eq!(attempt, ConnectId(3));
    send(&of_learner, &introduction());
    let LearnerEvent::Accepted(of_leader) = leader.next() else { panic!("not accepted") };
    assert_eq!(leader.packet(of_leader.id), introduction());
    (leader, of_leader, learner, of_learner)
}

fn create(zxid: i64, path: &str, data: &[u8]) -> Vec<u8> {
    let mut entry = TxnHeader { client_id: 1, cxid: 2, zxid, time: 4, kind: 1 }.to_vec();
    let id = Id { scheme: "world".into(), id: "anyone".into() };
    let txn = CreateTxn {
        path: path.into(),
        data: Some(data),
        acl: vec![Acl { perms: 31, id }],
        ephemeral: false,
        parent_cversion: zxid as i32,
    };
    txn.write(&mut entry);
    entry
}

/// A database with so many nodes of so many bytes below the root.
fn database(nodes: i64, data_bytes: usize) -> Arc<ServerState> {
    let sessions = [(SessionId(0x77), 30_000)].into_iter().collect();
    let mut database = ZkDatabase { tree: DataTree::new(TreeOptions::default()), sessions };
    for zxid in 1..=nodes {
        let entry = create(zxid, &format!("/node-{zxid}"), &vec![zxid as u8; data_bytes]);
        database.apply(&TxnEntry::decode(&entry).unwrap(), &mut ());
    }
    let auth = ProviderRegistry::new(AuthOptions::default());
    Arc::new(ServerState::new(database, auth, 1 << 20))
}

#[test]
fn packets_go_both_ways_in_order_and_the_sender_does_not_wait() {
    let (leader, to_learner, learner, to_leader) = pair(|_| {});
    // More than any socket buffer takes at once.
    let body = Bytes::from(vec![7; 1 << 20]);
    for zxid in 0..64 {
        let proposal = Packet::with_data(PacketType::Proposal, Zxid(zxid), body.clone());
        send(&to_learner, &proposal);
    }
    for zxid in 0..64 {
        let proposal = learner.packet(to_leader.id);
        assert_eq!((proposal.zxid, proposal.data.as_ref()), (Zxid(zxid), Some(&body)));
        send(&to_leader, &Packet::bare(PacketType::Ping, Zxid(zxid)));
    }
    for zxid in 0..64 {
        let ping = Packet::bare(PacketType::Ping, Zxid(zxid));
        assert_eq!(leader.packet(to_learner.id), ping);
    }
    send(&to_learner, &Packet::bare(PacketType::UpToDate, Zxid(-1)));
    to_learner.outbox().close();
    to_learner.flush();
    assert_eq!(learner.packet(to_leader.id).kind, PacketType::UpToDate);
    leader.closed(to_learner.id);
    learner.closed(to_leader.id);
}

#[test]
fn strangers_are_sent_away_and_the_engine_hears_nothing_of_them() {
    let leader = end(|options| options.init_limit_ms = 300);
    let address = leader.listen();
    let answer_to = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // Closed or reset, if more was sent than was read.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    };
    answer_to(b"GET / HTTP/1.1\r\n\r\n");
    answer_to(&encoded(&Packet::bare(PacketType::Ack, Zxid(1))));
    answer_to(&encoded(&Packet::bare(PacketType::FollowerInfo, Zxid(1))));
    let short = Bytes::from_static(&[0; 7]);
    answer_to(&encoded(&Packet::with_data(PacketType::ObserverInfo, Zxid(1), short)));
    answer_to(&[0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
    // Half a packet, and nothing at all: sent away when their time is over.
    answer_to(&encoded(&introduction())[..20]);
    answer_to(b"");
    leader.events.recv_timeout(Duration::from_millis(50)).expect_err("nobody was accepted");
    leader.factory.stop_listening();
    let again = leader.listen();
    TcpStream::connect(again).unwrap();
}

#[test]
fn an_address_that_is_named_twice_is_opened_once() {
    let local = |port| HostPort { host: "127.0.0.1".into(), port };
    let other = |port| HostPort { host: "127.0.0.2".into(), port };
    let opened = |change: &dyn Fn(&mut LearnerCnxnOptions), port: Option<u16>| {
        let leader = end(change);
        match port {
            Some(port) => leader.factory.listen_for_observers(port),
            None => leader.factory.listen(),
        }
        match leader.next() {
            LearnerEvent::Listening(addresses) => addresses.len(),
            LearnerEvent::ListenFailed(_) => 0,
            other => panic!("{other:?}"),
        }
    };
    let two = vec![local(0), other(0)];
    let on_all = |options: &mut LearnerCnxnOptions| {
        options.quorum_addresses = two.clone();
        options.listen_on_all_ips = true;
    };
    assert_eq!(opened(&on_all, None), 1);
    let on_two_ports = |options: &mut LearnerCnxnOptions| {
        options.quorum_addresses = vec![local(1), local(2)];
    };
    assert_eq!(opened(&on_two_ports, Some(0)), 1, "observers have one port");
    // No machine has an address of documentation (RFC 5737).
    let nowhere = HostPort { host: "192.0.2.1".into(), port: 0 };
    let half = |options: &mut LearnerCnxnOptions| {
        options.quorum_addresses = vec![local(0), nowhere.clone()];
    };
    assert_eq!(opened(&half, None), 1, "one is enough");
    let none = |options: &mut LearnerCnxnOptions| options.quorum_addresses = vec![nowhere.clone()];
    assert_eq!(opened(&none, None), 0);
}

#[test]
fn of_too_many_strangers_the_oldest_goes() {
    let leader = end(|_| {});
    let address = leader.listen();
    let mut oldest = TcpStream::connect(address).unwrap();
    oldest.set_read_timeout(Some(PATIENCE)).unwrap();
    let others: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(oldest.read(&mut [0]).unwrap(), 0);
    let mut newest = others.last().unwrap();
    newest.write_all(&encoded(&introduction())).unwrap();
    assert!(matches!(leader.next(), LearnerEvent::Accepted(_)));
}

#[test]
fn a_leader_that_is_not_there_is_tried_and_given_up() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let learner = end(|_| {});
    learner.factory.connect(ConnectId(1), at(closed));
    let LearnerEvent::ConnectFailed(attempt, reason) = learner.next() else { panic!("connected") };
    assert_eq!(attempt, ConnectId(1));
    assert!(reason.contains("try 11"), "{reason}");

    let slow = end(|options| options.connect_retry_delay_ms = 10_000);
    slow.factory.connect(ConnectId(1), at(closed));
    slow.factory.cancel();
    slow.events.recv_timeout(Duration::from_millis(100)).expect_err("it was cancelled");

    // One of two addresses is enough.
    let leader = end(|_| {});
    let both = [at(closed), at(leader.listen())].concat();
    learner.factory.connect(ConnectId(2), both);
    let LearnerEvent::Connected(attempt, cnxn) = learner.next() else { panic!("not connected") };
    assert_eq!(attempt, ConnectId(2));
    learner.factory.cancel();
    learner.closed(cnxn.id);
}

#[test]
fn silence_ends_a_connection_when_the_engine_says_so() {
    let (leader, to_learner, learner, to_leader) = pair(|_| {});
    leader.factory.set_read_timeout(to_learner.id, 50);
    let reason = leader.closed(to_learner.id);
    assert_eq!(reason, "nothing was heard for 50 ms");
    learner.closed(to_leader.id);
    learner.factory.set_read_timeout(to_leader.id, 1);
    learner.factory.close(to_leader.id, "it is over already");
}

#[test]
fn a_packet_that_comes_too_slowly_ends_a_connection() {
    let leader = end(|options| options.init_limit_ms = 2000);
    let mut learner = TcpStream::connect(leader.listen()).unwrap();
    learner.write_all(&encoded(&introduction())).unwrap();
    let LearnerEvent::Accepted(of_leader) = leader.next() else { panic!("not accepted") };
    leader.packet(of_leader.id);
    // Each packet is whole in time: it may go on for longer than the limit.
    for part in encoded(&Packet::bare(PacketType::Ping, Zxid(1))).repeat(2).chunks(10) {
        std::thread::sleep(Duration::from_millis(700));
        learner.write_all(part).unwrap();
    }
    assert_eq!(leader.packet(of_leader.id).kind, PacketType::Ping);
    assert_eq!(leader.packet(of_leader.id).kind, PacketType::Ping);
    // More bytes than it may take time for, and never too long between two of them.
    let long = Packet::with_data(PacketType::Ping, Zxid(1), vec![0; 4096].into());
    let drip = std::thread::spawn(move || {
        for byte in encoded(&long).chunks(1) {
            if learner.write_all(byte).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let reason = leader.closed(of_leader.id);
    assert!(reason.contains("half a packet"), "{reason}");
    drip.join().unwrap();
}

#[test]
fn a_learner_whose_outbox_is_full_is_let_go() {
    let (leader, to_learner, _learner, _) = pair(|_| {});
    to_learner.outbox().hold();
    let many = Bytes::from(vec![0; 1 << 20]);
    (0..=OUTBOX_BYTES_MAX >> 20).for_each(|_| to_learner.outbox().push(many.clone()));
    to_learner.flush();
    assert!(leader.closed(to_learner.id).contains("too far behind"));
}

#[test]
fn reading_stops_until_the_engine_has_come_by() {
    let (_leader, to_learner, learner, _) = pair(|_| {});
    let body = Bytes::from(vec![7; 200 << 10]);
    const PACKETS: usize = 400;
    for zxid in 0..PACKETS as i64 {
        send(&to_learner, &Packet::with_data(PacketType::Inform, Zxid(zxid), body.clone()));
    }
    let mut kept = Vec::new();
    while let Ok(event) = learner.events.recv_timeout(Duration::from_millis(300)) {
        kept.push(event);
    }
    let packets = |events: &[LearnerEvent]| {
        events.iter().filter(|event| matches!(event, LearnerEvent::Packet(..))).count()
    };
    let before = packets(&kept);
    assert!((1..PACKETS).contains(&before), "{before}");
    kept.clear();
    let mut after = 0;
    while before + after < PACKETS {
        let event = learner.events.recv_timeout(PATIENCE).unwrap();
        after += packets(&[event]);
    }
}

#[test]
fn a_snapshot_arrives_between_what_was_queued_before_and_after() {
    for (nodes, data_bytes) in [(0, 0), (20_000, 300)] {
        let (leader, to_learner, learner, to_leader) = pair(|_| {});
        let state = database(nodes, data_bytes);
        send(&to_learner, &Packet::bare(PacketType::Diff, Zxid(1)));
        let zxid = leader.factory.send_snapshot(&to_learner, state.clone());
        assert_eq!(zxid, Zxid(nodes));
        send(&to_learner, &Packet::bare(PacketType::NewLeader, Zxid(5)));
        assert!(matches!(leader.next(), LearnerEvent::Sent(id) if id == to_learner.id));
        send(&to_learner, &Packet::bare(PacketType::UpToDate, Zxid(-1)));

        assert_eq!(learner.packet(to_leader.id).kind, PacketType::Diff);
        assert_eq!(learner.packet(to_leader.id), Packet::bare(PacketType::Snap, zxid));
        let LearnerEvent::Snapshot(_, database) = learner.next() else { panic!("no snapshot") };
        let (received, sent) = (database.unwrap(), state.database.read());
        assert_eq!(received.tree.last_processed(), zxid);
        assert_eq!(received.tree.node_count(), sent.tree.node_count());
        assert_eq!(received.tree.tree_digest(), sent.tree.tree_digest());
        assert_eq!(received.tree.approximate_data_size(), sent.tree.approximate_data_size());
        assert_eq!(received.sessions, sent.sessions);
        assert_eq!(learner.packet(to_leader.id).kind, PacketType::NewLeader);
        assert_eq!(learner.packet(to_leader.id).kind, PacketType::UpToDate);
        send(&to_leader, &Packet::bare(PacketType::Ack, Zxid(5)));
        assert_eq!(leader.packet(to_learner.id).kind, PacketType::Ack);
    }
}

/// A role that has ended leaves no snapshot on its way: the database may soon be another.
#[test]
fn a_close_cuts_off_what_is_sent_past_the_outbox() {
    let (leader, to_learner, learner, to_leader) = pair(|_| {});
    to_learner.outbox().hold();
    send(&to_learner, &Packet::bare(PacketType::UpToDate, Zxid(-1)));
    to_learner.outbox().close();
    to_learner.flush();
    assert_eq!(leader.closed(to_learner.id), "closed by this server");
    learner.closed(to_leader.id);
}

#[test]
fn a_bad_snapshot_ends_the_connection() {
    let (_leader, to_learner, learner, to_leader) = pair(|_| {});
    to_learner.outbox().push(encoded(&Packet::bare(PacketType::Snap, Zxid(9))));
    to_learner.outbox().push(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, b'/', b'a']));
    to_learner.outbox().push(Bytes::from(vec![0; 84]));
    to_learner.flush();
    assert_eq!(learner.packet(to_leader.id).kind, PacketType::Snap);
    let LearnerEvent::Snapshot(_, Err(reason)) = learner.next() else { panic!("it was read") };
    assert!(reason.contains("root"), "{reason}");
    assert!(learner.closed(to_leader.id).contains("snapshot"));
}

#[test]
fn a_snapshot_that_is_cut_off_is_no_snapshot() {
    let (leader, to_learner, learner, to_leader) = pair(|_| {});
    to_learner.outbox().push(encoded(&Packet::bare(PacketType::Snap, Zxid(9))));
    to_learner.outbox().push(Bytes::from_static(&[0, 0, 0, 3, 0, 0]));
    to_learner.outbox().close();
    to_learner.flush();
    leader.closed(to_learner.id);
    assert_eq!(learner.packet(to_leader.id).kind, PacketType::Snap);
    assert!(matches!(learner.next(), LearnerEvent::Snapshot(_, Err(_))));
    learner.closed(to_leader.id);
}

fn log(dir: &std::path::Path, zxids: impl Iterator<Item = i64>) {
    let options = LogOptions { prealloc_bytes: 1 << 20, ..LogOptions::default() };
    let mut writer = FileTxnLog::new(OsDisk, dir, options);
    let mut batch = LogBatch::new();
    for zxid in zxids {
        batch.push(|out| out.extend(create(zxid, "/a", &[zxid as u8; 500])));
    }
    writer.append(&batch).unwrap();
    writer.flush().unwrap();
}

#[test]
fn history_from_disk_is_proposals_and_commits_without_a_hole() {
    let logs = tempfile::tempdir().unwrap();
    let next_epoch = 2 << 32;
    log(logs.path(), (1..=1000).chain([next_epoch + 1, next_epoch + 2]));
    let use_logs = |options: &mut LearnerCnxnOptions| options.history.logs = logs.path().to_owned();
    let (leader, to_learner, learner, to_leader) = pair(use_logs);
    let up_to = Zxid(next_epoch + 1);
    leader.factory.find_history(&to_learner, Zxid(10), up_to);
    let found = leader.next();
    assert!(matches!(found, LearnerEvent::HistoryFound(_, HistoryPlan::Diff)), "{found:?}");
    send(&to_learner, &Packet::bare(PacketType::Diff, up_to));
    leader.factory.send_history(&to_learner, Zxid(10), up_to);
    send(&to_learner, &Packet::bare(PacketType::NewLeader, Zxid(next_epoch)));
    let diff = Packet::bare(PacketType::Diff, Zxid(next_epoch + 1));
    assert_eq!(learner.packet(to_leader.id), diff);
    for zxid in (11..=1000).chain([next_epoch + 1]) {
        let proposal = learner.packet(to_leader.id);
        assert_eq!((proposal.kind, proposal.zxid), (PacketType::Proposal, Zxid(zxid)));
        let entry = create(zxid, "/a", &[zxid as u8; 500]);
        assert_eq!(proposal.data.as_deref(), Some(&entry[..]));
        assert_eq!(learner.packet(to_leader.id), Packet::bare(PacketType::Commit, Zxid(zxid)));
    }
    assert_eq!(learner.packet(to_leader.id).kind, PacketType::NewLeader);
    assert!(matches!(leader.next(), LearnerEvent::Sent(_)));
}

#[test]
fn a_log_with_a_hole_cannot_do() {
    let logs = tempfile::tempdir().unwrap();
    log(logs.path(), (1..=10).chain(12..=20));
    let use_logs = |options: &mut LearnerCnxnOptions| options.history.logs = logs.path().to_owned();
    let (leader, to_learner, _learner, _) = pair(use_logs);
    leader.factory.find_history(&to_learner, Zxid(5), Zxid(20));
    let found = leader.next();
    assert!(matches!(found, LearnerEvent::HistoryFound(_, HistoryPlan::Snap)), "{found:?}");
}

#[test]
fn a_log_that_ends_too_early_ends_the_connection() {
    let logs = tempfile::tempdir().unwrap();
    log(logs.path(), 1..=20);
    let use_logs = |options: &mut LearnerCnxnOptions| options.history.logs = logs.path().to_owned();
    let (leader, to_learner, _learner, _) = pair(use_logs);
    leader.factory.send_history(&to_learner, Zxid(5), Zxid(30));
    let event = leader.next();
    let LearnerEvent::SendFailed(_, reason) = event else { panic!("{event:?}") };
    assert!(reason.contains("0x14"), "{reason}");
    assert_eq!(leader.closed(to_learner.id), reason);
}
