//! The metrics registry (`DefaultMetricsProvider`): what the server's code counts through the
//! `metrics` facade arrives here, and `mntr` prints it.

pub mod names;
mod registry;
mod summary;

pub use registry::{Registry, Value};
