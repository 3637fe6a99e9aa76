//! `close`: ends the session (`CloseCommand`).

use super::{Command, Session};
use crate::cli::shell::error::CliError;

pub(super) const COMMAND: Command = Command::new("close", "", 1, exec);

fn exec(_words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    session.zk.close();
    Ok(())
}
