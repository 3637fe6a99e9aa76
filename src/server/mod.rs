//! The shell: sockets, threads, files, clocks and configuration around the engine.

pub mod admin;
mod autopurge;
pub mod clock;
pub mod config;
mod driver;
mod ensemble;
mod mailbox;
mod memory;
pub mod metrics;
pub mod net;
pub mod run;
pub mod storage;
