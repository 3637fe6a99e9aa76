//! Harness for tests against real ZooKeeper servers and clients: Apache's servers, this server, the
//! Java, Curator, C and Kazoo clients, and a raw client of our own to look at everything.
//!
//! The harness panics with a message when a part of it fails: it only ever runs inside tests.

pub mod cache;
pub mod differential;
pub mod ensemble;
pub mod fill;
pub mod history;
pub mod hosts;
pub mod machine;
pub mod matrix;
pub mod options;
pub mod program;
pub mod raw_client;
pub mod reconfig;
mod rng;
pub mod scenario;
pub mod scripted_leader;
pub mod server;
pub mod session_script;
pub mod small_disk;
pub mod transcript;
pub mod tree_dump;
pub mod wire;
