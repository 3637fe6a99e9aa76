//! `delete`: deletes a node (`DeleteCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::valued;
use crate::cli::shell::error::{AtPath, CliError};

pub(super) const COMMAND: Command =
    Command::new("delete", "[-v version] path", 2, exec).with_options(&[valued("v", "version")]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    if line.args.len() > 2 {
        session.console.error(
            "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' \
             instead.",
        );
    }
    let path = &line.args[1];
    let version = line.number("v")?.unwrap_or(-1);
    Ok(session.zk.delete(path, version).at(path)?)
}
