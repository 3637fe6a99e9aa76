//! Transaction logs, snapshots and epoch files in ZooKeeper's own formats
//! (`org.apache.zookeeper.server.persistence`); `docs/FORMATS.md` draws them byte by byte.
//!
//! * Writing: the engine frames transactions into a [`LogBatch`], [`FileTxnLog`] appends and flushes
//!   it, [`SnapshotWriter`] writes what the tree's cursor gives it.
//! * Reading: [`LogReader`] walks the log files from a zxid, [`read_snapshot`] feeds a
//!   [`SnapshotSink`], [`restore`] does both in the order of a start.
//! * [`DataDirs`], [`EpochFiles`] and [`purge`] keep the directories.
//!
//! The module knows bytes, files and zxids; it does not know the tree.

mod checksum;
mod error;
mod file_names;
mod file_txn_log;
mod log_batch;
mod log_reader;
mod log_scan;
mod log_segment;
mod mapping;

pub use error::LogError;
pub use file_names::{DataFile, list_logs, log_name, logs_from};
pub use file_txn_log::{FileTxnLog, LogOptions, last_logged_zxid, truncate};
pub use log_batch::LogBatch;
pub use log_reader::{LogReader, LogRecord};
pub use log_scan::{LogScan, ScannedRecord, Stop, Tail};
