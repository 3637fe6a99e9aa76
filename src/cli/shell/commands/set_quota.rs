//! `setquota`: limits the nodes or bytes of a subtree (`SetQuotaCommand`).

use super::{Command, Session};
use crate::cli::shell::acl::open_unsafe;
use crate::cli::shell::command_line::{Choice, CommandLine, valued};
use crate::cli::shell::console::Console;
use crate::cli::shell::error::{AtPath, CliError, KeeperError};
use crate::cli::shell::tree_walk::visit_sub_tree_dfs;
use crate::client::{ClientError, ZooKeeper};
use crate::proto::path::validate_path;
use crate::proto::{CreateMode, ErrorCode};
use crate::tree::quota::{LIMIT_NODE, QUOTA_ROOT, STAT_NODE, StatsTrack};

pub(super) const COMMAND: Command = Command {
    choice: Choice::One,
    ..Command::new("setquota", "-n|-b|-N|-B val path", 2, exec).with_options(&[
        valued("n", "num soft quota"),
        valued("b", "bytes soft quota"),
        valued("N", "num hard quota"),
        valued("B", "bytes hard quota"),
    ])
};

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let path = &line.args[1];
    if path.starts_with(QUOTA_ROOT) {
        let text = format!("cannot set a quota under the path: {QUOTA_ROOT}");
        session.console.error(text);
        return Ok(());
    }
    match limits(&line) {
        Ok(limits) => create_quota(session.zk, session.console, path, &limits),
        // Java shows the reason, but the command does not count as failed.
        Err(reason) => {
            session.console.error(reason);
            Ok(())
        }
    }
}

/// A limit that an option sets: its option, and how it is read and written.
type Limit = (&'static str, fn(&StatsTrack) -> i64, fn(&mut StatsTrack, i64));

const COUNT_LIMITS: [Limit; 2] = [
    ("n", StatsTrack::count, StatsTrack::set_count),
    ("N", StatsTrack::count_hard_limit, StatsTrack::set_count_hard_limit),
];

const BYTE_LIMITS: [Limit; 2] = [
    ("b", StatsTrack::bytes, StatsTrack::set_bytes),
    ("B", StatsTrack::byte_hard_limit, StatsTrack::set_byte_hard_limit),
];

/// The limits that the options ask for; the others are -1 and stored as such.
fn limits(line: &CommandLine) -> Result<StatsTrack, &'static str> {
    const NO_NUMBER: &str = "NumberFormatException happens when parsing the option value";
    let mut limits = StatsTrack::default();
    for (option, _, set) in COUNT_LIMITS {
        match line.value(option).map(str::parse::<i32>) {
            None => set(&mut limits, -1),
            Some(Ok(count @ 1..)) => set(&mut limits, count.into()),
            Some(Ok(_)) => return Err("the num quota must be greater than zero"),
            Some(Err(_)) => return Err(NO_NUMBER),
        }
    }
    for (option, _, set) in BYTE_LIMITS {
        match line.value(option).map(str::parse::<i64>) {
            None => set(&mut limits, -1),
            Some(Ok(bytes @ 0..)) => set(&mut limits, bytes),
            Some(Ok(_)) => return Err("the bytes quota must be greater than or equal to zero"),
            Some(Err(_)) => return Err(NO_NUMBER),
        }
    }
    Ok(limits)
}

fn create_quota(
    zk: &ZooKeeper,
    console: &Console,
    path: &str,
    limits: &StatsTrack,
) -> Result<(), CliError> {
    if zk.exists(path, false).at(path)?.is_none() {
        return Err(CliError::new(format!("{path} does not exist.")));
    }
    refuse_quota_below(zk, console, path)?;
    refuse_quota_above(zk, path)?;
    let mut node = QUOTA_ROOT.to_owned();
    for name in components(path) {
        node = format!("{node}/{name}");
        create_if_missing(zk, &node)?;
    }
    let (stat_node, limit_node) = (format!("{node}/{STAT_NODE}"), format!("{node}/{LIMIT_NODE}"));
    if zk.exists(&limit_node, false).at(&limit_node)?.is_none() {
        create(zk, &limit_node, Some(limits.to_string()))?;
        let mut unused = StatsTrack::default();
        unused.set_count(0);
        unused.set_bytes(0);
        create(zk, &stat_node, Some(unused.to_string()))?;
        // The server counts what is there while it creates the node of the limits.
        let (limits, used) = (read(zk, &limit_node)?, read(zk, &stat_node)?);
        warn(console, &limits, &used);
        return Ok(());
    }
    let mut merged = read(zk, &limit_node)?;
    for (_, get, set) in COUNT_LIMITS.into_iter().chain(BYTE_LIMITS) {
        if get(limits) > -1 {
            set(&mut merged, get(limits));
        }
    }
    warn(console, &merged, &read(zk, &stat_node)?);
    let data = merged.to_string();
    zk.set_data(&limit_node, Some(data.as_bytes()), -1).at(&limit_node)?;
    Ok(())
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

fn read(zk: &ZooKeeper, node: &str) -> Result<StatsTrack, CliError> {
    Ok(StatsTrack::parse(&zk.get_data(node, false).at(node)?.0.unwrap_or_default())?)
}

fn create(zk: &ZooKeeper, node: &str, data: Option<String>) -> Result<(), KeeperError> {
    let data = data.as_deref().map(str::as_bytes);
    zk.create(node, data, &open_unsafe(), CreateMode::Persistent).at(node).map(drop)
}

fn create_if_missing(zk: &ZooKeeper, node: &str) -> Result<(), KeeperError> {
    if zk.exists(node, false).at(node)?.is_some() {
        return Ok(());
    }
    match create(zk, node, None) {
        Err(error) if error.is(ErrorCode::NodeExists) => Ok(()),
        created => created,
    }
}

/// Warns of a quota that is exceeded already.
fn warn(console: &Console, limits: &StatsTrack, used: &StatsTrack) {
    let kinds = [("count", COUNT_LIMITS, used.count()), ("bytes", BYTE_LIMITS, used.bytes())];
    for (what, kind, used) in kinds {
        if kind.iter().any(|(_, get, _)| (0..used).contains(&get(limits))) {
            console.line(format_args!(
                "[Warning]: the {what} quota you create is less than the existing {what}:{used}"
            ));
        }
    }
}

/// Quotas do not nest: refuses a path with a quota somewhere below it.
fn refuse_quota_below(zk: &ZooKeeper, console: &Console, path: &str) -> Result<(), CliError> {
    let root = format!("{QUOTA_ROOT}{path}");
    // For the root of the tree Java asks for a path that ends in a slash, which is refused.
    validate_path(&root).map_err(ClientError::from).at(&root)?;
    if zk.exists(&root, false).at(&root)?.is_none() {
        return Ok(());
    }
    visit_sub_tree_dfs(zk, &root, false, &mut |node| {
        let children = match zk.get_children(node, false).at(node) {
            Err(error) if error.is(ErrorCode::NoNode) => return Ok(()),
            // One that cannot be read does not stop the search.
            Err(error) => {
                console.error(error.message());
                return Ok(());
            }
            Ok(children) => children,
        };
        if node != root && children.iter().any(|child| child == LIMIT_NODE) {
            let below = without_quota_root(node);
            return Err(CliError::new(format!("{path} has a child {below} which has a quota")));
        }
        Ok(())
    })
}

/// The path whose quota is kept under `node`.
fn without_quota_root(node: &str) -> &str {
    node.strip_prefix(QUOTA_ROOT).unwrap_or(node)
}

/// Refuses a path with a quota somewhere above it.
fn refuse_quota_above(zk: &ZooKeeper, path: &str) -> Result<(), CliError> {
    let names: Vec<&str> = components(path).collect();
    let mut node = QUOTA_ROOT.to_owned();
    for name in names.iter().take(names.len().saturating_sub(1)) {
        node = format!("{node}/{name}");
        let children = match zk.get_children(&node, false).at(&node) {
            Err(error) if error.is(ErrorCode::NoNode) => return Ok(()),
            children => children?,
        };
        if children.iter().any(|child| child == LIMIT_NODE) {
            let above = without_quota_root(&node);
            return Err(CliError::new(format!("{path} has a parent {above} which has a quota")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(text: &str) -> Result<String, &'static str> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        limits(&COMMAND.parse(&words).unwrap()).map(|limits| limits.to_string())
    }

    #[test]
    fn options_become_limits() {
        let all = "count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1";
        assert_eq!(limits_of("setquota -n 5 /a"), Ok(all.into()));
        let all = "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=-1";
        assert_eq!(limits_of("setquota -B 0 /a"), Ok(all.into()));
        assert!(limits_of("setquota -n 0 /a").is_err());
        assert!(limits_of("setquota -b -1 /a").is_err());
        assert!(limits_of("setquota -N x /a").unwrap_err().starts_with("NumberFormatException"));
    }
}
