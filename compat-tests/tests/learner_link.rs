//! Our end of the quorum port against a leader of Apache's: a learner brings itself up to date from
//! a snapshot, then from a difference, and what it holds is what the leader's clients see. What it
//! received is written as a snapshot, and an Apache server started on that shows it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use compat_tests::ensemble::PortBlock;
use compat_tests::fill::{CONFIG, fill, quotas};
use compat_tests::raw_client::create_nodes;
use compat_tests::server::{Home, Server, ServerUnderTest};
use compat_tests::tree_dump::State;
use gamekeeper::persistence::{Compression, DataDirs, OsDisk};
use gamekeeper::processor::ZkDatabase;
use gamekeeper::proto::{HostPort, Packet, PacketType, TxnEntry, Zxid};
use gamekeeper::quorum::{ConnectId, LearnerCnxn};
use gamekeeper::server::net::{HistoryDirs, LearnerCnxnFactory, LearnerCnxnOptions, LearnerEvent};
use gamekeeper::server::storage::{SnapshotOptions, install_snapshot};
use gamekeeper::tree::{DataTree, TreeOptions};
use jute::{Field, LearnerInfo};
use parking_lot::RwLock;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An id that is none of the ensemble's: such a learner is let in.
const SID: i64 = 99;

/// An ensemble of one, and what keeps its ports from others.
fn leader(version: &'static str) -> (Server, PortBlock) {
    let block = PortBlock::take();
    let ports = block.member(0);
    let server = format!("server.1=127.0.0.1:{}:{}", ports.quorum, ports.election);
    let lines = ["standaloneEnabled=false", "initLimit=10", "syncLimit=5", server.as_str()];
    let lines = [&CONFIG[..], &lines].concat().into_iter().map(str::to_owned).collect();
    let home = Home::at_port(ports.client, lines).with_my_id(1);
    (ServerUnderTest::Apache(version).start(home), block)
}

/// An observer that keeps what it is told in memory.
struct Learner {
    factory: LearnerCnxnFactory,
    events: Receiver<LearnerEvent>,
    database: ZkDatabase,
    accepted_epoch: i64,
}

impl Learner {
    fn new() -> Self {
        let nowhere = std::path::PathBuf::from("/nonexistent");
        let options = LearnerCnxnOptions {
            quorum_addresses: Vec::new(),
            listen_on_all_ips: false,
            init_limit_ms: 20_000,
            connect_limit_ms: 20_000,
            connect_retry_delay_ms: 100,
            follower_nodelay: true,
            leader_nodelay: true,
            packet_bytes_max: 1 << 20,
            tree_options: TreeOptions::default(),
            history: HistoryDirs {
                logs: nowhere.clone(),
                snapshots: nowhere,
                snapshot_size_factor: 0.33,
            },
        };
        let (tell, events) = channel();
        let sink = move |batch: Vec<LearnerEvent>| {
            batch.into_iter().for_each(|event| drop(tell.send(event)));
        };
        let factory = LearnerCnxnFactory::start(options, sink).expect("the quorum thread");
        let tree = DataTree::new(TreeOptions::default());
        let database = ZkDatabase { tree, sessions: Default::default() };
        Self { factory, events, database, accepted_epoch: 0 }
    }

    fn next(&self) -> LearnerEvent {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an event is due") {
                LearnerEvent::Receipt(_) => {}
                event => return event,
            }
        }
    }

    fn packet(&self) -> Packet {
        match self.next() {
            LearnerEvent::Packet(_, packet) => packet,
            other => panic!("{other:?}"),
        }
    }

    fn last(&self) -> Zxid {
        self.database.tree.last_processed()
    }

    fn apply(&mut self, packet: &Packet) {
        let entry = packet.data.as_ref().expect("a transaction");
        let entry = TxnEntry::decode(entry).expect("a transaction");
        assert_eq!(entry.zxid(), packet.zxid);
        self.database.apply(&entry, &mut ());
    }

    /// Connects, says that its last transaction is `last`, and gives the leader's choice.
    fn introduce(&mut self, port: u16, last: Zxid) -> (Arc<LearnerCnxn>, Packet) {
        let host = Ipv4Addr::LOCALHOST.to_string();
        self.factory.connect(ConnectId(1), vec![HostPort { host, port }]);
        let LearnerEvent::Connected(_, cnxn) = self.next() else { panic!("not connected") };
        let info =
            LearnerInfo { serverid: SID, protocol_version: 0x10000, config_version: 0 }.to_vec();
        let accepted = Zxid(self.accepted_epoch << 32);
        send(&cnxn, Packet::with_data(PacketType::ObserverInfo, accepted, info.into()));
        let leader_info = self.packet();
        assert_eq!(leader_info.kind, PacketType::LeaderInfo);
        let epoch = leader_info.zxid.epoch();
        let current = if epoch > self.accepted_epoch { self.accepted_epoch as i32 } else { -1 };
        self.accepted_epoch = epoch;
        let current = Bytes::copy_from_slice(&current.to_be_bytes());
        send(&cnxn, Packet::with_data(PacketType::AckEpoch, last, current));
        let choice = self.packet();
        (cnxn, choice)
    }

    /// Takes what follows the leader's choice until the leader lets this learner serve; gives the
    /// number of transactions.
    fn synchronise(&mut self, cnxn: &LearnerCnxn) -> usize {
        let mut proposed = Vec::new();
        let mut count = 0;
        loop {
            let packet = self.packet();
            let new_leader = Packet::bare(PacketType::Ack, Zxid(self.accepted_epoch << 32));
            match packet.kind {
                PacketType::Proposal => proposed.push(packet),
                PacketType::Commit => {
                    let proposal = proposed.remove(0);
                    assert_eq!(proposal.zxid, packet.zxid);
                    self.apply(&proposal);
                    count += 1;
                }
                PacketType::Inform => self.apply(&packet),
                PacketType::NewLeader => send(cnxn, new_leader),
                PacketType::UpToDate => {
                    send(cnxn, new_leader);
                    return count;
                }
                PacketType::Ping => {
                    send(cnxn, Packet::with_data(PacketType::Ping, packet.zxid, Bytes::new()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes what the leader tells until `zxid` is applied.
    fn observe(&mut self, cnxn: &LearnerCnxn, zxid: Zxid) {
        while self.last() < zxid {
            let packet = self.packet();
            match packet.kind {
                PacketType::Inform => self.apply(&packet),
                PacketType::Ping => {
                    send(cnxn, Packet::with_data(PacketType::Ping, packet.zxid, Bytes::new()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// An Apache server on this learner's database shows what `leader` shows.
    fn assert_same(self, leader: &Server, version: &'static str, what: &str) {
        assert_eq!(self.database.tree.digest_mismatches(), 0, "{what}");
        let before = State::of(leader);
        let home = Home::new(&CONFIG);
        let data = home.dir().join("data");
        let dirs = DataDirs::open(OsDisk, &data, &data, true).expect("directories");
        let options = SnapshotOptions {
            history: Arc::default(),
            dir: dirs.snapshots().to_owned(),
            compression: Compression::None,
            with_digest: true,
            with_last_processed: true,
        };
        install_snapshot(&dirs, &RwLock::new(self.database), &options).expect("a snapshot");
        drop(dirs);
        let shown = ServerUnderTest::Apache(version).start(home);
        before.assert_handed_on(&State::of(&shown), what);
    }
}

fn send(cnxn: &LearnerCnxn, packet: Packet) {
    let mut bytes = BytesMut::new();
    packet.encode(&mut bytes);
    cnxn.outbox().push(bytes.freeze());
    cnxn.flush();
}

/// The last transaction the leader has applied.
fn last_of(leader: &Server) -> Zxid {
    let text = leader.four_letter_word("srvr");
    let hex = text.lines().find_map(|line| line.strip_prefix("Zxid: 0x")).expect("a zxid");
    Zxid(i64::from_str_radix(hex.trim(), 16).expect("a zxid"))
}

/// A leader with nodes. One of 3.8.0 was seen to leave a client without an answer before any
/// learner came; another takes its place.
fn filled_leader(version: &'static str) -> (Server, PortBlock) {
    for _ in 0..3 {
        let (leader, ports) = leader(version);
        let filled = fill(leader.address(), "/filled", 3000)
            .and_then(|_| quotas(leader.address(), "/counted", 500));
        match filled {
            Ok(_) => return (leader, ports),
            Err(error) => eprintln!("a leader of {version} does not answer: {error}"),
        }
    }
    panic!("three leaders of {version} cannot be filled");
}

fn follow(version: &'static str) {
    let (leader, ports) = filled_leader(version);
    let port = ports.member(0).quorum;

    // Far behind: a snapshot.
    let mut learner = Learner::new();
    let (cnxn, choice) = learner.introduce(port, Zxid(0));
    assert_eq!(choice.kind, PacketType::Snap);
    let LearnerEvent::Snapshot(_, database) = learner.next() else { panic!("no snapshot") };
    learner.database = *database.expect("a whole snapshot");
    assert_eq!(learner.last(), choice.zxid);
    learner.synchronise(&cnxn);
    assert_eq!(learner.last(), last_of(&leader));

    // Then every transaction, as it comes.
    create_nodes(leader.address(), "/while-observing-", 300);
    learner.observe(&cnxn, last_of(&leader));
    learner.factory.close(cnxn.id, "for a while");
    while !matches!(learner.next(), LearnerEvent::Closed(..)) {}

    // A little behind: a difference.
    create_nodes(leader.address(), "/while-away-", 100);
    let last = learner.last();
    let (cnxn, choice) = learner.introduce(port, last);
    assert_eq!(choice, Packet::bare(PacketType::Diff, last_of(&leader)));
    let transactions = learner.synchronise(&cnxn);
    assert_eq!(transactions as i64, last_of(&leader).0 - last.0);
    learner.factory.close(cnxn.id, "for a while");
    while !matches!(learner.next(), LearnerEvent::Closed(..)) {}

    // Ahead: told to cut.
    let last = last_of(&leader);
    let (cnxn, choice) = learner.introduce(port, Zxid(last.0 + 3));
    assert_eq!(choice, Packet::bare(PacketType::Trunc, last));
    learner.factory.close(cnxn.id, "enough");
    learner.assert_same(&leader, version, &format!("a learner of {version}"));
}

#[test]
fn a_leader_of_the_newest_release_is_followed() {
    follow("3.9.6");
}

#[test]
fn a_leader_of_the_oldest_release_is_followed() {
    follow("3.8.0");
}
