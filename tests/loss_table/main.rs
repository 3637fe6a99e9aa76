//! The bugs by which ZooKeeper has lost data or let its servers differ, one test for each, named by
//! its number: what a member does here when it is in the same place.
//!
//! Where the rule is one of choosing or of files, its test stands beside the code: ZOOKEEPER-3526
//! and 4352 in `quorum::learner_sync`, 2846 in `server::net::learner_sync_sender`, 3127, 3144 and
//! 2355 in `server::storage`.

mod member;

use gamekeeper::processor::ServerMode;
use gamekeeper::proto::{PacketType, Zxid};

use member::{
    Did, LEADER, Member, OTHER, bare, commit, ephemeral_proposal, proposal, session_proposal, zxid,
};

const NEW_LEADER: PacketType = PacketType::NewLeader;
const ACK: PacketType = PacketType::Ack;

fn position(did: &[Did], what: Did) -> usize {
    let at = did.iter().position(|did| *did == what);
    at.unwrap_or_else(|| panic!("{what:?} is not among {did:?}"))
}

/// ZOOKEEPER-2678 kept the tree across elections, and ZOOKEEPER-2845 found in it what the next
/// leader never had.
#[test]
fn zookeeper_2845_what_was_not_committed_is_cut_off_by_the_next_leader() {
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, proposal(zxid(1, 1)));
    member.take(leader, commit(zxid(1, 1)));
    member.take(leader, proposal(zxid(1, 2)));
    assert!(member.has(zxid(1, 1)) && !member.has(zxid(1, 2)));
    member.close(leader);
    let leader = member.follow(OTHER, 2);
    member.did();
    member.synchronise(leader, 2, bare(PacketType::Trunc, zxid(1, 1)));
    assert!(member.did().contains(&Did::Truncate(zxid(1, 1))));
    member.take(leader, proposal(zxid(2, 1)));
    member.take(leader, commit(zxid(2, 1)));
    member.take(leader, bare(NEW_LEADER, zxid(2, 0)));
    member.take(leader, bare(PacketType::UpToDate, Zxid(-1)));
    assert_eq!(member.last_logged(), zxid(2, 1));
    assert!(member.has(zxid(1, 1)) && !member.has(zxid(1, 2)) && member.has(zxid(2, 1)));
}

/// The other half of ZOOKEEPER-2678: what was logged is kept over an election without reading the
/// disk anew, and counts once the next leader has it.
#[test]
fn zookeeper_2678_what_the_next_leader_has_is_kept_and_applied() {
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, proposal(zxid(1, 1)));
    member.close(leader);
    assert!(!member.has(zxid(1, 1)));
    member.join(OTHER, 2);
    assert!(member.has(zxid(1, 1)));
}

/// ZOOKEEPER-3104, 3642, 2872: half a snapshot was taken for the leader's history.
#[test]
fn zookeeper_3104_a_snapshot_counts_once_all_of_it_is_on_disk() {
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, proposal(zxid(1, 1)));
    member.take(leader, commit(zxid(1, 1)));
    member.close(leader);
    let leader = member.follow(OTHER, 5);
    member.synchronise(leader, 5, bare(PacketType::Snap, zxid(4, 9)));
    member.close(leader);
    assert_eq!(member.last_logged(), zxid(1, 1), "its connection ended before the snapshot did");
    let leader = member.follow(OTHER, 5);
    member.did();
    member.synchronise(leader, 5, bare(PacketType::Snap, zxid(4, 9)));
    member.snapshot(leader, &[zxid(4, 8), zxid(4, 9)]);
    member.take(leader, bare(NEW_LEADER, zxid(5, 0)));
    let did = member.did();
    let installed = position(&did, Did::Install(zxid(4, 9)));
    assert!(installed < position(&did, Did::CurrentEpoch(5)), "{did:?}");
    assert!(installed < position(&did, Did::Send(ACK, zxid(5, 0))), "{did:?}");
    assert_eq!(member.last_logged(), zxid(4, 9));
}

/// ZOOKEEPER-3911, 4646 and 4785: NEWLEADER was acknowledged before the history was on disk;
/// ZOOKEEPER-4643: `currentEpoch` was written before it.
#[test]
fn zookeeper_4643_4646_history_first_then_the_epoch_then_the_ack() {
    let mut member = Member::new();
    let leader = member.follow(LEADER, 1);
    member.synchronise(leader, 1, bare(PacketType::Diff, zxid(1, 3)));
    member.did();
    // All in one read: nothing has made the member flush before.
    let mut packets = Vec::new();
    for counter in 1..=3 {
        packets.extend([proposal(zxid(1, counter)), commit(zxid(1, counter))]);
    }
    packets.push(bare(NEW_LEADER, zxid(1, 0)));
    member.take_together(leader, packets);
    let did = member.did();
    let wanted = [Did::Log(zxid(1, 3)), Did::CurrentEpoch(1), Did::Send(ACK, zxid(1, 0))];
    assert_eq!(did, wanted);
}

/// ZOOKEEPER-4394: a COMMIT between NEWLEADER and UPTODATE ended the learner; leaders of all
/// releases send them.
#[test]
fn zookeeper_4394_a_commit_may_come_between_newleader_and_uptodate() {
    let mut member = Member::new();
    let leader = member.follow(LEADER, 1);
    member.synchronise(leader, 1, bare(PacketType::Diff, Zxid(0)));
    member.take(leader, proposal(zxid(1, 1)));
    member.take(leader, bare(NEW_LEADER, zxid(1, 0)));
    member.take(leader, commit(zxid(1, 1)));
    member.take(leader, proposal(zxid(1, 2)));
    member.take(leader, commit(zxid(1, 2)));
    member.take(leader, bare(PacketType::UpToDate, Zxid(-1)));
    assert_eq!(member.mode(), ServerMode::Follower);
    assert!(member.has(zxid(1, 1)) && member.has(zxid(1, 2)));
}

/// ZOOKEEPER-4685 and 3023, seen from the learner: its leader ended where a proposal was
/// acknowledged before NEWLEADER.
#[test]
fn zookeeper_4685_a_learner_acknowledges_newleader_before_any_proposal() {
    let mut member = Member::new();
    let leader = member.follow(LEADER, 1);
    member.synchronise(leader, 1, bare(PacketType::Diff, Zxid(0)));
    member.did();
    // On disk long before NEWLEADER comes.
    member.take(leader, proposal(zxid(1, 1)));
    assert_eq!(member.did(), [Did::Log(zxid(1, 1))]);
    member.take(leader, bare(NEW_LEADER, zxid(1, 0)));
    let did = member.did();
    let new_leader = position(&did, Did::Send(ACK, zxid(1, 0)));
    assert!(new_leader < position(&did, Did::Send(ACK, zxid(1, 1))), "{did:?}");
}

/// The same seen from the leader: a learner of an older release may do it, and is kept.
#[test]
fn zookeeper_4685_a_leader_bears_an_ack_of_a_proposal_before_that_of_newleader() {
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, proposal(zxid(1, 1)));
    member.close(leader);
    let learner = member.lead();
    member.take(learner, bare(ACK, zxid(1, 1)));
    assert_eq!(member.did(), []);
    member.take(learner, bare(ACK, zxid(2, 0)));
    assert_eq!(member.mode(), ServerMode::Leader);
    assert!(member.did().contains(&Did::Send(PacketType::UpToDate, Zxid(-1))));
}

/// ZOOKEEPER-4712: a processor that outlived its role logged what a leader of the past had
/// proposed.
#[test]
fn zookeeper_4712_nothing_of_an_ended_role_reaches_the_log() {
    let mut member = Member::new();
    let old = member.join(LEADER, 1);
    member.take(old, proposal(zxid(1, 1)));
    member.close(old);
    let new = member.join(OTHER, 2);
    member.take(old, proposal(zxid(1, 2)));
    member.take(old, commit(zxid(1, 2)));
    assert_eq!(member.did(), []);
    assert_eq!(member.last_logged(), zxid(1, 1));
    member.take(new, proposal(zxid(2, 1)));
    assert_eq!(member.last_logged(), zxid(2, 1));
}

/// ZOOKEEPER-4925: 3.9.3 left transactions out of what it fed to learners.
#[test]
fn zookeeper_4925_a_history_with_a_hole_is_refused() {
    let mut member = Member::new();
    let leader = member.follow(LEADER, 1);
    member.synchronise(leader, 1, bare(PacketType::Diff, zxid(1, 3)));
    member.take(leader, proposal(zxid(1, 1)));
    member.did();
    member.take(leader, proposal(zxid(1, 3)));
    assert!(member.did().contains(&Did::Close));
    assert_eq!(member.last_logged(), zxid(1, 1));
    assert_eq!(member.mode(), ServerMode::NotServing);
}

/// The same behind UPTODATE, where a COMMIT tells that its proposal has not come.
#[test]
fn zookeeper_4925_a_commit_without_its_proposal_ends_the_connection() {
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, commit(zxid(1, 1)));
    assert!(member.did().contains(&Did::Close));
    assert_eq!(member.mode(), ServerMode::NotServing);
}

/// ZOOKEEPER-3701 and its like: what could not be written was taken for written.
#[test]
fn zookeeper_3701_nothing_is_acknowledged_that_could_not_be_written() {
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.fail_log();
    member.take(leader, proposal(zxid(1, 1)));
    assert_eq!(member.did(), []);
    assert!(!member.has(zxid(1, 1)));
    member.close(leader);
    assert_eq!(member.did(), [Did::Close]);
}

/// A leader that was halted left ephemeral nodes behind: their sessions are in the tree, and the
/// next leader expires them.
#[test]
fn a_halted_leaders_sessions_expire_at_the_next_leader() {
    const SESSION: i64 = 0x300_0000_0000_0001;
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, session_proposal(zxid(1, 1), SESSION, 4_000));
    member.take(leader, ephemeral_proposal(zxid(1, 2), SESSION));
    member.take(leader, commit(zxid(1, 1)));
    member.take(leader, commit(zxid(1, 2)));
    member.close(leader);
    let learner = member.lead();
    member.take(learner, bare(ACK, zxid(2, 0)));
    assert_eq!(member.mode(), ServerMode::Leader);
    for _ in 0..3 {
        member.wait(1_000);
        assert!(member.has(zxid(1, 2)), "its client has its full timeout to come back");
    }
    member.wait(3_000);
    assert_eq!(member.last_logged(), zxid(2, 1));
    member.take(learner, bare(ACK, zxid(2, 1)));
    assert!(!member.has(zxid(1, 2)));
}

/// What a leader sends before it serves is not known to be committed, not even where a COMMIT comes
/// with it: it may be gone again with this leader.
#[test]
fn what_comes_before_uptodate_is_applied_once_the_leader_serves() {
    let mut member = Member::new();
    let leader = member.follow(LEADER, 1);
    member.synchronise(leader, 1, bare(PacketType::Diff, zxid(1, 1)));
    member.take(leader, proposal(zxid(1, 1)));
    member.take(leader, commit(zxid(1, 1)));
    member.take(leader, bare(NEW_LEADER, zxid(1, 0)));
    assert_eq!(member.last_logged(), zxid(1, 1));
    assert!(!member.has(zxid(1, 1)));
    member.close(leader);
    let leader = member.follow(OTHER, 2);
    member.did();
    member.synchronise(leader, 2, bare(PacketType::Trunc, Zxid(0)));
    assert!(member.did().contains(&Did::Truncate(Zxid(0))));
    assert_eq!(member.last_logged(), Zxid(0));
}

/// A start replays the whole log, and with it what was never committed: where the next leader has
/// that cut off, the tree is made anew of what stays.
#[test]
fn what_a_start_has_applied_and_the_leader_cuts_off_is_not_in_the_tree_any_more() {
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, proposal(zxid(1, 1)));
    member.take(leader, commit(zxid(1, 1)));
    member.take(leader, proposal(zxid(1, 2)));
    member.take(leader, proposal(zxid(1, 3)));
    let mut member = member.restart();
    assert!(member.has(zxid(1, 2)) && member.has(zxid(1, 3)));
    let leader = member.follow(OTHER, 2);
    member.did();
    member.synchronise(leader, 2, bare(PacketType::Trunc, zxid(1, 1)));
    let did = member.did();
    assert!(position(&did, Did::Truncate(zxid(1, 1))) < position(&did, Did::Reload));
    assert_eq!(member.last_logged(), zxid(1, 1));
    assert!(member.has(zxid(1, 1)) && !member.has(zxid(1, 2)) && !member.has(zxid(1, 3)));
    member.take(leader, session_proposal(zxid(2, 1), 7, 4000));
    member.take(leader, commit(zxid(2, 1)));
    member.take(leader, bare(NEW_LEADER, zxid(2, 0)));
    member.take(leader, bare(PacketType::UpToDate, Zxid(-1)));
    assert_eq!((member.mode(), member.last_logged()), (ServerMode::Follower, zxid(2, 1)));
    let member = member.restart();
    assert!(member.has(zxid(1, 1)) && !member.has(zxid(1, 2)), "nor is it on disk");
}

/// A snapshot may already hold what is to be cut off, and be the only one: only the leader's helps.
#[test]
fn a_learner_asks_for_a_snapshot_where_its_disk_cannot_be_cut() {
    const ACK_EPOCH: PacketType = PacketType::AckEpoch;
    let mut member = Member::new();
    let leader = member.join(LEADER, 1);
    member.take(leader, proposal(zxid(1, 1)));
    member.take(leader, commit(zxid(1, 1)));
    member.take(leader, proposal(zxid(1, 2)));
    member.close(leader);
    member.refuse_cuts();
    let leader = member.follow(OTHER, 2);
    member.synchronise(leader, 2, bare(PacketType::Trunc, zxid(1, 1)));
    assert!(member.did().contains(&Did::Close));
    assert_eq!(member.last_logged(), zxid(1, 2), "nothing was cut, on disk or in memory");
    let leader = member.follow(OTHER, 2);
    member.synchronise(leader, 2, bare(PacketType::Snap, zxid(1, 1)));
    assert!(member.did().contains(&Did::Send(ACK_EPOCH, Zxid(0))));
    member.snapshot(leader, &[zxid(1, 1)]);
    member.take(leader, bare(NEW_LEADER, zxid(2, 0)));
    member.take(leader, bare(PacketType::UpToDate, Zxid(-1)));
    assert_eq!(member.last_logged(), zxid(1, 1));
    assert!(member.has(zxid(1, 1)) && !member.has(zxid(1, 2)));
    member.close(leader);
    let leader = member.follow(LEADER, 3);
    member.synchronise(leader, 3, bare(PacketType::Diff, zxid(1, 1)));
    assert!(member.did().contains(&Did::Send(ACK_EPOCH, zxid(1, 1))), "it is cured");
}
