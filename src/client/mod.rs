//! A small client of the ZooKeeper protocol, shared by the shell (`cli`) and the load generator
//! (`bench`).
//!
//! * [`wire`] is the protocol without any I/O: requests into a buffer, replies out of one.

pub mod wire;
