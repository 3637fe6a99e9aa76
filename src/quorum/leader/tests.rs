//! What a leader in broadcast sends, and in which order.

use bytes::BytesMut;
use jute::{Field, LearnerInfo};

use super::*;
use crate::persistence::LogBatch;
use crate::quorum::QuorumVerifier;
use crate::quorum::learner::PROTOCOL_VERSION;
use crate::quorum::learner_cnxn::LearnerTransport;

struct NoSocket;

impl LearnerTransport for NoSocket {
    fn flush(&self, _: &LearnerCnxn) {}
}

const EPOCH: i64 = 1;

const fn zxid(counter: i64) -> Zxid {
    Zxid(EPOCH << 32 | counter)
}

/// Server 1 of three, which leads; 2 follows and 3 observes.
struct Leading {
    leader: Leader,
    log: ProposalLog,
}

const FOLLOWER: LearnerCnxnId = LearnerCnxnId(2);
const OBSERVER: LearnerCnxnId = LearnerCnxnId(3);

const OPTIONS: LeaderOptions = LeaderOptions {
    my_id: Sid(1),
    tick_ms: 2000,
    init_limit_ms: 20_000,
    sync_limit_ms: 10_000,
    wait_for_epoch_ms_max: None,
    snap_syncs_max: 1,
    diff_syncs_max: 1,
    force_snapshot_sync: false,
    rules: ReconfigRules { standalone_enabled: true, multi_address: false },
};

impl Leading {
    /// The master of observers, at transaction `n` of its leader.
    fn observer_master(n: i64) -> Self {
        let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer\nversion=0";
        let verifier = QuorumVerifier::from_text(members, false).expect("members");
        let (epoch, at) = (zxid(0).epoch(), zxid(0));
        let leader = Leader::observer_master(
            OPTIONS,
            Configs::new(Arc::new(verifier), None, true),
            epoch,
            at,
            0,
        );
        let mut master = Self { leader, log: ProposalLog::new(at) };
        master.inform(1..=n);
        master
    }

    /// The follower has applied these transactions.
    fn inform(&mut self, counters: std::ops::RangeInclusive<i64>) -> Vec<LeaderOutput> {
        let applied = zxid(*counters.end());
        self.log.append(&batch(counters), Zxid(0));
        let mut out = Vec::new();
        self.leader.inform(applied, &self.log, &mut out);
        out
    }

    fn established() -> Self {
        let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer\nversion=0";
        let verifier = QuorumVerifier::from_text(members, false).expect("members");
        let log = ProposalLog::new(Zxid(0));
        let mut out = Vec::new();
        let configs = Configs::new(Arc::new(verifier), None, true);
        let leader = Leader::new(OPTIONS, configs, (0, 0), Zxid(0), 0, &mut out);
        let mut leading = Self { leader, log };
        leading.join(FOLLOWER, PacketType::FollowerInfo);
        leading.join(OBSERVER, PacketType::ObserverInfo);
        assert!(leading.leader.is_established());
        leading
    }

    fn join(&mut self, id: LearnerCnxnId, introduction: PacketType) {
        self.introduce(id, introduction);
        self.take(id, Packet::bare(PacketType::Ack, zxid(0)));
    }

    /// A learner connects; gives what comes once it is to be synchronised.
    fn introduce(&mut self, id: LearnerCnxnId, introduction: PacketType) -> Vec<LeaderOutput> {
        self.introduce_at(id, introduction, Zxid(0))
    }

    /// The same for one that has transactions already.
    fn introduce_at(
        &mut self,
        id: LearnerCnxnId,
        introduction: PacketType,
        last: Zxid,
    ) -> Vec<LeaderOutput> {
        let peer = ([127, 0, 0, 1], 1).into();
        let cnxn = Arc::new(LearnerCnxn::new(id, peer, Box::new(NoSocket)));
        self.leader.on_accepted(cnxn, 0);
        let info = LearnerInfo {
            serverid: id.0 as i64,
            protocol_version: PROTOCOL_VERSION,
            config_version: 0,
        };
        let mut bytes = BytesMut::new();
        info.write(&mut bytes);
        let introduced = self.take(id, Packet::with_data(introduction, Zxid(0), bytes.freeze()));
        if is_closed(&introduced) {
            return introduced;
        }
        let epoch = Bytes::copy_from_slice(&0_i32.to_be_bytes());
        self.take(id, Packet::with_data(PacketType::AckEpoch, last, epoch))
    }

    fn take(&mut self, from: LearnerCnxnId, packet: Packet) -> Vec<LeaderOutput> {
        let mut out = Vec::new();
        let history = History { log: &self.log, applied: Zxid(0) };
        self.leader.on_packet(0, from, packet, history, &mut out);
        out
    }

    /// Proposes transactions 1 to `n`, which this server has on disk at once.
    fn propose(&mut self, n: i64) {
        self.propose_after(0, n);
    }

    /// Proposes those behind `last`, up to `n`.
    fn propose_after(&mut self, last: i64, n: i64) {
        self.log.append(&batch(last + 1..=n), Zxid(0));
        let mut out = Vec::new();
        self.leader.propose(0, &self.log, &mut out);
        self.leader.on_flushed(zxid(n), &self.log, &mut out);
    }

    /// Proposes what a reconfig request makes of the members, as this transaction.
    fn propose_reconfig(&mut self, counter: i64, joining: &str, leaving: &str) {
        let request = jute::ReconfigRequest {
            joining_servers: Some(joining.into()),
            leaving_servers: Some(leaving.into()),
            new_members: None,
            cur_config_id: -1,
        };
        let config = self.leader.new_config(0, &request, zxid(counter)).expect("a configuration");
        let header = jute::TxnHeader { zxid: zxid(counter).0, kind: 16, ..Default::default() };
        let data = Some(config.as_bytes());
        let txn = jute::SetDataTxn { path: "/zookeeper/config".into(), data, version: -1 };
        let mut batch = LogBatch::new();
        batch.push(|out| {
            Field::write(&header, out);
            Field::write(&txn, out);
        });
        self.log.append(&Arc::new(batch), Zxid(0));
        let mut out = Vec::new();
        self.leader.propose(0, &self.log, &mut out);
        let is_stored_first = matches!(
            out.first(),
            Some(LeaderOutput::Do(QuorumEffect::StoreConfigs(configs)))
                if configs.pending().is_some_and(|pending| pending.version() == zxid(counter).0)
        );
        assert!(is_stored_first, "{out:?}");
        self.leader.on_flushed(zxid(counter), &self.log, &mut out);
        let again = self.leader.new_config(0, &request, zxid(counter + 1));
        assert_eq!(again, Err(crate::proto::ErrorCode::ReconfigInProgress));
    }

    fn ack(&mut self, from: LearnerCnxnId, counter: i64) {
        self.take(from, Packet::bare(PacketType::Ack, zxid(counter)));
    }

    fn sync(&mut self, from: LearnerCnxnId, after: Zxid) -> Vec<(PacketType, u32)> {
        let mut out = Vec::new();
        self.leader.sync(from, after, &mut out);
        sent_to(from, &out)
    }

    fn commit(&mut self) -> Vec<LeaderOutput> {
        let mut out = Vec::new();
        self.leader.commit(&self.log, &mut out);
        out
    }
}

fn batch(counters: std::ops::RangeInclusive<i64>) -> Arc<LogBatch> {
    let mut batch = LogBatch::new();
    for counter in counters {
        let header = jute::TxnHeader { zxid: zxid(counter).0, kind: -11, ..Default::default() };
        batch.push(|out| Field::write(&header, out));
    }
    Arc::new(batch)
}

fn is_closed(out: &[LeaderOutput]) -> bool {
    out.iter().any(|output| matches!(output, LeaderOutput::Do(QuorumEffect::Close(_))))
}

/// Kind of each packet sent to a learner, with the counter of its zxid.
fn sent_to(learner: LearnerCnxnId, out: &[LeaderOutput]) -> Vec<(PacketType, u32)> {
    let mut bytes = BytesMut::new();
    for output in out {
        if let LeaderOutput::Do(QuorumEffect::Send(cnxn, packets)) = output
            && cnxn.id == learner
        {
            bytes.extend_from_slice(packets);
        }
    }
    let mut packets = Vec::new();
    while let Some(packet) = Packet::decode(&mut bytes, 1 << 20).expect("packets") {
        packets.push((packet.kind, packet.zxid.counter()));
    }
    packets
}

#[test]
fn one_commit_answers_all_the_acknowledgements_at_hand() {
    let mut leading = Leading::established();
    leading.propose(3);
    for counter in 1..=3 {
        let out = leading.take(FOLLOWER, Packet::bare(PacketType::Ack, zxid(counter)));
        assert!(out.is_empty(), "{out:?}");
    }
    let committed = leading.commit();
    let last = committed.last();
    assert!(matches!(last, Some(LeaderOutput::Committed(up_to)) if *up_to == zxid(3)), "{last:?}");
    let commits = [1, 2, 3].map(|counter| (PacketType::Commit, counter));
    assert_eq!(sent_to(FOLLOWER, &committed), commits);
    assert!(leading.commit().is_empty());
}

/// Else it would count for transactions that it has never seen.
#[test]
fn nobody_acknowledges_what_was_never_proposed() {
    let mut leading = Leading::established();
    leading.leader.on_closed(FOLLOWER);
    leading.propose(1);
    leading.introduce(FOLLOWER, PacketType::FollowerInfo);
    assert!(!is_closed(&leading.take(FOLLOWER, Packet::bare(PacketType::Ack, zxid(1)))));
    let next_epoch = Zxid((EPOCH + 1) << 32);
    assert!(!is_closed(&leading.take(FOLLOWER, Packet::bare(PacketType::Ack, next_epoch))));
    leading.take(FOLLOWER, Packet::bare(PacketType::Ack, zxid(0)));
    assert_eq!(sent_to(FOLLOWER, &leading.commit()), [(PacketType::Commit, 1)]);
    leading.propose_after(1, 2);
    assert!(leading.commit().is_empty(), "the start of an epoch is no transaction");
    for is_synchronised in [false, true] {
        leading.introduce(FOLLOWER, PacketType::FollowerInfo);
        if is_synchronised {
            leading.take(FOLLOWER, Packet::bare(PacketType::Ack, zxid(0)));
        }
        assert!(is_closed(&leading.take(FOLLOWER, Packet::bare(PacketType::Ack, zxid(3)))));
    }
}

/// Java's `CommitProcessor` compares what comes with the oldest write or sync it waits for: one
/// that comes before its time would leave every later one unanswered.
#[test]
fn a_sync_is_answered_between_the_commits_around_it() {
    let mut leading = Leading::established();
    assert_eq!(leading.sync(FOLLOWER, zxid(0)), [(PacketType::Sync, 0)], "nothing is outstanding");
    leading.propose(3);
    assert_eq!(leading.sync(FOLLOWER, zxid(1)), []);
    assert_eq!(leading.sync(OBSERVER, zxid(2)), []);
    leading.take(FOLLOWER, Packet::bare(PacketType::Ack, zxid(3)));
    let committed = leading.commit();
    use PacketType::{Commit, Inform, Sync};
    assert_eq!(sent_to(FOLLOWER, &committed), [(Commit, 1), (Sync, 0), (Commit, 2), (Commit, 3)]);
    assert_eq!(sent_to(OBSERVER, &committed), [(Inform, 1), (Inform, 2), (Sync, 0), (Inform, 3)]);
    assert_eq!(leading.sync(FOLLOWER, zxid(3)), [(Sync, 0)]);
}

#[test]
fn an_observer_too_many_is_sent_away_until_others_are_synchronised() {
    let mut leading = Leading::established();
    let [first, second, follower] = [4, 5, 6].map(LearnerCnxnId);
    let synchronised = leading.introduce(first, PacketType::ObserverInfo);
    assert_eq!(sent_to(first, &synchronised)[0].0, PacketType::Diff);
    let refused = leading.introduce(second, PacketType::ObserverInfo);
    assert!(is_closed(&refused) && sent_to(second, &refused).is_empty());
    assert!(!is_closed(&leading.introduce(follower, PacketType::FollowerInfo)), "it is needed");
    leading.take(follower, Packet::bare(PacketType::Ack, zxid(0)));
    leading.take(first, Packet::bare(PacketType::Ack, zxid(0)));
    assert!(!is_closed(&leading.introduce(second, PacketType::ObserverInfo)));
}

/// A server that follows and is no member yet.
const JOINER: LearnerCnxnId = LearnerCnxnId(4);

#[test]
fn a_reconfig_needs_a_quorum_of_the_old_members_and_of_the_new() {
    let mut leading = Leading::established();
    leading.join(JOINER, PacketType::FollowerInfo);
    leading.propose_reconfig(1, "server.4=d:1:2;3", "");
    // The old members have it: of the new ones, two of three have to.
    leading.ack(JOINER, 1);
    assert!(leading.commit().is_empty(), "one of two old members");
    leading.ack(FOLLOWER, 1);
    let out = leading.commit();
    let activates = [(PacketType::CommitAndActivate, 1)];
    assert_eq!((sent_to(FOLLOWER, &out), sent_to(JOINER, &out)), {
        (activates.to_vec(), activates.to_vec())
    });
    assert_eq!(sent_to(OBSERVER, &out), [(PacketType::InformAndActivate, 1)]);
    assert!(matches!(out[0], LeaderOutput::Do(QuorumEffect::StoreConfigs(_))), "on disk first");
    let configs = leading.leader.configs();
    assert_eq!((configs.committed().version(), configs.pending()), (zxid(1).0, None));
    assert_eq!(leading.leader.successor(), None);
    // From here on any two of the three decide.
    leading.propose_after(1, 2);
    leading.ack(JOINER, 2);
    assert_eq!(sent_to(JOINER, &leading.commit()), [(PacketType::Commit, 2)]);
}

#[test]
fn what_is_proposed_before_a_reconfig_does_not_wait_for_the_new_members() {
    let mut leading = Leading::established();
    leading.join(JOINER, PacketType::FollowerInfo);
    leading.join(LearnerCnxnId(5), PacketType::FollowerInfo);
    leading.propose(2);
    leading.propose_reconfig(3, "server.4=d:1:2;3,server.5=e:1:2;3", "");
    leading.propose_after(3, 4);
    leading.ack(FOLLOWER, 4);
    let commits = [(PacketType::Commit, 1), (PacketType::Commit, 2)];
    assert_eq!(sent_to(FOLLOWER, &leading.commit()), commits, "two of four is no majority");
    leading.ack(JOINER, 4);
    let commits = [(PacketType::CommitAndActivate, 3), (PacketType::Commit, 4)];
    assert_eq!(sent_to(FOLLOWER, &leading.commit()), commits);
}

#[test]
fn a_leader_that_leaves_names_who_has_most_and_commits_no_more() {
    let mut leading = Leading::established();
    leading.join(JOINER, PacketType::FollowerInfo);
    leading.propose_reconfig(1, "server.4=d:1:2;3", "1");
    leading.propose_after(1, 2);
    leading.ack(JOINER, 2);
    leading.ack(FOLLOWER, 1);
    let out = leading.commit();
    assert_eq!(sent_to(FOLLOWER, &out), [(PacketType::CommitAndActivate, 1)]);
    assert_eq!(leading.leader.successor(), Some(Sid(4)));
    leading.ack(FOLLOWER, 2);
    assert!(leading.commit().is_empty(), "the next leader commits it");
    // It is over when those who are to have another leader have gone to it.
    let mut out = Vec::new();
    leading.leader.on_time(1_000, &mut out);
    assert!(leading.leader.is_established());
    leading.leader.on_closed(FOLLOWER);
    leading.leader.on_time(1_001, &mut out);
    assert!(matches!(out.last(), Some(LeaderOutput::GiveUp(_))), "{out:?}");
}

#[test]
fn who_has_not_caught_up_makes_no_quorum() {
    let leading = Leading::established();
    let request = jute::ReconfigRequest {
        joining_servers: Some("server.4=d:1:2;3,server.5=e:1:2;3,server.6=f:1:2;3".into()),
        cur_config_id: -1,
        ..Default::default()
    };
    let refused = leading.leader.new_config(0, &request, zxid(1));
    assert_eq!(refused, Err(crate::proto::ErrorCode::NewConfigNoQuorum));
}

#[test]
fn a_follower_brings_observers_to_what_it_has_applied_and_sends_them_on_the_rest() {
    use PacketType::{Commit, Diff, Inform, NewLeader, ObserverInfo, Proposal, Sync};
    let mut master = Leading::observer_master(2);
    let out = master.introduce_at(OBSERVER, ObserverInfo, zxid(1));
    let synchronised = [(Diff, 2), (Proposal, 2), (Commit, 2), (NewLeader, 0)];
    assert_eq!(sent_to(OBSERVER, &out), synchronised);
    let out = master.take(OBSERVER, Packet::bare(PacketType::Ack, zxid(0)));
    assert_eq!(sent_to(OBSERVER, &out), [(PacketType::UpToDate, u32::MAX)]);
    assert_eq!(master.sync(OBSERVER, zxid(3)), [], "its transaction is not applied yet");
    assert_eq!(sent_to(OBSERVER, &master.inform(3..=4)), [(Inform, 3), (Sync, 0), (Inform, 4)]);
    let mut out = Vec::new();
    master.leader.on_time(OPTIONS.tick_ms, &mut out);
    master.leader.on_time(2 * OPTIONS.tick_ms, &mut out);
    assert_eq!(sent_to(OBSERVER, &out).len(), 2, "pings, though no quorum follows it");
    assert!(is_closed(&master.take(OBSERVER, Packet::bare(PacketType::Ack, zxid(4)))));
}

#[test]
fn a_follower_sends_away_followers_and_observers_that_are_ahead() {
    let mut master = Leading::observer_master(2);
    assert!(is_closed(&master.introduce(FOLLOWER, PacketType::FollowerInfo)));
    let ahead = master.introduce_at(OBSERVER, PacketType::ObserverInfo, zxid(3));
    assert!(is_closed(&ahead) && sent_to(OBSERVER, &ahead).is_empty());
    master.inform(3..=3);
    let even = master.introduce_at(OBSERVER, PacketType::ObserverInfo, zxid(3));
    assert_eq!(sent_to(OBSERVER, &even)[0], (PacketType::Diff, 3));
}

/// It may not follow an epoch below the one that it has promised to, and would stay out for ever.
#[test]
fn a_leader_makes_way_for_a_voter_that_has_promised_to_a_later_epoch() {
    let mut leading = Leading::established();
    leading.leader.on_closed(FOLLOWER);
    let id = LearnerCnxnId(4);
    let peer = ([127, 0, 0, 1], 1).into();
    leading.leader.on_accepted(Arc::new(LearnerCnxn::new(id, peer, Box::new(NoSocket))), 0);
    let info = LearnerInfo { serverid: 2, protocol_version: PROTOCOL_VERSION, config_version: 0 };
    let promised = Zxid((EPOCH + 1) << 32);
    let info = Packet::with_data(PacketType::FollowerInfo, promised, info.to_vec().into());
    let out = leading.take(id, info);
    assert!(matches!(out.last(), Some(LeaderOutput::GiveUp(_))), "{out:?}");
    assert!(!leading.leader.is_established());
}
