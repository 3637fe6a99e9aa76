//! The sessions of a standalone server or a leader (`LeaderSessionTracker`): those that the whole
//! ensemble knows, and, if there are local sessions, those of this server's own clients that nobody
//! else knows (`LocalSessionTracker`).
//!
//! 1. A local session stands in no transaction and no snapshot. It owns no ephemeral node.
//! 2. A session is local or global, never both: one that is to own an ephemeral node is upgraded
//!    before, for good.

use std::collections::BTreeMap;

use super::session_tracker::{Owner, SessionHandle, SessionTracker};
use crate::proto::{ErrorCode, Millis, SessionId};

/// Bits of a session id below the server that gave it out.
const SERVER_ID_SHIFT: u32 = 56;

/// Sessions, global and local.
#[derive(Debug)]
pub struct LeaderSessionTracker {
    /// Those that the ensemble knows.
    pub global: SessionTracker,
    local: Option<SessionTracker>,
    server_id: i64,
}

impl LeaderSessionTracker {
    /// A tracker without local sessions.
    pub fn new(global: SessionTracker) -> Self {
        Self { global, local: None, server_id: 0 }
    }

    /// A tracker whose new sessions are local ones of the server `server_id`.
    pub fn with_local(global: SessionTracker, local: SessionTracker, server_id: i64) -> Self {
        Self { global, local: Some(local), server_id }
    }

    /// Takes the next session id and tracks it; true if the session is local.
    pub fn create(&mut self, timeout_ms: i32, now: Millis) -> (SessionId, SessionHandle, bool) {
        match &mut self.local {
            Some(local) => {
                let (id, handle) = local.create(timeout_ms, now);
                local.commit(id, timeout_ms, now);
                (id, handle, true)
            }
            None => {
                let (id, handle) = self.global.create(timeout_ms, now);
                (id, handle, false)
            }
        }
    }

    /// Whether the session is known to this server only.
    pub fn is_local(&self, id: SessionId) -> bool {
        self.local.as_ref().is_some_and(|local| local.is_tracked(id))
    }

    /// Prolongs a session for a connection that is new to it; none if there is no such session.
    pub fn touch(&mut self, id: SessionId, timeout_ms: i32, now: Millis) -> Option<SessionHandle> {
        let local = self.local.as_mut().and_then(|local| local.touch(id, timeout_ms, now));
        local.or_else(|| self.global.touch(id, timeout_ms, now))
    }

    /// Makes a local session a global one, which is still to be created by a transaction; `handle`
    /// is what its connection marks. Returns its timeout in milliseconds, none if it is not local.
    pub fn upgrade(&mut self, id: SessionId, handle: &SessionHandle) -> Option<i32> {
        let timeout_ms = self.local.as_mut()?.release(id)?;
        self.global.adopt(id, handle);
        Some(timeout_ms)
    }

    /// Notes that the createSession transaction is applied.
    pub fn commit(&mut self, id: SessionId, timeout_ms: i32, now: Millis) {
        self.global.commit(id, timeout_ms, now);
    }

    /// Forgets a session.
    pub fn remove(&mut self, id: SessionId) {
        if let Some(local) = &mut self.local {
            local.remove(id);
        }
        self.global.remove(id);
    }

    /// Refuses further requests of a session that ends.
    pub fn set_closing(&mut self, id: SessionId) {
        if let Some(local) = &mut self.local {
            local.set_closing(id);
        }
        self.global.set_closing(id);
    }

    /// The sessions that have ended by `now`, as [`SessionTracker::expire_due`].
    pub fn expire_due(&mut self, now: Millis) -> Vec<SessionId> {
        let mut expired = self.global.expire_due(now);
        if let Some(local) = &mut self.local {
            expired.extend(local.expire_due(now));
        }
        expired
    }

    /// When [`Self::expire_due`] may next have something to do.
    pub fn next_deadline(&self) -> Option<Millis> {
        let local = self.local.as_ref().and_then(SessionTracker::next_deadline);
        self.global.next_deadline().into_iter().chain(local).min()
    }

    /// Whether `owner` may make requests for the session (`checkSession`). One that is unknown may
    /// be a local session of the learner that asks.
    ///
    /// # Errors
    /// `SessionExpired` if it is closing or cannot be; `SessionMoved` if another owns it.
    pub fn check_session(&mut self, id: SessionId, owner: Owner) -> Result<(), ErrorCode> {
        if let Some(local) = &mut self.local {
            match local.check_session(id, owner) {
                Err(ErrorCode::UnknownSession) => {}
                checked => return checked,
            }
        }
        match self.global.check_session(id, owner) {
            Err(ErrorCode::UnknownSession) => {
                // Java's shift drags the sign along: of servers from 128 on it knows no session.
                let is_mine = (id.0 >> SERVER_ID_SHIFT) as u8 == self.server_id as u8;
                if self.local.is_some() && !is_mine {
                    Ok(())
                } else {
                    Err(ErrorCode::SessionExpired)
                }
            }
            checked => checked,
        }
    }

    /// Makes `owner` the owner of a session; of one that is gone it is nobody.
    pub fn set_owner(&mut self, id: SessionId, owner: Owner) -> Result<(), ErrorCode> {
        let local = self.local.as_mut();
        if local.is_some_and(|local| local.set_owner(id, owner).is_ok()) {
            return Ok(());
        }
        self.global.set_owner(id, owner)
    }

    /// Whether a learner's client may go on with the session: a local one is never another
    /// server's (`checkIfValidGlobalSession`).
    pub fn revalidate(
        &mut self,
        id: SessionId,
        timeout_ms: i32,
        owner: Owner,
        now: Millis,
    ) -> bool {
        self.global.touch(id, timeout_ms, now).is_some() && self.global.set_owner(id, owner).is_ok()
    }

    /// Local sessions by the time at which they end unless touched; none if there may be none.
    pub fn local_expiry(&self) -> Option<BTreeMap<Millis, Vec<SessionId>>> {
        self.local.as_ref().map(SessionTracker::expiry_map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEARNER: Owner = Owner(7);
    const MY_ID: i64 = 3;

    fn tracker() -> LeaderSessionTracker {
        tracker_of(MY_ID)
    }

    fn tracker_of(server_id: i64) -> LeaderSessionTracker {
        let first = SessionId(server_id << SERVER_ID_SHIFT);
        let (global, local) = (SessionTracker::new(10, first), SessionTracker::new(10, first));
        LeaderSessionTracker::with_local(global, local, server_id)
    }

    #[test]
    fn a_new_session_is_local_and_becomes_global_with_what_its_connection_marks() {
        let mut tracker = tracker();
        let (id, handle, is_local) = tracker.create(100, 0);
        assert!(is_local && tracker.is_local(id) && !tracker.global.is_tracked(id));
        assert!(!tracker.revalidate(id, 100, LEARNER, 1), "nobody else knows it");
        assert_eq!(tracker.upgrade(id, &handle), Some(100));
        assert_eq!(tracker.upgrade(id, &handle), None, "there is one upgrade");
        assert!(!tracker.is_local(id) && tracker.global.is_tracked(id));
        assert!(handle.touch(500), "its connection goes on");
        assert_eq!(tracker.expire_due(550), []);
        assert_eq!(tracker.expire_due(620), [id]);
        assert!(!handle.touch(620));
    }

    #[test]
    fn a_local_session_that_ends_becomes_no_global_one() {
        let mut tracker = tracker();
        let (id, handle, _) = tracker.create(100, 0);
        tracker.set_closing(id);
        // It would be one that nobody closes, and that never expires.
        assert_eq!(tracker.upgrade(id, &handle), None);
        assert!(tracker.is_local(id) && !tracker.global.is_tracked(id));
    }

    #[test]
    fn a_local_session_ends_like_any_other() {
        let mut tracker = tracker();
        let (id, handle, _) = tracker.create(100, 0);
        assert_eq!(tracker.next_deadline(), Some(110));
        assert_eq!(tracker.expire_due(110), [id]);
        assert!(tracker.is_local(id) && !handle.touch(110));
        assert_eq!(tracker.check_session(id, Owner::ME), Err(ErrorCode::SessionExpired));
        tracker.remove(id);
        assert!(!tracker.is_local(id));
    }

    #[test]
    fn an_unknown_session_may_be_a_local_one_of_another_server() {
        let other = SessionId(2 << 56);
        for server_id in [MY_ID, 127, 128, 255] {
            let mine = SessionId(server_id << 56 | 99);
            let mut tracker = tracker_of(server_id);
            assert_eq!(tracker.check_session(other, LEARNER), Ok(()));
            assert_eq!(tracker.check_session(mine, LEARNER), Err(ErrorCode::SessionExpired));
        }
        let mine = SessionId(MY_ID << 56 | 99);
        let mut without = LeaderSessionTracker::new(SessionTracker::new(10, mine));
        assert_eq!(without.check_session(other, LEARNER), Err(ErrorCode::SessionExpired));
    }
}
