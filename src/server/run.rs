//! Starts a server and runs it until it is told to stop (`ZooKeeperServerMain`, `QuorumPeerMain`).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use super::admin::AdminState;
use super::autopurge;
use super::clock;
use super::config::{MetricsConfig, ServerConfig, SnapshotCompression};
use super::driver::Driver;
use super::ensemble::Ensemble;
use super::mailbox::Mailbox;
use super::metrics::Registry;
use super::net::{ClientPort, ConnectionThrottle, LargeRequests, ServerContext};
use super::storage::{RestoredDatabase, SnapshotOptions, restore_database, take_snapshot};
use crate::auth::{AuthOptions, ProviderRegistry};
use crate::engine::{ContainerOptions, Engine, EngineOptions, Input, RequestThrottleOptions};
use crate::op::PrepLimits;
use crate::persistence::{
    Compression, DataDirError, DataDirs, DataFile, EpochError, FileTxnLog, LogError, LogOptions,
    OsDisk, RestoreError, RestoreOptions, SnapshotError, TruncateError,
};
use crate::processor::{PrepOptions, ServerState, SnapshotPolicy};
use crate::session::{SessionTracker, first_session_id};
use crate::stats::{NamespaceTraffic, ServerMetrics};
use crate::tree::{EphemeralRules, TreeOptions};

/// Id of a standalone server, which stands in the ids of its sessions.
const STANDALONE_SERVER_ID: i64 = 1;

/// Why a server did not start, or stopped.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The data directories.
    #[error(transparent)]
    DataDirs(#[from] DataDirError),
    /// The database could not be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A first snapshot could not be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log could not be written.
    #[error(
        "{0}. What was not on disk was not acknowledged. Make room or mend the disk, then start \
         the server again"
    )]
    Log(#[from] LogError),
    /// The epochs could not be read or written, or do not fit the data.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The log could not be cut where the leader wants it.
    #[error(transparent)]
    Truncate(#[from] TruncateError),
    /// The configuration could not be copied before it is rewritten.
    #[error(
        "cannot keep a copy of the configuration as {}: {source}; make the directory writable, or \
         remove reconfigEnabled",
        path.display()
    )]
    Backup {
        /// The copy.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot take part in its ensemble.
    #[error("this server cannot take part in its ensemble: {0}")]
    Ensemble(String),
    /// The port could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system refused a thread or a signal handler.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl ServerError {
    /// The exit code ZooKeeper uses (`ExitCode`).
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::DataDirs(_) => ExitCode::from(3),
            Self::Snapshot(_) => ExitCode::from(10),
            Self::Truncate(_) => ExitCode::from(13),
            Self::Ensemble(_) => ExitCode::from(14),
            _ => ExitCode::from(1),
        }
    }
}

/// Runs a server, alone or as a member of an ensemble, until SIGTERM or SIGINT, or until its log
/// fails.
pub fn run(config: ServerConfig) -> Result<(), ServerError> {
    let config = Arc::new(config);
    let storage = &config.storage;
    let (data_dir, data_log_dir) = (&storage.data_dir, &storage.data_log_dir);
    let dirs =
        Arc::new(DataDirs::open(OsDisk, data_dir, data_log_dir, storage.data_dir_autocreate)?);
    let restored = restore_database(&dirs, restore_options(&config), tree_options(&config))?;
    let registry = Arc::new(Registry::new());
    let are_metrics_kept = config.metrics != MetricsConfig::Null;
    let metrics = match are_metrics_kept {
        true => ServerMetrics::new(registry.clone()),
        false => ServerMetrics::noop(),
    };
    count_restore(&metrics, &restored);
    let RestoredDatabase { database, txns_replayed, needs_first_snapshot, .. } = restored;
    info!(
        zxid = %database.tree.last_processed(),
        nodes = database.tree.node_count(),
        sessions = database.sessions.len(),
        txns_replayed,
        "database restored"
    );
    let state = ServerState::new(
        database,
        ProviderRegistry::new(auth_options(&config)),
        config.limits.buffer_bytes_max(),
    );
    let mut state = state.with_metrics(metrics);
    if !are_metrics_kept {
        (state.reads, state.writes) =
            (NamespaceTraffic::uncounted(), NamespaceTraffic::uncounted());
    }
    let state = Arc::new(state);
    autopurge::start(&storage.autopurge, &dirs)?;
    let snapshots = snapshot_options(&config, &dirs);
    if needs_first_snapshot {
        take_timed_snapshot(&state, &snapshots)?;
    }

    let admin = AdminState::new(dirs.snapshots(), dirs.logs(), registry, clock::monotonic_ms())?;
    let mailbox = Arc::new(Mailbox::default());
    let is_stopping = Arc::new(AtomicBool::new(false));
    let limits = &config.limits;
    let throttle = limits.connection_throttle;
    let quorum = &config.quorum;
    let are_sessions_local = quorum.is_distributed() && quorum.local_sessions_enabled;
    let began = clock::monotonic_ms();
    let context = Arc::new(ServerContext {
        state: state.clone(),
        mailbox: mailbox.clone(),
        config: config.clone(),
        admin,
        connection_throttle: ConnectionThrottle::new(throttle, are_sessions_local, began, seed()),
        large_requests: Arc::new(LargeRequests::new(limits.large_request)),
    });
    let client_port = Arc::new(ClientPort::start(context, worker_count())?);
    let options = engine_options(&config);
    let mut effects = Vec::new();
    let (engine, ensemble) = if config.quorum.is_distributed() {
        let (dirs, snapshots, client_port) = (dirs.clone(), snapshots.clone(), client_port.clone());
        let ensemble = Ensemble::open(&config, &state, &mailbox, dirs, snapshots, client_port)?;
        let member = ensemble.options(&config);
        let now = clock::now();
        (Engine::member(state.clone(), member, options, now, &mut effects), Some(ensemble))
    } else {
        let first_session = first_session_id(STANDALONE_SERVER_ID, clock::wall_ms());
        let sessions = SessionTracker::new(config.tick_time_ms, first_session);
        (Engine::standalone(state.clone(), sessions, options, clock::now()), None)
    };
    let driver = Driver {
        engine,
        effects,
        ensemble,
        state: state.clone(),
        mailbox: mailbox.clone(),
        log: FileTxnLog::new(OsDisk, dirs.logs(), log_options(&config)),
        take_snapshot: snapshot_taker(state.clone(), snapshots, mailbox.clone()),
        is_stopping: is_stopping.clone(),
        stop_time_max_ms: config.limits.request_throttle.shutdown_timeout_ms.into(),
    };
    if let Some(address) = config.client_address {
        let listen_error = |source| ServerError::Listen { address: address.to_string(), source };
        announce(&config, client_port.open(address).map_err(listen_error)?);
    }
    let driver = thread::Builder::new().name("engine".into()).spawn(|| driver.run())?;
    wait_for_end(&driver)?;
    // In this order: whoever sees that it is to stop finds out in the mailbox what is to be done.
    mailbox.post(Input::Retire);
    is_stopping.store(true, Ordering::Release);
    driver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    info!("stopped");
    Ok(())
}

/// Counts what the start took.
fn count_restore(metrics: &ServerMetrics, restored: &RestoredDatabase) {
    let (snapshot, txns) = (restored.snapshot_load_time, restored.txns_load_time);
    metrics.startup_snap_load_time.record(snapshot.as_millis() as f64);
    metrics.startup_txns_loaded.record(restored.txns_replayed as f64);
    metrics.startup_txns_load_time.record(txns.as_millis() as f64);
    metrics.dbinittime.record((snapshot + txns).as_millis() as f64);
    metrics.digest_mismatches_count.increment(restored.database.tree.digest_mismatches());
}

/// Takes a snapshot and counts how long that took.
fn take_timed_snapshot(
    state: &ServerState,
    options: &SnapshotOptions,
) -> Result<Option<DataFile>, SnapshotError> {
    let begin = Instant::now();
    let file = take_snapshot(&OsDisk, state, options)?;
    state.metrics.snapshottime.record(begin.elapsed().as_millis() as f64);
    Ok(file)
}

/// The one line that says where the server is and how to use it.
fn announce(config: &ServerConfig, local: SocketAddr) {
    let host = match local.ip().to_canonical() {
        ip if ip.is_unspecified() => "127.0.0.1".into(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let port = local.port();
    let data_dir = std::path::absolute(&config.storage.data_dir)
        .unwrap_or_else(|_| config.storage.data_dir.clone());
    println!(
        "Gamekeeper listens on port {port} and keeps its data in {}; connect with: \
         bin/zkCli.sh -server {host}:{port}",
        data_dir.display()
    );
}

/// Waits for a signal to stop, or for the engine to end by itself.
fn wait_for_end<T>(driver: &thread::JoinHandle<T>) -> Result<(), std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut look = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = look.tick() => if driver.is_finished() { return Ok(()) },
            }
        }
    })
}

fn worker_count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn snapshot_taker(
    state: Arc<ServerState>,
    options: SnapshotOptions,
    mailbox: Arc<Mailbox>,
) -> Box<dyn FnMut() + Send> {
    Box::new(move || {
        let (state, options, done) = (state.clone(), options.clone(), mailbox.clone());
        let spawned = thread::Builder::new().name("snapshot".into()).spawn(move || {
            match take_timed_snapshot(&state, &options) {
                Ok(Some(file)) => info!("snapshot {} written", file.path.display()),
                Ok(None) => info!("no snapshot: the database was replaced meanwhile"),
                // The log holds everything: the next snapshot will do.
                Err(error) => error!("no snapshot: {error}"),
            }
            done.post(Input::SnapshotDone);
        });
        if let Err(error) = spawned {
            warn!("no snapshot: {error}");
            mailbox.post(Input::SnapshotDone);
        }
    })
}

pub(super) fn tree_options(config: &ServerConfig) -> TreeOptions {
    TreeOptions {
        ephemeral_rules: EphemeralRules {
            extended_types: config.extended_types_enabled,
            emulate_353: config.emulate_353_ttl_nodes,
        },
        digest_enabled: config.storage.digest_enabled,
    }
}

pub(super) fn restore_options(config: &ServerConfig) -> RestoreOptions {
    RestoreOptions {
        trust_empty_snapshot: config.storage.snapshot_trust_empty,
        db_autocreate: config.storage.db_autocreate,
    }
}

fn snapshot_options(config: &ServerConfig, dirs: &DataDirs) -> SnapshotOptions {
    SnapshotOptions {
        dir: dirs.snapshots().to_owned(),
        compression: match config.storage.snapshot_compression {
            SnapshotCompression::None => Compression::None,
            SnapshotCompression::Gzip => Compression::Gz,
            SnapshotCompression::Snappy => Compression::Snappy,
        },
        with_digest: config.storage.digest_enabled,
        with_last_processed: config.storage.serialize_last_processed_zxid,
        history: Arc::default(),
    }
}

fn log_options(config: &ServerConfig) -> LogOptions {
    let storage = &config.storage;
    LogOptions {
        prealloc_bytes: storage.pre_alloc_size_bytes,
        size_limit_bytes: storage.txn_log_size_limit_bytes,
        force_sync: storage.force_sync,
        fsync_warning: Duration::from_millis(storage.fsync_warning_threshold_ms.max(0) as u64),
    }
}

fn auth_options(config: &ServerConfig) -> AuthOptions {
    let auth = &config.auth;
    AuthOptions {
        skip_acl: auth.skip_acl,
        digest_enabled: auth.digest_enabled,
        digest_algorithm: auth.digest_algorithm,
        super_digest: auth.super_digest.clone(),
        enforced_schemes: auth.enforced_schemes.clone(),
        ensemble_names: auth.ensemble_names.clone(),
    }
}

fn engine_options(config: &ServerConfig) -> EngineOptions {
    let storage = &config.storage;
    EngineOptions {
        tick_time_ms: config.tick_time_ms,
        prep: PrepOptions {
            limits: PrepLimits {
                enforce_quota: config.auth.enforce_quota,
                reconfig_enabled: config.reconfig_enabled,
                close_session_without_paths: !config.session.close_session_txn_enabled,
            },
            max_buffer_bytes: config.limits.buffer_bytes_max(),
        },
        sync: SnapshotPolicy {
            snap_count: i64::from(storage.snap_count),
            snap_bytes: storage.snap_size_limit_bytes.map(|bytes| bytes as i64),
            flush_delay_ms: storage.flush_delay_ms,
            poll_ms: storage.max_write_queue_poll_time_ms,
            batch_max: usize::try_from(storage.max_batch_size)
                .ok()
                .filter(|batch| *batch > 0)
                .unwrap_or(usize::MAX),
        },
        containers: ContainerOptions {
            check_interval_ms: i64::from(config.container.check_interval_ms),
            per_minute_max: i64::from(config.container.max_per_minute),
            never_used_ms_max: config.container.max_never_used_interval_ms,
        },
        throttle: request_throttle_options(config),
        seed: seed(),
    }
}

fn request_throttle_options(config: &ServerConfig) -> RequestThrottleOptions {
    let throttle = &config.limits.request_throttle;
    RequestThrottleOptions {
        requests_max: throttle.max_requests.max(0) as usize,
        stall_time_ms: throttle.stall_time_ms.into(),
        drop_stale: throttle.drop_stale,
        stale_connection_check: throttle.stale_connection_check,
        stale_latency_check: throttle.stale_latency_check,
        throttled_op_wait_ms: config.limits.throttled_op_wait_time_ms.max(0).into(),
    }
}

/// Something that differs from start to start and from server to server.
fn seed() -> u64 {
    clock::wall_ms() as u64 ^ u64::from(std::process::id()).rotate_left(32)
}
