//! `deleteall`: deletes a node and all below it (`DeleteAllCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::valued;
use crate::cli::shell::error::CliError;
use crate::cli::shell::tree_walk::delete_recursive;

/// Nodes deleted in one request.
const BATCH_SIZE: i32 = 1000;

pub(super) const COMMAND: Command = Command::new("deleteall", "path [-b batch size]", 2, exec)
    .with_options(&[valued("b", "batch size")]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let bad = |_| CliError::new("-b argument must be an int value");
    let batch_size = line.number("b").map_err(bad)?.unwrap_or(BATCH_SIZE);
    if !delete_recursive(session.zk, &line.args[1], batch_size)? {
        session.console.error("Failed to delete some node(s) in the subtree!");
    }
    Ok(())
}
