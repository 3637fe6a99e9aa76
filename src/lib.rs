//! Gamekeeper: a wire-compatible, drop-in replacement for the Apache ZooKeeper server.
//!
//! The rooms, lowest layer first; imports point down this list and never up (`docs/ARCHITECTURE.md`
//! is the map): `jute` < [`proto`] < [`tree`], [`watch`], [`session`], [`auth`], [`stats`] < [`op`]
//! < [`processor`], [`quorum`] < [`engine`] < [`server`] < [`cli`]. [`persistence`] meets the
//! engine only in the server's shell.

pub mod auth;
pub mod cli;
pub mod client;
pub mod engine;
pub mod mutation;
pub mod op;
pub mod persistence;
pub mod processor;
pub mod proto;
pub mod quorum;
pub mod server;
pub mod session;
pub mod stats;
pub mod tree;
pub mod version;
pub mod watch;
