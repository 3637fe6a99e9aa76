//! Routes inputs to the processors and to the ensemble's protocols, and their outputs to the shell.
//!
//! One thread owns the engine. It gives it one input after the other, then [`Engine::rest`] once
//! none is at hand, and carries out the effects in their order. No socket, file, thread or clock is
//! touched in here: time comes in with each call.
//!
//! Invariants:
//! 1. A transaction is applied, and its request answered, only after `Flushed` said that it is on
//!    disk, and in an ensemble only once it is committed too.
//! 2. Replies of a connection keep the order of its requests.
//! 3. After `LogFailed` nothing is prepared, applied or answered any more.

mod container_manager;
mod core;
mod hand_over;
mod input;
mod kept_clients;
mod latencies;
mod leading;
mod learner_masters;
mod learning;
mod member_options;
mod observer_master;
mod primary;
mod quorum_peer;
mod read_only;
mod request_throttler;
mod role;
mod zxid_rollover;

pub use container_manager::{ContainerManager, ContainerOptions};
pub use input::{
    ConnectAttempt, Effect, ElectionEvent, GlobalSessions, Input, LearnerEvent, Now,
    QuorumDescription, SessionsDescription,
};
pub use member_options::MemberOptions;
pub use quorum_peer::EnsembleOptions;
pub use request_throttler::RequestThrottleOptions;
pub use role::{Engine, EngineOptions};
