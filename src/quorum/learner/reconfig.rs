//! Configurations as a learner hears of them: with NEWLEADER, as proposals, and as the commits of
//! these (`Learner.syncWithLeader`, `Follower.processPacket`, `Observer.processPacket`).

use std::sync::Arc;

use bytes::Buf;

use super::{Learner, LearnerOutput};
use crate::mutation::{self, Mutation};
use crate::proto::{Packet, PacketType, Sid, Zxid};
use crate::quorum::configs::{ConfigChange, judge_change};
use crate::quorum::effect::QuorumEffect;
use crate::quorum::quorum_verifier::QuorumVerifier;
use crate::quorum::reconfig::{config_from_bytes, config_of};

impl Learner {
    /// The leader's last configuration came with NEWLEADER. One that cannot be read is passed over,
    /// as it may come from a release before dynamic configurations.
    pub(super) fn see_leaders_config(&mut self, text: &[u8], out: &mut Vec<LearnerOutput>) {
        if text.len() <= 1 {
            return;
        }
        match config_from_bytes(text, self.options.multi_address) {
            Ok(config) => {
                self.config = Some(config.clone());
                self.see_config(config, out);
            }
            Err(error) => tracing::warn!(leader = %self.leader, "in NEWLEADER: {error}"),
        }
    }

    /// The leader serves: its configuration is in force, unless it is a reconfig that the leader
    /// has proposed and not committed. Java's learner takes that one, too, for committed.
    pub(super) fn activate_leaders_config(
        &mut self,
        out: &mut Vec<LearnerOutput>,
    ) -> Result<(), String> {
        let Some(config) = self.config.take() else { return Ok(()) };
        let version = Zxid(config.version());
        // One of an epoch before is in the history that a quorum has logged, and the number of the
        // epoch itself is that of the first configuration.
        let is_proposed = version.epoch() == self.epoch && version.counter() != 0;
        let is_committed = !is_proposed || version <= self.committed;
        if !is_committed && !mutation::is_on(Mutation::ActivateProposed) {
            return Ok(());
        }
        match self.commit_config(config, None, out) {
            ConfigChange::Minor => Ok(()),
            ConfigChange::Major => Err("the leader's configuration asks for an election".into()),
        }
    }

    /// If this proposal is a reconfig, its configuration is pending from here on.
    pub(super) fn note_reconfig(
        &mut self,
        entry: &[u8],
        out: &mut Vec<LearnerOutput>,
    ) -> Result<(), String> {
        if let Some(config) = config_of(entry, self.options.multi_address)? {
            self.see_config(config, out);
        }
        Ok(())
    }

    /// A reconfig is committed (COMMITANDACTIVATE, INFORMANDACTIVATE).
    pub(super) fn on_activate(
        &mut self,
        packet: Packet,
        out: &mut Vec<LearnerOutput>,
    ) -> Result<(), String> {
        let mut data = packet.data.unwrap_or_default();
        if data.len() < 8 {
            return Err(format!("a {:?} that is too short", packet.kind));
        }
        let named = Sid(data.get_i64());
        if packet.kind == PacketType::InformAndActivate {
            self.on_proposal(data, out)?;
        }
        let proposed = self.configs.last_seen().clone();
        let change = if proposed.version() == packet.zxid.0 {
            self.commit_config(proposed, Some(named), out)
        } else {
            // It is in force already, or configurations do not change here.
            ConfigChange::Minor
        };
        self.on_commit(packet.zxid, out)?;
        match change {
            ConfigChange::Minor => Ok(()),
            ConfigChange::Major => {
                out.push(LearnerOutput::FlushLog);
                self.successor = Some(named);
                Err(format!("configuration {} names server {named} as the leader", packet.zxid))
            }
        }
    }

    fn see_config(&mut self, config: Arc<QuorumVerifier>, out: &mut Vec<LearnerOutput>) {
        if self.configs.set_last_seen(config) {
            out.push(LearnerOutput::Do(QuorumEffect::StoreConfigs(self.configs.clone())));
        }
    }

    fn commit_config(
        &mut self,
        config: Arc<QuorumVerifier>,
        named: Option<Sid>,
        out: &mut Vec<LearnerOutput>,
    ) -> ConfigChange {
        let Some(before) = self.configs.set_committed(config.clone()) else {
            return ConfigChange::Minor;
        };
        tracing::info!("configuration {:x} is in force", config.version());
        out.push(LearnerOutput::Do(QuorumEffect::StoreConfigs(self.configs.clone())));
        judge_change(&before, &config, self.options.my_id, self.leader, named)
    }
}
