//! The engine of a server without an ensemble (`ZooKeeperServer` with Prep, Sync and Final in a
//! row).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use foldhash::HashMap;
use jute::{ConnectResponse, Field, Ustring};

use super::container_manager::{ContainerManager, ContainerOptions};
use super::input::{ConnectAttempt, Effect, Input, Now, SessionsDescription};
use super::request_throttler::{RequestThrottleOptions, RequestThrottler, Verdict};
use crate::processor::{
    ClientRequest, FinalRequestProcessor, Finished, Pending, PrepOptions, PrepRequestProcessor,
    Prepared, RequestKind, ServerState, SnapshotPolicy, SyncRequestProcessor, classify,
};
use crate::proto::frame::put_frame;
use crate::proto::{ErrorCode, Millis, OpCode, PASSWORD_BYTES, SessionId, Zxid};
use crate::session::{Arrival, ClientCnxn, CnxnSession, SessionTracker, check_password, password};

/// How an engine is to work.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// How requests are prepared.
    pub prep: PrepOptions,
    /// When batches are flushed and snapshots taken.
    pub sync: SnapshotPolicy,
    /// How containers and TTL nodes are removed.
    pub containers: ContainerOptions,
    /// When requests wait.
    pub throttle: RequestThrottleOptions,
    /// Seed of all that is random.
    pub seed: u64,
}

/// The engine.
pub struct Engine {
    state: Arc<ServerState>,
    sessions: SessionTracker,
    throttler: RequestThrottler,
    prep: PrepRequestProcessor,
    sync: SyncRequestProcessor,
    last: FinalRequestProcessor,
    containers: ContainerManager,
    /// Each session's connection.
    cnxns: HashMap<SessionId, Arc<ClientCnxn>>,
    /// Connections that wait for their session to be created.
    connecting: HashMap<SessionId, ConnectAttempt>,
    flushed: Zxid,
    /// Changes that were left when they were last counted.
    changes_left: usize,
    is_snapshot_running: bool,
    is_halted: bool,
}

impl Engine {
    /// An engine over a database that has been restored. The sessions in it live on, each with its
    /// full timeout.
    pub fn new(
        state: Arc<ServerState>,
        mut sessions: SessionTracker,
        options: EngineOptions,
        now: Now,
    ) -> Self {
        let last_zxid = {
            let database = state.database.read();
            for (&session, &timeout_ms) in &database.sessions {
                sessions.commit(session, timeout_ms, now.monotonic);
            }
            database.tree.last_processed()
        };
        Self {
            state,
            sessions,
            throttler: RequestThrottler::new(options.throttle),
            prep: PrepRequestProcessor::new(options.prep, last_zxid),
            sync: SyncRequestProcessor::new(options.sync, options.seed),
            last: FinalRequestProcessor::default(),
            containers: ContainerManager::new(options.containers, now.monotonic),
            cnxns: HashMap::default(),
            connecting: HashMap::default(),
            flushed: last_zxid,
            changes_left: 0,
            is_snapshot_running: false,
            is_halted: false,
        }
    }

    /// Takes one input.
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Connect(attempt) => self.on_connect(now, attempt, effects),
            Input::Request(request) if self.throttler.is_off() => self.on_request(now, request),
            Input::Request(request) => {
                self.throttler.push(request);
                self.admit(now, effects);
            }
            Input::Disconnected(cnxn) => {
                let session = cnxn.session_id();
                if self.cnxns.get(&session).is_some_and(|owner| owner.id == cnxn.id) {
                    self.cnxns.remove(&session);
                }
            }
            Input::Flushed(zxid) => {
                self.flushed = zxid;
                self.finish(now, effects);
            }
            Input::LogFailed => self.on_log_failed(effects),
            Input::SnapshotDone => self.is_snapshot_running = false,
            Input::DescribeSessions(answer) => answer(SessionsDescription {
                expiry: self.sessions.expiry_map(),
                count: self.sessions.len(),
            }),
            Input::Tick => {}
        }
        self.append_if_due(now, false, effects);
    }

    /// No more inputs are at hand: what has waited for company goes, and what fell due is done.
    pub fn rest(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.expire_sessions(now);
        self.delete_containers(now);
        self.admit(now, effects);
        self.append_if_due(now, true, effects);
        self.finish(now, effects);
    }

    /// When [`Self::rest`] has something to do even if nothing comes in, by the monotonic clock.
    pub fn deadline(&self) -> Millis {
        let admission = self.throttler.deadline(self.last.len());
        let deadlines = [self.sessions.next_deadline(), self.sync.deadline(), admission];
        deadlines.into_iter().flatten().fold(self.containers.deadline(), Millis::min)
    }

    /// zxid of the last transaction prepared.
    pub fn last_zxid(&self) -> Zxid {
        self.prep.last_zxid()
    }

    fn on_connect(&mut self, now: Now, attempt: ConnectAttempt, effects: &mut Vec<Effect>) {
        if self.is_halted {
            attempt.cnxn.outbox().close();
            effects.push(Effect::Flush(attempt.cnxn));
            return;
        }
        if attempt.session == SessionId(0) {
            self.create_session(now, attempt);
        } else {
            self.reopen_session(now, attempt, effects);
        }
    }

    fn create_session(&mut self, now: Now, attempt: ConnectAttempt) {
        let (session, handle) = self.sessions.create(attempt.timeout_ms, now.monotonic);
        let is_new = attempt.cnxn.session.set(CnxnSession { id: session, handle }).is_ok();
        assert!(is_new, "a connection asks for a session once");
        let arrival = Arrival { xid: 0, op: OpCode::CreateSession, at: attempt.at };
        let mut zxid = Zxid::ZERO;
        let entry = {
            let database = self.state.database.read();
            let (prep, timeout_ms) = (&mut self.prep, attempt.timeout_ms);
            self.sync.batch().push(|out| {
                zxid = prep.create_session(&database.tree, session, 0, timeout_ms, now.wall, out);
            })
        };
        self.sync.added(now.monotonic, entry.len());
        let cnxn = Some(attempt.cnxn.clone());
        self.connecting.insert(session, attempt);
        self.last.push(Pending::Txn { zxid, entry, cnxn, session, arrival, error: None });
    }

    /// Gives a session back to a client that has its password (`ZooKeeperServer.reopenSession`).
    fn reopen_session(&mut self, now: Now, attempt: ConnectAttempt, effects: &mut Vec<Effect>) {
        let session = attempt.session;
        // A client has one connection at a time: the old one is closed, whatever comes of the new
        // one.
        if let Some(old) = self.cnxns.remove(&session) {
            old.outbox().close();
            effects.push(Effect::Flush(old));
        }
        let handle = if check_password(session, &attempt.password) {
            self.sessions.touch(session, attempt.timeout_ms, now.monotonic)
        } else {
            None
        };
        match handle {
            Some(handle) => {
                let is_new = attempt.cnxn.session.set(CnxnSession { id: session, handle }).is_ok();
                assert!(is_new, "a connection asks for a session once");
                self.cnxns.insert(session, attempt.cnxn.clone());
                answer_connect(&attempt, Some(session));
            }
            None => {
                answer_connect(&attempt, None);
                attempt.cnxn.outbox().close();
            }
        }
        self.state.metrics.connection_revalidate_count.increment(1);
        self.state.stats.sent(1);
        effects.push(Effect::Flush(attempt.cnxn.clone()));
        effects.push(Effect::Resume(attempt.cnxn));
    }

    /// Requests that wait to be let in.
    pub fn throttled(&self) -> usize {
        self.throttler.len()
    }

    /// Lets in who waits and may.
    fn admit(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_halted {
            return;
        }
        let metrics = &self.state.clone().metrics;
        while let Some(verdict) = self.throttler.next(now.monotonic, self.last.len(), metrics) {
            match verdict {
                Verdict::Admit(request) => self.on_request(now, request),
                Verdict::Refuse(ClientRequest { cnxn, arrival, .. }) => {
                    let cnxn = cnxn.expect("only clients are throttled");
                    let error = ErrorCode::ThrottledOp;
                    self.last.push(Pending::Refused { cnxn, arrival, error });
                }
                Verdict::Drop(ClientRequest { cnxn, .. }) => {
                    let cnxn = cnxn.expect("only clients are throttled");
                    cnxn.invalidate();
                    cnxn.finish_one();
                    self.state.add_in_process(-1);
                    effects.push(Effect::Flush(cnxn));
                }
            }
        }
    }

    fn on_request(&mut self, now: Now, request: ClientRequest) {
        if self.is_halted {
            return;
        }
        match classify(Some(request.arrival.op)) {
            RequestKind::Read | RequestKind::Sync => {
                let ClientRequest { cnxn, identities, arrival, body, .. } = request;
                let cnxn = cnxn.expect("only clients read");
                self.last.push(Pending::Read { cnxn, identities, arrival, body });
            }
            _ => self.prepare(now, request),
        }
    }

    fn prepare(&mut self, now: Now, request: ClientRequest) {
        let prepared = {
            let database = self.state.database.read();
            let (prep, sessions) = (&mut self.prep, &mut self.sessions);
            let (auth, metrics) = (&self.state.auth, &self.state.metrics);
            self.sync.batch().try_push(|out| {
                prep.process(&database.tree, sessions, auth, metrics, &request, now.wall, out)
            })
        };
        let ClientRequest { cnxn, session, arrival, .. } = request;
        match (prepared, cnxn) {
            (Ok((Prepared { zxid, error }, entry)), cnxn) => {
                self.sync.added(now.monotonic, entry.len());
                self.last.push(Pending::Txn { zxid, entry, cnxn, session, arrival, error });
            }
            (Err(error), Some(cnxn)) => self.last.push(Pending::Refused { cnxn, arrival, error }),
            (Err(_), None) => {}
        }
    }

    fn append_if_due(&mut self, now: Now, is_idle: bool, effects: &mut Vec<Effect>) {
        if self.is_halted || !self.sync.is_due(now.monotonic, is_idle) {
            return;
        }
        let since = self.sync.batch_since();
        let batch = self.sync.take();
        self.last.batch_appended(batch.clone());
        effects.push(Effect::Append { batch, since });
        if self.sync.snapshot_is_due() {
            effects.push(Effect::RollLog);
            if self.is_snapshot_running {
                tracing::warn!("too busy to take a snapshot: the last one is not finished");
            } else {
                self.is_snapshot_running = true;
                effects.push(Effect::TakeSnapshot);
            }
        }
    }

    fn finish(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_halted {
            return;
        }
        let sync = &mut self.sync;
        let finished = self
            .last
            .run(&self.state, self.flushed, now.monotonic, now.wall, |batch| sync.recycle(batch));
        self.count_changes();
        let Finished { to_flush, created, closed, .. } = finished;
        for (cnxn, session) in created {
            self.session_created(cnxn, session, effects);
        }
        effects.extend(to_flush.into_iter().map(Effect::Flush));
        for (session, asked_by) in closed {
            self.session_closed(session, asked_by, effects);
        }
    }

    /// Drops the changes that are applied, and counts which came and went.
    fn count_changes(&mut self) {
        let (changes, metrics) = (&mut self.prep.changes, &self.state.metrics);
        let before = changes.len();
        changes.applied(self.flushed);
        let queued = before.saturating_sub(self.changes_left);
        if queued > 0 {
            metrics.outstanding_changes_queued.increment(queued as u64);
        }
        if before > changes.len() {
            metrics.outstanding_changes_removed.increment((before - changes.len()) as u64);
        }
        self.changes_left = changes.len();
    }

    fn session_created(
        &mut self,
        cnxn: Arc<ClientCnxn>,
        session: SessionId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(attempt) = self.connecting.remove(&session) else { return };
        self.sessions.commit(session, attempt.timeout_ms, attempt.at);
        self.cnxns.insert(session, cnxn.clone());
        answer_connect(&attempt, Some(session));
        self.state.stats.sent(1);
        effects.push(Effect::Flush(cnxn.clone()));
        effects.push(Effect::Resume(cnxn));
    }

    fn session_closed(
        &mut self,
        session: SessionId,
        asked_by: Option<Arc<ClientCnxn>>,
        effects: &mut Vec<Effect>,
    ) {
        self.sessions.remove(session);
        let cnxn = self.cnxns.remove(&session);
        if asked_by.is_none()
            && let Some(cnxn) = cnxn
        {
            cnxn.outbox().close();
            effects.push(Effect::Flush(cnxn));
        }
    }

    fn expire_sessions(&mut self, now: Now) {
        let is_due = self.sessions.next_deadline().is_some_and(|due| due <= now.monotonic);
        if self.is_halted || !is_due {
            return;
        }
        for session in self.sessions.expire_due(now.monotonic) {
            self.state.metrics.stale_sessions_expired.increment(1);
            tracing::info!(%session, "session expired");
            self.prepare(now, own_request(session, OpCode::CloseSession, Bytes::new(), now));
        }
    }

    fn delete_containers(&mut self, now: Now) {
        if self.is_halted || self.containers.deadline() > now.monotonic {
            return;
        }
        let path = {
            let database = self.state.database.read();
            self.containers.next(&database.tree, now.monotonic, now.wall)
        };
        let Some(path) = path else { return };
        tracing::info!(path, "deleting a container or TTL node that is due");
        let body = Ustring::from(path).to_vec().into();
        self.prepare(now, own_request(SessionId(0), OpCode::DeleteContainer, body, now));
    }

    /// Nothing that waits can be promised any more. Its connections are closed without an answer,
    /// so that no client takes for done what may be lost.
    fn on_log_failed(&mut self, effects: &mut Vec<Effect>) {
        self.is_halted = true;
        self.state.metrics.unrecoverable_error_count.increment(1);
        for cnxn in self.last.abandon() {
            cnxn.outbox().close();
            effects.push(Effect::Flush(cnxn));
        }
        for request in self.throttler.drain() {
            let Some(cnxn) = request.cnxn else { continue };
            cnxn.outbox().close();
            effects.push(Effect::Flush(cnxn));
        }
        for (_, attempt) in self.connecting.drain() {
            attempt.cnxn.outbox().close();
            effects.push(Effect::Flush(attempt.cnxn));
        }
    }
}

/// A request of the server itself.
fn own_request(session: SessionId, op: OpCode, body: Bytes, now: Now) -> ClientRequest {
    let arrival = Arrival { xid: 0, op, at: now.monotonic };
    ClientRequest { cnxn: None, session, identities: Arc::new([]), arrival, body }
}

/// Queues the answer to a connect request: the session, or that there is none
/// (`finishSessionInit`).
fn answer_connect(attempt: &ConnectAttempt, session: Option<SessionId>) {
    let passwd = session.map_or([0; PASSWORD_BYTES], password);
    let response = ConnectResponse {
        protocol_version: 0,
        time_out: if session.is_some() { attempt.timeout_ms } else { 0 },
        session_id: session.unwrap_or_default().0,
        passwd: Some(&passwd),
        read_only: false,
    };
    let mut frame = BytesMut::new();
    put_frame(&mut frame, |out| {
        response.write(out);
        if !attempt.has_read_only {
            out.truncate(out.len() - 1);
        }
    });
    attempt.cnxn.outbox().raw(&frame);
    if session.is_some() {
        attempt.cnxn.set_established();
    }
}
