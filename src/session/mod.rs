//! Sessions: ids, passwords, expiry.
//!
//! A session is known by its [`SessionId`](crate::proto::SessionId) and guarded by a password
//! derived from it. It lives as long as packets arrive within its timeout; [`SessionTracker`]
//! decides when it has ended. A client reaches it over one connection at a time, each with its own
//! [`CnxnId`].

mod client_cnxn;
mod cnxn_id;
mod cnxn_stats;
mod expiry_queue;
mod leader_session_tracker;
mod learner_session_tracker;
mod password;
mod session_id;
mod session_tracker;

pub use client_cnxn::{Arrival, ClientCnxn, CnxnSession, Outbox, Transport};
pub use cnxn_id::CnxnId;
pub use cnxn_stats::CnxnStats;
pub use expiry_queue::ExpiryQueue;
pub use leader_session_tracker::LeaderSessionTracker;
pub use learner_session_tracker::LearnerSessionTracker;
pub use password::{check_password, password};
pub use session_id::first_session_id;
pub use session_tracker::{Owner, SessionHandle, SessionTracker, clamp_timeout_ms};
