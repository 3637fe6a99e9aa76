//! A member that finds no leader for a while serves reads to the clients that asked for no more
//! (`ReadOnlyZooKeeperServer`, `ReadOnlyRequestProcessor`), and goes on looking.
//!
//! 1. It shows the tree as this server last saw it, and changes nothing in it. A tree that is not
//!    whole (the leader was lost amid its snapshot and what belongs to it) it does not show.
//! 2. It creates local sessions only, and gives none back that the ensemble knows: a client that
//!    has one is to find a server that knows whether it lives.
//! 3. When a leader is found, its connections end and its sessions with them.

use bytes::BytesMut;
use jute::{Field, ReplyHeader};

use super::core::{Core, close};
use super::input::{ConnectAttempt, Effect, GlobalSessions, Now, SessionsDescription};
use super::quorum_peer::EnsembleOptions;
use crate::processor::{ClientRequest, Finished, Pending, RequestKind, ServerMode, classify};
use crate::proto::frame::put_frame;
use crate::proto::{ErrorCode, Millis, OpCode, SessionId};
use crate::session::{ClientCnxn, LearnerSessionTracker, check_password};

/// Shortest time without a leader after which a server takes itself to be cut off.
const GRACE_MS_MIN: Millis = 2_000;

/// A member without a leader and its clients.
pub(super) struct ReadOnly {
    sessions: LearnerSessionTracker,
    serves_from: Millis,
    is_serving: bool,
}

impl ReadOnly {
    /// One that begins to serve unless a leader is found in time.
    pub(super) fn new(
        core: &Core,
        ensemble: &EnsembleOptions,
        tick_time_ms: i32,
        now: Now,
    ) -> Self {
        let serves_from = match core.state.database.read().tree.is_whole() {
            true => now.monotonic + GRACE_MS_MIN.max(tick_time_ms.into()),
            false => Millis::MAX,
        };
        let sessions = ensemble.member.learner_tracker(ensemble.my_id, tick_time_ms, now.wall);
        Self { sessions, serves_from, is_serving: false }
    }

    pub(super) fn deadline(&self) -> Millis {
        match self.is_serving {
            true => self.sessions.next_deadline().unwrap_or(Millis::MAX),
            false => self.serves_from,
        }
    }

    pub(super) fn describe_sessions(&self, core: &Core) -> SessionsDescription {
        let global = GlobalSessions::Timeouts(core.global_sessions());
        SessionsDescription { local: self.sessions.local_expiry(), global }
    }

    /// Does what fell due.
    pub(super) fn rest(&mut self, core: &mut Core, now: Now) {
        if !self.is_serving && now.monotonic >= self.serves_from {
            self.is_serving = true;
            core.state.set_mode(ServerMode::ReadOnly);
            tracing::warn!("no leader is found: serving reads only");
        }
        for session in self.sessions.expire_due(now.monotonic) {
            core.expire_local(session, now);
        }
    }

    pub(super) fn on_connect(
        &mut self,
        core: &mut Core,
        now: Now,
        attempt: ConnectAttempt,
        effects: &mut Vec<Effect>,
    ) {
        let (session, timeout_ms) = (attempt.session, attempt.timeout_ms);
        if !self.is_serving || !attempt.accepts_read_only {
            close(attempt.cnxn, effects);
            return;
        }
        if session == SessionId(0) {
            self.create_session(core, now, attempt, effects);
            return;
        }
        if core.state.database.read().sessions.contains_key(&session) {
            tracing::info!(%session, "refusing a session of the ensemble while serving reads only");
            close(attempt.cnxn, effects);
            return;
        }
        core.close_old_cnxn(session, effects);
        let handle = match check_password(session, &attempt.password) {
            false => None,
            true if self.sessions.has_local() => {
                self.sessions.touch_local(session, timeout_ms, now.monotonic)
            }
            // Without local sessions nobody here knows which live (`touchSession`).
            true => Some(self.sessions.track(session, timeout_ms, now.monotonic)),
        };
        let is_valid = handle.is_some();
        if let Some(handle) = handle {
            core.bind(&attempt.cnxn, session, handle);
        }
        core.state.metrics.connection_revalidate_count.increment(1);
        core.session_reopened(&attempt, is_valid, effects);
    }

    fn create_session(
        &mut self,
        core: &mut Core,
        now: Now,
        attempt: ConnectAttempt,
        effects: &mut Vec<Effect>,
    ) {
        if self.sessions.has_local() {
            let (session, handle, _) = self.sessions.create(attempt.timeout_ms, now.monotonic);
            core.bind(&attempt.cnxn, session, handle);
            core.create_local(session, attempt);
            return;
        }
        // A global session would be a write. ZooKeeper refuses it like one, with a reply's header
        // where the answer to a connect request should be.
        let (zxid, err) = (core.last_processed().0, ErrorCode::NotReadOnly.code());
        let mut frame = BytesMut::new();
        put_frame(&mut frame, |out| ReplyHeader { xid: 0, zxid, err }.write(out));
        attempt.cnxn.outbox().raw(&frame);
        core.state.stats.sent(1);
        close(attempt.cnxn, effects);
    }

    pub(super) fn on_disconnected(&mut self, core: &Core, cnxn: &ClientCnxn) {
        core.forget_if_gone(cnxn, &mut self.sessions);
    }

    pub(super) fn on_request(&mut self, core: &mut Core, request: ClientRequest) {
        let ClientRequest { cnxn, session, identities, arrival, body, .. } = request;
        let cnxn = cnxn.expect("only clients ask a server without a leader");
        if classify(Some(arrival.op)) == RequestKind::Read {
            core.last.push(Pending::Read { cnxn, identities, arrival, body });
        } else if arrival.op == OpCode::CloseSession && self.sessions.is_local(session) {
            self.sessions.set_closing(session);
            core.last.push(Pending::CloseLocal { session, cnxn: Some(cnxn), arrival });
        } else {
            core.last.push(Pending::Refused { cnxn, arrival, error: ErrorCode::NotReadOnly });
        }
    }

    /// Answers what is asked.
    pub(super) fn finish(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let last = core.last_processed();
        let Finished { created_local, closed, .. } = core.apply(now, last, effects);
        for session in created_local {
            core.session_created(session, effects);
        }
        core.sessions_closed(closed, &mut self.sessions, effects);
    }

    /// A leader is found: every client is to connect anew.
    pub(super) fn end(self, core: &mut Core, effects: &mut Vec<Effect>) {
        if self.is_serving {
            core.state.set_mode(ServerMode::NotServing);
            core.end_role(Vec::new(), effects);
        }
    }
}
