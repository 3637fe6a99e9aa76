//! The shell: sockets, threads, files, clocks and configuration around the engine.

pub mod config;
