//! What a server does in every role: it holds requests back, gathers batches, applies and answers
//! what may be applied, and knows whose connection is whose.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use foldhash::HashMap;
use jute::{ConnectResponse, Field};

use super::EngineOptions;
use super::input::{ConnectAttempt, Effect, Now};
use super::kept_clients::KeptClients;
use super::request_throttler::{RequestThrottler, Verdict};
use crate::mutation::{self, Mutation};
use crate::persistence::LogBatch;
use crate::processor::{
    Applied, ClientRequest, FinalRequestProcessor, Finished, Pending, Progress, ServerMode,
    ServerState, SyncRequestProcessor, Unanswered,
};
use crate::proto::frame::put_frame;
use crate::proto::{ErrorCode, Millis, OpCode, PASSWORD_BYTES, SessionId, TxnEntry, Zxid};
use crate::quorum::{Proposal, QuorumVerifier};
use crate::session::{
    Arrival, ClientCnxn, CnxnSession, LearnerSessionTracker, SessionHandle, password,
};

/// The parts that every role uses.
pub(super) struct Core {
    pub state: Arc<ServerState>,
    pub throttler: RequestThrottler,
    pub sync: SyncRequestProcessor,
    pub last: FinalRequestProcessor,
    /// Each session's connection.
    pub cnxns: HashMap<SessionId, Arc<ClientCnxn>>,
    /// Connections that wait for their session to be created.
    pub connecting: HashMap<SessionId, ConnectAttempt>,
    /// What clients wait for while there is no leader.
    pub kept: KeptClients,
    /// The last transaction that is on disk.
    pub flushed: Zxid,
    /// What was applied since this was last asked, of a member of an ensemble.
    pub applied: Applied,
    is_snapshot_running: bool,
    /// Whether anything is written to disk; an observer may be told not to.
    pub is_logging: bool,
    pub is_halted: bool,
}

impl Core {
    pub(super) fn new(state: Arc<ServerState>, options: &EngineOptions) -> Self {
        let flushed = state.database.read().tree.last_processed();
        Self {
            state,
            throttler: RequestThrottler::new(options.throttle),
            sync: SyncRequestProcessor::new(options.sync, options.seed),
            last: FinalRequestProcessor::default(),
            cnxns: HashMap::default(),
            connecting: HashMap::default(),
            kept: KeptClients::default(),
            flushed,
            applied: Applied::default(),
            is_snapshot_running: false,
            is_logging: true,
            is_halted: false,
        }
    }

    /// The last transaction applied to the tree.
    pub(super) fn last_processed(&self) -> Zxid {
        self.state.database.read().tree.last_processed()
    }

    /// A connection is gone.
    pub(super) fn on_disconnected(&mut self, cnxn: &ClientCnxn) {
        let session = cnxn.session_id();
        if self.cnxns.get(&session).is_some_and(|owner| owner.id == cnxn.id) {
            self.cnxns.remove(&session);
        }
    }

    pub(super) fn snapshot_done(&mut self) {
        self.is_snapshot_running = false;
    }

    /// The next request that may go in; those that have waited in vain are refused or dropped.
    pub(super) fn admit(&mut self, now: Now, effects: &mut Vec<Effect>) -> Option<ClientRequest> {
        if self.is_halted {
            return None;
        }
        let metrics = &self.state.clone().metrics;
        while let Some(verdict) = self.throttler.next(now.monotonic, self.last.len(), metrics) {
            match verdict {
                Verdict::Admit(request) => return Some(request),
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
        None
    }

    /// The batch, if it is time to write it to the log; it counts as on its way from then on.
    pub(super) fn due_batch(&mut self, now: Now, is_idle: bool) -> Option<(Arc<LogBatch>, Millis)> {
        if self.is_halted || !self.sync.is_due(now.monotonic, is_idle) {
            return None;
        }
        Some(self.take_batch())
    }

    /// The batch as it is, and since when its first entry waits.
    pub(super) fn take_batch(&mut self) -> (Arc<LogBatch>, Millis) {
        let since = self.sync.batch_since();
        let batch = self.sync.take();
        self.last.batch_appended(batch.clone());
        (batch, since)
    }

    /// Has a batch written; begins a new log file and a snapshot if they are due.
    pub(super) fn append(
        &mut self,
        (batch, since): (Arc<LogBatch>, Millis),
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_logging {
            self.flushed = batch.last_zxid().unwrap_or(self.flushed);
            return;
        }
        effects.push(Effect::Append { batch, since });
        if self.sync.snapshot_is_due() {
            effects.push(Effect::RollLog);
            // A start replays the whole log: before a leader says so, the tree is not known to hold
            // only what is committed, and a snapshot of it could not be cut.
            if self.state.mode() == ServerMode::NotServing {
                return;
            }
            if self.is_snapshot_running {
                tracing::warn!("too busy to take a snapshot: the last one is not finished");
            } else {
                self.is_snapshot_running = true;
                effects.push(Effect::TakeSnapshot);
            }
        }
    }

    /// Applies and answers everything up to `up_to`; sends what there is to send.
    pub(super) fn apply(&mut self, now: Now, up_to: Zxid, effects: &mut Vec<Effect>) -> Finished {
        let sync = &mut self.sync;
        let recycle = |batch| sync.recycle(batch);
        let mut finished = self.last.run(&self.state, up_to, now.monotonic, now.wall, recycle);
        effects.extend(finished.to_flush.drain(..).map(Effect::Flush));
        self.applied.writes += finished.applied.writes;
        self.applied.reads += finished.applied.reads;
        finished
    }

    /// What is in the log and known to be committed is applied with the rest.
    pub(super) fn push_logged<'a>(&mut self, proposals: impl Iterator<Item = &'a Proposal>) {
        for Proposal { zxid, batch, entry } in proposals {
            let (batch, entry) = (batch.clone(), entry.clone());
            let header =
                TxnEntry::decode(&batch.bytes()[entry.clone()]).expect("it is logged").header;
            let session = SessionId(header.client_id);
            let asked = self.kept.claim(session, header.cxid, &mut self.last);
            self.last.push(Pending::Logged { zxid: *zxid, batch, entry, asked });
        }
    }

    /// Binds a session to the connection that asks for it.
    pub(super) fn bind(&self, cnxn: &ClientCnxn, session: SessionId, handle: SessionHandle) {
        let is_new = cnxn.session.set(CnxnSession { id: session, handle }).is_ok();
        assert!(is_new, "a connection asks for a session once");
    }

    /// A client has one connection at a time: an old one is closed when it comes with a new one,
    /// whatever comes of that.
    pub(super) fn close_old_cnxn(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        if let Some(old) = self.cnxns.remove(&session) {
            close(old, effects);
        }
    }

    /// A session that was asked for has been created.
    pub(super) fn session_created(
        &mut self,
        session: SessionId,
        effects: &mut Vec<Effect>,
    ) -> Option<ConnectAttempt> {
        let attempt = self.connecting.remove(&session)?;
        self.cnxns.insert(session, attempt.cnxn.clone());
        self.answer_connect(&attempt, Some(session), effects);
        Some(attempt)
    }

    /// A session that only this server knows is asked for, and tracked.
    pub(super) fn create_local(&mut self, session: SessionId, attempt: ConnectAttempt) {
        self.state.add_local_sessions(1);
        let arrival = Arrival { xid: 0, op: OpCode::CreateSession, at: attempt.at };
        self.last.push(Pending::CreateLocal { session, cnxn: attempt.cnxn.clone(), arrival });
        self.connecting.insert(session, attempt);
    }

    /// A session that only this server knows has expired.
    pub(super) fn expire_local(&mut self, session: SessionId, now: Now) {
        self.state.metrics.stale_sessions_expired.increment(1);
        tracing::info!(%session, "local session expired");
        let arrival = Arrival { xid: 0, op: OpCode::CloseSession, at: now.monotonic };
        self.last.push(Pending::CloseLocal { session, cnxn: None, arrival });
    }

    /// Gives a session back to the client that came for it, or refuses it.
    pub(super) fn session_reopened(
        &mut self,
        attempt: &ConnectAttempt,
        is_valid: bool,
        effects: &mut Vec<Effect>,
    ) {
        if is_valid {
            self.cnxns.insert(attempt.session, attempt.cnxn.clone());
            self.answer_connect(attempt, Some(attempt.session), effects);
        } else {
            self.answer_connect(attempt, None, effects);
        }
    }

    /// Queues the answer to a connect request: the session, or that there is none
    /// (`finishSessionInit`).
    fn answer_connect(
        &self,
        attempt: &ConnectAttempt,
        session: Option<SessionId>,
        effects: &mut Vec<Effect>,
    ) {
        let passwd = session.map_or([0; PASSWORD_BYTES], password);
        let response = ConnectResponse {
            protocol_version: 0,
            time_out: if session.is_some() { attempt.timeout_ms } else { 0 },
            session_id: session.unwrap_or_default().0,
            passwd: Some(&passwd),
            read_only: self.state.mode() == ServerMode::ReadOnly,
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
        } else {
            attempt.cnxn.outbox().close();
        }
        self.state.stats.sent(1);
        effects.push(Effect::Flush(attempt.cnxn.clone()));
        effects.push(Effect::Resume(attempt.cnxn.clone()));
    }

    /// A session's end is applied: its connection is closed, unless it asked for the end and is
    /// answered.
    pub(super) fn session_closed(
        &mut self,
        session: SessionId,
        asked_by: Option<Arc<ClientCnxn>>,
        effects: &mut Vec<Effect>,
    ) {
        let cnxn = self.cnxns.remove(&session);
        if asked_by.is_none()
            && let Some(cnxn) = cnxn
        {
            close(cnxn, effects);
        }
    }

    /// The same for all sessions whose ends are applied, of a server that tracks them for its
    /// leader.
    pub(super) fn sessions_closed(
        &mut self,
        closed: Vec<(SessionId, Option<Arc<ClientCnxn>>)>,
        sessions: &mut LearnerSessionTracker,
        effects: &mut Vec<Effect>,
    ) {
        for (session, asked_by) in closed {
            if sessions.is_local(session) {
                self.state.add_local_sessions(-1);
            }
            sessions.remove(session);
            self.session_closed(session, asked_by, effects);
        }
    }

    /// The session of a connection that is gone needs no tracking for the leader any more, unless
    /// it has another.
    pub(super) fn forget_if_gone(&self, cnxn: &ClientCnxn, sessions: &mut LearnerSessionTracker) {
        let session = cnxn.session_id();
        if session != SessionId(0) && !self.cnxns.contains_key(&session) {
            sessions.forget_global(session);
        }
    }

    /// The sessions that the ensemble knows, with their timeouts in milliseconds.
    pub(super) fn global_sessions(&self) -> BTreeMap<SessionId, i32> {
        let database = self.state.database.read();
        database.sessions.iter().map(|(&session, &timeout_ms)| (session, timeout_ms)).collect()
    }

    /// Nothing that waits can be promised any more. Its connections are closed without an answer,
    /// so that no client takes for done what may be lost.
    pub(super) fn halt(&mut self, effects: &mut Vec<Effect>) {
        self.is_halted = true;
        self.state.metrics.unrecoverable_error_count.increment(1);
        let unanswered = self.unanswered(Vec::new(), effects);
        self.drop_requests(unanswered, effects);
    }

    /// Writes the configuration that this server knows into its tree.
    pub(super) fn show_config(&self, config: &QuorumVerifier, now: Now) {
        let mut database = self.state.database.write();
        database.tree.set_config(&config.to_text(), config.version(), now.wall);
    }

    /// A role is over, and every client is to go elsewhere; `left` are requests that the role has
    /// not answered.
    pub(super) fn end_role(&mut self, left: Vec<Unanswered>, effects: &mut Vec<Effect>) {
        let unanswered = self.leave_role(left, effects);
        self.drop_requests(unanswered, effects);
        self.end_clients(effects);
    }

    /// A role in `epoch` is over; clients whose sessions the ensemble knows are kept until then.
    pub(super) fn end_role_and_keep_clients(
        &mut self,
        left: Vec<Unanswered>,
        (until, epoch): (Millis, i64),
        effects: &mut Vec<Effect>,
    ) {
        let unanswered = self.leave_role(left, effects);
        self.kept.keep(until, epoch);
        let (void, left): (Vec<_>, Vec<_>) =
            unanswered.into_iter().partition(|one| one.progress == Progress::Void);
        self.drop_requests(void, effects);
        let is_kept = |session: &SessionId, cnxn: &mut Arc<ClientCnxn>| {
            let is_open = cnxn.session.get().is_some_and(|session| session.handle.is_open());
            let is_known = self.state.database.read().sessions.contains_key(session);
            is_open && is_known && !cnxn.outbox().is_closing()
        };
        self.cnxns.retain(is_kept);
        let (kept, lost) = left.into_iter().partition(|one| self.is_of_cnxn(&one.request));
        self.drop_requests(lost, effects);
        self.kept.extend(kept);
        for cnxn in self.state.cnxns.all() {
            let owner = self.cnxns.get(&cnxn.session_id());
            if owner.is_none_or(|owner| owner.id != cnxn.id) {
                close(cnxn, effects);
            }
        }
    }

    /// This server serves again, in this epoch, whose history it has applied: the clients that were
    /// kept go on. `adopt` takes their sessions over. Gives what they still ask for.
    pub(super) fn take_over_clients(
        &mut self,
        now: Now,
        epoch: i64,
        mut adopt: impl FnMut(SessionId, &SessionHandle),
        effects: &mut Vec<Effect>,
    ) -> Vec<ClientRequest> {
        let mut again = Vec::new();
        for (progress_is_clear, waiting) in self.kept.end(epoch) {
            if progress_is_clear && waiting.iter().all(|one| self.is_of_cnxn(&one.request)) {
                again.extend(waiting.into_iter().map(|one| one.request));
            } else {
                self.drop_requests(waiting, effects);
            }
        }
        let sessions = &self.state.database.read().sessions;
        for (&session, cnxn) in &self.cnxns {
            let Some(CnxnSession { handle, .. }) = cnxn.session.get() else { continue };
            if sessions.contains_key(&session) && handle.touch(now.monotonic) {
                adopt(session, handle);
            } else {
                close(cnxn.clone(), effects);
            }
        }
        again
    }

    /// Every client is to go elsewhere.
    pub(super) fn end_clients(&mut self, effects: &mut Vec<Effect>) {
        let kept = self.kept.abandon();
        self.drop_requests(kept, effects);
        self.cnxns.clear();
        let cnxns = self.state.cnxns.all();
        cnxns.into_iter().for_each(|cnxn| close(cnxn, effects));
    }

    /// Whether a request came over the connection that its session has now.
    fn is_of_cnxn(&self, request: &ClientRequest) -> bool {
        let owner = self.cnxns.get(&request.session);
        let of = request.cnxn.as_ref();
        of.zip(owner).is_some_and(|(of, owner)| of.id == owner.id && !of.outbox().is_closing())
    }

    /// Nothing of a role goes on; gives the requests that it has not answered.
    fn leave_role(&mut self, left: Vec<Unanswered>, effects: &mut Vec<Effect>) -> Vec<Unanswered> {
        if mutation::is_on(Mutation::WriteForDeadEpoch) && !self.sync.batch().is_empty() {
            let batch = self.take_batch();
            self.append(batch, effects);
        }
        self.sync.discard();
        self.state.add_local_sessions(-self.state.local_sessions());
        self.unanswered(left, effects)
    }

    /// Takes everything that waits for an answer, those of a session in their order; connections
    /// that wait for their session are closed.
    fn unanswered(&mut self, left: Vec<Unanswered>, effects: &mut Vec<Effect>) -> Vec<Unanswered> {
        for (_, attempt) in self.connecting.drain() {
            close(attempt.cnxn, effects);
        }
        let mut unanswered: Vec<Unanswered> = self.last.abandon().collect();
        unanswered.extend(left);
        unanswered.extend(self.kept.take());
        let progress = Progress::Waiting;
        let throttled = self.throttler.drain();
        unanswered.extend(throttled.map(|request| Unanswered { request, progress }));
        unanswered
    }

    /// These requests will not be answered: their connections end.
    fn drop_requests(&self, requests: Vec<Unanswered>, effects: &mut Vec<Effect>) {
        let mut dropped = 0;
        for Unanswered { request: ClientRequest { cnxn, arrival, .. }, .. } in requests {
            let Some(cnxn) = cnxn else { continue };
            // A connect request is not among the requests that are counted.
            dropped += i64::from(arrival.op != OpCode::CreateSession);
            close(cnxn, effects);
        }
        self.state.add_in_process(-dropped);
    }
}

/// Closes a connection behind what waits on it.
pub(super) fn close(cnxn: Arc<ClientCnxn>, effects: &mut Vec<Effect>) {
    cnxn.outbox().close();
    effects.push(Effect::Flush(cnxn));
}
