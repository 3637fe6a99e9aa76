//! Transaction logs, snapshots and epoch files in ZooKeeper's own formats
//! (`org.apache.zookeeper.server.persistence`); `docs/FORMATS.md` draws them byte by byte.
//!
//! * Writing: the engine frames transactions into a [`LogBatch`], [`FileTxnLog`] appends and
//!   flushes it, [`SnapshotWriter`] writes what the tree's cursor gives it.
//! * Reading: [`LogReader`] walks the log files from a zxid, [`read_snapshot`] feeds a
//!   [`SnapshotSink`], [`restore`] does both in the order of a start.
//! * [`DataDirs`], [`EpochFiles`] and [`purge`] keep the directories.
//!
//! All of it works on a [`Disk`], the seam below which the simulator puts one of its own.
//!
//! The module knows bytes, files and zxids; it does not know the tree.

mod atomic_file;
mod checksum;
mod data_dirs;
mod disk;
mod epoch_files;
mod error;
mod file_names;
mod file_snap;
mod file_txn_log;
mod file_txn_snap_log;
mod log_batch;
mod log_lookup;
mod log_reader;
mod log_scan;
mod log_segment;
mod mapping;
mod os_disk;
mod purge;
mod snap_stream;
mod snapshot_format;
mod snapshot_reader;
mod snapshot_writer;
mod truncate;

pub(crate) use atomic_file::write_atomically;
pub use data_dirs::{DataDirError, DataDirs, VERSION_DIR};
pub use disk::{Disk, DiskFile, DiskWindow};
pub use epoch_files::{EpochError, EpochFiles};
pub use error::LogError;
pub use file_names::{DataFile, list_logs, log_name, logs_from};
pub use file_snap::{
    LoadedSnapshot, SnapshotError, list_snapshots, load_newest_snapshot, snapshot_name,
    valid_snapshots,
};
pub use file_txn_log::{FileTxnLog, LogOptions, last_logged_zxid};
pub use file_txn_snap_log::{RestoreError, RestoreOptions, RestoreSink, Restored, restore};
pub use log_batch::LogBatch;
pub use log_lookup::{LogLookup, look_up};
pub use log_reader::{LogEnd, LogReader, LogRecord};
pub use log_scan::{LogScan, ScannedRecord, Stop, Tail};
pub use os_disk::OsDisk;
pub use purge::{PurgeError, SNAPSHOTS_KEPT_MIN, purge};
pub use snap_stream::Compression;
pub use snapshot_format::{
    SNAP_SIGNATURE, SnapshotDigest, SnapshotFault, SnapshotSink, SnapshotTail, put_acls,
    put_end_of_nodes, put_leaders_end, put_node, put_sessions,
};
pub use snapshot_reader::{
    parse_leaders_snapshot, parse_snapshot, parse_snapshot_stream, read_snapshot,
};
pub use snapshot_writer::SnapshotWriter;
pub use truncate::{TruncateError, install_snapshot, truncate};

use file_snap::TEMPORARY_PREFIX;
