//! Words about what the server has done: mntr, srst, srvr, stat.

use std::fmt::Write;

use super::connections::line;
use crate::server::admin::java_text::double;
use crate::server::admin::queries;
use crate::server::metrics::Value;
use crate::server::net::ServerContext;
use crate::session::CnxnId;
use crate::version;

/// The server in short (`StatCommand`).
pub(super) fn srvr(context: &ServerContext) -> String {
    version_line() + &stats_lines(context)
}

/// The server in short, and its connections (`StatCommand`).
pub(super) fn stat(context: &ServerContext, asker: CnxnId) -> String {
    let mut text = version_line() + "Clients:\n";
    for info in queries::connections(context, asker) {
        let _ = writeln!(text, "{}", line(&info, true));
    }
    text + "\n" + &stats_lines(context)
}

fn version_line() -> String {
    format!("Zookeeper version: {}\n", version::full())
}

fn stats_lines(context: &ServerContext) -> String {
    let stats = queries::server_stats(context);
    format!(
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
        queries::server_state(),
        stats.node_count,
    )
}

/// Starts the server's counts anew (`StatResetCommand`).
pub(super) fn srst(context: &ServerContext) -> String {
    queries::reset_server_stats(context);
    "Server stats reset.\n".into()
}

/// Every metric (`MonitorCommand`).
pub(super) fn mntr(context: &ServerContext) -> String {
    let mut text =
        format!("zk_version\t{}\nzk_server_state\t{}\n", version::full(), queries::server_state());
    for (name, value) in queries::monitor(context) {
        let _ = match value {
            Value::Integer(value) => writeln!(text, "zk_{name}\t{value}"),
            Value::Real(value) => writeln!(text, "zk_{name}\t{}", double(value)),
        };
    }
    text
}
