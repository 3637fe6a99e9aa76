//! `getEphemerals`: lists the session's ephemeral nodes (`GetEphemeralsCommand`).

use super::{Command, Session};
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;

pub(super) const COMMAND: Command = Command::new("getEphemerals", "path", 1, exec);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let prefix = line.args.get(1).map_or("/", String::as_str);
    let ephemerals = session.zk.get_ephemerals(prefix).at_no_path()?;
    session.console.line(format::list(&ephemerals));
    Ok(())
}
