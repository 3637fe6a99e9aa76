//! `delquota`: takes a quota away (`DelQuotaCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::{Choice, flag};
use crate::cli::shell::error::{AtPath, CliError, KeeperError};
use crate::cli::shell::quotas::{QUOTA_NODE, StatsTrack, limit_path, quota_path};
use crate::client::ZooKeeper;
use crate::proto::ErrorCode;

pub(super) const COMMAND: Command = Command {
    choice: Choice::AtMostOne,
    ..Command::new("delquota", "[-n|-b|-N|-B] path", 2, exec).with_options(&[
        flag("n", "num soft quota"),
        flag("b", "bytes soft quota"),
        flag("N", "num hard quota"),
        flag("B", "bytes hard quota"),
    ])
};

/// The limit that each option takes away.
const LIMITS: [(&str, &str); 4] = [
    ("n", StatsTrack::COUNT),
    ("b", StatsTrack::BYTES),
    ("N", StatsTrack::COUNT_HARD_LIMIT),
    ("B", StatsTrack::BYTE_HARD_LIMIT),
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
        Some((_, limit)) => {
            let (data, _) = session.zk.get_data(&limit_node, false).at(&limit_node)?;
            let mut limits = StatsTrack::parse(data.as_deref())?;
            limits.set(limit, -1);
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
    let node = quota_path(path);
    for child in zk.get_children(&node, false).at(&node)? {
        let child = format!("{node}/{child}");
        zk.delete(&child, -1).at(&child)?;
    }
    let mut node = node.as_str();
    while node != QUOTA_NODE && zk.get_children(node, false).at(node)?.is_empty() {
        zk.delete(node, -1).at(node)?;
        node = &node[..node.rfind('/').unwrap_or(0)];
    }
    Ok(())
}
