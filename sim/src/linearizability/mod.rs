//! Linearizability of writes, and of reads behind a sync ("linearizable writes", the ZooKeeper
//! paper), of each register by itself: linearizability is local (Herlihy, Wing 1990).
//!
//! A read behind a sync counts from when the sync was made. It is only left out where ZooKeeper
//! itself does not promise it: a sync makes no transaction, so that a leader that was replaced and
//! does not know it yet may answer one. Such reads are still held against sequential consistency.

pub mod checker;

use std::collections::BTreeMap;

use gamekeeper::proto::{ErrorCode, SessionId, Xid};
use jute::{Field, GetDataResponse};

use crate::client::Asked;
use crate::client::request::Request;
use crate::client::workload::is_register;
use crate::oracle::{Answer, Oracle, Write};
use crate::queue::Time;
use crate::violation::{Verdict, Violation};
use checker::{Call, Operation, linearize};

/// What was read of registers behind a sync.
#[derive(Debug, Default)]
pub struct Registers {
    /// By register.
    reads: BTreeMap<String, Vec<Call>>,
}

impl Registers {
    /// A client is answered what it asked for right behind a sync, by a server that follows the
    /// newest leader.
    pub fn read(&mut self, asked: &Asked, answer: &Answer<'_>) {
        let Some(from) = asked.synced_at else { return };
        let Request::GetData(path, _) = &asked.request else { return };
        if !is_register(path) {
            return;
        }
        let value = match answer.error {
            0 => GetDataResponse::from_bytes(answer.body)
                .ok()
                .map(|read| (read.data.unwrap_or_default().to_vec(), read.stat.version)),
            _ => None,
        };
        let call = Call { from, to: answer.at, operation: Operation::Read(value) };
        self.reads.entry(path.clone()).or_default().push(call);
    }
}

/// Checks every register; to be asked once everything is delivered.
pub fn check(oracle: &Oracle) -> Verdict {
    let mut calls = oracle.registers.reads.clone();
    for (id, write) in &oracle.writes {
        for (path, call) in calls_of(oracle, *id, write) {
            calls.entry(path).or_default().push(call);
        }
    }
    for (path, calls) in calls {
        if let Err(stuck) = linearize(&calls, &[]) {
            let text = format!("{path} is not linearizable, somewhere in {stuck:#?}");
            return Err(Violation::new("linearizability", text));
        }
    }
    Ok(())
}

/// What a write did to registers. One that was never answered counts if it was delivered, and may
/// have been carried out at any time; otherwise it never was.
fn calls_of(oracle: &Oracle, id: (SessionId, Xid), write: &Write) -> Vec<(String, Call)> {
    let to = write.answered.map_or(Time::MAX, |answer| answer.at);
    let call = |operation| Call { from: write.at, to, operation };
    let error = match write.answered {
        Some(answer) => answer.error,
        None => match delivered_error(oracle, id) {
            Some(error) => error,
            None => return Vec::new(),
        },
    };
    let result = match error {
        0 => Ok(()),
        error if error == ErrorCode::NoNode as i32 => Err(ErrorCode::NoNode),
        error if error == ErrorCode::NodeExists as i32 => Err(ErrorCode::NodeExists),
        error if error == ErrorCode::BadVersion as i32 => Err(ErrorCode::BadVersion),
        // Of the session: it says nothing of the register.
        _ => return Vec::new(),
    };
    let version = write.answered.and_then(|answer| answer.version);
    match &write.request {
        Request::Create(path, data, _) if is_register(path) => {
            let operation = Operation::Create(data.to_vec(), result);
            vec![(path.clone(), call(operation))]
        }
        Request::Delete(path, expected) if is_register(path) => {
            vec![(path.clone(), call(Operation::Delete(*expected, result)))]
        }
        Request::SetData(path, data, expected) if is_register(path) => {
            let operation = Operation::Set(data.to_vec(), *expected, version, result);
            vec![(path.clone(), call(operation))]
        }
        Request::CheckAndSet(checked, expected, path, data) if result.is_ok() => {
            let set = Operation::Set(data.to_vec(), -1, None, result);
            match checked == path {
                true => {
                    let set = Operation::Set(data.to_vec(), *expected, None, result);
                    vec![(path.clone(), call(set))]
                }
                false => vec![
                    (checked.clone(), call(Operation::Check(*expected))),
                    (path.clone(), call(set)),
                ],
            }
        }
        _ => Vec::new(),
    }
}

/// With which error a request was delivered; none if it was not.
fn delivered_error(oracle: &Oracle, id: (SessionId, Xid)) -> Option<i32> {
    let history = oracle.reference.history();
    let delivered = history.iter().find(|delivered| (delivered.session, delivered.xid) == id)?;
    Some(delivered.error)
}
