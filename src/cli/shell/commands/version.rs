//! `version`: shows the shell's version (`VersionCommand`).

use super::{Command, Session};
use crate::cli::shell::error::CliError;
use crate::version;

pub(super) const COMMAND: Command = Command::new("version", "", 1, exec);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    if COMMAND.parse(words)?.args.len() > 1 {
        return Err(COMMAND.usage());
    }
    session.console.line(format_args!("ZooKeeper CLI version: {}", version::full()));
    Ok(())
}
