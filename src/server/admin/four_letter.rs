//! The four-letter words (`org.apache.zookeeper.server.command`).

use std::fmt::Write;

use crate::server::net::ServerContext;

/// The answer to `word`.
pub fn answer(context: &ServerContext, word: [u8; 4], _argument: Option<&[u8]>) -> String {
    let name = String::from_utf8_lossy(&word).into_owned();
    match &*name {
        "ruok" => "imok".into(),
        "isro" => "rw".into(),
        _ => srvr(context),
    }
}

fn srvr(context: &ServerContext) -> String {
    let state = &context.state;
    let stats = &state.stats;
    let database = state.database.read();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Zookeeper version: 3.9.3-gamekeeper, built on 2026-11-21 00:00 UTC\n\
         Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\n\
         Zxid: 0x{}\nMode: standalone\nNode count: {}",
        stats.min_latency(),
        stats.avg_latency(),
        stats.max_latency(),
        stats.packets_received(),
        stats.packets_sent(),
        state.cnxns.len(),
        state.in_process(),
        database.tree.last_processed(),
        database.tree.node_count(),
    );
    text
}
