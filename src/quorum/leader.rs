//! A server that leads (`Leader`): it finds a new epoch with a quorum, brings learners to its own
//! history, and then has a quorum log what it proposes before that is committed.
//!
//! ```text
//! Discovery --a quorum has connected: acceptedEpoch, LEADERINFO--> EpochProposed
//!   EpochProposed --a quorum has promised: currentEpoch--> Synchronisation
//!   Synchronisation --a quorum has logged the history--> Broadcast
//!   any --initLimit over, or in Broadcast no quorum heard of for syncLimit--> over
//! ```
//!
//! Invariants:
//! 1. A proposal is committed when a quorum, this server counted when its own disk has it, has
//!    logged it and everything before it, in the order of zxids.
//! 2. A learner's acknowledgements count once it has acknowledged NEWLEADER: then its history is
//!    this leader's. One that comes earlier is kept (ZOOKEEPER-4685).
//! 3. What a learner is sent follows its last zxid without a gap (ZOOKEEPER-4925).
//! 4. From a reconfig on, and until it is committed, a quorum is one of the old configuration and
//!    one of the new. It is on disk here before anyone is sent it.

mod broadcast;
mod description;
mod discovery;
mod observer_master;
mod reconfig;
mod synchronisation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use description::LeaderDescription;

use bytes::{Buf, Bytes};

use super::configs::Configs;
use super::effect::QuorumEffect;
use super::learner_cnxn::{LearnerCnxn, LearnerCnxnId};
use super::learner_handler::{HandlerPhase, LearnerHandler};
use super::learner_sync_throttler::LearnerSyncThrottler;
use super::proposal_log::ProposalLog;
use super::reconfig::ReconfigRules;
use crate::mutation::{self, Mutation};
use crate::proto::{AuthInfo, Millis, Packet, PacketType, SessionId, Sid, Xid, Zxid};

/// Bytes of a REQUEST in front of the record.
const REQUEST_HEAD_BYTES: usize = 16;

/// How a leader works.
#[derive(Debug, Clone, Copy)]
pub struct LeaderOptions {
    /// This server.
    pub my_id: Sid,
    /// Milliseconds of a tick.
    pub tick_ms: Millis,
    /// Time to come to each next phase, in milliseconds (`initLimit` ticks).
    pub init_limit_ms: Millis,
    /// Longest silence and longest wait for an acknowledgement, in milliseconds (`syncLimit`
    /// ticks).
    pub sync_limit_ms: Millis,
    /// How long it waits for epochs, in milliseconds, once a voter looks for a leader again; none
    /// if that does not matter.
    pub wait_for_epoch_ms_max: Option<Millis>,
    /// Observers that are sent a snapshot at a time.
    pub snap_syncs_max: usize,
    /// Observers that are sent transactions at a time.
    pub diff_syncs_max: usize,
    /// Whether learners get a snapshot in any case.
    pub force_snapshot_sync: bool,
    /// Which configurations are accepted.
    pub rules: ReconfigRules,
}

/// What this server has logged and applied.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The newest proposals.
    pub log: &'a ProposalLog,
    /// The last transaction in the tree, and so in a snapshot.
    pub applied: Zxid,
}

/// What comes of an input, in this order.
#[derive(Debug)]
pub enum LeaderOutput {
    /// To be done outside.
    Do(QuorumEffect),
    /// A learner begins or ends to be brought to this history.
    Synchronising {
        /// Whether by a snapshot, or by the transactions that it lacks.
        by_snapshot: bool,
        /// Whether it begins.
        begins: bool,
        /// How many are by the same means from now on.
        in_flight: usize,
    },
    /// A quorum has the history: everything logged is committed, and clients may be served.
    Established,
    /// A quorum has logged everything up to here.
    Committed(Zxid),
    /// A learner's client asks for something.
    Request(LearnerRequest),
    /// A learner has heard of a session.
    Touch {
        /// The session.
        session: SessionId,
        /// Its timeout in milliseconds.
        timeout_ms: i32,
    },
    /// A client has come to a learner with a session.
    Revalidate {
        /// The learner.
        from: LearnerCnxnId,
        /// The session.
        session: SessionId,
        /// Its timeout in milliseconds.
        timeout_ms: i32,
    },
    /// It leads no longer, for this reason.
    GiveUp(String),
}

/// What a learner's client asks for (REQUEST).
#[derive(Debug)]
pub struct LearnerRequest {
    /// The learner.
    pub from: LearnerCnxnId,
    /// The client's session.
    pub session: SessionId,
    /// Number of the request on the client's connection.
    pub xid: Xid,
    /// Its opcode, as it came.
    pub op: i32,
    /// Its record.
    pub body: Bytes,
    /// Who the client is.
    pub authinfo: Vec<AuthInfo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Discovery,
    EpochProposed,
    Synchronisation,
    Broadcast,
    Over,
}

/// The leader of an ensemble.
#[derive(Debug)]
pub struct Leader {
    options: LeaderOptions,
    configs: Configs,
    /// Whether it is a follower in truth, and its learners observers.
    is_observer_master: bool,
    phase: Phase,
    began: Millis,
    /// Until when the next phase must have come.
    give_up_at: Millis,
    next_ping: Millis,
    is_full_tick: bool,
    accepted_epoch: i64,
    current_epoch: i64,
    /// The epoch promised before this leadership; the new one is beyond all of a quorum.
    epoch_max: i64,
    epoch: i64,
    /// What this server had when it began to lead: nobody may have more.
    last_logged: Zxid,
    learners: BTreeMap<LearnerCnxnId, LearnerHandler>,
    /// Voters whose accepted epoch is known.
    informed: BTreeSet<Sid>,
    /// Voters that have promised to the new epoch.
    promised: BTreeSet<Sid>,
    last_proposed: Zxid,
    flushed: Zxid,
    committed: Zxid,
    /// Sync requests of learners in their order, each with the proposal that must be committed
    /// first.
    syncs: VecDeque<(Zxid, LearnerCnxnId)>,
    snap_syncs: LearnerSyncThrottler,
    diff_syncs: LearnerSyncThrottler,
    /// Who leads from now on: this server commits nothing more.
    handed_over_to: Option<Sid>,
}

impl Leader {
    /// A leader whose last logged transaction is `last_logged`, in epochs as on its disk.
    pub fn new(
        options: LeaderOptions,
        configs: Configs,
        epochs: (i64, i64),
        last_logged: Zxid,
        now: Millis,
        out: &mut Vec<LeaderOutput>,
    ) -> Self {
        let mut leader = Self::without_learners(options, configs, epochs, last_logged, now);
        out.push(LeaderOutput::Do(QuorumEffect::Listen));
        leader.choose_epoch(now, out);
        leader
    }

    /// A leader that has not told anybody of itself.
    fn without_learners(
        options: LeaderOptions,
        configs: Configs,
        (accepted_epoch, current_epoch): (i64, i64),
        last_logged: Zxid,
        now: Millis,
    ) -> Self {
        Self {
            options,
            configs,
            is_observer_master: false,
            phase: Phase::Discovery,
            began: now,
            give_up_at: now + options.init_limit_ms,
            next_ping: now,
            is_full_tick: false,
            accepted_epoch,
            current_epoch,
            epoch_max: accepted_epoch,
            epoch: 0,
            last_logged,
            learners: BTreeMap::new(),
            informed: BTreeSet::from([options.my_id]),
            promised: BTreeSet::from([options.my_id]),
            last_proposed: last_logged,
            flushed: last_logged,
            committed: Zxid(-1),
            syncs: VecDeque::new(),
            snap_syncs: LearnerSyncThrottler::new(options.snap_syncs_max),
            diff_syncs: LearnerSyncThrottler::new(options.diff_syncs_max),
            handed_over_to: None,
        }
    }

    /// The epoch led.
    pub fn epoch(&self) -> i64 {
        self.epoch
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

    /// Who leads next, if that is settled: no election is needed.
    pub fn successor(&self) -> Option<Sid> {
        self.handed_over_to
    }

    /// Whether clients are served.
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Broadcast
    }

    /// The connection with this number, if it is a learner's.
    pub fn learner(&self, id: LearnerCnxnId) -> Option<&Arc<LearnerCnxn>> {
        self.learners.get(&id).map(|learner| &learner.cnxn)
    }

    /// A learner has connected.
    pub fn on_accepted(&mut self, cnxn: Arc<LearnerCnxn>, now: Millis) {
        self.learners.insert(cnxn.id, LearnerHandler::new(cnxn, now));
    }

    /// A learner's connection is gone.
    pub fn on_closed(&mut self, id: LearnerCnxnId) {
        if let Some(learner) = self.learners.remove(&id) {
            tracing::info!(sid = %learner.sid, "a learner is gone");
            self.syncs.retain(|(_, waiting)| *waiting != id);
            self.end_sync(id);
            if self.handed_over_to.is_some() {
                // Whether enough are left is to be seen at once.
                self.next_ping = Millis::MIN;
            }
        }
    }

    /// A learner has what it lacked, or is gone. By which means that was, and how many are by the
    /// same still.
    fn end_sync(&mut self, id: LearnerCnxnId) -> Option<(bool, usize)> {
        let by_snapshot = self.snap_syncs.end(id).map(|in_flight| (true, in_flight));
        by_snapshot.or(self.diff_syncs.end(id).map(|in_flight| (false, in_flight)))
    }

    /// A packet of a learner.
    pub fn on_packet(
        &mut self,
        now: Millis,
        from: LearnerCnxnId,
        packet: Packet,
        history: History<'_>,
        out: &mut Vec<LeaderOutput>,
    ) {
        if self.phase == Phase::Over || !self.learners.contains_key(&from) {
            return;
        }
        if let Err(reason) = self.take(now, from, packet, history, out) {
            self.drop_learner(from, &reason, out);
        }
    }

    /// When [`Self::on_time`] has something to do.
    pub fn deadline(&self) -> Millis {
        match self.phase {
            Phase::Broadcast => self.next_ping,
            Phase::Over => Millis::MAX,
            _ => self.give_up_at,
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Millis, out: &mut Vec<LeaderOutput>) {
        match self.phase {
            Phase::Over => {}
            Phase::Broadcast if now < self.next_ping => {}
            Phase::Broadcast => {
                self.next_ping = now + self.options.tick_ms / 2;
                self.is_full_tick = !self.is_full_tick;
                self.drop_late(now, out);
                let is_to_look = self.is_full_tick || self.handed_over_to.is_some();
                if is_to_look && !self.is_observer_master && !self.has_quorum_synced(now) {
                    let reason = match self.handed_over_to {
                        Some(sid) => format!("server {sid} leads from now on"),
                        None => "not enough followers are synchronised".into(),
                    };
                    return self.give_up(reason, out);
                }
                for learner in self.learners.values() {
                    if learner.phase == HandlerPhase::Serving {
                        let ping = Packet::bare(PacketType::Ping, self.last_proposed);
                        send_packet(&learner.cnxn, ping, out);
                    }
                }
            }
            phase if now >= self.give_up_at => {
                self.give_up(format!("no quorum within initLimit in phase {phase:?}"), out);
            }
            _ => {}
        }
    }

    /// It leads no longer.
    pub fn give_up(&mut self, reason: String, out: &mut Vec<LeaderOutput>) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Over;
        out.push(LeaderOutput::Do(QuorumEffect::StopListening));
        for (_, learner) in std::mem::take(&mut self.learners) {
            out.push(LeaderOutput::Do(QuorumEffect::Close(learner.cnxn)));
        }
        out.push(LeaderOutput::GiveUp(reason));
    }

    fn take(
        &mut self,
        now: Millis,
        from: LearnerCnxnId,
        packet: Packet,
        history: History<'_>,
        out: &mut Vec<LeaderOutput>,
    ) -> Result<(), String> {
        let learner = self.learners.get_mut(&from).expect("it was looked for");
        learner.heard = now;
        match (learner.phase, packet.kind) {
            (HandlerPhase::AwaitInfo, PacketType::FollowerInfo | PacketType::ObserverInfo) => {
                self.on_learner_info(now, from, packet, out)
            }
            (HandlerPhase::AwaitAckEpoch, PacketType::AckEpoch) => {
                self.on_ack_epoch(now, from, packet, history, out)
            }
            (HandlerPhase::AwaitNewLeaderAck, PacketType::Ack) => {
                if packet.zxid == Zxid(self.epoch << 32) {
                    learner.phase = HandlerPhase::AwaitStart;
                    learner.start_counting(now);
                    let timeout =
                        QuorumEffect::ReadTimeout(learner.cnxn.clone(), self.options.sync_limit_ms);
                    out.push(LeaderOutput::Do(timeout));
                    if let Some((by_snapshot, in_flight)) = self.end_sync(from) {
                        let begins = false;
                        out.push(LeaderOutput::Synchronising { by_snapshot, begins, in_flight });
                    }
                    self.start(now, out);
                    Ok(())
                } else {
                    // An old learner acknowledges a proposal first.
                    let is_borne = !mutation::is_on(Mutation::AckProposalBeforeNewLeader);
                    assert!(is_borne, "an ACK of a proposal before that of NEWLEADER");
                    self.on_ack(from, packet.zxid)
                }
            }
            (HandlerPhase::AwaitStart | HandlerPhase::Serving, kind) => match kind {
                PacketType::Ack => self.on_ack(from, packet.zxid),
                PacketType::Ping => on_touches(packet.data.unwrap_or_default(), out),
                PacketType::Revalidate => {
                    let mut data = packet.data.unwrap_or_default();
                    if data.len() < 12 {
                        return Err("a REVALIDATE that is too short".into());
                    }
                    let (session, timeout_ms) = (SessionId(data.get_i64()), data.get_i32());
                    out.push(LeaderOutput::Revalidate { from, session, timeout_ms });
                    Ok(())
                }
                PacketType::Request => {
                    let mut body = packet.data.unwrap_or_default();
                    if body.len() < REQUEST_HEAD_BYTES {
                        return Err("a REQUEST that is too short".into());
                    }
                    let session = SessionId(body.get_i64());
                    let (xid, op) = (body.get_i32(), body.get_i32());
                    let authinfo = packet.authinfo.unwrap_or_default();
                    out.push(LeaderOutput::Request(LearnerRequest {
                        from,
                        session,
                        xid,
                        op,
                        body,
                        authinfo,
                    }));
                    Ok(())
                }
                kind => {
                    tracing::warn!(sid = %learner.sid, "unexpected packet {kind:?}");
                    Ok(())
                }
            },
            (phase, kind) => Err(format!("unexpected packet {kind:?} in phase {phase:?}")),
        }
    }

    /// A learner has logged a proposal, and with it everything before.
    fn on_ack(&mut self, from: LearnerCnxnId, zxid: Zxid) -> Result<(), String> {
        // The number of an epoch's start is the second ACK of NEWLEADER.
        if zxid.counter() == 0 {
            return Ok(());
        }
        if self.is_observer_master {
            return Err(format!("an observer acknowledges 0x{zxid}"));
        }
        if zxid > self.last_proposed {
            return Err(format!("it acknowledges 0x{zxid}, never proposed"));
        }
        self.learners.get_mut(&from).expect("it sent the packet").ack(zxid);
        Ok(())
    }

    fn drop_learner(&mut self, id: LearnerCnxnId, reason: &str, out: &mut Vec<LeaderOutput>) {
        if let Some(learner) = self.learners.get(&id) {
            let LearnerHandler { sid, cnxn, .. } = learner;
            tracing::warn!(%sid, peer = %cnxn.peer, "closing a learner's connection: {reason}");
            out.push(LeaderOutput::Do(QuorumEffect::Close(cnxn.clone())));
            self.on_closed(id);
        }
    }
}

fn on_touches(mut data: Bytes, out: &mut Vec<LeaderOutput>) -> Result<(), String> {
    while data.remaining() >= 12 {
        let (session, timeout_ms) = (SessionId(data.get_i64()), data.get_i32());
        out.push(LeaderOutput::Touch { session, timeout_ms });
    }
    if data.is_empty() { Ok(()) } else { Err("a PING with half a session".into()) }
}

fn send(cnxn: &Arc<LearnerCnxn>, packets: Bytes, out: &mut Vec<LeaderOutput>) {
    if !packets.is_empty() {
        out.push(LeaderOutput::Do(QuorumEffect::Send(cnxn.clone(), packets)));
    }
}

fn send_packet(cnxn: &Arc<LearnerCnxn>, packet: Packet, out: &mut Vec<LeaderOutput>) {
    let mut bytes = bytes::BytesMut::new();
    packet.encode(&mut bytes);
    send(cnxn, bytes.freeze(), out);
}
