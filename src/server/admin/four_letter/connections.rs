//! Words about connections and sessions: cons, crst, dump.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::NOT_SERVING;
use crate::engine::GlobalSessions;
use crate::proto::{Millis, SessionId};
use crate::server::admin::java_text::{date, socket_address};
use crate::server::admin::queries::{self, ConnectionInfo};
use crate::server::net::ServerContext;
use crate::session::CnxnId;

/// All that is known of every connection (`ConsCommand`).
pub(super) fn cons(context: &ServerContext, asker: CnxnId) -> String {
    let mut text = String::new();
    for info in queries::connections(context, asker) {
        let _ = writeln!(text, "{}", line(&info, false));
    }
    text + "\n"
}

/// One connection (`ServerCnxn.dumpConnectionInfo`).
pub(super) fn line(info: &ConnectionInfo, is_brief: bool) -> String {
    let mut line = format!(
        " {}[{:x}](queued={},recved={},sent={}",
        socket_address(info.peer),
        info.interest_ops,
        info.outstanding_requests,
        info.packets_received,
        info.packets_sent,
    );
    if let Some(session) = info.session.as_ref().filter(|_| !is_brief) {
        let _ = write!(
            line,
            ",sid={},lop={},est={},to={}",
            session.id, session.last_operation, session.established, session.timeout_ms,
        );
        if session.last_cxid >= 0 {
            let _ = write!(line, ",lcxid=0x{:x}", session.last_cxid);
        }
        let _ = write!(
            line,
            ",lzxid=0x{},lresp={},llat={},minlat={},avglat={},maxlat={}",
            session.last_zxid,
            session.last_response,
            session.last_latency,
            session.min_latency,
            session.avg_latency,
            session.max_latency,
        );
    }
    line + ")"
}

/// Starts all connections' counts anew (`CnxnStatResetCommand`).
pub(super) fn crst(context: &ServerContext) -> String {
    queries::reset_connection_stats(context);
    "Connection stats reset.\n".into()
}

/// Sessions, ephemerals and connections (`DumpCommand`).
pub(super) fn dump(context: &ServerContext) -> String {
    let Some(dump) = queries::dump(context) else { return NOT_SERVING.into() };
    let mut text = String::from("SessionTracker dump:\n");
    if let Some(local) = &dump.local {
        text.push_str("Local ");
        session_sets(&mut text, local);
    }
    match &dump.global {
        GlobalSessions::Expiry(expiry) => {
            if dump.local.is_some() {
                text.push_str("Global ");
            }
            session_sets(&mut text, expiry);
        }
        GlobalSessions::Timeouts(sessions) => {
            let _ = writeln!(text, "Global Sessions({}):", sessions.len());
            for (session, timeout_ms) in sessions {
                let _ = writeln!(text, "{session}\t{timeout_ms}ms");
            }
        }
    }
    let _ = writeln!(text, "ephemeral nodes dump:");
    let _ = writeln!(text, "Sessions with Ephemerals ({}):", dump.ephemerals.len());
    for (session, paths) in &dump.ephemerals {
        let _ = writeln!(text, "{session}:");
        for path in paths {
            let _ = writeln!(text, "\t{path}");
        }
    }
    text.push_str("Connections dump:\nConnections ");
    let connections = dump.connections.iter().map(|(&time, set)| (time, &set[..]));
    sets(&mut text, connections, |(peer, session)| {
        format!("ip: {} sessionId: {session}", socket_address(*peer))
    });
    text
}

fn session_sets(text: &mut String, expiry: &BTreeMap<Millis, Vec<SessionId>>) {
    text.push_str("Session ");
    sets(text, expiry.iter().map(|(&time, set)| (time, &set[..])), SessionId::to_string);
}

/// What expires when (`ExpiryQueue.dump`).
fn sets<'a, T: 'a>(
    text: &mut String,
    sets: impl Iterator<Item = (Millis, &'a [T])> + Clone,
    show: impl Fn(&T) -> String,
) {
    let elements: usize = sets.clone().map(|(_, set)| set.len()).sum();
    let _ = writeln!(text, "Sets ({})/({elements}):", sets.clone().count());
    for (time, set) in sets {
        let _ = writeln!(text, "{} expire at {}:", set.len(), date(time));
        for element in set {
            let _ = writeln!(text, "\t{}", show(element));
        }
    }
}
