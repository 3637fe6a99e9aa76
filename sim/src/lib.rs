//! Ensembles of real engines in one thread, with a simulated world around them: clocks, networks,
//! disks, processes and clients. A seed decides everything, so that a run that fails can be
//! repeated by its seed alone.
//!
//! ```text
//! plan (a seed's choices) -> world: servers  = engine + second driver + disk
//!                                   network  = streams, votes, connections of clients
//!                                   clients  = sessions, requests, watches
//!                                   faults
//!                              | what is applied, what is answered
//!                            oracle: reference history, invariants/, linearizability/
//! ```
//!
//! Real is everything from `gamekeeper::engine` down, the bytes of all protocols, the framing of
//! the log's batches and the snapshots of the tree. Simulated is the shell: what `server::driver`,
//! `server::ensemble` and `server::net` do is done by [`world`], in the same order; the files of
//! `persistence` are modelled by [`disk`].

pub mod client;
pub mod database;
pub mod disk;
pub mod invariants;
pub mod linearizability;
pub mod oracle;
pub mod plan;
pub mod queue;
pub mod reference;
pub mod run;
pub mod trace;
pub mod violation;
pub mod world;
