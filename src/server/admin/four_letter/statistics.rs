//! Words about what the server has done: mntr, srst, srvr, stat.

use std::fmt::Write;

use super::connections::line;
use crate::processor::ServerMode;
use crate::server::admin::java_text::double;
use crate::server::admin::{member, queries};
use crate::server::metrics::Value;
use crate::server::net::ServerContext;
use crate::session::CnxnId;
use crate::version;

/// The server in short (`StatCommand`).
pub(super) fn srvr(context: &ServerContext) -> String {
    version_lines(context) + &stats_lines(context)
}

/// The server in short, and its connections (`StatCommand`).
pub(super) fn stat(context: &ServerContext, asker: CnxnId) -> String {
    let mut text = version_lines(context) + "Clients:\n";
    for info in queries::connections(context, asker) {
        let _ = writeln!(text, "{}", line(&info, true));
    }
    text + "\n" + &stats_lines(context)
}

fn version_lines(context: &ServerContext) -> String {
    let read_only = match context.state.mode() {
        ServerMode::ReadOnly => "READ-ONLY mode; serving only read-only clients\n",
        _ => "",
    };
    format!("Zookeeper version: {}\n{read_only}", version::full())
}

fn stats_lines(context: &ServerContext) -> String {
    let stats = queries::server_stats(context);
    let text = format!(
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\n\
         Outstanding: {}\nZxid: 0x{}\nMode: {}\nNode count: {}\n",
        stats.min_latency_ms,
        double(stats.avg_latency_ms),
        stats.max_latency_ms,
        stats.packets_received,
        stats.packets_sent,
        stats.connections,
        stats.outstanding_requests,
        stats.last_processed_zxid,
        queries::server_state(context),
        stats.node_count,
    );
    if context.state.mode() != ServerMode::Leader {
        return text;
    }
    let (last, min, max) = context.state.stats.proposal_bytes();
    format!("{text}Proposal sizes last/min/max: {last}/{min}/{max}\n")
}

/// Starts the server's counts anew (`StatResetCommand`).
pub(super) fn srst(context: &ServerContext) -> String {
    queries::reset_server_stats(context);
    "Server stats reset.\n".into()
}

/// Every metric (`MonitorCommand`).
pub(super) fn mntr(context: &ServerContext) -> String {
    let mut text = format!(
        "zk_version\t{}\nzk_server_state\t{}\n",
        version::full(),
        queries::server_state(context)
    );
    if let Some(state) = member::peer_state(context) {
        let _ = writeln!(text, "zk_peer_state\t{state}");
    }
    let described = member::quorum_description(context);
    if let Some(leader) = member::observed(context, described.as_ref()) {
        let _ = writeln!(text, "zk_observer_master_id\t{leader}");
    }
    for (name, value) in queries::monitor(context, described.as_ref()) {
        let _ = match value {
            Value::Integer(value) => writeln!(text, "zk_{name}\t{value}"),
            Value::Real(value) => writeln!(text, "zk_{name}\t{}", double(value)),
        };
    }
    text
}
