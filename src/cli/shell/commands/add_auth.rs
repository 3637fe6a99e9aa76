//! `addauth`: adds an identity to the session (`AddAuthCommand`).

use super::{Command, Session};
use crate::cli::shell::error::CliError;

pub(super) const COMMAND: Command = Command::new("addauth", "scheme auth", 2, exec);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    session.zk.add_auth(&line.args[1], line.args.get(2).map(String::as_bytes));
    Ok(())
}
