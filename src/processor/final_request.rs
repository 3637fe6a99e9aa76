//! The last processor (`FinalRequestProcessor`): it applies transactions that are flushed, fires
//! watches, and answers. Reads that waited behind a write of their session run here, where that
//! write is applied.
//!
//! Invariants:
//! 1. One hold of the exclusive lock for each run; no I/O under it.
//! 2. A notification is queued before the reply of the request that caused it.
//! 3. Replies of a connection are queued in the order of its requests.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::commit_counts::CommitCounts;
use super::reads::{RawRead, answer};
use super::server_stats::ReplyBatch;
use super::{ClientRequest, Progress, ServerState, Unanswered, ZkDatabase, op_name};
use crate::auth::Identity;
use crate::op::{self, Read};
use crate::persistence::LogBatch;
use crate::proto::{
    ErrorCode, EventType, Millis, OpCode, Perms, SessionId, TxnBody, TxnEntry, Zxid,
};
use crate::session::{Arrival, ClientCnxn, Owner};
use crate::stats::{Run, TrafficRun};
use crate::tree::{self, TreeEvent, TreeObserver};
use crate::watch;

/// What waits for the transactions before it.
pub enum Pending {
    /// A transaction and who is to be answered.
    Txn {
        /// The transaction.
        zxid: Zxid,
        /// Its entry, within its batch.
        entry: Range<usize>,
        /// Who asked for it.
        cnxn: Option<Arc<ClientCnxn>>,
        /// The session it belongs to.
        session: SessionId,
        /// The request.
        arrival: Arrival,
        /// Why it is an error transaction.
        error: Option<ErrorCode>,
    },
    /// A transaction logged in an earlier role, which turned out to be committed.
    Logged {
        /// The transaction.
        zxid: Zxid,
        /// The batch it went to the log with.
        batch: Arc<LogBatch>,
        /// Its entry, within the batch.
        entry: Range<usize>,
        /// Who asked for it, if it is a client that is still there.
        asked: Option<(Arc<ClientCnxn>, Arrival)>,
    },
    /// A read behind a write of its session.
    Read {
        /// Who asks.
        cnxn: Arc<ClientCnxn>,
        /// Who the connection was when it asked.
        identities: Arc<[Identity]>,
        /// The request.
        arrival: Arrival,
        /// Its record.
        body: Bytes,
    },
    /// A new session that only this server knows: it becomes no transaction.
    CreateLocal {
        /// The session.
        session: SessionId,
        /// Who asked for it.
        cnxn: Arc<ClientCnxn>,
        /// The request.
        arrival: Arrival,
    },
    /// The end of a session that only this server knows: it becomes no transaction.
    CloseLocal {
        /// The session.
        session: SessionId,
        /// Who asked for it; nobody did if it expired.
        cnxn: Option<Arc<ClientCnxn>>,
        /// The request.
        arrival: Arrival,
    },
    /// A request that could not be prepared.
    Refused {
        /// Who asked.
        cnxn: Arc<ClientCnxn>,
        /// The request.
        arrival: Arrival,
        /// Why.
        error: ErrorCode,
    },
}

impl Pending {
    /// A client's read, or its sync once that is answered.
    pub fn read(request: ClientRequest) -> Self {
        let ClientRequest { cnxn, identities, arrival, body, .. } = request;
        let cnxn = cnxn.expect("only clients read");
        Self::Read { cnxn, identities, arrival, body }
    }
}

/// What the engine is to do once transactions are applied.
#[derive(Default)]
pub struct Finished {
    /// Connections with something to send.
    pub to_flush: Vec<Arc<ClientCnxn>>,
    /// Sessions created, with their timeouts in milliseconds; whoever asked here is to be answered.
    pub created: Vec<(SessionId, i32)>,
    /// Sessions created that only this server knows; who asked is to be answered.
    pub created_local: Vec<SessionId>,
    /// Sessions closed, with the connection that asked for it, if one did.
    pub closed: Vec<(SessionId, Option<Arc<ClientCnxn>>)>,
    /// Requests answered.
    pub answered: usize,
    /// What of it a member of an ensemble counts as its `CommitProcessor`'s work.
    pub applied: Applied,
}

/// How much a run has applied and read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Applied {
    /// Transactions.
    pub writes: usize,
    /// Reads behind them.
    pub reads: usize,
}

/// Who says what is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CommitSource {
    /// Nobody: what is on disk is.
    #[default]
    Disk,
    /// This server, which leads: every write goes through it.
    Me,
    /// Its leader.
    Leader,
}

/// The processor.
#[derive(Default)]
pub struct FinalRequestProcessor {
    pending: VecDeque<Pending>,
    /// Batches handed to the log, the oldest first.
    batches: VecDeque<Arc<LogBatch>>,
    source: CommitSource,
    /// When the oldest commit came that is not carried out.
    commits_since: Option<Millis>,
}

impl FinalRequestProcessor {
    /// What is committed is known from there from now on.
    pub fn set_source(&mut self, source: CommitSource) {
        self.source = source;
        self.commits_since = None;
    }

    /// Commits have come that are to be carried out.
    pub fn committed(&mut self, now: Millis) {
        self.commits_since.get_or_insert(now);
    }

    /// Queues what follows everything queued before.
    pub fn push(&mut self, pending: Pending) {
        self.pending.push_back(pending);
    }

    /// A batch with the entries of the next transactions is on its way to the log.
    pub fn batch_appended(&mut self, batch: Arc<LogBatch>) {
        self.batches.push_back(batch);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// The requests that wait for an answer, when there will be none; those of a session in their
    /// order.
    pub fn abandon(&mut self) -> impl Iterator<Item = Unanswered> {
        self.batches.clear();
        self.pending.drain(..).filter_map(|pending| {
            let (cnxn, arrival, progress) = match pending {
                Pending::Txn { cnxn, arrival, .. } if arrival.op == OpCode::CreateSession => {
                    (cnxn?, arrival, Progress::Void)
                }
                Pending::Txn { cnxn, arrival, .. } => (cnxn?, arrival, Progress::Proposed),
                Pending::Logged { asked, .. } => {
                    let (cnxn, arrival) = asked?;
                    (cnxn, arrival, Progress::Proposed)
                }
                Pending::Read { cnxn, identities, arrival, body } => {
                    let session = cnxn.session_id();
                    let (cnxn, owner) = (Some(cnxn), Owner::ME);
                    let request = ClientRequest { cnxn, session, owner, identities, arrival, body };
                    return Some(Unanswered { request, progress: Progress::Waiting });
                }
                Pending::CloseLocal { cnxn, arrival, .. } => (cnxn?, arrival, Progress::Void),
                Pending::CreateLocal { cnxn, arrival, .. }
                | Pending::Refused { cnxn, arrival, .. } => (cnxn, arrival, Progress::Void),
            };
            let session = cnxn.session_id();
            let request = ClientRequest::without_record(cnxn, session, arrival);
            Some(Unanswered { request, progress })
        })
    }

    /// Applies and answers everything up to the transaction `flushed`, and what waits right behind
    /// it, at the time `now` of the monotonic clock and `wall` since 1970. Batches that are done go
    /// to `recycle`.
    pub fn run(
        &mut self,
        state: &ServerState,
        flushed: Zxid,
        now: Millis,
        wall: Millis,
        mut recycle: impl FnMut(Arc<LogBatch>),
    ) -> Finished {
        let mut finished = Finished::default();
        if !self.front_is_ready(flushed) {
            return finished;
        }
        let mut counts = Counts {
            replies: ReplyBatch::new(&state.metrics),
            reads: TrafficRun::new(&state.reads),
            writes: TrafficRun::new(&state.writes),
            propagation: Run::new(&state.metrics.propagation_latency),
            commits: (self.source != CommitSource::Disk).then(|| CommitCounts::new(&state.metrics)),
            now,
            wall,
        };
        let is_leader = self.source == CommitSource::Me;
        let mut database = state.database.write();
        while self.front_is_ready(flushed) {
            let pending = self.pending.pop_front().expect("the front is ready");
            match pending {
                Pending::Txn { zxid, entry, cnxn, session, arrival, error } => {
                    if let Some(commits) = &mut counts.commits {
                        match is_leader || cnxn.is_some() {
                            true => commits.local(now - arrival.at),
                            false => commits.of_others(),
                        }
                    }
                    let batch = self.batches.front().expect("a transaction stands in a batch");
                    let done = Txn { zxid, session, arrival, error };
                    done.finish(
                        &batch.bytes()[entry],
                        cnxn,
                        state,
                        &mut database,
                        &mut finished,
                        &mut counts,
                    );
                    if batch.last_zxid() == Some(zxid) {
                        recycle(self.batches.pop_front().expect("it was just there"));
                    }
                }
                Pending::Logged { zxid, batch, entry, asked } => {
                    let bytes = &batch.bytes()[entry];
                    let logged = TxnEntry::decode(bytes).expect("it is logged");
                    let (xid, session) = (logged.header.cxid, SessionId(logged.header.client_id));
                    let (op, error) = outcome(&logged);
                    let (cnxn, arrival) = match asked {
                        Some((cnxn, arrival)) => (Some(cnxn), arrival),
                        None => (None, Arrival { xid, op, at: now }),
                    };
                    let done = Txn { zxid, session, arrival, error };
                    done.finish(bytes, cnxn, state, &mut database, &mut finished, &mut counts);
                }
                Pending::Read { cnxn, identities, arrival, body } => {
                    if let Some(commits) = &mut counts.commits {
                        commits.read(now - arrival.at);
                    }
                    let read = Read {
                        tree: &database.tree,
                        watches: &state.watches,
                        auth: &state.auth,
                        cnxn: cnxn.id,
                        session: cnxn.session_id(),
                        identities: &identities,
                        traffic: &counts.reads,
                    };
                    let max_buffer_bytes = state.max_buffer_bytes;
                    let request = RawRead { arrival, body: &body, max_buffer_bytes };
                    let mut outbox = cnxn.outbox();
                    // Nobody waits for it, and a watch it left would stay for ever.
                    if !outbox.is_closing() {
                        answer(&read, &mut outbox, &request, &mut counts.replies, now);
                    } else {
                        state.metrics.stale_replies.increment(1);
                    }
                    drop(outbox);
                    finished.answered(cnxn);
                }
                Pending::CreateLocal { session, cnxn, arrival: Arrival { xid, op, at } } => {
                    let zxid = database.tree.last_processed();
                    cnxn.outbox().stats.responded(op_name(op), xid, zxid, at, now);
                    counts.replies.read(now - at, 0);
                    finished.created_local.push(session);
                }
                Pending::CloseLocal { session, cnxn, arrival } => {
                    finished.closed.push((session, cnxn.clone()));
                    let Some(cnxn) = cnxn else { continue };
                    let zxid = database.tree.last_processed();
                    finished.answer_without_txn(cnxn, arrival, zxid, Ok(()), &mut counts);
                }
                Pending::Refused { cnxn, arrival, error } => {
                    let zxid = database.tree.last_processed();
                    finished.answer_without_txn(cnxn, arrival, zxid, Err(error), &mut counts);
                }
            }
        }
        drop(database);
        if let Some(commits) = counts.commits {
            finished.applied = commits.finish(now - self.commits_since.unwrap_or(now));
        }
        if self.pending.is_empty() {
            self.commits_since = None;
        }
        state.stats.replied(counts.replies);
        state.add_in_process(-(finished.answered as i64));
        finished
    }

    fn front_is_ready(&self, flushed: Zxid) -> bool {
        match self.pending.front() {
            Some(Pending::Txn { zxid, .. } | Pending::Logged { zxid, .. }) => *zxid <= flushed,
            Some(_) => true,
            None => false,
        }
    }
}

impl Finished {
    /// Answers a request that became no transaction; the end of a session closes its connection.
    fn answer_without_txn(
        &mut self,
        cnxn: Arc<ClientCnxn>,
        Arrival { xid, op, at }: Arrival,
        zxid: Zxid,
        outcome: Result<(), ErrorCode>,
        counts: &mut Counts<'_>,
    ) {
        let mut outbox = cnxn.outbox();
        let bytes = outbox.reply(xid, zxid, |_| outcome);
        outbox.stats.responded(op_name(op), xid, zxid, at, counts.now);
        if outcome.is_ok() {
            outbox.close();
        }
        drop(outbox);
        counts.replies.read(counts.now - at, bytes);
        self.answered(cnxn);
    }

    fn answered(&mut self, cnxn: Arc<ClientCnxn>) {
        // Before the reply can be seen: whoever sees it may ask for what is in process.
        cnxn.finish_one();
        self.answered += 1;
        let is_mine = cnxn.outbox().promise_flush();
        if is_mine {
            self.to_flush.push(cnxn);
        }
    }
}

/// What a transaction is, and why if it is an error.
pub(super) fn outcome(entry: &TxnEntry<'_>) -> (OpCode, Option<ErrorCode>) {
    match &entry.body {
        TxnBody::Error(txn) => {
            let error = ErrorCode::from_code(txn.err).unwrap_or(ErrorCode::MarshallingError);
            (OpCode::Error, Some(error))
        }
        _ => (OpCode::from_code(entry.header.kind).unwrap_or(OpCode::Error), None),
    }
}

/// What is counted while a run goes on, and the times by which.
struct Counts<'a> {
    replies: ReplyBatch<'a>,
    reads: TrafficRun<'a>,
    writes: TrafficRun<'a>,
    propagation: Run<'a>,
    /// None of a server that waits for no commits.
    commits: Option<CommitCounts<'a>>,
    now: Millis,
    wall: Millis,
}

struct Txn {
    zxid: Zxid,
    session: SessionId,
    arrival: Arrival,
    error: Option<ErrorCode>,
}

impl Txn {
    fn finish(
        self,
        entry: &[u8],
        cnxn: Option<Arc<ClientCnxn>>,
        state: &ServerState,
        database: &mut ZkDatabase,
        finished: &mut Finished,
        counts: &mut Counts<'_>,
    ) {
        let entry = TxnEntry::decode(entry).expect("what was just encoded decodes");
        let told = &mut finished.to_flush;
        let mut watches = FireWatches { state, zxid: self.zxid, told, counts };
        let applied = database.apply(&entry, &mut watches);
        counts.propagation.add((counts.wall - entry.header.time).max(0));
        let Arrival { xid, op, at } = self.arrival;
        match op {
            OpCode::CreateSession => {
                if let TxnBody::CreateSession(txn) = &entry.body {
                    finished.created.push((self.session, txn.time_out));
                }
                let Some(cnxn) = cnxn else { return };
                let zxid = database.tree.last_processed();
                cnxn.outbox().stats.responded(op_name(op), xid, zxid, at, counts.now);
                counts.replies.update(counts.now - at, 0);
                return;
            }
            OpCode::CloseSession if self.error.is_none() => {
                finished.closed.push((self.session, cnxn.clone()));
            }
            _ => {}
        }
        let Some(cnxn) = cnxn else { return };
        let zxid = database.tree.last_processed();
        let mut outbox = cnxn.outbox();
        if self.error == Some(ErrorCode::SessionMoved) {
            // Its client is elsewhere by now (SessionMovedException).
            outbox.close();
        }
        let bytes = match self.error {
            Some(error) if op != OpCode::Multi || !matches!(applied, tree::Applied::Multi(_)) => {
                outbox.reply(xid, zxid, |_| Err(error))
            }
            _ => outbox.reply(xid, zxid, |out| write_reply(op, &entry.body, &applied, out)),
        };
        outbox.stats.responded(op_name(op), xid, zxid, at, counts.now);
        if op == OpCode::CloseSession {
            outbox.close();
        }
        drop(outbox);
        counts.replies.update(counts.now - at, bytes);
        finished.answered(cnxn);
    }
}

fn write_reply(
    op: OpCode,
    txn: &TxnBody<'_>,
    applied: &tree::Applied<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    match applied {
        tree::Applied::Created { path, stat, .. } => op::create::reply(op, path, stat, out),
        tree::Applied::DataSet(stat) => match txn {
            TxnBody::Reconfig(txn) => op::reconfig::reply(txn.data, stat, out),
            _ => op::set_data::reply(stat, out),
        },
        tree::Applied::AclSet(stat) => op::set_acl::reply(stat, out),
        tree::Applied::Multi(results) => op::multi::reply(results, out),
        tree::Applied::Deleted | tree::Applied::Session | tree::Applied::Checked => {}
        tree::Applied::Failed(code) => {
            unreachable!("a prepared transaction cannot fail, yet {op:?} failed with {code}")
        }
    }
    Ok(())
}

/// Turns what happens to the tree into notifications.
struct FireWatches<'a, 'b> {
    state: &'a ServerState,
    zxid: Zxid,
    told: &'a mut Vec<Arc<ClientCnxn>>,
    counts: &'a mut Counts<'b>,
}

impl TreeObserver for FireWatches<'_, '_> {
    fn on_event(&mut self, event: TreeEvent<'_>) {
        let Self { state, zxid, told, counts } = self;
        let metrics = &state.metrics;
        let (event, acl, parent_acl, watch_count) = match event {
            TreeEvent::Created { path, data_bytes, acl, parent_acl } => {
                counts.writes.add(path, path.len() + data_bytes);
                let count = &metrics.node_created_watch_count;
                (watch::TreeEvent::Created { path }, acl, parent_acl, count)
            }
            TreeEvent::Deleted { path, acl, parent_acl } => {
                counts.writes.add(path, path.len());
                let count = &metrics.node_deleted_watch_count;
                (watch::TreeEvent::Deleted { path }, acl, parent_acl, count)
            }
            TreeEvent::DataChanged { path, data_bytes, acl } => {
                counts.writes.add(path, path.len() + data_bytes);
                let count = &metrics.node_changed_watch_count;
                (watch::TreeEvent::DataChanged { path }, acl, acl, count)
            }
        };
        let fired = state.watches.fire(&event, &mut |watcher, kind, path| {
            let Some(cnxn) = state.cnxns.get(watcher) else { return };
            let acl = if kind == EventType::NodeChildrenChanged { parent_acl } else { acl };
            if !state.auth.check_acl(acl, Perms::READ, &cnxn.identities()) {
                return;
            }
            let mut outbox = cnxn.outbox();
            counts.replies.event(outbox.notify(*zxid, kind, path));
            if outbox.promise_flush() {
                drop(outbox);
                told.push(cnxn);
            }
        });
        let parent_count = &metrics.node_children_watch_count;
        let counted =
            [(watch_count, fired.data), (watch_count, fired.child), (parent_count, fired.parent)];
        for (watch_count, watches) in counted {
            // One that fired nothing is no event to ZooKeeper.
            if watches > 0 {
                watch_count.record(watches as f64);
            }
        }
    }
}
