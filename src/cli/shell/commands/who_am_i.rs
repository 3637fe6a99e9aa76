//! `whoami`: lists the identities of the connection (`WhoAmICommand`).

use super::{Command, Session};
use crate::cli::shell::error::{AtPath, CliError};

pub(super) const COMMAND: Command = Command::new("whoami", "", 1, exec);

fn exec(_words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let identities = session.zk.who_am_i().at_no_path()?;
    session.console.line("Auth scheme: User");
    for (scheme, user) in identities {
        session.console.line(format_args!("{scheme}: {user}"));
    }
    Ok(())
}
