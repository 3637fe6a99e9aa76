//! Clients that keep their connections while their server has no leader.
//!
//! In ZooKeeper every connection ends when its server loses its leader, and all clients look for
//! other servers, although the next leader is there in milliseconds. Here they stay for a while,
//! and notice no more than that an answer took longer.
//!
//! 1. Plain reads go on being answered from the tree as it is, as by a follower that is behind: it
//!    holds nothing that is not committed.
//! 2. Everything else waits here, in the order of each session, and goes to the next leader.
//! 3. A write that the last leader was sent may have become a transaction. The history of a later
//!    epoch tells: whatever can ever be committed of earlier ones is in it (Zab, "primary
//!    integrity"), and this server has applied it when it serves again. A write that is found in it
//!    is answered, another is asked for again: it is done once.
//! 4. Where the history does not tell, the connection ends, and its client does not know, as with
//!    any connection that is lost: if the epoch is the same, so that the old request may still be
//!    under way; if a snapshot has taken the place of the history; if the record of a request is
//!    not there any more.
//! 5. They stay for a tick: the shortest session lasts two, so that its client has time to find
//!    another server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::mutation::{self, Mutation};
use crate::processor::{
    ClientRequest, FinalRequestProcessor, Pending, Progress, RequestKind, Unanswered, classify,
};
use crate::proto::{Millis, SessionId, Xid};
use crate::session::{Arrival, ClientCnxn};

/// What the clients of a server without a leader wait for.
#[derive(Default)]
pub(super) struct KeptClients {
    /// By session, so that all servers and runs take them in one order.
    waiting: BTreeMap<SessionId, VecDeque<Unanswered>>,
    /// The epoch whose leader was sent those that are sent.
    sent_in: i64,
    /// When they are kept no longer; none while the server serves them.
    until: Option<Millis>,
}

impl KeptClients {
    /// Whether connections are kept without a leader.
    pub(super) fn is_keeping(&self) -> bool {
        self.until.is_some()
    }

    /// When they are kept no longer.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.until
    }

    /// Keeps them until then. If they are kept already, nothing was sent since, and nothing
    /// changes.
    pub(super) fn keep(&mut self, until: Millis, epoch: i64) {
        if self.until.is_none() {
            self.until = Some(until);
            self.sent_in = epoch;
        }
    }

    /// What a client asks for waits.
    pub(super) fn push(&mut self, request: ClientRequest) {
        self.extend(vec![Unanswered { request, progress: Progress::Waiting }]);
    }

    /// These wait, behind those that wait already.
    pub(super) fn extend(&mut self, unanswered: Vec<Unanswered>) {
        for one in unanswered {
            self.waiting.entry(one.request.session).or_default().push_back(one);
        }
    }

    /// A transaction is in the history: whose request it answers, if it is that of a client here.
    /// The reads and syncs before that request go to `last`: the leader had answered the syncs, or
    /// it would not have gone on to the request.
    pub(super) fn claim(
        &mut self,
        session: SessionId,
        xid: Xid,
        last: &mut FinalRequestProcessor,
    ) -> Option<(Arc<ClientCnxn>, Arrival)> {
        if mutation::is_on(Mutation::AskAgainBlindly) {
            return None;
        }
        let waiting = self.waiting.get_mut(&session)?;
        let is_made = |one: &Unanswered| one.progress != Progress::Waiting;
        let is_its = |one: &Unanswered| is_made(one) && one.request.arrival.xid == xid;
        let at = waiting.iter().position(is_its)?;
        if waiting.iter().take(at).any(|one| is_made(one) || is_write(one)) {
            // A leader takes the writes of a session in their order: what this is nobody knows.
            waiting[at].progress = Progress::Void;
            return None;
        }
        waiting.drain(..at).for_each(|one| last.push(Pending::read(one.request)));
        let ClientRequest { cnxn, arrival, .. } = waiting.pop_front()?.request;
        Some((cnxn?, arrival))
    }

    /// Takes what waits, in the order of each session.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Unanswered> {
        std::mem::take(&mut self.waiting).into_values().flatten()
    }

    /// They are kept no longer; gives what waited.
    pub(super) fn abandon(&mut self) -> Vec<Unanswered> {
        self.until = None;
        self.take().collect()
    }

    /// They are served in this epoch, whose history is applied. Gives what each session waits for,
    /// and whether all of that may be asked for again.
    pub(super) fn end(&mut self, epoch: i64) -> Vec<(bool, Vec<Unanswered>)> {
        self.until = None;
        let is_later = epoch > self.sent_in || mutation::is_on(Mutation::AskAgainBlindly);
        let may_ask_again = |one: &Unanswered| match one.progress {
            Progress::Waiting => true,
            Progress::Sent => is_later,
            Progress::Proposed | Progress::Void => false,
        };
        let sessions = std::mem::take(&mut self.waiting).into_values();
        let sessions = sessions.map(|waiting| (waiting.iter().all(may_ask_again), waiting.into()));
        sessions.collect()
    }
}

fn is_write(one: &Unanswered) -> bool {
    classify(Some(one.request.arrival.op)) == RequestKind::Write
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::OpCode;
    use crate::session::{CnxnId, Transport};

    const SESSION: SessionId = SessionId(1);

    struct NoSocket;

    impl Transport for NoSocket {
        fn flush(&self, _cnxn: &ClientCnxn) {}
        fn resume(&self) {}
    }

    fn unanswered(xid: Xid, op: OpCode, progress: Progress) -> Unanswered {
        let peer = "127.0.0.1:1".parse().unwrap();
        let cnxn = ClientCnxn::new(CnxnId(1), peer, Arc::new([]), 0, Box::new(NoSocket));
        let arrival = Arrival { xid, op, at: 0 };
        let request = ClientRequest::without_record(Arc::new(cnxn), SESSION, arrival);
        Unanswered { request, progress }
    }

    fn kept(unanswered: Vec<Unanswered>) -> KeptClients {
        let mut kept = KeptClients::default();
        kept.keep(2_000, 7);
        kept.extend(unanswered);
        kept
    }

    /// The requests that are left, and whether they may all be asked for again in this epoch.
    fn end(mut kept: KeptClients, epoch: i64) -> Vec<(bool, Vec<Xid>)> {
        let xids = |waiting: Vec<Unanswered>| {
            waiting.iter().map(|one| one.request.arrival.xid).collect::<Vec<_>>()
        };
        let ended = kept.end(epoch).into_iter();
        ended.map(|(may_ask_again, waiting)| (may_ask_again, xids(waiting))).collect()
    }

    #[test]
    fn a_write_that_the_history_has_is_answered_behind_the_reads_before_it() {
        let mut kept = kept(vec![
            unanswered(1, OpCode::Sync, Progress::Waiting),
            unanswered(2, OpCode::GetData, Progress::Waiting),
            unanswered(3, OpCode::SetData, Progress::Sent),
            unanswered(4, OpCode::SetData, Progress::Sent),
        ]);
        let mut last = FinalRequestProcessor::default();
        assert!(kept.claim(SessionId(2), 3, &mut last).is_none(), "another session");
        let (_, arrival) = kept.claim(SESSION, 3, &mut last).expect("it is there");
        assert_eq!((arrival.xid, last.len()), (3, 2));
        assert!(kept.claim(SESSION, 3, &mut last).is_none(), "it is answered once");
        assert_eq!(end(kept, 8), [(true, vec![4])]);
    }

    #[test]
    fn only_a_later_epoch_tells_that_a_write_was_not_made() {
        let waiting = || {
            vec![
                unanswered(1, OpCode::SetData, Progress::Sent),
                unanswered(2, OpCode::SetData, Progress::Waiting),
            ]
        };
        assert_eq!(end(kept(waiting()), 8), [(true, vec![1, 2])]);
        assert_eq!(end(kept(waiting()), 7), [(false, vec![1, 2])]);
        assert_eq!(end(kept(waiting().split_off(1)), 7), [(true, vec![2])], "nobody was asked");
        let proposed = vec![unanswered(1, OpCode::SetData, Progress::Proposed)];
        assert_eq!(end(kept(proposed), 8), [(false, vec![1])], "its record is gone");
    }

    #[test]
    fn the_time_and_the_epoch_are_those_of_the_first_loss() {
        let mut kept = kept(vec![unanswered(1, OpCode::SetData, Progress::Sent)]);
        kept.keep(9_000, 8);
        assert_eq!(kept.deadline(), Some(2_000));
        assert_eq!(end(kept, 8), [(true, vec![1])]);
    }

    #[test]
    fn a_later_write_in_the_history_leaves_the_session_in_doubt() {
        let mut kept = kept(vec![
            unanswered(1, OpCode::SetData, Progress::Sent),
            unanswered(2, OpCode::SetData, Progress::Sent),
        ]);
        assert!(kept.claim(SESSION, 2, &mut FinalRequestProcessor::default()).is_none());
        assert_eq!(end(kept, 8), [(false, vec![1, 2])]);
    }
}
