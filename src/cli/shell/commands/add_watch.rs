//! `addWatch`: leaves a watch that stays (`AddWatchCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::valued;
use crate::cli::shell::error::{AtPath, CliError};
use crate::proto::AddWatchMode;

pub(super) const COMMAND: Command = Command::new(
    "addWatch",
    "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is \
     PERSISTENT_RECURSIVE",
    2,
    exec,
)
.with_options(&[valued("m", "")]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    if line.args.len() != 2 {
        return Err(COMMAND.usage());
    }
    let mode = match line.value("m").map(str::to_uppercase).as_deref() {
        None | Some("PERSISTENT_RECURSIVE") => AddWatchMode::PersistentRecursive,
        Some("PERSISTENT") => AddWatchMode::Persistent,
        Some(_) => return Err(COMMAND.usage()),
    };
    let path = &line.args[1];
    Ok(session.zk.add_watch(path, mode).at(path)?)
}
