//! What a learner's clients wait for (`CommitProcessor`, with the queue of
//! `FollowerZooKeeperServer.pendingTxns`): a learner sends writes to the leader and gets them back
//! as commits, in an order that only the leader knows. Here a commit finds the request it answers,
//! and the reads that waited behind it.
//!
//! Invariants:
//! 1. Requests of a session are answered in their order: whatever follows a write that is not
//!    committed, or a sync that is not answered, waits.
//! 2. Requests of different sessions do not wait for each other.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;

use super::final_request::outcome;
use super::{ClientRequest, FinalRequestProcessor, Pending, Progress, Unanswered};
use crate::proto::{ErrorCode, Millis, OpCode, SessionId, TxnEntry, Xid, Zxid};
use crate::session::{Arrival, ClientCnxn};

/// A transaction that was proposed, as the commit that follows it needs to know it.
#[derive(Debug)]
pub struct Committed {
    zxid: Zxid,
    entry: Range<usize>,
    session: SessionId,
    xid: Xid,
    op: OpCode,
    error: Option<ErrorCode>,
}

/// A request of a client of this server.
enum Waiting {
    /// Sent to the leader; its transaction will come back. If that is an error, the client is told
    /// `refusal` if there is one: why this server knows it to be.
    Write { request: ClientRequest, refusal: Option<ErrorCode> },
    /// A local session that becomes a global one; its transaction will come back.
    Upgrade,
    /// Sent to the leader; it will answer.
    Sync(ClientRequest),
    /// Behind one of the above.
    Read(ClientRequest),
    /// The end of a local session, behind one of the above. Nobody has asked for it if it expired.
    CloseLocal { cnxn: Option<Arc<ClientCnxn>>, arrival: Arrival },
}

/// The processor.
#[derive(Default)]
pub struct CommitProcessor {
    sessions: HashMap<SessionId, VecDeque<Waiting>>,
    /// Sessions with a sync the leader has not answered, in the order of their requests.
    syncs: VecDeque<SessionId>,
    /// Transactions proposed and not committed.
    proposed: VecDeque<Committed>,
}

impl CommitProcessor {
    /// A transaction was proposed and stands there in the batch being gathered.
    pub fn propose(&mut self, entry: &TxnEntry<'_>, range: Range<usize>) {
        let header = &entry.header;
        let (op, error) = outcome(entry);
        self.proposed.push_back(Committed {
            zxid: entry.zxid(),
            entry: range,
            session: SessionId(header.client_id),
            xid: header.cxid,
            op,
            error,
        });
    }

    /// A write of a client was sent to the leader; `refusal` is what the client is told if the
    /// leader refuses it, in the place of the leader's reason.
    pub fn write(&mut self, request: ClientRequest, refusal: Option<ErrorCode>) {
        let waiting = self.sessions.entry(request.session).or_default();
        waiting.push_back(Waiting::Write { request, refusal });
    }

    /// The leader was asked to create a session that was local.
    pub fn upgrade(&mut self, session: SessionId) {
        self.sessions.entry(session).or_default().push_back(Waiting::Upgrade);
    }

    /// A local session ends, once everything before is answered.
    pub fn close_local(
        &mut self,
        session: SessionId,
        cnxn: Option<Arc<ClientCnxn>>,
        arrival: Arrival,
        last: &mut FinalRequestProcessor,
    ) {
        match self.sessions.get_mut(&session) {
            Some(waiting) => waiting.push_back(Waiting::CloseLocal { cnxn, arrival }),
            None => last.push(Pending::CloseLocal { session, cnxn, arrival }),
        }
    }

    /// A sync of a client was sent to the leader.
    pub fn sync(&mut self, request: ClientRequest) {
        self.syncs.push_back(request.session);
        self.sessions.entry(request.session).or_default().push_back(Waiting::Sync(request));
    }

    /// A read behind others of its session; it goes on at once if nothing is before it.
    pub fn read(&mut self, request: ClientRequest, last: &mut FinalRequestProcessor) {
        match self.sessions.get_mut(&request.session) {
            Some(waiting) => waiting.push_back(Waiting::Read(request)),
            None => last.push(Pending::read(request)),
        }
    }

    /// The transaction `zxid`, the oldest proposed one, is committed. If it answers none of the
    /// requests here, `claim` says whose it is.
    ///
    /// # Panics
    /// If it is not: whoever takes packets from the leader has checked.
    pub fn commit(
        &mut self,
        zxid: Zxid,
        now: Millis,
        last: &mut FinalRequestProcessor,
        claim: impl FnOnce(
            SessionId,
            Xid,
            &mut FinalRequestProcessor,
        ) -> Option<(Arc<ClientCnxn>, Arrival)>,
    ) {
        let committed = self.proposed.pop_front().expect("a commit follows its proposal");
        assert_eq!(committed.zxid, zxid, "commits come in the order of proposals");
        last.committed(now);
        let Committed { entry, session, xid, op, error, .. } = committed;
        let is_ours = match self.sessions.get(&session).and_then(VecDeque::front) {
            Some(Waiting::Write { request, .. }) => request.arrival.xid == xid,
            Some(Waiting::Upgrade) => op == OpCode::CreateSession,
            _ => false,
        };
        let nobodys = Arrival { xid, op, at: now };
        if !is_ours {
            let (cnxn, arrival) = match claim(session, xid, last) {
                Some((cnxn, arrival)) => (Some(cnxn), arrival),
                None => (None, nobodys),
            };
            last.push(Pending::Txn { zxid, entry, cnxn, session, arrival, error });
            return;
        }
        let waiting = self.sessions.get_mut(&session).expect("it was just there");
        let (cnxn, arrival, error) = match waiting.pop_front() {
            Some(Waiting::Write { request, refusal }) => {
                let error = error.map(|error| refusal.unwrap_or(error));
                (request.cnxn, request.arrival, error)
            }
            _ => (None, nobodys, error),
        };
        last.push(Pending::Txn { zxid, entry, cnxn, session, arrival, error });
        self.go_on(session, last);
    }

    /// The leader has answered the oldest sync. False if there is none.
    pub fn synced(&mut self, last: &mut FinalRequestProcessor) -> bool {
        let Some(session) = self.syncs.pop_front() else { return false };
        let Some(waiting) = self.sessions.get_mut(&session) else { return true };
        // A sync that is behind a write of its own session is answered behind it: the leader has
        // answered both, the write as a commit that came before.
        if let Some(at) = waiting.iter().position(|waiting| matches!(waiting, Waiting::Sync(_)))
            && let Some(Waiting::Sync(sync)) = waiting.remove(at)
        {
            if at == 0 {
                last.push(Pending::read(sync));
            } else {
                waiting.insert(at, Waiting::Read(sync));
            }
        }
        self.go_on(session, last);
        true
    }

    /// The requests that wait, when there will be no answer; those of a session in their order.
    pub fn abandon(&mut self) -> impl Iterator<Item = Unanswered> {
        self.syncs.clear();
        self.proposed.clear();
        self.sessions.drain().flat_map(|(session, waiting)| {
            let is_upgraded = waiting.iter().any(|one| matches!(one, Waiting::Upgrade));
            waiting.into_iter().filter_map(move |waiting| {
                let (request, progress) = match waiting {
                    Waiting::Write { request, .. } => (request, Progress::Sent),
                    Waiting::Sync(request) | Waiting::Read(request) => (request, Progress::Waiting),
                    Waiting::Upgrade => return None,
                    Waiting::CloseLocal { cnxn, arrival } => {
                        (ClientRequest::without_record(cnxn?, session, arrival), Progress::Void)
                    }
                };
                let progress = if is_upgraded { Progress::Void } else { progress };
                Some(Unanswered { request, progress })
            })
        })
    }

    /// Lets a session's reads go on up to the next write or sync.
    fn go_on(&mut self, session: SessionId, last: &mut FinalRequestProcessor) {
        let Some(waiting) = self.sessions.get_mut(&session) else { return };
        while let Some(next) = waiting.pop_front() {
            match next {
                Waiting::Read(read) => last.push(Pending::read(read)),
                Waiting::CloseLocal { cnxn, arrival } => {
                    last.push(Pending::CloseLocal { session, cnxn, arrival });
                }
                other => {
                    waiting.push_front(other);
                    return;
                }
            }
        }
        self.sessions.remove(&session);
    }
}
