//! `get`: shows a node's data (`GetCommand`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Command, Session};
use crate::cli::shell::command_line::flag;
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;

pub(super) const COMMAND: Command = Command {
    describes_options: true,
    ..Command::new("get", "[-s] [-w] [-b] [-x] path", 2, exec).with_options(&[
        flag("s", "Print znode stats additionally"),
        flag("w", "Watch for changes on the znode"),
        flag("b", "Output data in base64 format"),
        flag("x", "Output data in hexdump format"),
    ])
};

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse_with_watch_word(words, session.console)?;
    let path = &line.args[1];
    let (data, stat) = session.zk.get_data(path, line.has("w")).at(path)?;
    let data = data.as_deref().unwrap_or(b"null");
    session.console.line(if line.has("x") {
        format::hex_dump(data)
    } else if line.has("b") {
        STANDARD.encode(data)
    } else {
        format::text(Some(data))
    });
    if line.has("s") {
        session.console.line(format::stat(&stat));
    }
    Ok(())
}
