//! Handles for the metrics that something here counts (`ServerMetrics`), made once at the start.
//!
//! The names are ZooKeeper's. Where they live is the recorder's business: the server's registry has
//! them all, the no-op recorder none.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, NoopRecorder, Recorder};

use crate::proto::path::top_namespace;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

trait Register {
    fn register(recorder: &dyn Recorder, key: &Key) -> Self;
}

impl Register for Counter {
    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_counter(key, &METADATA)
    }
}

impl Register for Histogram {
    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_histogram(key, &METADATA)
    }
}

/// Declares the handles: each is called what its metric is.
macro_rules! server_metrics {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)*) => {
        /// The handles.
        pub struct ServerMetrics {
            recorder: Arc<dyn Recorder + Send + Sync>,
            $($(#[$doc])* pub $name: $kind,)*
        }

        impl ServerMetrics {
            /// Handles of this recorder.
            pub fn new(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
                Self {
                    $($name: $kind::register(
                        &*recorder,
                        &Key::from_static_name(stringify!($name)),
                    ),)*
                    recorder,
                }
            }
        }
    };
}

server_metrics! {
    /// Time of each flush of the log.
    fsynctime: Histogram,
    /// Time of each snapshot written.
    snapshottime: Histogram,
    /// Snapshots sent to learners.
    snap_count: Counter,
    /// Learners sent the transactions that they lacked.
    diff_count: Counter,
    /// Learners that are sent a snapshot, whenever one begins or ends.
    inflight_snap_count: Histogram,
    /// Learners that are sent transactions, whenever one begins or ends.
    inflight_diff_count: Histogram,
    /// Time it took to find a leader.
    election_time: Histogram,
    /// Times this server began to look for a leader.
    looking_count: Counter,
    /// Time from looking for a leader to serving.
    unavailable_time: Histogram,
    /// The same of a server that leads then.
    leader_unavailable_time: Histogram,
    /// Time it took to take over a leader's history and to follow.
    follower_sync_time: Histogram,
    /// Time it took to take over a leader's history and to observe.
    observer_sync_time: Histogram,
    /// Transactions proposed by this leader.
    proposal_count: Counter,
    /// Transactions committed by this leader.
    commit_count: Counter,
    /// Time from a transaction's making to its being logged by a quorum, at its leader.
    quorum_ack_latency: Histogram,
    /// Time from a transaction's making to its being on this server's disk.
    proposal_ack_creation_latency: Histogram,
    /// Proposals that came to this follower.
    learner_proposal_received_count: Counter,
    /// Time from a transaction's making to its going to this follower's log.
    proposal_latency: Histogram,
    /// Commits that came to this learner.
    learner_commit_received_count: Counter,
    /// Time from a transaction's making to its commit here.
    commit_propagation_latency: Histogram,
    /// Sessions that learners have asked about.
    revalidate_count: Counter,
    /// Commits, and answers to syncs, on their way to being carried out.
    request_commit_queued: Counter,
    /// Commits that are carried out at a time.
    commit_commit_proc_req_queued: Histogram,
    /// Writes of clients of this server among them.
    write_commit_proc_req_queued: Histogram,
    /// Reads behind them.
    read_commit_proc_req_queued: Histogram,
    /// Commits carried out at a time.
    write_commit_proc_issued: Histogram,
    /// Reads answered behind them.
    reads_issued_from_session_queue: Histogram,
    /// Time from a write's arrival to its commit being carried out.
    write_commitproc_time_ms: Histogram,
    /// Time from a read's arrival to its turn behind writes.
    read_commitproc_time_ms: Histogram,
    /// Time commits of clients of this server wait.
    local_write_committed_time_ms: Histogram,
    /// Time commits of other servers' clients wait.
    server_write_committed_time_ms: Histogram,
    /// Time to carry out the commits there are.
    commit_process_time: Histogram,
    /// The same where there are some.
    write_batch_time_in_commit_processor: Histogram,
    /// Time to apply a transaction.
    write_final_proc_time_ms: Histogram,
    /// Time to answer a read behind writes.
    read_final_proc_time_ms: Histogram,
    /// Time it took to restore the database.
    dbinittime: Histogram,
    /// Transactions replayed at start.
    startup_txns_loaded: Histogram,
    /// Time that took.
    startup_txns_load_time: Histogram,
    /// Time it took to load the snapshot.
    startup_snap_load_time: Histogram,
    /// Transactions whose digest was not the tree's.
    digest_mismatches_count: Counter,
    /// Time from a read's arrival to its reply.
    readlatency: Histogram,
    /// Time from a write's arrival to its reply.
    updatelatency: Histogram,
    /// Time from a transaction's making to its being applied.
    propagation_latency: Histogram,
    /// Bytes that clients sent.
    bytes_received_count: Counter,
    /// Bytes of replies.
    response_bytes: Counter,
    /// Bytes of notifications.
    watch_bytes: Counter,
    /// Replies to requests whose connection was gone.
    stale_replies: Counter,
    /// Watches fired by each creation that fired any.
    node_created_watch_count: Histogram,
    /// Watches fired by each deletion that fired any.
    node_deleted_watch_count: Histogram,
    /// Watches fired by each change of data that fired any.
    node_changed_watch_count: Histogram,
    /// Watches fired by each change of children that fired any.
    node_children_watch_count: Histogram,
    /// Connect requests that passed the throttle.
    connection_request_count: Counter,
    /// Connections refused: there are too many, or too many come at once.
    connection_rejected: Counter,
    /// Tokens missing in the connection throttle's bucket.
    connection_token_deficit: Histogram,
    /// Sessions that came back on a new connection.
    connection_revalidate_count: Counter,
    /// Connections that their clients closed without closing the session.
    connection_drop_count: Counter,
    /// Connections closed because they asked for no session in time.
    sessionless_connections_expired: Counter,
    /// Sessions that expired.
    stale_sessions_expired: Counter,
    /// Clients that named this ensemble.
    ensemble_auth_success: Counter,
    /// Clients that named another ensemble.
    ensemble_auth_fail: Counter,
    /// The log failed.
    unrecoverable_error_count: Counter,
    /// Inputs the engine finds at a time.
    prep_processor_queue_size: Histogram,
    /// Time requests wait for the engine.
    prep_processor_queue_time_ms: Histogram,
    /// Requests handed to the engine.
    prep_processor_request_queued: Counter,
    /// Time to prepare a request.
    prep_process_time: Histogram,
    /// Changes prepared and not yet applied that came.
    outstanding_changes_queued: Counter,
    /// Changes prepared and not yet applied that went.
    outstanding_changes_removed: Counter,
    /// Transactions that wait when a flush begins.
    sync_processor_queue_size: Histogram,
    /// Transactions handed to the log.
    sync_processor_request_queued: Counter,
    /// Time transactions wait for a flush to begin.
    sync_processor_queue_time_ms: Histogram,
    /// Time of each flush with what goes before and after.
    sync_processor_queue_flush_time_ms: Histogram,
    /// Time from preparing a transaction to its being on disk.
    sync_processor_queue_and_flush_time_ms: Histogram,
    /// Time to write a transaction, without the flush.
    sync_process_time: Histogram,
    /// Transactions in each flush.
    sync_processor_batch_size: Histogram,
    /// Stale requests that were served.
    stale_requests: Counter,
    /// Stale requests that were dropped.
    stale_requests_dropped: Counter,
    /// Times the request throttle waited.
    request_throttle_wait_count: Counter,
    /// Time requests wait in the throttle.
    request_throttle_queue_time_ms: Histogram,
    /// Requests refused because they had waited too long.
    throttled_ops: Counter,
    /// Large requests refused.
    large_requests_rejected: Counter,
}

impl ServerMetrics {
    /// Handles that count nothing.
    pub fn noop() -> Self {
        Self::new(Arc::new(NoopRecorder))
    }

    /// A hard quota refused a request at `path` (`quota_exceeded_error_per_namespace`).
    pub fn quota_exceeded(&self, path: &str) {
        let Some(namespace) = top_namespace(path) else { return };
        let labels = vec![Label::new("key", namespace.to_owned())];
        let key = Key::from_parts("quota_exceeded_error_per_namespace", labels);
        self.recorder.register_counter(&key, &METADATA).increment(1);
    }
}

impl fmt::Debug for ServerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerMetrics").finish_non_exhaustive()
    }
}
