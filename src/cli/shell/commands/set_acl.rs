//! `setAcl`: says who may do what with a node, or with all below it (`SetAclCommand`).

use super::{Command, Session};
use crate::cli::shell::acl;
use crate::cli::shell::command_line::{flag, valued};
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;
use crate::cli::shell::tree_walk::visit_sub_tree_dfs;

pub(super) const COMMAND: Command =
    Command::new("setAcl", "[-s] [-v version] [-R] path acl", 3, exec).with_options(&[
        flag("s", "stats"),
        valued("v", "version"),
        flag("R", "recursive"),
    ]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    let acl = acl::parse(&line.args[2], session.console);
    let version = line.number("v")?.unwrap_or(-1);
    let (zk, console) = (&*session.zk, session.console);
    if line.has("R") {
        // A node that refuses does not stop the others.
        return visit_sub_tree_dfs(zk, path, false, &mut |node| {
            if let Err(error) = zk.set_acl(node, &acl, version).at(node) {
                console.print(error.message());
            }
            Ok(())
        });
    }
    let set = zk.set_acl(path, &acl, version);
    let stat = if acl.is_empty() { set.at_no_path() } else { set.at(path) }?;
    if line.has("s") {
        console.line(format::stat(&stat));
    }
    Ok(())
}
