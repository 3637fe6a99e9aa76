//! Which sessions live, and when they end (`SessionTrackerImpl`): the tracker of a standalone
//! server or a leader.
//!
//! The engine owns the tracker. Packets arrive on the threads that own the connections, and each
//! prolongs its session without asking the engine: a [`SessionHandle`] shares the time of expiry
//! with the tracker, which looks at it when the bucket of the session is due and files the session
//! under a later bucket if it has been touched since. What ends when is therefore what Apache's
//! buckets give:
//!
//! 1. A session touched at `t` with timeout `x` ends at the first multiple of the tick strictly
//!    after `t + x`.
//! 2. A session comes out of [`SessionTracker::expire_due`] at most once, and then counts as
//!    closing.
//! 3. A session that is closing cannot be touched.
//!
//! A session is *tracked* from the moment a client asks for it, and *committed* once its
//! createSession transaction is applied. Only committed sessions belong in a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use hashbrown::HashMap;

use super::ExpiryQueue;
use crate::proto::{ErrorCode, Millis, SessionId};

/// The timeout a server grants for the one a client asks for.
pub fn clamp_timeout_ms(requested_ms: i32, min_ms: i32, max_ms: i32) -> i32 {
    // Not i32::clamp, which panics where a configuration has min above max; Apache then gives max.
    requested_ms.max(min_ms).min(max_ms)
}

/// Who holds a session's connection: this server, or a server that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(pub u64);

impl Owner {
    /// This server itself (`ServerCnxn.me`).
    pub const ME: Owner = Owner(0);
}

/// What a connection keeps of its session, to prolong it with each packet.
#[derive(Debug, Clone)]
pub struct SessionHandle {
    shared: Arc<Shared>,
    timeout_ms: i32,
}

impl SessionHandle {
    pub(super) fn new(shared: Arc<Shared>, timeout_ms: i32) -> Self {
        Self { shared, timeout_ms }
    }

    /// The session cannot be touched any more.
    pub(super) fn set_closing(&self) {
        self.shared.closing.store(true, Ordering::Release);
    }

    /// Prolongs the session: from `now` it lives for another timeout. False, and nothing happens,
    /// if it is closing or gone; the request that brought the packet is then to be dropped without
    /// a reply.
    pub fn touch(&self, now: Millis) -> bool {
        if !self.is_open() {
            return false;
        }
        self.shared.expires_at.store(now + Millis::from(self.timeout_ms), Ordering::Release);
        true
    }

    /// Whether the session is neither closing nor gone.
    pub fn is_open(&self) -> bool {
        !self.shared.closing.load(Ordering::Acquire)
    }

    /// When the session ends unless it is prolonged: the last touch and the timeout together.
    pub fn expires_at(&self) -> Millis {
        self.shared.expires_at.load(Ordering::Acquire)
    }

    /// The timeout agreed on with this connection.
    pub fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }
}

/// Of a session, what connections and tracker share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The last touch and the timeout together.
    expires_at: AtomicI64,
    closing: AtomicBool,
}

impl Shared {
    pub(super) fn new(expires_at: Millis) -> Self {
        Self { expires_at: AtomicI64::new(expires_at), closing: AtomicBool::new(false) }
    }
}

#[derive(Debug)]
struct Session {
    shared: Arc<Shared>,
    /// The timeout of the createSession transaction, once that is applied.
    committed_timeout_ms: Option<i32>,
    owner: Option<Owner>,
}

impl Session {
    fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    fn set_closing(&self) {
        self.shared.closing.store(true, Ordering::Release);
    }
}

/// All sessions of a standalone server or a leader. Times are those of a clock that only goes
/// forward.
#[derive(Debug)]
pub struct SessionTracker {
    sessions: HashMap<SessionId, Session>,
    /// Every session that is not closing, filed under a bucket no later than its true one.
    queue: ExpiryQueue<SessionId>,
    next_session_id: SessionId,
}

impl SessionTracker {
    /// A tracker of no sessions, whose ids go up from `first` ([`super::first_session_id`]).
    pub fn new(tick_time_ms: i32, first: SessionId) -> Self {
        Self {
            sessions: HashMap::new(),
            queue: ExpiryQueue::new(Millis::from(tick_time_ms)),
            next_session_id: first,
        }
    }

    /// Takes the next session id and tracks it.
    pub fn create(&mut self, timeout_ms: i32, now: Millis) -> (SessionId, SessionHandle) {
        let id = self.next_session_id;
        self.next_session_id = SessionId(id.0.wrapping_add(1));
        (id, self.track(id, timeout_ms, now))
    }

    /// Tracks a session from now on, or touches the one that is tracked already.
    pub fn track(&mut self, id: SessionId, timeout_ms: i32, now: Millis) -> SessionHandle {
        let expires_at = now + Millis::from(timeout_ms);
        let session = self.sessions.entry(id).or_insert_with(|| Session {
            shared: Arc::new(Shared::new(expires_at)),
            committed_timeout_ms: None,
            owner: None,
        });
        if !session.is_closing() {
            session.shared.expires_at.store(expires_at, Ordering::Release);
            self.queue.update(id, expires_at);
        }
        SessionHandle { shared: Arc::clone(&session.shared), timeout_ms }
    }

    /// Prolongs a session for a connection that is new to it, with the timeout agreed on with that
    /// connection, which may be shorter than the one before. None if the session is unknown or
    /// closing.
    pub fn touch(&mut self, id: SessionId, timeout_ms: i32, now: Millis) -> Option<SessionHandle> {
        self.check(id).ok()?;
        Some(self.track(id, timeout_ms, now))
    }

    /// Notes that the createSession transaction is applied, and tracks the session if it is not: on
    /// a start, and for sessions made by other servers.
    pub fn commit(&mut self, id: SessionId, timeout_ms: i32, now: Millis) {
        if !self.is_tracked(id) {
            self.track(id, timeout_ms, now);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.committed_timeout_ms = Some(timeout_ms);
        }
    }

    /// Forgets a session: its closeSession transaction is applied.
    pub fn remove(&mut self, id: SessionId) {
        self.queue.remove(id);
        if let Some(session) = self.sessions.remove(&id) {
            session.set_closing();
        }
    }

    /// Refuses further requests of a session whose closeSession is on its way.
    pub fn set_closing(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id) {
            session.set_closing();
            self.queue.remove(id);
        }
    }

    /// Gives up a session to another tracker ([`Self::adopt`]) without ending it; returns its
    /// timeout in milliseconds, none if it is not committed, or closing: then it is over, whoever
    /// tracks it.
    pub fn release(&mut self, id: SessionId) -> Option<i32> {
        self.check(id).ok()?;
        let timeout_ms = self.timeout_ms(id)?;
        self.queue.remove(id);
        self.sessions.remove(&id);
        Some(timeout_ms)
    }

    /// Tracks a session that another tracker has released, with what its connection marks. If this
    /// one knows the session already, its connection's packets count here from now on.
    pub fn adopt(&mut self, id: SessionId, handle: &SessionHandle) {
        let session = self.sessions.entry(id).or_insert_with(|| Session {
            shared: Arc::clone(&handle.shared),
            committed_timeout_ms: None,
            owner: None,
        });
        if session.is_closing() {
            handle.set_closing();
            return;
        }
        session.shared = Arc::clone(&handle.shared);
        self.queue.update(id, handle.expires_at());
    }

    /// The sessions that have ended by `now` and were not closing yet, as they are from here on. To
    /// be called when [`Self::next_deadline`] is reached.
    pub fn expire_due(&mut self, now: Millis) -> Vec<SessionId> {
        let mut expired = Vec::new();
        while let Some(id) = self.queue.pop_due(now) {
            let session = &self.sessions[&id];
            let expires_at = session.shared.expires_at.load(Ordering::Acquire);
            if self.queue.round_to_next_interval(expires_at) > now {
                self.queue.update(id, expires_at);
            } else {
                session.set_closing();
                expired.push(id);
            }
        }
        expired
    }

    /// When [`Self::expire_due`] may next have something to do; none while there is no session.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.queue.next_deadline()
    }

    /// Whether the session is known, closing or not.
    pub fn is_tracked(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// The timeout in a session's createSession transaction; none before that is applied.
    pub fn timeout_ms(&self, id: SessionId) -> Option<i32> {
        self.sessions.get(&id)?.committed_timeout_ms
    }

    /// Sessions known, closing ones included.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// `SessionExpired` if the session is unknown or closing.
    pub fn check(&self, id: SessionId) -> Result<(), ErrorCode> {
        match self.sessions.get(&id) {
            Some(session) if !session.is_closing() => Ok(()),
            _ => Err(ErrorCode::SessionExpired),
        }
    }

    /// Whether `owner` may make requests for the session (`checkSession`); the first who asks
    /// becomes its owner.
    ///
    /// # Errors
    /// `UnknownSession`; `SessionExpired` if it is closing; `SessionMoved` if another owns it.
    pub fn check_session(&mut self, id: SessionId, owner: Owner) -> Result<(), ErrorCode> {
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::UnknownSession)?;
        if session.is_closing() {
            return Err(ErrorCode::SessionExpired);
        }
        match session.owner {
            Some(other) if other != owner => Err(ErrorCode::SessionMoved),
            _ => {
                session.owner = Some(owner);
                Ok(())
            }
        }
    }

    /// As [`Self::check_session`], but an unknown session is an expired one (`checkGlobalSession`).
    pub fn check_global_session(&mut self, id: SessionId, owner: Owner) -> Result<(), ErrorCode> {
        self.check(id)?;
        self.check_session(id, owner)
    }

    /// Makes `owner` the owner of the session.
    ///
    /// # Errors
    /// `SessionExpired` if it is unknown or closing.
    pub fn set_owner(&mut self, id: SessionId, owner: Owner) -> Result<(), ErrorCode> {
        self.check(id)?;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.owner = Some(owner);
        }
        Ok(())
    }

    /// Committed sessions and their timeouts, for a snapshot; in no particular order.
    pub fn committed(&self) -> impl Iterator<Item = (SessionId, i32)> {
        self.sessions.iter().filter_map(|(id, session)| Some((*id, session.committed_timeout_ms?)))
    }

    /// Sessions that are not closing by the time at which they end unless touched, for the
    /// four-letter word `dump`.
    pub fn expiry_map(&self) -> BTreeMap<Millis, Vec<SessionId>> {
        let mut buckets = BTreeMap::<Millis, Vec<SessionId>>::new();
        for (id, session) in self.sessions.iter().filter(|(_, session)| !session.is_closing()) {
            let expires_at = session.shared.expires_at.load(Ordering::Acquire);
            buckets.entry(self.queue.round_to_next_interval(expires_at)).or_default().push(*id);
        }
        buckets.values_mut().for_each(|ids| ids.sort_unstable());
        buckets
    }
}

#[cfg(test)]
mod tests;
