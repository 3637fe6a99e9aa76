//! `set`: replaces a node's data (`SetCommand`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Command, Session};
use crate::cli::shell::command_line::{flag, valued};
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;

pub(super) const COMMAND: Command = Command {
    describes_options: true,
    ..Command::new("set", "path data [-s] [-v version] [-b]", 3, exec).with_options(&[
        flag("s", "Print znode stats additionally"),
        valued("v", "Set with an expected version"),
        flag("b", "Supply data in base64 format"),
    ])
};

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let (path, text) = (&line.args[1], &line.args[2]);
    let data = match line.has("b") {
        true => STANDARD
            .decode(text)
            .map_err(|error| CliError::new(format!("\"{text}\" is not base64: {error}")))?,
        false => text.clone().into_bytes(),
    };
    let version = line.number("v")?.unwrap_or(-1);
    let stat = session.zk.set_data(path, Some(&data), version).at(path)?;
    if line.has("s") {
        session.console.line(format::stat(&stat));
    }
    Ok(())
}
