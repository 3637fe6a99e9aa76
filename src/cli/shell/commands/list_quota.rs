//! `listquota`: shows a quota and its use (`ListQuotaCommand`).

use super::{Command, Session};
use crate::cli::shell::error::{AtPath, CliError};
use crate::proto::ErrorCode;
use crate::tree::quota::{StatsTrack, limit_path, stat_path};

pub(super) const COMMAND: Command = Command::new("listquota", "path", 2, exec);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    session.console.error(format_args!("absolute path is {}", limit_path(path)));
    let read = |node: &str| session.zk.get_data(node, false).at(node);
    let nodes = read(&limit_path(path)).and_then(|limits| Ok((limits, read(&stat_path(path))?)));
    let ((limits, _), (used, _)) = match nodes {
        Err(error) if error.is(ErrorCode::NoNode) => {
            session.console.error(format_args!("quota for {path} does not exist."));
            return Ok(());
        }
        nodes => nodes?,
    };
    let limits = StatsTrack::parse(&limits.unwrap_or_default())?;
    let used = StatsTrack::parse(&used.unwrap_or_default())?;
    session.console.line(format_args!("Output quota for {path} {limits}"));
    session.console.line(format_args!("Output stat for {path} {used}"));
    Ok(())
}
