//! Walks over a subtree, one request for each node (`ZKUtil`).

use std::collections::VecDeque;

use super::error::{AtPath, KeeperError};
use super::format;
use crate::client::{ClientError, Op, OpResult, Pending, ZooKeeper};
use crate::proto::ErrorCode;
use crate::proto::path::validate_path;

/// Batches of deletions under way at a time.
const BATCHES_IN_FLIGHT: usize = 10;

fn child_path(parent: &str, child: &str) -> String {
    match parent {
        "/" => format!("/{child}"),
        _ => format!("{parent}/{child}"),
    }
}

/// Visits a node and all below it: all children of a node, sorted, then what is below each of them.
/// Nodes that vanish on the way are passed over.
pub(super) fn visit_sub_tree_dfs<E: From<KeeperError>>(
    zk: &ZooKeeper,
    root: &str,
    watch: bool,
    visit: &mut impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    zk.get_data(root, watch).at(root)?;
    visit(root)?;
    // The stack has the next node at its end.
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.pop() {
        let mut children = match zk.get_children(&path, watch).at(&path) {
            Err(error) if error.is(ErrorCode::NoNode) => continue,
            children => children?,
        };
        format::sort(&mut children);
        let children: Vec<String> = children.iter().map(|child| child_path(&path, child)).collect();
        children.iter().try_for_each(|child| visit(child))?;
        stack.extend(children.into_iter().rev());
    }
    Ok(())
}

/// A node and all below it, parents before their children.
fn list_sub_tree_bfs(zk: &ZooKeeper, root: &str) -> Result<Vec<String>, KeeperError> {
    let mut tree = vec![root.to_owned()];
    let mut next = 0;
    while next < tree.len() {
        let node = tree[next].clone();
        let children = zk.get_children(&node, false).at(&node)?;
        tree.extend(children.iter().map(|child| child_path(&node, child)));
        next += 1;
    }
    Ok(tree)
}

/// Deletes a node and all below it, the leaves first: in multis of `batch_size` nodes, or one by
/// one if that is not positive. False if a batch failed; batches after it are not sent.
pub(super) fn delete_recursive(
    zk: &ZooKeeper,
    root: &str,
    batch_size: i32,
) -> Result<bool, KeeperError> {
    validate_path(root).map_err(ClientError::from).at(root)?;
    let tree = list_sub_tree_bfs(zk, root)?;
    let leaves_first: Vec<&String> = tree.iter().rev().collect();
    let Some(batch_size) = usize::try_from(batch_size).ok().filter(|size| *size > 0) else {
        leaves_first.iter().try_for_each(|path| zk.delete(path, -1).at(path))?;
        return Ok(true);
    };
    let mut in_flight = VecDeque::new();
    let mut success = true;
    for batch in leaves_first.chunks(batch_size) {
        if in_flight.len() == BATCHES_IN_FLIGHT {
            success &= in_flight.pop_front().is_some_and(succeeded);
        }
        if !success {
            break;
        }
        let ops: Vec<Op> = batch.iter().map(|path| Op::Delete((*path).clone(), -1)).collect();
        in_flight.push_back(zk.multi(&ops).at(root)?);
    }
    // Every batch that was sent is waited for.
    Ok(in_flight.into_iter().map(succeeded).fold(success, |all, one| all & one))
}

fn succeeded(batch: Pending<Vec<OpResult>>) -> bool {
    let results: Result<Vec<OpResult>, ClientError> = batch.wait();
    results.is_ok_and(|results| !results.iter().any(|result| matches!(result, OpResult::Error(_))))
}
