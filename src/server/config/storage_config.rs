//! Settings of the data directory, the transaction log and the snapshots (`FileTxnLog`,
//! `FilePadding`, `FileTxnSnapLog`, `SnapStream`, `SyncRequestProcessor`, `ZKDatabase`,
//! `DatadirCleanupManager`).

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::properties::Setting;
use super::reader::Reader;

/// How a snapshot file is compressed (`SnapStream.StreamMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotCompression {
    /// A plain file, `snapshot.ZXID`.
    None,
    /// gzip, `snapshot.ZXID.gz`.
    Gzip,
    /// Snappy, `snapshot.ZXID.snappy`.
    Snappy,
}

/// Where and how data is kept on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageConfig {
    /// Parent of the `version-2` directory of snapshots (`dataDir`).
    pub data_dir: PathBuf,
    /// Parent of the `version-2` directory of transaction logs (`dataLogDir`, else `dataDir`).
    pub data_log_dir: PathBuf,
    /// Whether missing `version-2` directories are created (`datadir.autocreate`).
    pub data_dir_autocreate: bool,
    /// Whether a server without any data starts with an empty tree (`db.autocreate`).
    pub db_autocreate: bool,
    /// Whether a log without a snapshot is trusted (`snapshot.trust.empty`).
    pub snapshot_trust_empty: bool,
    /// Transactions between two snapshots, at least 2; a snapshot is taken at a random point
    /// of the second half (`snapCount`).
    pub snap_count: i32,
    /// Bytes of log between two snapshots; none if unlimited (`snapSizeLimitInKb`).
    pub snap_size_limit_bytes: Option<u64>,
    /// Compression of new snapshots (`snapshot.compression.method`).
    pub snapshot_compression: SnapshotCompression,
    /// Whether the last processed zxid is written into snapshots
    /// (`serializeLastProcessedZxid.enabled`).
    pub serialize_last_processed_zxid: bool,
    /// Whether digests of the tree are kept and written (`digest.enabled`).
    pub digest_enabled: bool,
    /// Bytes a log file is extended by at a time; 0 if it is not (`preAllocSize`).
    pub pre_alloc_size_bytes: u64,
    /// Bytes after which a new log file is begun; none if unlimited (`txnLogSizeLimitInKb`).
    pub txn_log_size_limit_bytes: Option<u64>,
    /// Whether a log is flushed to the disk before its transactions are acknowledged
    /// (`forceSync`).
    pub force_sync: bool,
    /// A flush that takes longer is logged (`fsync.warningthresholdms`).
    pub fsync_warning_threshold_ms: i64,
    /// How long a batch of transactions may wait for more before it is flushed; not above 0:
    /// until the queue is empty (`flushDelay`).
    pub flush_delay_ms: i64,
    /// How long the log waits for the next transaction while a batch is open
    /// (`maxWriteQueuePollTime`).
    pub max_write_queue_poll_time_ms: i64,
    /// Transactions after which a batch is flushed; not above 0: no limit (`maxBatchSize`).
    pub max_batch_size: i32,
    /// Committed proposals kept in memory for learners, at least 500 (`commitLogCount`).
    pub commit_log_count: i32,
    /// Share of the snapshot's size up to which a learner is brought up to date from the log;
    /// negative: never (`snapshotSizeFactor`).
    pub snapshot_size_factor: f64,
    /// The purge task.
    pub autopurge: AutopurgeConfig,
}

/// The task that removes old snapshots and logs (`DatadirCleanupManager`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutopurgeConfig {
    /// Snapshots to keep, at least 3 (`autopurge.snapRetainCount`).
    pub snap_retain_count: i32,
    /// Hours between two runs, the first at start; not above 0: never
    /// (`autopurge.purgeInterval`).
    pub purge_interval_hours: i32,
}

/// Recommended and least number of committed proposals in memory.
const COMMIT_LOG_COUNT_MIN: i32 = 500;
/// The purge task never keeps fewer snapshots (`MIN_SNAP_RETAIN_COUNT`).
const SNAP_RETAIN_COUNT_MIN: i32 = 3;

impl StorageConfig {
    /// Reads every key of this group; `place` names the file for the error that `dataDir` is
    /// missing.
    pub(super) fn read(reader: &mut Reader, place: &str) -> Result<Self, ConfigError> {
        let data_dir = reader.line("dataDir").filter(|dir| !dir.value.is_empty());
        let Some(data_dir) = data_dir else {
            return Err(ConfigError::Invalid {
                place: place.to_owned(),
                problem: "dataDir is not set".to_owned(),
                fix: "add for example dataDir=/var/lib/zookeeper".to_owned(),
            });
        };
        let data_log_dir = reader.line("dataLogDir").filter(|dir| !dir.value.is_empty());
        for dir in [Some(data_dir), data_log_dir].into_iter().flatten() {
            warn_if_relative(reader, dir);
        }
        let data_log_dir = data_log_dir.unwrap_or(data_dir);
        let flush_delay_ms = reader.number("flushDelay");
        let poll_ms = reader.number_opt("maxWriteQueuePollTime");
        Ok(Self {
            data_dir: PathBuf::from(&data_dir.value),
            data_log_dir: PathBuf::from(&data_log_dir.value),
            data_dir_autocreate: reader.boolean("datadir.autocreate"),
            db_autocreate: reader.boolean("db.autocreate"),
            snapshot_trust_empty: reader.boolean("snapshot.trust.empty"),
            snap_count: reader.number_at_least("snapCount", 2),
            snap_size_limit_bytes: limit_bytes(reader.number("snapSizeLimitInKb")),
            snapshot_compression: snapshot_compression(reader),
            serialize_last_processed_zxid: reader.boolean("serializeLastProcessedZxid.enabled"),
            digest_enabled: reader.boolean("digest.enabled"),
            pre_alloc_size_bytes: pre_alloc_size_bytes(reader),
            txn_log_size_limit_bytes: limit_bytes(reader.number("txnLogSizeLimitInKb")),
            force_sync: reader.yes_or_no("forceSync"),
            fsync_warning_threshold_ms: fsync_warning_threshold_ms(reader),
            flush_delay_ms,
            max_write_queue_poll_time_ms: poll_ms.unwrap_or(flush_delay_ms / 3),
            max_batch_size: reader.number("maxBatchSize"),
            commit_log_count: reader.number_at_least("commitLogCount", COMMIT_LOG_COUNT_MIN),
            snapshot_size_factor: snapshot_size_factor(reader),
            autopurge: AutopurgeConfig::read(reader)?,
        })
    }

    /// The directory of the snapshots.
    #[must_use]
    pub fn snapshot_directory(&self) -> PathBuf {
        self.data_dir.join("version-2")
    }

    /// The directory of the transaction logs.
    #[must_use]
    pub fn log_directory(&self) -> PathBuf {
        self.data_log_dir.join("version-2")
    }
}

impl AutopurgeConfig {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut snap_retain_count = reader.line_number("autopurge.snapRetainCount")?;
        if snap_retain_count < SNAP_RETAIN_COUNT_MIN {
            if let Some(setting) = reader.line("autopurge.snapRetainCount") {
                let text = format!("{} is below 3; 3 is used", setting.with(&setting.value));
                reader.warn(setting, &text);
            }
            snap_retain_count = SNAP_RETAIN_COUNT_MIN;
        }
        let purge_interval_hours = reader.line_number("autopurge.purgeInterval")?;
        Ok(Self { snap_retain_count, purge_interval_hours })
    }
}

/// Kilobytes as bytes; none if the limit is off.
fn limit_bytes(kilobytes: i64) -> Option<u64> {
    let kilobytes = u64::try_from(kilobytes).ok().filter(|&kilobytes| kilobytes > 0);
    kilobytes.map(|kilobytes| kilobytes.saturating_mul(1024))
}

/// `Long.parseLong`, and the default with a warning if it is no number.
fn pre_alloc_size_bytes(reader: &mut Reader) -> u64 {
    let kilobytes: i64 = reader.number("preAllocSize");
    limit_bytes(kilobytes).unwrap_or(0)
}

/// The old name without a prefix is read too (ZOOKEEPER-3177).
fn fsync_warning_threshold_ms(reader: &mut Reader) -> i64 {
    let old_name = reader.properties.property("fsync.warningthresholdms");
    let old = old_name.and_then(|setting| setting.value.parse().ok());
    match (reader.number_opt("fsync.warningthresholdms"), old) {
        (Some(threshold), _) | (None, Some(threshold)) => threshold,
        (None, None) => reader.number("fsync.warningthresholdms"),
    }
}

fn snapshot_compression(reader: &mut Reader) -> SnapshotCompression {
    let method = reader.text("snapshot.compression.method");
    match method.to_ascii_lowercase().as_str() {
        "gz" => SnapshotCompression::Gzip,
        "snappy" => SnapshotCompression::Snappy,
        "" => SnapshotCompression::None,
        _ => {
            if let Some(setting) = reader.property("snapshot.compression.method") {
                let text = format!(
                    "{} is neither gz nor snappy; snapshots are not compressed",
                    setting.with(&method)
                );
                reader.warn(setting, &text);
            }
            SnapshotCompression::None
        }
    }
}

fn snapshot_size_factor(reader: &mut Reader) -> f64 {
    const DEFAULT: f64 = 0.33;
    let Some(setting) = reader.property("snapshotSizeFactor") else { return DEFAULT };
    match setting.value.trim().parse::<f64>() {
        Ok(factor) if factor <= 1.0 => factor,
        _ => {
            let text =
                format!("{} is not a number up to 1; 0.33 is used", setting.with(&setting.value));
            reader.warn(setting, &text);
            DEFAULT
        }
    }
}

/// `VerifyingFileFactory.warnForRelativePath`.
fn warn_if_relative(reader: &mut Reader, dir: &Setting) {
    let embedded = dir.at == super::error::Origin::Embedded;
    if !embedded && Path::new(&dir.value).is_relative() && !dir.value.starts_with("./") {
        let text = format!("{} is relative; prepend ./ if that is meant", dir.with(&dir.value));
        reader.warn(dir, &text);
    }
}
