//! What a learner makes of what its leader sends, also of one that breaks the protocol.

use super::*;
use crate::quorum::learner_cnxn::{LearnerCnxnId, LearnerTransport};

struct NoSocket;

impl LearnerTransport for NoSocket {
    fn flush(&self, _: &LearnerCnxn) {}
}

const fn zxid(epoch: i64, counter: i64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

const OPTIONS: LearnerOptions = LearnerOptions {
    my_id: Sid(1),
    init_limit_ms: 20_000,
    sync_limit_ms: 10_000,
    multi_address: false,
    wants_snapshot: false,
    initial_counter: 0,
};

/// The last transaction the learner has.
const LAST: Zxid = zxid(1, 7);

/// The epoch of the leader.
const EPOCH: i64 = 2;

/// Its first transaction.
const FIRST: Zxid = zxid(EPOCH, 1);

const THREE: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2";
const FOUR: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2";

fn config(members: &str, version: Zxid) -> String {
    format!("{members}\nversion={version}")
}

/// A follower of server 3, up to where the leader has to choose.
fn awaits_choice() -> Learner {
    let verifier = QuorumVerifier::from_text(&config(THREE, Zxid(0)), false).expect("members");
    let configs = Configs::new(Arc::new(verifier), None, true);
    let mut learner = Learner::new(OPTIONS, configs, Sid(3), (1, 1), LAST);
    let peer = ([127, 0, 0, 3], 2888).into();
    let cnxn = LearnerCnxn::new(LearnerCnxnId(1), peer, Box::new(NoSocket));
    learner.on_connected(Arc::new(cnxn), &mut Vec::new());
    let info = Packet::bare(PacketType::LeaderInfo, zxid(EPOCH, 0));
    assert_eq!(over(&mut learner, info), None);
    learner
}

/// Why it is over behind this packet, if it is.
fn over(learner: &mut Learner, packet: Packet) -> Option<String> {
    let mut out = Vec::new();
    learner.on_packet(packet, &mut out);
    out.into_iter().find_map(|output| match output {
        LearnerOutput::GiveUp(reason) => Some(reason),
        _ => None,
    })
}

/// The same, and the leader has what this server has.
fn synchronising() -> Learner {
    let mut learner = awaits_choice();
    take(&mut learner, Packet::bare(PacketType::Diff, LAST));
    learner
}

/// Takes a packet that may come.
fn take(learner: &mut Learner, packet: Packet) {
    let kind = packet.kind;
    assert_eq!(over(learner, packet), None, "{kind:?}");
}

fn proposal(zxid: Zxid) -> Packet {
    let header = jute::TxnHeader { zxid: zxid.0, kind: -11, ..Default::default() };
    Packet::with_data(PacketType::Proposal, zxid, header.to_vec().into())
}

#[test]
fn a_diff_that_ends_early_is_refused() {
    let new_leader = || Packet::bare(PacketType::NewLeader, zxid(EPOCH, 0));
    let diff = |to| Packet::bare(PacketType::Diff, to);
    let mut learner = awaits_choice();
    assert_eq!(over(&mut learner, diff(zxid(1, 9))), None);
    assert_eq!(over(&mut learner, proposal(zxid(1, 8))), None);
    let reason = over(&mut learner, new_leader()).expect("transaction 9 is missing");
    assert_eq!(
        reason,
        "leader 3 at 127.0.0.3:2888: \
         got a diff up to 0x100000008 that was to go to 0x100000009"
    );

    let mut learner = awaits_choice();
    assert_eq!(over(&mut learner, diff(zxid(1, 8))), None);
    assert_eq!(over(&mut learner, proposal(zxid(1, 8))), None);
    assert_eq!(over(&mut learner, new_leader()), None);

    // The leader began with a snapshot of an epoch without transactions.
    let mut learner = awaits_choice();
    assert_eq!(over(&mut learner, diff(zxid(EPOCH, 0))), None);
    assert_eq!(over(&mut learner, new_leader()), None);
}

/// A proposal of new members.
fn reconfig(zxid: Zxid, members: &str) -> Packet {
    let header = jute::TxnHeader { zxid: zxid.0, kind: 16, ..Default::default() };
    let text = config(members, zxid);
    let data = Some(text.as_bytes());
    let txn = jute::SetDataTxn { path: "/zookeeper/config".into(), data, version: -1 };
    let entry = [header.to_vec(), txn.to_vec()].concat();
    Packet::with_data(PacketType::Proposal, zxid, entry.into())
}

fn new_leader(members: &str, version: Zxid) -> Packet {
    let config = config(members, version).into();
    Packet::with_data(PacketType::NewLeader, zxid(EPOCH, 0), config)
}

/// Versions of the committed configuration and of the pending one.
fn versions(learner: &Learner) -> (i64, Option<i64>) {
    let configs = learner.configs();
    (configs.committed().version(), configs.pending().map(|pending| pending.version()))
}

#[test]
fn a_reconfig_that_is_only_proposed_stays_pending_when_the_leader_serves() {
    for commits_early in [false, true] {
        let mut learner = synchronising();
        take(&mut learner, reconfig(FIRST, FOUR));
        take(&mut learner, new_leader(FOUR, FIRST));
        let leader = 3_i64.to_be_bytes().to_vec().into();
        let commit = Packet::with_data(PacketType::CommitAndActivate, FIRST, leader);
        if commits_early {
            take(&mut learner, commit.clone());
        }
        take(&mut learner, Packet::bare(PacketType::UpToDate, Zxid(-1)));
        if !commits_early {
            assert_eq!(versions(&learner), (0, Some(FIRST.0)));
            take(&mut learner, commit);
        }
        assert_eq!(versions(&learner), (FIRST.0, None));
    }
}

#[test]
fn the_leaders_configuration_is_in_force_when_it_serves() {
    for version in [LAST, zxid(EPOCH, 0)] {
        let mut learner = synchronising();
        take(&mut learner, new_leader(FOUR, version));
        assert_eq!(versions(&learner), (0, Some(version.0)));
        take(&mut learner, Packet::bare(PacketType::UpToDate, Zxid(-1)));
        assert_eq!(versions(&learner), (version.0, None));
    }
    // A reconfig of this epoch in the history that was sent.
    let mut learner = synchronising();
    take(&mut learner, reconfig(FIRST, FOUR));
    take(&mut learner, Packet::bare(PacketType::Commit, FIRST));
    take(&mut learner, new_leader(FOUR, FIRST));
    take(&mut learner, Packet::bare(PacketType::UpToDate, Zxid(-1)));
    assert_eq!(versions(&learner), (FIRST.0, None));
}

#[test]
fn history_begins_with_an_epochs_first_transaction_and_has_no_hole() {
    let is_refused = |options, sent: &[i64]| {
        let mut learner = synchronising();
        learner.options = options;
        let (last, before) = sent.split_last().expect("proposals");
        for counter in before {
            take(&mut learner, proposal(zxid(EPOCH, *counter)));
        }
        over(&mut learner, proposal(zxid(EPOCH, *last))).is_some()
    };
    assert!(!is_refused(OPTIONS, &[1, 2]));
    assert!(is_refused(OPTIONS, &[1, 3]) && is_refused(OPTIONS, &[1, 1]));
    assert!(is_refused(OPTIONS, &[2]), "the epoch's first transaction is missing");
    let numbered = LearnerOptions { initial_counter: 8, ..OPTIONS };
    assert!(!is_refused(numbered, &[9, 10]) && !is_refused(numbered, &[1]));
    assert!(is_refused(numbered, &[8]) && is_refused(numbered, &[10]));
}
