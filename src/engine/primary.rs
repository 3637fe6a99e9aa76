//! The part of a server that gives every write its place: a standalone server, or a leader
//! (`ZooKeeperServer`, `LeaderZooKeeperServer` with its `LeaderRequestProcessor`).

use std::sync::Arc;

use bytes::Bytes;
use jute::Field;
use jute::Ustring;

use super::EngineOptions;
use super::container_manager::ContainerManager;
use super::core::Core;
use super::input::{ConnectAttempt, Effect, GlobalSessions, Now, SessionsDescription};
use crate::mutation::{self, Mutation};
use crate::op::session_upgrade::creates_ephemeral;
use crate::processor::{
    ClientRequest, Finished, Pending, PrepRequestProcessor, Prepared, RequestKind, classify,
};
use crate::proto::{ErrorCode, Millis, OpCode, SessionId, Zxid};
use crate::session::{Arrival, LeaderSessionTracker, Owner, check_password};

/// Who orders writes, and owns the sessions.
pub(super) struct Primary {
    pub sessions: LeaderSessionTracker,
    /// Whether a local session may become a global one.
    may_upgrade: bool,
    prep: PrepRequestProcessor,
    /// How containers and TTL nodes are removed.
    containers: ContainerManager,
    /// Changes that were left when they were last counted.
    changes_left: usize,
}

impl Primary {
    /// Takes over the database as it is, and goes on after `last_zxid`. The sessions in it live
    /// on, each with its full timeout.
    pub(super) fn new(
        core: &Core,
        mut sessions: LeaderSessionTracker,
        may_upgrade: bool,
        options: &EngineOptions,
        last_zxid: Zxid,
        now: Now,
    ) -> Self {
        core.state.database.write().tree.set_whole();
        for (&session, &timeout_ms) in &core.state.database.read().sessions {
            if mutation::is_on(Mutation::ForgetSessions) {
                break;
            }
            sessions.commit(session, timeout_ms, now.monotonic);
        }
        Self {
            sessions,
            may_upgrade,
            prep: PrepRequestProcessor::new(options.prep, last_zxid),
            containers: ContainerManager::new(options.containers, now.monotonic),
            changes_left: 0,
        }
    }

    /// zxid of the last transaction prepared.
    pub(super) fn last_zxid(&self) -> Zxid {
        self.prep.last_zxid()
    }

    pub(super) fn deadline(&self) -> Millis {
        let sessions = self.sessions.next_deadline().unwrap_or(Millis::MAX);
        self.containers.deadline().min(sessions)
    }

    pub(super) fn describe_sessions(&self) -> SessionsDescription {
        SessionsDescription {
            local: self.sessions.local_expiry(),
            global: GlobalSessions::Expiry(self.sessions.global.expiry_map()),
        }
    }

    pub(super) fn on_connect(
        &mut self,
        core: &mut Core,
        now: Now,
        attempt: ConnectAttempt,
        effects: &mut Vec<Effect>,
    ) {
        if attempt.session == SessionId(0) {
            self.create_session(core, now, attempt);
        } else {
            self.reopen_session(core, now, &attempt, effects);
        }
    }

    fn create_session(&mut self, core: &mut Core, now: Now, attempt: ConnectAttempt) {
        let (session, handle, is_local) = self.sessions.create(attempt.timeout_ms, now.monotonic);
        core.bind(&attempt.cnxn, session, handle);
        if is_local {
            core.create_local(session, attempt);
            return;
        }
        let arrival = Arrival { xid: 0, op: OpCode::CreateSession, at: attempt.at };
        let (timeout_ms, cnxn) = (attempt.timeout_ms, Some(attempt.cnxn.clone()));
        core.connecting.insert(session, attempt);
        self.log_session(core, now, (session, timeout_ms), arrival, cnxn);
    }

    /// Writes the transaction that creates a session.
    fn log_session(
        &mut self,
        core: &mut Core,
        now: Now,
        (session, timeout_ms): (SessionId, i32),
        arrival: Arrival,
        cnxn: Option<Arc<crate::session::ClientCnxn>>,
    ) {
        let mut zxid = Zxid::ZERO;
        let entry = {
            let database = core.state.database.read();
            let (prep, xid) = (&mut self.prep, arrival.xid);
            core.sync.batch().push(|out| {
                zxid = prep.create_session(&database.tree, session, xid, timeout_ms, now.wall, out);
            })
        };
        core.sync.added(now.monotonic, entry.len());
        core.last.push(Pending::Txn { zxid, entry, cnxn, session, arrival, error: None });
    }

    /// A session that a learner's client asks for: it is that learner's.
    pub(super) fn create_session_of(
        &mut self,
        core: &mut Core,
        now: Now,
        (session, timeout_ms): (SessionId, i32),
        xid: i32,
        owner: Owner,
    ) {
        self.sessions.global.track(session, timeout_ms, now.monotonic);
        // It cannot be closing yet, so that its owner can be set.
        let _ = self.sessions.global.set_owner(session, owner);
        let arrival = Arrival { xid, op: OpCode::CreateSession, at: now.monotonic };
        self.log_session(core, now, (session, timeout_ms), arrival, None);
    }

    /// Gives a session back to a client that has its password (`ZooKeeperServer.reopenSession`).
    fn reopen_session(
        &mut self,
        core: &mut Core,
        now: Now,
        attempt: &ConnectAttempt,
        effects: &mut Vec<Effect>,
    ) {
        let session = attempt.session;
        core.close_old_cnxn(session, effects);
        let handle = if check_password(session, &attempt.password) {
            self.sessions.touch(session, attempt.timeout_ms, now.monotonic)
        } else {
            None
        };
        let is_valid = handle.is_some();
        if let Some(handle) = handle {
            core.bind(&attempt.cnxn, session, handle);
            let _ = self.sessions.set_owner(session, Owner::ME);
        }
        core.state.metrics.connection_revalidate_count.increment(1);
        core.session_reopened(attempt, is_valid, effects);
    }

    /// A client has come to a learner with a session; whether it lives (`revalidateSession`).
    pub(super) fn revalidate(
        &mut self,
        now: Now,
        session: SessionId,
        timeout_ms: i32,
        owner: Owner,
    ) -> bool {
        self.sessions.revalidate(session, timeout_ms, owner, now.monotonic)
    }

    pub(super) fn on_request(&mut self, core: &mut Core, now: Now, request: ClientRequest) {
        match classify(Some(request.arrival.op)) {
            RequestKind::Read | RequestKind::Sync => {
                let ClientRequest { cnxn, identities, arrival, body, .. } = request;
                let cnxn = cnxn.expect("only clients read");
                core.last.push(Pending::Read { cnxn, identities, arrival, body });
            }
            _ if request.arrival.op == OpCode::CloseSession
                && self.sessions.is_local(request.session) =>
            {
                let ClientRequest { cnxn, session, arrival, .. } = request;
                self.sessions.set_closing(session);
                core.last.push(Pending::CloseLocal { session, cnxn, arrival });
            }
            _ => {
                self.upgrade_if_needed(core, now, &request);
                self.prepare(core, now, request);
            }
        }
    }

    /// Makes a local session a global one before it creates an ephemeral node. If that is off, the
    /// request is refused where it is prepared.
    fn upgrade_if_needed(&mut self, core: &mut Core, now: Now, request: &ClientRequest) {
        let ClientRequest { cnxn, session, arrival, body, .. } = request;
        let Some(cnxn) = cnxn.as_ref().and_then(|cnxn| cnxn.session.get()) else { return };
        if !self.may_upgrade
            || !self.sessions.is_local(*session)
            || !creates_ephemeral(arrival.op, body, core.state.max_buffer_bytes)
        {
            return;
        }
        let Some(timeout_ms) = self.sessions.upgrade(*session, &cnxn.handle) else { return };
        tracing::info!(%session, "upgrading a local session");
        core.state.add_local_sessions(-1);
        let arrival = Arrival { xid: 0, op: OpCode::CreateSession, at: now.monotonic };
        self.log_session(core, now, (*session, timeout_ms), arrival, None);
    }

    /// Makes a transaction of a request.
    pub(super) fn prepare(&mut self, core: &mut Core, now: Now, request: ClientRequest) {
        self.prepare_with(core, now, request, None);
    }

    /// Makes a transaction of a reconfig, to this configuration. Whether it is going to be one.
    pub(super) fn prepare_reconfig(
        &mut self,
        core: &mut Core,
        now: Now,
        request: ClientRequest,
        config: &Result<String, ErrorCode>,
    ) -> bool {
        self.prepare_with(core, now, request, Some(config))
    }

    /// Whether the transaction does what was asked for.
    fn prepare_with(
        &mut self,
        core: &mut Core,
        now: Now,
        request: ClientRequest,
        config: Option<&Result<String, ErrorCode>>,
    ) -> bool {
        let prepared = {
            let database = core.state.database.read();
            let (prep, sessions) = (&mut self.prep, &mut self.sessions);
            let (auth, metrics) = (&core.state.auth, &core.state.metrics);
            core.sync.batch().try_push(|out| {
                let request = (&request, config);
                prep.process(&database.tree, sessions, auth, metrics, request, now.wall, out)
            })
        };
        let ClientRequest { cnxn, session, arrival, owner, .. } = request;
        let (Prepared { zxid, error }, entry) = match (prepared, cnxn.clone()) {
            (Ok(prepared), _) => prepared,
            (Err(error), Some(cnxn)) => {
                core.last.push(Pending::Refused { cnxn, arrival, error });
                return false;
            }
            // A learner's client waits for a transaction: that it is refused is one.
            (Err(error), None) if owner != Owner::ME => {
                let (prep, mut zxid) = (&mut self.prep, Zxid::ZERO);
                let entry = core.sync.batch().push(|out| {
                    zxid = prep.refuse(session, arrival, error, now.wall, out);
                });
                (Prepared { zxid, error: Some(error) }, entry)
            }
            (Err(_), None) => return false,
        };
        core.sync.added(now.monotonic, entry.len());
        core.last.push(Pending::Txn { zxid, entry, cnxn, session, arrival, error });
        error.is_none()
    }

    /// Does what fell due.
    pub(super) fn rest(&mut self, core: &mut Core, now: Now) {
        self.expire_sessions(core, now);
        self.delete_containers(core, now);
    }

    /// Applies and answers everything up to `up_to`.
    pub(super) fn finish(
        &mut self,
        core: &mut Core,
        now: Now,
        up_to: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        if core.is_halted {
            return;
        }
        let Finished { created, created_local, closed, .. } = core.apply(now, up_to, effects);
        self.count_changes(core, up_to);
        for session in created_local {
            core.session_created(session, effects);
        }
        for (session, timeout_ms) in created {
            let attempt = core.session_created(session, effects);
            let since = attempt.map_or(now.monotonic, |attempt| attempt.at);
            self.sessions.commit(session, timeout_ms, since);
        }
        for (session, asked_by) in closed {
            if self.sessions.is_local(session) {
                core.state.add_local_sessions(-1);
            }
            self.sessions.remove(session);
            core.session_closed(session, asked_by, effects);
        }
    }

    /// Drops the changes that are applied, and counts which came and went.
    fn count_changes(&mut self, core: &Core, applied: Zxid) {
        let (changes, metrics) = (&mut self.prep.changes, &core.state.metrics);
        let before = changes.len();
        changes.applied(applied);
        let queued = before.saturating_sub(self.changes_left);
        if queued > 0 {
            metrics.outstanding_changes_queued.increment(queued as u64);
        }
        if before > changes.len() {
            metrics.outstanding_changes_removed.increment((before - changes.len()) as u64);
        }
        self.changes_left = changes.len();
    }

    fn expire_sessions(&mut self, core: &mut Core, now: Now) {
        let is_due = self.sessions.next_deadline().is_some_and(|due| due <= now.monotonic);
        if core.is_halted || !is_due {
            return;
        }
        for session in self.sessions.expire_due(now.monotonic) {
            if self.sessions.is_local(session) {
                core.expire_local(session, now);
                continue;
            }
            core.state.metrics.stale_sessions_expired.increment(1);
            tracing::info!(%session, "session expired");
            let request = own_request(session, OpCode::CloseSession, Bytes::new(), now);
            self.prepare(core, now, request);
        }
    }

    fn delete_containers(&mut self, core: &mut Core, now: Now) {
        if core.is_halted || self.containers.deadline() > now.monotonic {
            return;
        }
        let path = {
            let database = core.state.database.read();
            self.containers.next(&database.tree, now.monotonic, now.wall)
        };
        let Some(path) = path else { return };
        tracing::info!(path, "deleting a container or TTL node that is due");
        let body = Ustring::from(path).to_vec().into();
        self.prepare(core, now, own_request(SessionId(0), OpCode::DeleteContainer, body, now));
    }
}

/// A request of the server itself.
fn own_request(session: SessionId, op: OpCode, body: Bytes, now: Now) -> ClientRequest {
    let arrival = Arrival { xid: 0, op, at: now.monotonic };
    let identities = Arc::new([]);
    ClientRequest { cnxn: None, session, owner: Owner::ME, identities, arrival, body }
}
