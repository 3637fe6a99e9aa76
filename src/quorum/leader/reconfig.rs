//! Changes of the membership while a server leads: they are prepared, proposed, committed, and may
//! end its leadership (`Leader.propose`, `getDesignatedLeader`, `QuorumPeer.processReconfig`).

use bytes::{BufMut, Bytes, BytesMut};
use jute::ReconfigRequest;

use super::{Leader, LeaderOutput, send_packet};
use crate::proto::{ErrorCode, Millis, Packet, PacketType, Sid, Zxid};
use crate::quorum::configs::leads_on;
use crate::quorum::effect::QuorumEffect;
use crate::quorum::learner_handler::LearnerHandler;
use crate::quorum::proposal_log::ProposalLog;
use crate::quorum::quorum_server::LearnerType;
use crate::quorum::quorum_verifier::QuorumVerifier;
use crate::quorum::reconfig::{config_of, new_config};

impl Leader {
    /// The text of the configuration that this request asks for, to be proposed as the transaction
    /// `version`; or why it cannot be. A quorum of it must have caught up with this server.
    pub fn new_config(
        &self,
        now: Millis,
        request: &ReconfigRequest<'_>,
        version: Zxid,
    ) -> Result<String, ErrorCode> {
        let (committed, last_seen) = (self.configs.committed(), self.configs.last_seen());
        if last_seen.version() != committed.version() {
            return Err(ErrorCode::ReconfigInProgress);
        }
        let config = new_config(last_seen, request, version, self.options.rules)?;
        if !config.contains_quorum(&self.synced_servers(now)) {
            tracing::warn!("a reconfig is refused: no quorum of the new members has caught up");
            return Err(ErrorCode::NewConfigNoQuorum);
        }
        Ok(config.to_text())
    }

    /// A configuration that nobody has numbered yet gets the number of this epoch, so that it
    /// counts for more than the partial ones of servers that want to join (ZOOKEEPER-1783).
    pub(super) fn number_first_config(&mut self, out: &mut Vec<LeaderOutput>) {
        if self.configs.committed().version() == 0 && self.configs.last_seen().version() == 0 {
            let config = (**self.configs.committed()).clone().with_version(self.epoch << 32);
            self.see_config(config.into(), out);
        }
    }

    /// If there is a reconfig among these proposals, its configuration is pending from here on.
    pub(super) fn note_reconfig(
        &mut self,
        log: &ProposalLog,
        after: Zxid,
        up_to: Zxid,
        out: &mut Vec<LeaderOutput>,
    ) {
        for proposal in log.range(after, up_to) {
            let config = config_of(proposal.bytes(), self.options.rules.multi_address);
            if let Some(config) = config.expect("this server has prepared it") {
                self.see_config(config, out);
            }
        }
    }

    fn see_config(&mut self, config: std::sync::Arc<QuorumVerifier>, out: &mut Vec<LeaderOutput>) {
        if self.configs.set_last_seen(config) {
            out.push(LeaderOutput::Do(QuorumEffect::StoreConfigs(self.configs.clone())));
        }
    }

    /// Commits a reconfig: learners activate it, too, and go to the leader that it names.
    pub(super) fn commit_reconfig(
        &mut self,
        log: &ProposalLog,
        reconfig: Zxid,
        out: &mut Vec<LeaderOutput>,
    ) {
        let leader = self.activate_pending(reconfig, out).to_be_bytes();
        let entry = log.range(Zxid(reconfig.0 - 1), reconfig).next().expect("it was proposed");
        let mut inform = BytesMut::new();
        inform.put_slice(&leader);
        inform.put_slice(entry.bytes());
        let inform = inform.freeze();
        for learner in self.learners.values().filter(|learner| learner.is_forwarding()) {
            let (kind, data) = match learner.learner_type {
                LearnerType::Participant => {
                    (PacketType::CommitAndActivate, Bytes::copy_from_slice(&leader))
                }
                LearnerType::Observer => (PacketType::InformAndActivate, inform.clone()),
            };
            send_packet(&learner.cnxn, Packet::with_data(kind, reconfig, data), out);
        }
    }

    /// The pending configuration, if there is one, is the one in force. Returns the id of its
    /// leader, a server that has acknowledged everything up to `acked`.
    pub(super) fn activate_pending(&mut self, acked: Zxid, out: &mut Vec<LeaderOutput>) -> i64 {
        let Some(config) = self.configs.pending().cloned() else { return self.options.my_id.0 };
        let leader = self.designated_leader(&config, acked);
        tracing::info!(%leader, "configuration {:x} is in force", config.version());
        self.configs.set_committed(config);
        out.push(LeaderOutput::Do(QuorumEffect::StoreConfigs(self.configs.clone())));
        if leader != self.options.my_id {
            self.handed_over_to = Some(leader);
        }
        leader.0
    }

    /// Who leads in a new configuration (`getDesignatedLeader`): this server, if it is a voter at
    /// the same address; else the one that has most of what is proposed.
    fn designated_leader(&self, config: &QuorumVerifier, acked: Zxid) -> Sid {
        let my_id = self.options.my_id;
        if leads_on(self.configs.committed(), config, my_id) {
            return my_id;
        }
        let is_candidate = |learner: &&LearnerHandler| {
            learner.is_follower()
                && learner.has_acked_new_leader()
                && learner.acked >= acked
                && learner.sid != my_id
                && config.is_voter(learner.sid)
        };
        let candidates = self.learners.values().filter(is_candidate);
        let best = candidates.max_by_key(|learner| (learner.acked, std::cmp::Reverse(learner.sid)));
        best.map_or(my_id, |learner| learner.sid)
    }
}
