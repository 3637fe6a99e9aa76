//! `removewatches`: removes the session's watches of a node (`RemoveWatchesCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::flag;
use crate::cli::shell::error::{AtPath, CliError};
use crate::proto::WatcherType;

pub(super) const COMMAND: Command = Command::new("removewatches", "path [-c|-d|-a] [-l]", 2, exec)
    .with_options(&[
        flag("c", "child watcher type"),
        flag("d", "data watcher type"),
        flag("p", "persistent watcher type"),
        flag("r", "persistent recursive watcher type"),
        flag("a", "any watcher type"),
        flag("l", "remove locally when there is no server connection"),
    ]);

/// The first of these that is given counts.
const KINDS: [(&str, WatcherType); 4] = [
    ("c", WatcherType::Children),
    ("d", WatcherType::Data),
    ("p", WatcherType::Persistent),
    ("r", WatcherType::PersistentRecursive),
];

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    let kind = KINDS.iter().find(|(option, _)| line.has(option));
    let kind = kind.map_or(WatcherType::Any, |(_, kind)| *kind);
    Ok(session.zk.remove_watches(path, kind, line.has("l")).at(path)?)
}
