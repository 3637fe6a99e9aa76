//! What a learner makes of a leader that breaks the protocol.

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
};

/// The last transaction the learner has.
const LAST: Zxid = zxid(1, 7);

/// The epoch of the leader.
const EPOCH: i64 = 2;

/// A follower of server 3, up to where the leader has to choose.
fn awaits_choice() -> Learner {
    let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nversion=0";
    let verifier = QuorumVerifier::from_text(members, false).expect("members");
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
