//! `getAllChildrenNumber`: counts the nodes below a node (`GetAllChildrenNumberCommand`).

use super::{Command, Session};
use crate::cli::shell::error::{AtPath, CliError};

pub(super) const COMMAND: Command = Command::new("getAllChildrenNumber", "path", 2, exec);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    session.console.line(session.zk.get_all_children_number(path).at(path)?);
    Ok(())
}
