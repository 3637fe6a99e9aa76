//! A server that follows or observes a leader (`Learner`, `Follower`, `Observer`): it introduces
//! itself, takes over the leader's history, and then logs and applies what the leader sends.
//!
//! ```text
//! Connecting --connected: FOLLOWERINFO--> Discovery --LEADERINFO: ACKEPOCH--> Choice
//!   Choice --DIFF / TRUNC--> Synchronising
//!   Choice --SNAP--> Snapshot --installed--> Synchronising
//!   Synchronising --NEWLEADER: flush, currentEpoch, ACK--> AwaitingStart
//!   AwaitingStart --UPTODATE: ACK--> Broadcast
//!   any --closed, silence, a packet that may not come now--> over
//! ```
//!
//! Invariants:
//! 1. History first, flushed, then the epoch, then the ACK of NEWLEADER (ZOOKEEPER-4643, 4646,
//!    3911): the outputs stand in this order and are carried out in it.
//! 2. A proposal is acknowledged after it is flushed, and after NEWLEADER is (ZOOKEEPER-4685).
//! 3. Proposals without a gap and up to where DIFF says, commits in their order: anything else ends
//!    the connection (ZOOKEEPER-4925). Both are taken in every phase from Synchronising on
//!    (ZOOKEEPER-4394).
//! 4. A configuration that was proposed is on disk before the proposal is acknowledged, and one
//!    that is committed before it is acted upon.

mod reconfig;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use jute::{Field, LearnerInfo};

use super::configs::Configs;
use super::effect::QuorumEffect;
use super::learner_cnxn::LearnerCnxn;
use super::proposal_log::bare_packets;
use super::quorum_server::LearnerType;
use super::quorum_verifier::QuorumVerifier;
use crate::mutation::{self, Mutation};
use crate::proto::{Millis, Packet, PacketType, SessionId, Sid, TxnEntry, Zxid};

/// The protocol of releases since 3.4.
pub(super) const PROTOCOL_VERSION: i32 = 0x10000;

/// Proposals that may wait for their commit.
const UNCOMMITTED_MAX: usize = 1 << 20;

/// How a learner works.
#[derive(Debug, Clone, Copy)]
pub struct LearnerOptions {
    /// This server.
    pub my_id: Sid,
    /// Longest silence before NEWLEADER, in milliseconds (`initLimit` ticks).
    pub init_limit_ms: Millis,
    /// Longest silence after it, in milliseconds (`syncLimit` ticks).
    pub sync_limit_ms: Millis,
    /// Whether a configuration may give a server several addresses (`multiAddress.enabled`).
    pub multi_address: bool,
    /// Whether only a snapshot of the leader helps, as the log cannot be cut where it has to be.
    pub wants_snapshot: bool,
    /// The number within an epoch that its first transaction may follow, as well as 0
    /// (`testingonly.initialZxid`).
    pub initial_counter: u32,
}

/// What a learner has done with a packet, in this order.
#[derive(Debug)]
pub enum LearnerOutput {
    /// To be done outside.
    Do(QuorumEffect),
    /// The leader has everything up to here, and nothing of ours behind it: what is logged up to
    /// here is committed, and the rest is to be cut off, in memory and on disk.
    TruncateTo(Zxid),
    /// Log this entry.
    Propose(Bytes),
    /// Everything logged up to here is committed.
    Commit(Zxid),
    /// Everything logged so far is to be on disk before the next output is carried out.
    FlushLog,
    /// The leader serves: so may this server.
    Activate,
    /// Everything before the oldest sync request has been sent and committed.
    Sync,
    /// The leader has said whether a session lives.
    Revalidated {
        /// The session.
        session: SessionId,
        /// Whether it does.
        is_valid: bool,
    },
    /// The leader asks which sessions were heard of; its packet goes back with the answer.
    Ping(Zxid),
    /// It is over, for this reason.
    GiveUp(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Discovery,
    Choice,
    Snapshot(Zxid),
    Synchronising,
    AwaitingStart,
    Broadcast,
    Over,
}

/// A learner of one leader.
#[derive(Debug)]
pub struct Learner {
    options: LearnerOptions,
    configs: Configs,
    /// The part it plays.
    learner_type: LearnerType,
    /// The leader.
    pub leader: Sid,
    phase: Phase,
    cnxn: Option<Arc<LearnerCnxn>>,
    accepted_epoch: i64,
    current_epoch: i64,
    /// The leader's epoch.
    epoch: i64,
    /// The last proposal received.
    proposed: Zxid,
    committed: Zxid,
    /// Proposals received and not committed.
    uncommitted: VecDeque<Zxid>,
    /// Proposals received and not acknowledged, committed or not: a leader counts how long each
    /// takes.
    unacknowledged: VecDeque<Zxid>,
    /// The last proposal that is on disk.
    flushed: Zxid,
    /// What the snapshot holds: the leader may still send proposals up to here.
    snapshot: Option<Zxid>,
    /// Up to where DIFF says that the leader's history goes.
    history_end: Option<Zxid>,
    /// The leader's configuration, to be acted upon when the leader serves.
    config: Option<Arc<QuorumVerifier>>,
    /// Who leads next, if this ends because of that.
    successor: Option<Sid>,
}

impl Learner {
    /// A learner of `leader` whose last logged transaction is `last_logged`, in epochs as on its
    /// disk.
    pub fn new(
        options: LearnerOptions,
        configs: Configs,
        leader: Sid,
        (accepted_epoch, current_epoch): (i64, i64),
        last_logged: Zxid,
    ) -> Self {
        Self {
            learner_type: configs.learner_type(options.my_id),
            options,
            configs,
            leader,
            phase: Phase::Connecting,
            cnxn: None,
            accepted_epoch,
            current_epoch,
            epoch: 0,
            proposed: last_logged,
            committed: Zxid(-1),
            uncommitted: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            flushed: last_logged,
            snapshot: None,
            history_end: None,
            config: None,
            successor: None,
        }
    }

    /// The connection to the leader, once there is one.
    pub fn cnxn(&self) -> Option<&Arc<LearnerCnxn>> {
        self.cnxn.as_ref()
    }

    /// The epoch promised to, as it is on disk.
    pub fn accepted_epoch(&self) -> i64 {
        self.accepted_epoch
    }

    /// The epoch taken part in, as it is on disk.
    pub fn current_epoch(&self) -> i64 {
        self.current_epoch
    }

    /// The configurations known.
    pub fn configs(&self) -> &Configs {
        &self.configs
    }

    /// Whether it votes.
    pub fn learner_type(&self) -> LearnerType {
        self.learner_type
    }

    /// Who leads next, if that is settled: no election is needed.
    pub fn successor(&self) -> Option<Sid> {
        self.successor
    }

    /// Whether a snapshot of the leader is the database.
    pub fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Whether the leader has said that it serves.
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Broadcast
    }

    /// There is a connection to the leader.
    pub fn on_connected(&mut self, cnxn: Arc<LearnerCnxn>, out: &mut Vec<LearnerOutput>) {
        assert_eq!(self.phase, Phase::Connecting, "one connection to one leader");
        let info = LearnerInfo {
            serverid: self.options.my_id.0,
            protocol_version: PROTOCOL_VERSION,
            config_version: self.configs.committed().version(),
        };
        let kind = match self.learner_type {
            LearnerType::Participant => PacketType::FollowerInfo,
            LearnerType::Observer => PacketType::ObserverInfo,
        };
        self.cnxn = Some(cnxn.clone());
        self.phase = Phase::Discovery;
        let timeout = self.options.init_limit_ms;
        out.push(LearnerOutput::Do(QuorumEffect::ReadTimeout(cnxn, timeout)));
        let data = info.to_vec().into();
        self.send(Packet::with_data(kind, Zxid(self.accepted_epoch << 32), data), out);
    }

    /// A packet from the leader.
    pub fn on_packet(&mut self, packet: Packet, out: &mut Vec<LearnerOutput>) {
        if self.phase == Phase::Over {
            return;
        }
        if let Err(reason) = self.take(packet, out) {
            self.give_up(reason, out);
        }
    }

    /// The snapshot the leader sent is the database now, and durable.
    pub fn on_snapshot_installed(&mut self) {
        let Phase::Snapshot(zxid) = self.phase else {
            panic!("a snapshot was installed that nobody awaits");
        };
        self.start_after(zxid);
        self.snapshot = Some(zxid);
        self.phase = Phase::Synchronising;
    }

    /// The snapshot could not be read, the connection is gone, or there never was one.
    pub fn give_up(&mut self, reason: String, out: &mut Vec<LearnerOutput>) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Over;
        let reason = match self.cnxn.take() {
            Some(cnxn) => {
                let reason = format!("leader {} at {}: {reason}", self.leader, cnxn.peer);
                out.push(LearnerOutput::Do(QuorumEffect::Close(cnxn)));
                reason
            }
            None => {
                out.push(LearnerOutput::Do(QuorumEffect::CancelConnect));
                reason
            }
        };
        out.push(LearnerOutput::GiveUp(reason));
    }

    /// Everything proposed up to `zxid` is on disk.
    pub fn on_flushed(&mut self, zxid: Zxid, out: &mut Vec<LearnerOutput>) {
        self.flushed = self.flushed.max(zxid);
        self.acknowledge(out);
    }

    /// Sends packets to the leader: requests of clients, answers to pings.
    pub fn send(&self, packet: Packet, out: &mut Vec<LearnerOutput>) {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes);
        self.send_bytes(bytes.freeze(), out);
    }

    fn send_bytes(&self, bytes: Bytes, out: &mut Vec<LearnerOutput>) {
        if let Some(cnxn) = &self.cnxn {
            out.push(LearnerOutput::Do(QuorumEffect::Send(cnxn.clone(), bytes)));
        }
    }

    fn take(&mut self, packet: Packet, out: &mut Vec<LearnerOutput>) -> Result<(), String> {
        use PacketType::*;
        match (self.phase, packet.kind) {
            (Phase::Discovery, LeaderInfo) => self.on_leader_info(packet.zxid.epoch(), out),
            (Phase::Choice, Diff | Trunc) if self.options.wants_snapshot => {
                Err(format!("got {:?} where only a snapshot helps", packet.kind))
            }
            (Phase::Choice, Diff) => {
                tracing::info!("getting a diff from the leader, up to 0x{}", packet.zxid);
                // The start of an epoch is the number of no transaction, which could be sent.
                self.history_end = Some(packet.zxid).filter(|zxid| zxid.counter() != 0);
                self.keep_up_to(self.proposed, out);
                Ok(())
            }
            (Phase::Choice, Trunc) => {
                tracing::warn!("the leader has this log cut at 0x{}", packet.zxid);
                if packet.zxid > self.proposed {
                    return Err(format!("told to cut the log at 0x{}, beyond it", packet.zxid));
                }
                self.keep_up_to(packet.zxid, out);
                Ok(())
            }
            (Phase::Choice, Snap) => {
                tracing::info!("getting a snapshot from the leader, of 0x{}", packet.zxid);
                self.phase = Phase::Snapshot(packet.zxid);
                Ok(())
            }
            (Phase::Synchronising, NewLeader) => self.on_new_leader(&packet, out),
            (Phase::AwaitingStart, UpToDate) => {
                self.activate_leaders_config(out)?;
                self.phase = Phase::Broadcast;
                self.send(Packet::bare(Ack, Zxid(self.epoch << 32)), out);
                out.push(LearnerOutput::Activate);
                Ok(())
            }
            (Phase::Synchronising | Phase::AwaitingStart | Phase::Broadcast, kind) => match kind {
                Proposal => self.on_proposal(packet.data.ok_or("a proposal without data")?, out),
                Commit => self.on_commit(packet.zxid, out),
                CommitAndActivate | InformAndActivate => self.on_activate(packet, out),
                Inform => {
                    // An old leader may have sent the proposal already.
                    if self.uncommitted.front() != Some(&packet.zxid) {
                        self.on_proposal(packet.data.ok_or("an inform without data")?, out)?;
                    }
                    self.on_commit(packet.zxid, out)
                }
                Ping => {
                    out.push(LearnerOutput::Ping(packet.zxid));
                    Ok(())
                }
                Sync => {
                    out.push(LearnerOutput::Sync);
                    Ok(())
                }
                Revalidate => self.on_revalidate(packet.data.unwrap_or_default(), out),
                _ => Err(format!("unexpected packet {kind:?}")),
            },
            (phase, kind) => Err(format!("unexpected packet {kind:?} in phase {phase:?}")),
        }
    }

    fn on_leader_info(&mut self, epoch: i64, out: &mut Vec<LearnerOutput>) -> Result<(), String> {
        let accepted = self.accepted_epoch;
        if epoch >= i64::from(i32::MAX) {
            return Err(format!(
                "the leader's epoch {epoch} is the last, nobody could lead after it"
            ));
        }
        if epoch < accepted {
            return Err(format!(
                "the leader's epoch {epoch} is older than the accepted {accepted}"
            ));
        }
        // An epoch that is acknowledged already must not be counted again: -1.
        let mut current = -1;
        if epoch > accepted {
            current = self.current_epoch as i32;
            self.accepted_epoch = epoch;
            out.push(LearnerOutput::Do(QuorumEffect::SetAcceptedEpoch(epoch)));
        }
        self.epoch = epoch;
        self.phase = Phase::Choice;
        let data = Bytes::copy_from_slice(&current.to_be_bytes());
        // Who has nothing is sent everything.
        let last = if self.options.wants_snapshot { Zxid::ZERO } else { self.proposed };
        self.send(Packet::with_data(PacketType::AckEpoch, last, data), out);
        Ok(())
    }

    /// The leader's history holds ours up to `zxid`.
    fn keep_up_to(&mut self, zxid: Zxid, out: &mut Vec<LearnerOutput>) {
        self.start_after(zxid);
        self.phase = Phase::Synchronising;
        out.push(LearnerOutput::TruncateTo(zxid));
    }

    fn start_after(&mut self, zxid: Zxid) {
        self.proposed = zxid;
        self.committed = zxid;
        self.flushed = zxid;
    }

    fn on_proposal(&mut self, entry: Bytes, out: &mut Vec<LearnerOutput>) -> Result<(), String> {
        let Some(header) = TxnEntry::header_of(&entry) else {
            return Err("a proposal is too short for a transaction".into());
        };
        let zxid = Zxid(header.zxid);
        self.note_reconfig(&entry, out)?;
        if self.snapshot.is_some_and(|snapshot| zxid <= snapshot) {
            return Ok(());
        }
        let is_hole = !zxid.may_follow_from(self.proposed, self.options.initial_counter);
        if is_hole && !mutation::is_on(Mutation::HoleInHistory) {
            let last = self.proposed;
            return Err(format!("got proposal 0x{zxid} after 0x{last}: some are missing"));
        }
        if self.uncommitted.len() >= UNCOMMITTED_MAX {
            return Err("too many proposals wait for their commit".into());
        }
        self.proposed = zxid;
        self.uncommitted.push_back(zxid);
        if self.learner_type == LearnerType::Participant {
            self.unacknowledged.push_back(zxid);
        }
        out.push(LearnerOutput::Propose(entry));
        if mutation::is_on(Mutation::AckBeforeFlush) {
            self.flushed = zxid;
            self.acknowledge(out);
        }
        Ok(())
    }

    fn on_commit(&mut self, zxid: Zxid, out: &mut Vec<LearnerOutput>) -> Result<(), String> {
        let is_early = self.phase == Phase::AwaitingStart;
        assert!(!is_early || !mutation::is_on(Mutation::DieOfEarlyCommit), "an early COMMIT");
        if zxid <= self.committed {
            // Of a proposal that the snapshot holds already.
            return Ok(());
        }
        match self.uncommitted.front() {
            Some(next) if *next == zxid => {
                self.uncommitted.pop_front();
                self.committed = zxid;
                out.push(LearnerOutput::Commit(zxid));
                Ok(())
            }
            Some(next) => Err(format!("got commit 0x{zxid}, but 0x{next} is next")),
            None => Err(format!("got commit 0x{zxid} without its proposal")),
        }
    }

    fn on_new_leader(
        &mut self,
        packet: &Packet,
        out: &mut Vec<LearnerOutput>,
    ) -> Result<(), String> {
        if packet.zxid != Zxid(self.epoch << 32) {
            return Err(format!("NEWLEADER of 0x{} in epoch {}", packet.zxid, self.epoch));
        }
        if let Some(end) = self.history_end.filter(|end| *end > self.proposed) {
            let last = self.proposed;
            return Err(format!("got a diff up to 0x{last} that was to go to 0x{end}"));
        }
        self.see_leaders_config(packet.data.as_deref().unwrap_or_default(), out);
        if mutation::is_on(Mutation::EpochBeforeHistory) {
            out.push(LearnerOutput::Do(QuorumEffect::SetCurrentEpoch(self.epoch)));
        }
        if !mutation::is_on(Mutation::AckNewLeaderBeforeFlush) {
            out.push(LearnerOutput::FlushLog);
        }
        self.flushed = self.proposed;
        self.current_epoch = self.epoch;
        out.push(LearnerOutput::Do(QuorumEffect::SetCurrentEpoch(self.epoch)));
        if let Some(cnxn) = self.cnxn.clone() {
            let timeout = self.options.sync_limit_ms;
            out.push(LearnerOutput::Do(QuorumEffect::ReadTimeout(cnxn, timeout)));
        }
        self.send(Packet::bare(PacketType::Ack, packet.zxid), out);
        self.phase = Phase::AwaitingStart;
        // History that is committed needs no ACK; what may still be outstanding does.
        let committed = self.committed;
        self.unacknowledged.retain(|zxid| *zxid > committed);
        self.acknowledge(out);
        Ok(())
    }

    /// Acknowledges what is on disk, one packet for each proposal.
    fn acknowledge(&mut self, out: &mut Vec<LearnerOutput>) {
        if !matches!(self.phase, Phase::AwaitingStart | Phase::Broadcast)
            && !mutation::is_on(Mutation::AckProposalBeforeNewLeader)
        {
            return;
        }
        let count = self.unacknowledged.partition_point(|zxid| *zxid <= self.flushed);
        if count > 0 {
            let acks = bare_packets(PacketType::Ack, self.unacknowledged.drain(..count));
            self.send_bytes(acks, out);
        }
    }

    fn on_revalidate(
        &mut self,
        mut data: Bytes,
        out: &mut Vec<LearnerOutput>,
    ) -> Result<(), String> {
        if data.len() < 9 {
            return Err("a REVALIDATE that is too short".into());
        }
        let session = SessionId(data.get_i64());
        out.push(LearnerOutput::Revalidated { session, is_valid: data.get_u8() != 0 });
        Ok(())
    }
}

/// The body of a PING's answer: sessions heard of, with their timeouts in milliseconds.
pub fn touched_sessions(sessions: impl Iterator<Item = (SessionId, i32)>) -> Bytes {
    let mut data = BytesMut::new();
    for (session, timeout_ms) in sessions {
        data.put_i64(session.0);
        data.put_i32(timeout_ms);
    }
    data.freeze()
}
