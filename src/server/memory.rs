//! What a burst took goes back to the system.
//!
//! The allocator (mimalloc) hands freed pages back a second after they were freed, but only when
//! some thread asks it for memory again; and what one thread allocated and another freed, such as
//! requests, is noticed only by the thread that allocated it. On a server that has fallen quiet
//! neither happens: after a million creates in multis of a hundred it kept 70 MB. So each thread
//! that serves clients asks once in a while.
#![allow(unsafe_code, reason = "one call of the allocator that has no wrapper")]

use std::time::Duration;

use mimalloc as _;

use crate::proto::Millis;

/// How often a thread gives back, in milliseconds. It takes microseconds.
pub(super) const GIVE_BACK_EVERY_MS: Millis = 1000;

unsafe extern "C" {
    /// Collects what others freed for this thread, and purges what has been free for long enough.
    /// Forced it would also take pages that are about to be used again.
    safe fn mi_collect(force: bool);
}

/// Gives back what this thread does not need any more.
pub(super) fn give_back() {
    mi_collect(false);
}

/// Does so again and again, on the thread of the caller's runtime.
pub(super) async fn keep_giving_back() {
    let mut due = tokio::time::interval(Duration::from_millis(GIVE_BACK_EVERY_MS as u64));
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        give_back();
    }
}
