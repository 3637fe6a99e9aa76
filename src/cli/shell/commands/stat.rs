//! `stat`: shows a node's status (`StatCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::flag;
use crate::cli::shell::error::{AtPath, CliError, KeeperError};
use crate::cli::shell::format;
use crate::client::ClientError;
use crate::proto::ErrorCode;

pub(super) const COMMAND: Command =
    Command::new("stat", "[-w] path", 2, exec).with_options(&[flag("w", "watch")]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse_with_watch_word(words, session.console)?;
    let path = &line.args[1];
    let stat = session.zk.exists(path, line.has("w")).at(path)?;
    let missing = || KeeperError::new(ClientError::Code(ErrorCode::NoNode), path);
    session.console.line(format::stat(&stat.ok_or_else(missing)?));
    Ok(())
}
