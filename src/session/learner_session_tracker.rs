//! The sessions of a learner's own clients (`LearnerSessionTracker`): the leader decides when a
//! global session ends; a learner gives out ids and tells the leader whom it has heard of. Local
//! sessions it keeps to itself, as a [`LeaderSessionTracker`](super::LeaderSessionTracker) does.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::session_tracker::{SessionHandle, SessionTracker, Shared};
use crate::proto::{Millis, SessionId};

/// The sessions of this server's connections.
#[derive(Debug)]
pub struct LearnerSessionTracker {
    sessions: HashMap<SessionId, SessionHandle>,
    local: Option<SessionTracker>,
    next_session_id: SessionId,
}

impl LearnerSessionTracker {
    /// A tracker of no sessions, whose ids go up from `first` ([`super::first_session_id`]); new
    /// sessions are tracked by `local`, if there are local ones.
    pub fn new(first: SessionId, local: Option<SessionTracker>) -> Self {
        Self { sessions: HashMap::new(), local, next_session_id: first }
    }

    /// Takes the next session id and tracks it; true if the session is local.
    pub fn create(&mut self, timeout_ms: i32, now: Millis) -> (SessionId, SessionHandle, bool) {
        if let Some(local) = &mut self.local {
            let (id, handle) = local.create(timeout_ms, now);
            local.commit(id, timeout_ms, now);
            return (id, handle, true);
        }
        let id = self.next_session_id;
        self.next_session_id = SessionId(id.0.wrapping_add(1));
        (id, self.track(id, timeout_ms, now), false)
    }

    /// Tracks a global session that a client of this server has, heard of just now.
    pub fn track(&mut self, id: SessionId, timeout_ms: i32, now: Millis) -> SessionHandle {
        let shared = Arc::new(Shared::new(now + Millis::from(timeout_ms)));
        let handle = SessionHandle::new(shared, timeout_ms);
        self.sessions.insert(id, handle.clone());
        handle
    }

    /// Tracks a global session by what its connection, that of an earlier role, marks.
    pub fn adopt(&mut self, id: SessionId, handle: &SessionHandle) {
        self.sessions.insert(id, handle.clone());
    }

    /// Whether there are local sessions.
    pub fn has_local(&self) -> bool {
        self.local.is_some()
    }

    /// Whether the session is known to this server only.
    pub fn is_local(&self, id: SessionId) -> bool {
        self.local.as_ref().is_some_and(|local| local.is_tracked(id))
    }

    /// Prolongs a local session for a connection that is new to it; none if it is not one, or is
    /// closing.
    pub fn touch_local(
        &mut self,
        id: SessionId,
        timeout_ms: i32,
        now: Millis,
    ) -> Option<SessionHandle> {
        self.local.as_mut()?.touch(id, timeout_ms, now)
    }

    /// Makes a local session a global one, which the leader is still to create; `handle` is what
    /// its connection marks. Returns its timeout in milliseconds, none if it is not local.
    pub fn upgrade(&mut self, id: SessionId, handle: &SessionHandle) -> Option<i32> {
        let timeout_ms = self.local.as_mut()?.release(id)?;
        self.sessions.insert(id, handle.clone());
        Some(timeout_ms)
    }

    /// Refuses further requests of a local session that ends.
    pub fn set_closing(&mut self, id: SessionId) {
        if let Some(local) = &mut self.local {
            local.set_closing(id);
        }
    }

    /// Local sessions that have ended by `now`, as [`SessionTracker::expire_due`].
    pub fn expire_due(&mut self, now: Millis) -> Vec<SessionId> {
        self.local.as_mut().map_or_else(Vec::new, |local| local.expire_due(now))
    }

    /// When [`Self::expire_due`] may next have something to do.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.local.as_ref().and_then(SessionTracker::next_deadline)
    }

    /// A session is over, or its client has gone elsewhere.
    pub fn remove(&mut self, id: SessionId) {
        if let Some(local) = &mut self.local {
            local.remove(id);
        }
        self.forget_global(id);
    }

    /// The client of a global session is gone, or has gone elsewhere; a local session waits for
    /// its client until it expires.
    pub fn forget_global(&mut self, id: SessionId) {
        if let Some(handle) = self.sessions.remove(&id) {
            handle.set_closing();
        }
    }

    /// Sessions heard of at `since` or later, with their timeouts in milliseconds.
    pub fn touched_since(&self, since: Millis) -> impl Iterator<Item = (SessionId, i32)> {
        let touched = move |handle: &SessionHandle| {
            handle.expires_at() - Millis::from(handle.timeout_ms()) >= since
        };
        let sessions = self.sessions.iter();
        sessions
            .filter(move |(_, handle)| touched(handle))
            .map(|(id, handle)| (*id, handle.timeout_ms()))
    }

    /// Local sessions by the time at which they end unless touched; none if there may be none.
    pub fn local_expiry(&self) -> Option<BTreeMap<Millis, Vec<SessionId>>> {
        self.local.as_ref().map(SessionTracker::expiry_map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_heard_of_is_told_once_and_again_when_heard_of_again() {
        let mut tracker = LearnerSessionTracker::new(SessionId(7), None);
        let (first, handle, _) = tracker.create(1000, 100);
        let (second, _, _) = tracker.create(2000, 150);
        assert_eq!((first, second), (SessionId(7), SessionId(8)));
        let touched = |since| {
            let mut touched: Vec<_> = tracker.touched_since(since).collect();
            touched.sort_unstable();
            touched
        };
        assert_eq!(touched(100), [(first, 1000), (second, 2000)]);
        assert_eq!(touched(101), [(second, 2000)]);
        assert!(handle.touch(300));
        assert_eq!(touched(200), [(first, 1000)]);
    }

    #[test]
    fn a_session_that_is_gone_cannot_be_touched() {
        let mut tracker = LearnerSessionTracker::new(SessionId(7), None);
        let (id, handle, _) = tracker.create(1000, 0);
        tracker.remove(id);
        assert!(!handle.touch(1) && tracker.touched_since(0).next().is_none());
    }

    #[test]
    fn the_leader_hears_of_a_local_session_once_it_is_global() {
        let local = SessionTracker::new(10, SessionId(7));
        let mut tracker = LearnerSessionTracker::new(SessionId(7), Some(local));
        let (id, handle, is_local) = tracker.create(1000, 0);
        assert!(is_local && tracker.touched_since(0).next().is_none());
        tracker.forget_global(id);
        assert!(tracker.touch_local(id, 1000, 5).is_some(), "it waits for its client");
        assert_eq!(tracker.upgrade(id, &handle), Some(1000));
        assert!(handle.touch(10) && !tracker.is_local(id));
        assert_eq!(tracker.touched_since(10).collect::<Vec<_>>(), [(id, 1000)]);
        assert_eq!(tracker.expire_due(9_999), []);
    }
}
