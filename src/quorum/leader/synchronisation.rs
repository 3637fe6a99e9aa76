//! Synchronisation: learners are brought to the leader's history, and served from when a quorum
//! has it (`LearnerHandler.syncFollower`, `waitForNewLeaderAck`, `waitForStartup`).

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{History, Leader, LeaderOutput, Phase, send, send_packet};
use crate::mutation::{self, Mutation};
use crate::proto::{Millis, Packet, PacketType, Sid, Zxid};
use crate::quorum::effect::{HistoryPlan, QuorumEffect};
use crate::quorum::learner_cnxn::LearnerCnxnId;
use crate::quorum::learner_handler::{HandlerPhase, LearnerHandler};
use crate::quorum::learner_sync::{SyncPlan, plan};

impl Leader {
    /// The log on disk was looked through for what a learner lacks.
    pub fn on_history_found(
        &mut self,
        now: Millis,
        id: LearnerCnxnId,
        found: HistoryPlan,
        history: History<'_>,
        out: &mut Vec<LeaderOutput>,
    ) {
        let Some(learner) = self.learners.get(&id) else { return };
        let HandlerPhase::AwaitHistory { last_zxid } = learner.phase else { return };
        let plan = match found {
            HistoryPlan::Diff => SyncPlan::Disk { after: last_zxid },
            HistoryPlan::Trunc(to) => SyncPlan::TruncDisk { to },
            HistoryPlan::Snap => SyncPlan::Snap,
        };
        self.synchronise(now, id, plan, history, out);
    }

    /// Brings everyone to this leader's history who has promised to its epoch.
    pub(super) fn synchronise_waiting(
        &mut self,
        now: Millis,
        history: History<'_>,
        out: &mut Vec<LeaderOutput>,
    ) {
        let waiting: Vec<_> = self.learners.keys().copied().collect();
        for id in waiting {
            let learner = self.learners.get_mut(&id).expect("it was just there");
            let HandlerPhase::AwaitEpochQuorum { last_zxid } = learner.phase else { continue };
            let plan = match self.options.force_snapshot_sync {
                true => SyncPlan::Snap,
                false => plan(last_zxid, self.sync_point(), history.log),
            };
            if self.is_observer_master
                && last_zxid > self.committed
                && matches!(plan, SyncPlan::Trunc { .. })
            {
                // What it has is committed: it only was quicker than this follower.
                self.drop_learner(id, "it is ahead of this follower", out);
                continue;
            }
            match plan {
                SyncPlan::FindOnDisk => {
                    let learner = self.learners.get_mut(&id).expect("it was just there");
                    learner.phase = HandlerPhase::AwaitHistory { last_zxid };
                    out.push(LeaderOutput::Do(QuorumEffect::FindHistory {
                        cnxn: learner.cnxn.clone(),
                        last: last_zxid,
                        up_to: history.log.before_first(),
                    }));
                }
                plan => self.synchronise(now, id, plan, history, out),
            }
        }
    }

    /// What learners are brought to: before a quorum has the history it is all the leader has;
    /// afterwards, what is committed.
    fn sync_point(&self) -> Zxid {
        if self.phase == Phase::Broadcast { self.committed } else { self.last_logged }
    }

    /// Brings a learner to this leader's history (`syncFollower`), and sends it what comes from
    /// then on.
    fn synchronise(
        &mut self,
        now: Millis,
        id: LearnerCnxnId,
        plan: SyncPlan,
        History { log, applied }: History<'_>,
        out: &mut Vec<LeaderOutput>,
    ) {
        let by_snapshot = plan == SyncPlan::Snap;
        let throttler = match by_snapshot {
            true => &mut self.snap_syncs,
            false => &mut self.diff_syncs,
        };
        let is_essential = self.learners.get(&id).is_some_and(LearnerHandler::is_follower);
        match throttler.begin(id, is_essential) {
            Ok(in_flight) => {
                out.push(LeaderOutput::Synchronising { by_snapshot, begins: true, in_flight });
            }
            Err(reason) => return self.drop_learner(id, &reason, out),
        }
        let committed = self.sync_point();
        let new_leader = Zxid(self.epoch << 32);
        let config: Bytes = self.configs.last_seen().to_text().into();
        let learner = self.learners.get_mut(&id).expect("it is to be synchronised");
        let cnxn = learner.cnxn.clone();
        tracing::info!(sid = %learner.sid, "synchronising up to 0x{committed}: {plan:?}");
        let (kind, zxid) = match plan {
            SyncPlan::Trunc { to } | SyncPlan::TruncDisk { to } => (PacketType::Trunc, to),
            _ => (PacketType::Diff, committed),
        };
        if !by_snapshot {
            send_packet(&cnxn, Packet::bare(kind, zxid), out);
        }
        let in_memory_after = match plan {
            SyncPlan::Diff { after } => after,
            SyncPlan::Trunc { to } => to,
            SyncPlan::Disk { after } | SyncPlan::TruncDisk { to: after } => {
                let up_to = log.before_first();
                let history = QuorumEffect::SendHistory { cnxn: cnxn.clone(), after, up_to };
                out.push(LeaderOutput::Do(history));
                up_to
            }
            SyncPlan::Snap => {
                out.push(LeaderOutput::Do(QuorumEffect::SendSnapshot(cnxn.clone())));
                applied
            }
            SyncPlan::FindOnDisk => unreachable!("it was looked for"),
        };
        let in_memory_after = match mutation::is_on(Mutation::HoleInHistory) {
            true => in_memory_after.next(),
            false => in_memory_after,
        };
        send(&cnxn, log.committed_packets(in_memory_after, committed), out);
        if learner.is_follower() && self.last_proposed > committed {
            let outstanding = log.packets(PacketType::Proposal, committed, self.last_proposed);
            learner.proposed(self.last_proposed, now);
            send(&cnxn, outstanding, out);
        }
        let packet = Packet::with_data(PacketType::NewLeader, new_leader, config);
        send_packet(&cnxn, packet, out);
        learner.phase = HandlerPhase::AwaitNewLeaderAck;
    }

    /// Begins to serve once a quorum has the history, and lets those serve that have it.
    pub(super) fn start(&mut self, now: Millis, out: &mut Vec<LeaderOutput>) {
        if self.phase == Phase::Synchronisation {
            let mut have: BTreeSet<Sid> = BTreeSet::from([self.options.my_id]);
            let followers = self.learners.values().filter(|l| l.is_follower());
            have.extend(followers.filter(|l| l.has_acked_new_leader()).map(|l| l.sid));
            if !self.configs.contain_quorum(&have) {
                return;
            }
            self.phase = Phase::Broadcast;
            self.committed = self.last_logged;
            self.next_ping = now + self.options.tick_ms / 2;
            self.activate_pending(Zxid(-1), out);
            out.push(LeaderOutput::Established);
        }
        if self.phase != Phase::Broadcast {
            return;
        }
        for learner in self.learners.values_mut() {
            if learner.phase == HandlerPhase::AwaitStart {
                learner.phase = HandlerPhase::Serving;
                send_packet(&learner.cnxn, Packet::bare(PacketType::UpToDate, Zxid(-1)), out);
            }
        }
    }
}
