//! `delquota`: takes a quota away (`DelQuotaCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::{Choice, flag};
use crate::cli::shell::error::{AtPath, CliError, KeeperError};
use crate::client::ZooKeeper;
use crate::proto::ErrorCode;
use crate::tree::quota::{QUOTA_ROOT, StatsTrack, limit_path};

pub(super) const COMMAND: Command = Command {
    choice: Choice::AtMostOne,
    ..Command::new("delquota", "[-n|-b|-N|-B] path", 2, exec).with_options(&[
        flag("n", "num soft quota"),
        flag("b", "bytes soft quota"),
        flag("N", "num hard quota"),
        flag("B", "bytes hard quota"),
    ])
};

type SetLimit = fn(&mut StatsTrack, i64);

/// The limit that each option takes away.
const LIMITS: [(&str, SetLimit); 4] = [
    ("n", StatsTrack::set_count),
    ("b", StatsTrack::set_bytes),
    ("N", StatsTrack::set_count_hard_limit),
    ("B", StatsTrack::set_byte_hard_limit),
];

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    let limit_node = limit_path(path);
    if session.zk.exists(&limit_node, false).at(&limit_node)?.is_none() {
        session.console.line(format_args!("Quota does not exist for {path}"));
        return Ok(());
    }
    let gone = match LIMITS.iter().find(|(option, _)| line.has(option)) {
        Some((_, set_limit)) => {
            let (data, _) = session.zk.get_data(&limit_node, false).at(&limit_node)?;
            let mut limits = StatsTrack::parse(&data.unwrap_or_default())?;
            set_limit(&mut limits, -1);
            let data = limits.to_string();
            session.zk.set_data(&limit_node, Some(data.as_bytes()), -1).at(&limit_node).map(drop)
        }
        None => delete_quota(session.zk, path),
    };
    match gone {
        Err(error) if error.is(ErrorCode::NoNode) => {
            session.console.error(format_args!("quota for {path} does not exist."));
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Deletes the nodes of a quota, and those above them that nothing else needs.
fn delete_quota(zk: &ZooKeeper, path: &str) -> Result<(), KeeperError> {
    let node = format!("{QUOTA_ROOT}{path}");
    for child in zk.get_children(&node, false).at(&node)? {
        let child = format!("{node}/{child}");
        zk.delete(&child, -1).at(&child)?;
    }
    let mut node = node.as_str();
    while node != QUOTA_ROOT && zk.get_children(node, false).at(node)?.is_empty() {
        zk.delete(node, -1).at(node)?;
        node = &node[..node.rfind('/').unwrap_or(0)];
    }
    Ok(())
}
