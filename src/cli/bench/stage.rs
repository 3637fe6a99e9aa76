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

/// Creates the znodes of `runs` and their parents.
pub(super) fn make(target: &Target, runs: Vec<Run>, data: &[u8]) -> Result<(), BenchError> {
    make_parents(target, runs.iter().map(|run| run.parent.as_str()))?;
    let batch = (BATCH_BYTES / (data.len() + 100)).clamp(1, 100) as u32;
    in_bulk(target, &mut Fill::new(runs, data, batch), "making the znodes")
}

/// Creates `paths`, each with what is missing above it.
pub(super) fn make_parents<'a>(
    target: &Target,
    paths: impl Iterator<Item = &'a str>,
) -> Result<(), BenchError> {
    let client = target.client()?;
    for path in paths {
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            let step = &path[..end];
            match client.create(step, Some(b""), &open_acl(), CreateMode::Persistent) {
                Ok(_) | Err(ClientError::Code(ErrorCode::NodeExists)) => {}
                Err(e) => return Err(BenchError::step(format!("create of {step}"), e)),
            }
        }
    }
    Ok(())
}

/// Deletes `root` and what is under it; it may be missing.
pub(super) fn remove(target: &Target, root: &str) -> Result<(), BenchError> {
    let client = target.client()?;
    let children_of = |path: &str| match client.get_children(path, false) {
        Ok(names) => Ok(Some(names)),
        Err(ClientError::Code(ErrorCode::NoNode)) => Ok(None),
        Err(e) => Err(BenchError::step(format!("getChildren of {path}"), e)),
    };
    let Some(children) = children_of(root)? else { return Ok(()) };
    let (mut leaves, mut parents) = (Vec::new(), Vec::new());
    for name in children {
        let path = format!("{root}/{name}");
        if is_number(&name) {
            leaves.push(path);
            continue;
        }
        let numbered = children_of(&path)?.unwrap_or_default();
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
