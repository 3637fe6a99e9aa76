//! Every metric and its value (`MonitorCommand`, `ZooKeeperServer.registerMetrics`).

use std::collections::BTreeMap;

use rustix::process::{Resource, getrlimit};

use super::member;
use super::queries::server_stats;
use crate::engine::QuorumDescription;
use crate::proto::path::top_namespace;
use crate::server::clock;
use crate::server::config::MetricsConfig;
use crate::server::metrics::names::{GAUGES, NAMESPACE_SUMMARY_SETS, QUOTA_GAUGE_SETS};
use crate::server::metrics::{Registry, Value};
use crate::server::net::ServerContext;
use crate::tree::DataTree;

/// Names without the prefix of `mntr`, and values, in the order of Apache's server. The null
/// provider has none (`NullMetricsProvider.dump`). The engine has described the ensemble, if there
/// is one.
pub fn monitor(
    context: &ServerContext,
    described: Option<&QuorumDescription>,
) -> Vec<(String, Value)> {
    if context.config.metrics == MetricsConfig::Null {
        return Vec::new();
    }
    let mut shown = Vec::new();
    let gauges = gauges(context, described);
    shown.extend(GAUGES.iter().filter_map(|&name| Some((name.to_owned(), *gauges.get(name)?))));
    let quotas = quotas(&context.state.database.read().tree);
    for (name, by_namespace) in QUOTA_GAUGE_SETS.iter().zip(quotas) {
        let show = |(namespace, value)| (format!("{namespace}_{name}"), Value::Integer(value));
        shown.extend(by_namespace.into_iter().map(show));
    }
    let sink = &mut |name, value| shown.push((name, value));
    context.admin.registry.show(sink);
    let traffic = [context.state.reads.tallies(), context.state.writes.tallies()];
    for (name, tallies) in NAMESPACE_SUMMARY_SETS.iter().zip(traffic) {
        Registry::show_set(name, &tallies, sink);
    }
    shown
}

fn gauges(
    context: &ServerContext,
    described: Option<&QuorumDescription>,
) -> BTreeMap<&'static str, Value> {
    let stats = server_stats(context);
    let (last_size, min_size, max_size) = context.state.stats.response_bytes();
    let database = context.state.database.read();
    let sessions = database.sessions.len();
    let data_bytes = database.tree.approximate_data_size();
    let ephemerals = database.tree.ephemerals_count();
    drop(database);
    let integers = [
        ("ephemerals_count", ephemerals as i64),
        ("num_alive_connections", stats.connections as i64),
        ("outstanding_requests", stats.outstanding_requests),
        ("znode_count", stats.node_count as i64),
        ("global_sessions", sessions as i64),
        ("non_mtls_remote_conn_count", 0),
        ("last_client_response_size", last_size),
        ("packets_sent", stats.packets_sent as i64),
        ("packets_received", stats.packets_received as i64),
        ("max_client_response_size", max_size),
        ("watch_count", context.state.watches.count() as i64),
        ("auth_failed_count", 0),
        ("min_latency", stats.min_latency_ms),
        ("max_file_descriptor_count", max_file_descriptors()),
        ("approximate_data_size", data_bytes),
        ("open_file_descriptor_count", open_file_descriptors()),
        ("local_sessions", context.state.local_sessions()),
        ("uptime", clock::monotonic_ms() - context.admin.started),
        ("max_latency", stats.max_latency_ms),
        ("outstanding_tls_handshake", 0),
        ("min_client_response_size", min_size),
        ("non_mtls_local_conn_count", 0),
    ];
    let reals = [
        ("avg_latency", stats.avg_latency_ms),
        ("connection_drop_probability", context.connection_throttle.drop_probability()),
    ];
    let integers = integers.map(|(name, value)| (name, Value::Integer(value)));
    let reals = reals.map(|(name, value)| (name, Value::Real(value)));
    let of_member = member_gauges(context, described).into_iter();
    integers.into_iter().chain(reals).chain(of_member).collect()
}

/// What only members of an ensemble have, and of these what only a leader has.
fn member_gauges(
    context: &ServerContext,
    described: Option<&QuorumDescription>,
) -> Vec<(&'static str, Value)> {
    if member::peer_state(context).is_none() {
        return Vec::new();
    }
    let Some(description) = described else { return Vec::new() };
    let mut gauges = vec![("quorum_size", description.verifier.voters().count() as i64)];
    if let Some(leader) = &description.leading {
        let (last, min, max) = context.state.stats.proposal_bytes();
        let last_zxid = context.state.database.read().tree.last_processed();
        gauges.extend([
            ("learners", leader.learners as i64),
            ("synced_followers", leader.synced_followers as i64),
            ("synced_non_voting_followers", leader.synced_non_voting_followers as i64),
            ("synced_observers", leader.synced_observers as i64),
            ("pending_syncs", leader.pending_syncs as i64),
            ("leader_uptime", leader.uptime_ms),
            ("last_proposal_size", last),
            ("min_proposal_size", min),
            ("max_proposal_size", max),
            ("zxids_left_in_epoch", (u32::MAX - last_zxid.counter()).into()),
        ]);
    }
    gauges.into_iter().map(|(name, value)| (name, Value::Integer(value))).collect()
}

/// Limits of nodes and bytes and what is used of both, summed up by first element of the path, in
/// the order of [`QUOTA_GAUGE_SETS`] (`QuotaMetricsUtils`). A hard limit goes before a soft one.
fn quotas(tree: &DataTree) -> [BTreeMap<String, i64>; 4] {
    let mut sums: [BTreeMap<String, i64>; 4] = Default::default();
    for (path, limits, used) in tree.quotas() {
        let Some(namespace) = top_namespace(path) else { continue };
        let limit = |hard: i64, soft: i64| if hard > -1 { hard } else { soft };
        let values = [
            limit(limits.byte_hard_limit(), limits.bytes()),
            used.count(),
            limit(limits.count_hard_limit(), limits.count()),
            used.bytes(),
        ];
        for (sums, value) in sums.iter_mut().zip(values) {
            *sums.entry(namespace.to_owned()).or_default() += value;
        }
    }
    sums
}

/// Files and sockets this process has open, -1 if the system does not say.
fn open_file_descriptors() -> i64 {
    // The directory itself is open while it is read.
    std::fs::read_dir("/proc/self/fd").map_or(-1, |entries| entries.count() as i64 - 1)
}

/// Files and sockets it may open, -1 if there is no limit.
fn max_file_descriptors() -> i64 {
    getrlimit(Resource::Nofile).current.map_or(-1, |limit| limit as i64)
}
