//! `sync`: waits until the server has caught up with the leader (`SyncCommand`).

use std::time::Duration;

use super::{Command, Session};
use crate::cli::shell::error::{AtPath, CliError};
use crate::client::ClientError;

/// Longest wait.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) const COMMAND: Command = Command::new("sync", "path", 2, exec);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    let pending = session.zk.sync(path).at(path)?;
    match pending.wait_for(SYNC_TIMEOUT) {
        Ok(()) => session.console.line("Sync is OK"),
        Err(ClientError::RequestTimeout) => {
            let seconds = SYNC_TIMEOUT.as_secs();
            return Err(CliError::new(format!("no answer to the sync within {seconds} s")));
        }
        Err(error) => {
            session.console.line(format_args!("Sync has failed. rc={}", error.code()));
        }
    }
    Ok(())
}
