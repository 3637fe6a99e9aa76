//! A small client of the ZooKeeper protocol, shared by the shell (`cli`) and the load generator
//! (`bench`).
//!
//! * [`wire`] is the protocol without any I/O: requests into a buffer, replies out of one.
//! * [`ZooKeeper`] is a session: every operation as a blocking call, reconnects, watches.

mod client_cnxn;
mod connect_string;
mod error;
mod multi;
mod send_thread;
mod watch_table;
pub mod wire;
mod zookeeper;

pub use client_cnxn::{Config, ConnectionState, Pending};
pub use connect_string::ConnectString;
pub use error::ClientError;
pub use multi::{Op, OpResult};
pub use watch_table::{WatchedEvent, WatchedKind, WatchedState};
pub use zookeeper::{CreatedNode, ZooKeeper};
