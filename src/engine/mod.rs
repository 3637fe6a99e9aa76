//! Routes inputs to the processors and their outputs to the shell; decides nothing itself.
//!
//! One thread owns the engine. It gives it one input after the other, then [`Engine::rest`] once
//! none is at hand, and carries out the effects in their order. No socket, file, thread or clock is
//! touched in here: time comes in with each call.
//!
//! Invariants:
//! 1. A transaction is applied, and its request answered, only after `Flushed` said that it is on
//!    disk.
//! 2. Replies of a connection keep the order of its requests.
//! 3. After `LogFailed` nothing is prepared, applied or answered any more.

mod container_manager;
mod input;
mod request_throttler;
mod standalone;

pub use container_manager::{ContainerManager, ContainerOptions};
pub use input::{ConnectAttempt, Effect, Input, Now, SessionsDescription};
pub use request_throttler::RequestThrottleOptions;
pub use standalone::{Engine, EngineOptions};
