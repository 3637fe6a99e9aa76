//! Watches: one-shot, persistent and recursive (`org.apache.zookeeper.server.watch`).

mod modes;
mod watch_table;
mod watches;

pub use watches::{Fired, TreeEvent, Watches, WatchesSummary};
