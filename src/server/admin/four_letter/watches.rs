//! Words about watches: wchc, wchp, wchs. Like Apache's, they speak of data watches only.

use std::fmt::Write;

use crate::server::admin::queries;
use crate::server::net::ServerContext;

/// How many there are (`WatchManager.toString`).
pub(super) fn wchs(context: &ServerContext) -> String {
    let summary = queries::watch_summary(context);
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        summary.connections, summary.paths, summary.watches
    )
}

/// The paths each session watches (`WatchManager.dumpWatches`).
pub(super) fn wchc(context: &ServerContext) -> String {
    let mut text = String::new();
    for (session, paths) in queries::watches_by_session(context) {
        let _ = writeln!(text, "{session}");
        paths.iter().for_each(|path| text.extend(["\t", path, "\n"]));
    }
    text + "\n"
}

/// The sessions that watch each path (`WatchManager.dumpWatches`).
pub(super) fn wchp(context: &ServerContext) -> String {
    let mut text = String::new();
    for (path, sessions) in queries::watches_by_path(context) {
        text.extend([&path, "\n"]);
        for session in sessions {
            let _ = writeln!(text, "\t{session}");
        }
    }
    text + "\n"
}
