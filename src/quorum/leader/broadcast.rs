//! Broadcast: what is proposed is committed once a quorum has logged it (`propose`,
//! `tryToCommit`, `processSync`).

use std::collections::BTreeSet;

use super::{Leader, LeaderOutput, Phase, send, send_packet};
use crate::proto::{Millis, Packet, PacketType, SessionId, Sid, Zxid};
use crate::quorum::learner_cnxn::LearnerCnxnId;
use crate::quorum::learner_handler::LearnerHandler;
use crate::quorum::proposal_log::ProposalLog;
use crate::quorum::quorum_server::LearnerType;
use crate::quorum::quorum_verifier::QuorumVerifier;

impl Leader {
    /// A batch is on its way to this server's log: everyone is to log it.
    pub fn propose(&mut self, now: Millis, log: &ProposalLog, out: &mut Vec<LeaderOutput>) {
        let (after, up_to) = (self.last_proposed, log.last_zxid());
        self.note_reconfig(log, after, up_to, out);
        self.last_proposed = up_to;
        let mut followers =
            self.learners.values_mut().filter(|l| l.is_forwarding() && l.is_follower()).peekable();
        if followers.peek().is_none() {
            return;
        }
        let packets = log.packets(PacketType::Proposal, after, up_to);
        for follower in followers {
            follower.proposed(up_to, now);
            send(&follower.cnxn, packets.clone(), out);
        }
    }

    /// This server has everything up to `zxid` on disk.
    pub fn on_flushed(&mut self, zxid: Zxid, log: &ProposalLog, out: &mut Vec<LeaderOutput>) {
        self.flushed = zxid;
        self.commit(log, out);
    }

    /// A learner waits until everything prepared up to `zxid` is committed (`processSync`). The
    /// start of an epoch is no transaction: what was before it is committed.
    pub fn sync(&mut self, from: LearnerCnxnId, zxid: Zxid, out: &mut Vec<LeaderOutput>) {
        let zxid = if zxid.counter() == 0 { self.committed } else { zxid };
        self.syncs.push_back((zxid, from));
        self.answer_syncs(self.committed, out);
    }

    /// The answer to a REVALIDATE.
    pub fn revalidated(
        &self,
        to: LearnerCnxnId,
        session: SessionId,
        is_valid: bool,
        out: &mut Vec<LeaderOutput>,
    ) {
        let mut data = session.0.to_be_bytes().to_vec();
        data.push(u8::from(is_valid));
        if let Some(learner) = self.learners.get(&to) {
            let packet = Packet::with_data(PacketType::Revalidate, Zxid(-1), data.into());
            send_packet(&learner.cnxn, packet, out);
        }
    }

    /// No more packets are at hand: commits what a quorum has logged by now (`tryToCommit`). A
    /// reconfig is activated where it is committed, and what follows it is judged by the new
    /// configuration.
    pub fn commit(&mut self, log: &ProposalLog, out: &mut Vec<LeaderOutput>) {
        // Whether a quorum has it is asked only if there is something to commit.
        while self.phase == Phase::Broadcast
            && self.handed_over_to.is_none()
            && self.committed < self.last_proposed
        {
            let up_to = self.logged_by_quorum(log);
            if up_to <= self.committed {
                return;
            }
            let reconfig = self.configs.pending().map(|pending| Zxid(pending.version()));
            match reconfig.filter(|reconfig| *reconfig <= up_to) {
                None => self.commit_plain(log, up_to, out),
                Some(reconfig) => {
                    let before = log.last_below(reconfig).unwrap_or(self.committed);
                    self.commit_plain(log, before, out);
                    self.commit_reconfig(log, reconfig, out);
                    self.committed = reconfig;
                    self.answer_syncs(reconfig, out);
                }
            }
            out.push(LeaderOutput::Committed(self.committed));
        }
    }

    /// Commits everything up to a transaction, none of it a reconfig.
    ///
    /// A SYNC goes out behind the commits it waited for and before the next one: Java's
    /// `CommitProcessor` takes the answers to its clients' writes and syncs in the order of the
    /// requests, and after one that overtakes another it answers nobody any more.
    pub(super) fn commit_plain(
        &mut self,
        log: &ProposalLog,
        up_to: Zxid,
        out: &mut Vec<LeaderOutput>,
    ) {
        while self.committed < up_to {
            let next_sync = self.syncs.front().map_or(up_to, |(zxid, _)| up_to.min(*zxid));
            self.send_commits(log, self.committed, next_sync, out);
            self.committed = next_sync;
            self.answer_syncs(next_sync, out);
        }
    }

    fn send_commits(
        &self,
        log: &ProposalLog,
        after: Zxid,
        up_to: Zxid,
        out: &mut Vec<LeaderOutput>,
    ) {
        let (mut commits, mut informs) = (None, None);
        for learner in self.learners.values().filter(|learner| learner.is_forwarding()) {
            let packets = match learner.learner_type {
                LearnerType::Participant => {
                    commits.get_or_insert_with(|| log.commits(after, up_to)).clone()
                }
                LearnerType::Observer => informs
                    .get_or_insert_with(|| log.packets(PacketType::Inform, after, up_to))
                    .clone(),
            };
            send(&learner.cnxn, packets, out);
        }
    }

    /// The last proposal that enough servers have on disk with everything before it: those before
    /// a pending reconfig need a quorum of the configuration in force, the others one of each.
    fn logged_by_quorum(&self, log: &ProposalLog) -> Zxid {
        let by_old = self.logged_by_quorum_of(self.configs.committed());
        let Some(pending) = self.configs.pending() else { return by_old };
        let reconfig = Zxid(pending.version());
        let by_both = by_old.min(self.logged_by_quorum_of(pending));
        if by_both >= reconfig {
            by_both
        } else {
            by_old.min(log.last_below(reconfig).unwrap_or(self.committed))
        }
    }

    fn logged_by_quorum_of(&self, config: &QuorumVerifier) -> Zxid {
        let mut logged = vec![(self.flushed, self.options.my_id)];
        let followers = self.learners.values().filter(|l| l.is_follower());
        let ready = followers.filter(|l| l.has_acked_new_leader());
        logged.extend(ready.map(|learner| (learner.acked, learner.sid)));
        logged.sort_unstable_by(|a, b| b.cmp(a));
        let mut have = BTreeSet::new();
        for (zxid, sid) in logged {
            have.insert(sid);
            if config.contains_quorum(&have) {
                return zxid;
            }
        }
        self.committed
    }

    fn answer_syncs(&mut self, committed: Zxid, out: &mut Vec<LeaderOutput>) {
        while let Some((_, from)) = self.syncs.pop_front_if(|(zxid, _)| *zxid <= committed) {
            if let Some(learner) = self.learners.get(&from) {
                send_packet(&learner.cnxn, Packet::bare(PacketType::Sync, Zxid(0)), out);
            }
        }
    }

    /// Ends the connections of those who owe an acknowledgement for too long.
    pub(super) fn drop_late(&mut self, now: Millis, out: &mut Vec<LeaderOutput>) {
        let limit = self.options.sync_limit_ms;
        let is_late = |l: &LearnerHandler| l.owes_since().is_some_and(|since| now - since > limit);
        let learners = self.learners.iter();
        let late: Vec<_> = learners.filter(|(_, l)| is_late(l)).map(|(id, _)| *id).collect();
        for learner in late {
            self.drop_learner(learner, "it has not acknowledged a proposal in time", out);
        }
    }

    pub(super) fn has_quorum_synced(&self, now: Millis) -> bool {
        self.configs.contain_quorum(&self.synced_servers(now))
    }

    /// This server and the followers that were heard of lately.
    pub(super) fn synced_servers(&self, now: Millis) -> BTreeSet<Sid> {
        let mut synced = BTreeSet::from([self.options.my_id]);
        let limit = self.options.sync_limit_ms;
        let followers = self.learners.values().filter(|l| l.is_follower());
        let heard = followers.filter(|l| l.has_acked_new_leader() && now - l.heard <= limit);
        synced.extend(heard.map(|learner| learner.sid));
        synced
    }
}
