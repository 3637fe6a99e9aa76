//! `ls`: lists the children of a node, or all nodes below it (`LsCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::{Opt, describe, flag};
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;
use crate::cli::shell::tree_walk::visit_sub_tree_dfs;

const OPTIONS: &[Opt] =
    &[flag("?", "help"), flag("s", "stat"), flag("w", "watch"), flag("R", "recurse")];

/// The path is looked for after the help has been shown.
pub(super) const COMMAND: Command =
    Command::new("ls", "[-s] [-w] [-R] path", 1, exec).with_options(OPTIONS);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let console = session.console;
    if COMMAND.parse(words)?.has("?") {
        console.line(format_args!("usage: ls [options] path\n{}", describe(OPTIONS)));
    }
    let line = COMMAND.parse_with_watch_word(words, console)?;
    let Some(path) = line.args.get(1) else { return Err(COMMAND.usage()) };
    let watch = line.has("w");
    if line.has("R") {
        return visit_sub_tree_dfs(session.zk, path, watch, &mut |node| {
            console.line(node);
            Ok(())
        });
    }
    let (mut children, stat) = match line.has("s") {
        true => {
            let (children, stat) = session.zk.get_children2(path, watch).at(path)?;
            (children, Some(stat))
        }
        false => (session.zk.get_children(path, watch).at(path)?, None),
    };
    format::sort(&mut children);
    console.line(format::list(&children));
    if let Some(stat) = stat {
        console.line(format::stat(&stat));
    }
    Ok(())
}
