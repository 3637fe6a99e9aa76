//! Linearizability of writes, and of reads behind a sync ("linearizable writes", the ZooKeeper
//! paper), of each register by itself: linearizability is local (Herlihy, Wing 1990).
//!
//! A read behind a sync counts from when the sync was made. It is only left out where ZooKeeper
//! itself does not promise it: a sync makes no transaction, so that a leader that was replaced and
//! does not know it yet may answer one. Such reads are still held against sequential consistency.

mod checker;

use std::collections::BTreeMap;

use gamekeeper::proto::{ErrorCode, SessionId, TxnBody, TxnEntry, Xid};
use jute::{Field, GetDataResponse, SetDataResponse};

use crate::client::Asked;
use crate::client::request::Request;
use crate::client::workload::is_register;
use crate::oracle::{Answer, Oracle, Write};
use crate::queue::Time;
use crate::violation::{Verdict, Violation};
use checker::{Call, Operation, is_linearizable};

/// What was learned of registers.
#[derive(Debug, Default)]
pub struct Registers {
    /// By register.
    reads: BTreeMap<String, Vec<Call>>,
    /// When each write was answered, and the version a setData was answered.
    written: BTreeMap<(SessionId, Xid), (Time, Option<i32>)>,
    /// Reads behind a sync that were left out.
    pub left_out: usize,
}

impl Registers {
    /// A client is answered by a server that follows the newest leader, or by another one.
    pub fn answered(
        &mut self,
        session: SessionId,
        asked: &Asked,
        answer: &Answer<'_>,
        is_current: bool,
    ) {
        match &asked.request {
            Request::GetData(path, _) if is_register(path) => {
                let Some(at) = asked.synced_at else { return };
                if !is_current {
                    self.left_out += 1;
                    return;
                }
                let value = match answer.error {
                    0 => GetDataResponse::from_bytes(answer.body)
                        .ok()
                        .map(|read| (read.data.unwrap_or_default().to_vec(), read.stat.version)),
                    _ => None,
                };
                let call = Call { from: at, to: answer.at, operation: Operation::Read(value) };
                self.reads.entry(path.clone()).or_default().push(call);
            }
            request if request.is_write() => {
                let version = SetDataResponse::from_bytes(answer.body).ok();
                let version = version.filter(|_| answer.error == 0).map(|set| set.stat.version);
                self.written.insert((session, asked.xid), (answer.at, version));
            }
            _ => {}
        }
    }
}

/// Checks every register; to be asked once everything is delivered.
pub fn check(oracle: &Oracle) -> Verdict {
    let mut calls = oracle.registers.reads.clone();
    for ((session, xid), write) in &oracle.writes {
        let answered = oracle.registers.written.get(&(*session, *xid));
        for (path, call) in calls_of(oracle, *session, *xid, write, answered) {
            calls.entry(path).or_default().push(call);
        }
    }
    for (path, calls) in calls {
        if !is_linearizable(&calls) {
            let text = format!("{path} is not linearizable: {calls:#?}");
            return Err(Violation::new("linearizability", text));
        }
    }
    Ok(())
}

/// What a write did to registers. One that was never answered counts if it was delivered, and may
/// have been carried out at any time; otherwise it never was.
fn calls_of(
    oracle: &Oracle,
    session: SessionId,
    xid: Xid,
    write: &Write,
    answered: Option<&(Time, Option<i32>)>,
) -> Vec<(String, Call)> {
    let call = |operation| match answered {
        Some((at, _)) => Call { from: write.at, to: *at, operation },
        None => Call { from: write.at, to: Time::MAX, operation },
    };
    let error = match write.answered {
        Some((_, error)) => error,
        None => match delivered_error(oracle, session, xid) {
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
    let version = answered.and_then(|(_, version)| *version);
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
fn delivered_error(oracle: &Oracle, session: SessionId, xid: Xid) -> Option<i32> {
    let history = oracle.reference.history();
    let delivered = history.iter().find(|d| (d.session, d.xid) == (session, xid))?;
    let entry = TxnEntry::decode(&delivered.entry).ok()?;
    Some(match &entry.body {
        TxnBody::Error(txn) => txn.err,
        TxnBody::Multi(parts) => {
            let failed = parts.iter().find_map(|part| match part {
                TxnBody::Error(txn) => Some(txn.err),
                _ => None,
            });
            failed.unwrap_or(0)
        }
        _ => 0,
    })
}
