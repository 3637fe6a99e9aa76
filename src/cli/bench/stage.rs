//! The znodes a workload needs: made before a run and deleted after it, in pipelined multis.
//!
//! Under the root stand parents with names of letters and digits, and under these the numbered
//! znodes, which are leaves; a flat fill has its numbered znodes under the root itself.

use super::driver::{Control, Phase, drive};
use super::error::BenchError;
use super::link::Clock;
use super::pool::Pool;
use super::request::{DIGITS, open_acl};
use super::session::Target;
use super::workload::{Fill, Remove, Run, Workload};
use crate::client::ClientError;
use crate::proto::{CreateMode, ErrorCode};

/// Sessions that make and delete znodes.
const SESSIONS: usize = 4;

/// Multis each of them keeps unanswered.
const OUTSTANDING: usize = 8;

/// Bytes of requests a session keeps unanswered at most, roughly.
const BATCH_BYTES: usize = 64 << 10;

/// Data of a root, by which it is known as one that may be deleted.
const MARK: &[u8] = b"gamekeeper bench";

/// Creates the znodes of `runs` under their parents.
pub(super) fn make(target: &Target, runs: Vec<Run>, data: &[u8]) -> Result<(), BenchError> {
    let batch = (BATCH_BYTES / (data.len() + 100)).clamp(1, 100) as u32;
    in_bulk(target, &mut Fill::new(runs, data, batch), "making the znodes")
}

/// Creates `root`, which must not be there, what is missing above it, and the `parents` in it.
pub(super) fn make_parents<'a>(
    target: &Target,
    root: &str,
    parents: impl Iterator<Item = &'a str>,
) -> Result<(), BenchError> {
    let client = target.client()?;
    let create = |path: &str, data| match client.create(
        path,
        Some(data),
        &open_acl(),
        CreateMode::Persistent,
    ) {
        Ok(_) | Err(ClientError::Code(ErrorCode::NodeExists)) => Ok(()),
        Err(e) => Err(BenchError::step(format!("create of {path}"), e)),
    };
    for (end, _) in root.match_indices('/').skip(1) {
        create(&root[..end], b"")?;
    }
    create(root, MARK)?;
    parents.filter(|&parent| parent != root).try_for_each(|parent| create(parent, b""))
}

/// Deletes `root` and what is under it, if it is there and an earlier run has made it.
pub(super) fn remove(target: &Target, root: &str) -> Result<(), BenchError> {
    let client = target.client()?;
    match client.get_data(root, false) {
        Ok((data, _)) if data.as_deref() == Some(MARK) => {}
        Ok(_) => {
            return Err(BenchError::Usage(format!(
                "{root} exists and is none of gamekeeper bench: choose another --root"
            )));
        }
        Err(ClientError::Code(ErrorCode::NoNode)) => return Ok(()),
        Err(e) => return Err(BenchError::step(format!("getData of {root}"), e)),
    }
    let children_of = |path: &str| {
        let children = client.get_children(path, false);
        children.map_err(|e| BenchError::step(format!("getChildren of {path}"), e))
    };
    let (mut leaves, mut parents) = (Vec::new(), Vec::new());
    for name in children_of(root)? {
        let path = format!("{root}/{name}");
        if is_number(&name) {
            leaves.push(path);
            continue;
        }
        let numbered = children_of(&path)?;
        leaves.extend(numbered.into_iter().map(|name| format!("{path}/{name}")));
        parents.push(path);
    }
    for paths in [leaves, parents, vec![root.to_owned()]] {
        in_bulk(target, &mut Remove::new(paths), &format!("deleting what is under {root}"))?;
    }
    Ok(())
}

fn is_number(name: &str) -> bool {
    name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit())
}

fn in_bulk(target: &Target, work: &mut dyn Workload, what: &str) -> Result<(), BenchError> {
    let sessions = target.connect_all(SESSIONS).into_iter().collect::<Result<_, _>>()?;
    let control = Control::new(Clock::start());
    control.enter(Phase::Measure);
    let pool = Pool::new(sessions, 0, control.clock)?;
    let stats = drive(pool, work, OUTSTANDING, &control)?;
    match stats.errors.first_key_value() {
        Some((&code, _)) => Err(BenchError::step(what, ClientError::from_code(code))),
        None => Ok(()),
    }
}
