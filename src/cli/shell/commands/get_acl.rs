//! `getAcl`: shows who may do what with a node (`GetAclCommand`).

use super::{Command, Session};
use crate::cli::shell::acl::perm_string;
use crate::cli::shell::command_line::flag;
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;

pub(super) const COMMAND: Command =
    Command::new("getAcl", "[-s] path", 2, exec).with_options(&[flag("s", "stats")]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    let (acl, stat) = session.zk.get_acl(path).at(path)?;
    for entry in acl {
        // An Id as Java's records print themselves.
        let (scheme, id) = (java_text(&entry.id.scheme), java_text(&entry.id.id));
        session.console.line(format_args!("'{scheme},'{id}\n: {}", perm_string(entry.perms)));
    }
    if line.has("s") {
        session.console.line(format::stat(&stat));
    }
    Ok(())
}

/// Text with the escapes of `org.apache.jute.Utils.toCSVString`.
fn java_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => shown.push_str("%00"),
            '\n' => shown.push_str("%0A"),
            '\r' => shown.push_str("%0D"),
            ',' => shown.push_str("%2C"),
            '}' => shown.push_str("%7D"),
            '%' => shown.push_str("%25"),
            _ => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_escaped() {
        assert_eq!(java_text("a,b%}c"), "a%2Cb%25%7Dc");
    }
}
