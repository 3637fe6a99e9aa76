//! Discovery: a quorum says which epochs it has accepted, and promises to a new one
//! (`getEpochToPropose`, `waitForEpochAck`).

use bytes::{Buf, Bytes};
use jute::{Field, LearnerInfo};

use super::{History, Leader, LeaderOutput, Phase, send_packet};
use crate::proto::{Millis, Packet, PacketType, Sid, Zxid};
use crate::quorum::effect::QuorumEffect;
use crate::quorum::learner::PROTOCOL_VERSION;
use crate::quorum::learner_cnxn::LearnerCnxnId;
use crate::quorum::learner_handler::HandlerPhase;
use crate::quorum::quorum_server::LearnerType;

/// The last epoch: its zxids are the last that are not negative.
const EPOCH_MAX: i64 = i32::MAX as i64;

impl Leader {
    pub(super) fn on_learner_info(
        &mut self,
        now: Millis,
        from: LearnerCnxnId,
        packet: Packet,
        out: &mut Vec<LeaderOutput>,
    ) -> Result<(), String> {
        if self.is_observer_master && packet.kind != PacketType::ObserverInfo {
            return Err("only observers may follow a follower".into());
        }
        let info = packet.data.as_deref().map(LearnerInfo::from_bytes);
        let Some(Ok(info)) = info else {
            return Err("it does not say who it is".into());
        };
        if info.protocol_version < PROTOCOL_VERSION {
            return Err(format!("it speaks protocol {:#x}", info.protocol_version));
        }
        if info.config_version > self.configs.committed().version() {
            return Err("it has a later configuration than the leader".into());
        }
        let sid = Sid(info.serverid);
        if sid == self.options.my_id {
            // Its acknowledgements would count for this server's own disk.
            return Err("it has the leader's own id".into());
        }
        if packet.zxid.epoch() >= EPOCH_MAX {
            return Err(format!("it has accepted epoch {}, and there is none after it", EPOCH_MAX));
        }
        // A server that connects again has given up its earlier connection.
        let earlier =
            self.learners.iter().find(|(id, other)| **id != from && other.sid == sid && sid.0 >= 0);
        if let Some((&earlier, _)) = earlier {
            self.drop_learner(earlier, "the server has connected again", out);
        }
        let learner = self.learners.get_mut(&from).expect("it introduces itself");
        learner.sid = sid;
        learner.learner_type = match packet.kind {
            PacketType::ObserverInfo => LearnerType::Observer,
            _ => LearnerType::Participant,
        };
        learner.phase = HandlerPhase::AwaitEpoch;
        tracing::info!(%sid, peer = %learner.cnxn.peer, kind = ?learner.learner_type, "a learner");
        if self.phase == Phase::Discovery {
            if learner.is_follower() {
                self.epoch_max = self.epoch_max.max(packet.zxid.epoch());
                self.informed.insert(sid);
            }
            self.choose_epoch(now, out);
        } else if packet.zxid.epoch() > self.epoch && self.configs.committed().is_voter(sid) {
            // It may follow no epoch below the one it has promised to: it would be kept out for as
            // long as this one lasts. The next one is chosen with its promise known.
            let promised = packet.zxid.epoch();
            self.give_up(format!("server {sid} has promised to epoch {promised} already"), out);
        } else {
            self.send_leader_info(from, out);
        }
        Ok(())
    }

    /// Chooses the new epoch once a quorum has said which it accepted (`getEpochToPropose`).
    pub(super) fn choose_epoch(&mut self, now: Millis, out: &mut Vec<LeaderOutput>) {
        if !self.configs.committed().contains_quorum(&self.informed) {
            return;
        }
        self.epoch = self.epoch_max + 1;
        self.accepted_epoch = self.epoch;
        self.phase = Phase::EpochProposed;
        self.give_up_at = now + self.options.init_limit_ms;
        out.push(LeaderOutput::Do(QuorumEffect::SetAcceptedEpoch(self.epoch)));
        self.number_first_config(out);
        let waiting: Vec<_> = self.learners.keys().copied().collect();
        waiting.into_iter().for_each(|learner| self.send_leader_info(learner, out));
        self.take_part(now, out);
    }

    /// A server looks for a leader. If it voted for this one, there may never be a quorum
    /// (`reportLookingSid`).
    pub fn on_looking(&mut self, now: Millis, sid: Sid, out: &mut Vec<LeaderOutput>) {
        let waited = now - self.began;
        let has_waited = self.options.wait_for_epoch_ms_max.is_some_and(|limit| waited > limit);
        if self.phase == Phase::Discovery && has_waited && self.configs.committed().is_voter(sid) {
            self.give_up(format!("server {sid} has changed its mind"), out);
        }
    }

    fn send_leader_info(&mut self, to: LearnerCnxnId, out: &mut Vec<LeaderOutput>) {
        let Some(learner) = self.learners.get_mut(&to) else { return };
        if learner.phase != HandlerPhase::AwaitEpoch {
            return;
        }
        learner.phase = HandlerPhase::AwaitAckEpoch;
        let version = Bytes::copy_from_slice(&PROTOCOL_VERSION.to_be_bytes());
        let zxid = Zxid(self.epoch << 32);
        send_packet(&learner.cnxn, Packet::with_data(PacketType::LeaderInfo, zxid, version), out);
    }

    pub(super) fn on_ack_epoch(
        &mut self,
        now: Millis,
        from: LearnerCnxnId,
        packet: Packet,
        history: History<'_>,
        out: &mut Vec<LeaderOutput>,
    ) -> Result<(), String> {
        let mut data = packet.data.unwrap_or_default();
        if data.len() < 4 {
            return Err("an ACKEPOCH that is too short".into());
        }
        let current_epoch = i64::from(data.get_i32());
        let learner = self.learners.get_mut(&from).expect("it sent the packet");
        learner.phase = HandlerPhase::AwaitEpochQuorum { last_zxid: packet.zxid };
        if current_epoch != -1 && matches!(self.phase, Phase::EpochProposed) {
            // What only a server has that does not vote, such as a leader that was removed, is not
            // committed.
            let is_ahead = (current_epoch, packet.zxid) > (self.current_epoch, self.last_logged);
            if is_ahead && self.configs.committed().is_voter(learner.sid) {
                let last = self.last_logged;
                return Err(format!(
                    "it is ahead of the leader: epoch {current_epoch}, zxid 0x{}, where the leader \
                     has epoch {} and 0x{last}",
                    packet.zxid, self.current_epoch
                ));
            }
            if learner.is_follower() {
                self.promised.insert(learner.sid);
            }
        }
        self.take_part(now, out);
        if matches!(self.phase, Phase::Synchronisation | Phase::Broadcast) {
            self.synchronise_waiting(now, history, out);
        }
        Ok(())
    }

    /// Takes part in the new epoch once a quorum has promised to (`waitForEpochAck`).
    fn take_part(&mut self, now: Millis, out: &mut Vec<LeaderOutput>) {
        if self.phase != Phase::EpochProposed
            || !self.configs.committed().contains_quorum(&self.promised)
        {
            return;
        }
        self.current_epoch = self.epoch;
        self.phase = Phase::Synchronisation;
        self.give_up_at = now + self.options.init_limit_ms;
        out.push(LeaderOutput::Do(QuorumEffect::SetCurrentEpoch(self.epoch)));
        self.start(now, out);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::quorum::{Configs, ReconfigRules};
    use crate::quorum::{LeaderOptions, QuorumVerifier};

    const OPTIONS: LeaderOptions = LeaderOptions {
        rules: ReconfigRules { standalone_enabled: true, multi_address: false },
        my_id: Sid(1),
        tick_ms: 100,
        init_limit_ms: 1_000,
        sync_limit_ms: 1_000,
        wait_for_epoch_ms_max: Some(200),
        snap_syncs_max: 1,
        diff_syncs_max: 1,
        force_snapshot_sync: false,
    };

    /// Whether a leader that began at 0 gives up when this server looks for one.
    fn gives_up(options: LeaderOptions, now: Millis, sid: i64) -> bool {
        let text = "server.1=a:1:2
server.2=b:1:2
server.3=c:1:2
server.4=d:1:2:observer
";
        let verifier = Arc::new(QuorumVerifier::from_text(text, false).unwrap());
        let mut out = Vec::new();
        let configs = Configs::new(verifier, None, false);
        let mut leader = Leader::new(options, configs, (0, 0), Zxid(0), 0, &mut out);
        out.clear();
        leader.on_looking(now, Sid(sid), &mut out);
        matches!(out.last(), Some(LeaderOutput::GiveUp(_)))
    }

    #[test]
    fn a_leader_waits_no_longer_for_voters_that_look_again() {
        assert!(gives_up(OPTIONS, 201, 2));
        assert!(!gives_up(OPTIONS, 200, 2), "it may still come");
        assert!(!gives_up(OPTIONS, 201, 4), "it has no vote");
        assert!(!gives_up(LeaderOptions { wait_for_epoch_ms_max: None, ..OPTIONS }, 999, 2));
    }
}
