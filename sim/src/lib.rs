//! Ensembles of real engines in one thread, with a simulated world around them: clocks, networks,
//! disks, processes and clients. A seed decides everything, so that a run that fails can be
//! repeated by its seed alone.
//!
//! ```text
//! plan (a seed's choices) -> world: servers  = engine + second driver + disk
//!                                   network  = streams, votes, connections of clients
//!                                   clients  = sessions, requests, watches, members
//!                                   faults
//!                              | what is applied, what is answered
//!                            oracle: reference history, invariants/, linearizability/
//! ```
//!
//! Real is everything from `gamekeeper::engine` down, the bytes of all protocols, and persistence:
//! logs, snapshots and epoch files, on a disk in memory ([`sim_disk`]). Simulated is the shell:
//! what `server::driver`, `server::ensemble` and `server::net` do is done by [`world`], in the same
//! order.

pub mod client;
pub mod config_files;
pub mod database;
pub mod history;
pub mod invariants;
pub mod linearizability;
pub mod oracle;
pub mod plan;
pub mod queue;
pub mod reference;
pub mod run;
pub mod sim_disk;
pub mod trace;
pub mod violation;
pub mod world;
