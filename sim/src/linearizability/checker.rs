//! Whether there is an order of calls, each somewhere between its beginning and its end, in which a
//! register would have answered as it did: the algorithm of Wing and Gong ("Testing and verifying
//! concurrent objects", 1993) with Lowe's memory of where it has been ("Testing for
//! linearizability", 2017).

use std::collections::HashSet;

use gamekeeper::proto::ErrorCode;

use crate::queue::Time;

/// A register: its data and version, or nothing.
type State = Option<(Vec<u8>, i32)>;

/// What was asked of a register, and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Its data and version, if it is there.
    Read(Option<(Vec<u8>, i32)>),
    /// It was created with this data.
    Create(Vec<u8>, Result<(), ErrorCode>),
    /// It was deleted if it had this version, -1 for any.
    Delete(i32, Result<(), ErrorCode>),
    /// It was set, if it had this version, -1 for any; and has this one since, if that is known.
    Set(Vec<u8>, i32, Option<i32>, Result<(), ErrorCode>),
    /// It had this version.
    Check(i32),
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it began.
    pub from: Time,
    /// When it ended.
    pub to: Time,
    /// What it was.
    pub operation: Operation,
}

impl Operation {
    /// What the register is afterwards, if it may have answered so.
    fn apply(&self, state: &State) -> Option<State> {
        let matches = |version: i32, expected: i32| expected == -1 || version == expected;
        let absent = Err(ErrorCode::NoNode);
        let wrong = Err(ErrorCode::BadVersion);
        match (self, state) {
            (Self::Read(value), state) => (value == state).then(|| state.clone()),
            (Self::Create(data, Ok(())), None) => Some(Some((data.clone(), 0))),
            (Self::Create(_, result), Some(_)) => {
                (*result == Err(ErrorCode::NodeExists)).then(|| state.clone())
            }
            (Self::Create(..), None) => None,
            (Self::Delete(_, result), None) => (*result == absent).then_some(None),
            (Self::Delete(expected, result), Some((_, version))) => {
                match matches(*version, *expected) {
                    true => result.is_ok().then_some(None),
                    false => (*result == wrong).then(|| state.clone()),
                }
            }
            (Self::Set(.., result), None) => (*result == absent).then_some(None),
            (Self::Set(data, expected, answered, result), Some((_, version))) => {
                let next = version + 1;
                match matches(*version, *expected) {
                    true if result.is_ok() && answered.is_none_or(|answered| answered == next) => {
                        Some(Some((data.clone(), next)))
                    }
                    true => None,
                    false => (*result == wrong).then(|| state.clone()),
                }
            }
            (Self::Check(expected), Some((_, version))) => {
                matches(*version, *expected).then(|| state.clone())
            }
            (Self::Check(_), None) => None,
        }
    }
}

/// Whether these calls of one register, which was not there before, are linearizable.
pub(super) fn is_linearizable(calls: &[Call]) -> bool {
    is_linearizable_perhaps_with(calls, &[])
}

/// The same where other calls, whose end nobody knows, may have been carried out at any time since
/// they began, or never.
pub fn is_linearizable_perhaps_with(calls: &[Call], perhaps: &[Call]) -> bool {
    let certain = calls.iter().map(|call| Pending { call, to: call.to, is_certain: true });
    let others = perhaps.iter().map(|call| Pending { call, to: Time::MAX, is_certain: false });
    let mut by_start: Vec<Pending<'_>> = certain.chain(others).collect();
    by_start.sort_by_key(|pending| pending.call.from);
    let mut certain_left = calls.len();
    let mut done = vec![0_u64; by_start.len().div_ceil(64)];
    let mut visited = HashSet::new();
    // Calls carried out so far, each with the state before it.
    let mut path: Vec<(usize, State)> = Vec::new();
    let mut state: State = None;
    let mut next = 0;
    loop {
        if certain_left == 0 {
            return true;
        }
        match candidate(&by_start, &done, next, &state) {
            Some((index, after)) => {
                done[index / 64] |= 1 << (index % 64);
                if visited.insert((done.clone(), after.clone())) {
                    certain_left -= usize::from(by_start[index].is_certain);
                    path.push((index, std::mem::replace(&mut state, after)));
                    next = 0;
                } else {
                    done[index / 64] &= !(1 << (index % 64));
                    next = index + 1;
                }
            }
            None => {
                let Some((index, before)) = path.pop() else { return false };
                done[index / 64] &= !(1 << (index % 64));
                certain_left += usize::from(by_start[index].is_certain);
                state = before;
                next = index + 1;
            }
        }
    }
}

/// A call that is to be put in order.
struct Pending<'a> {
    call: &'a Call,
    to: Time,
    is_certain: bool,
}

/// The first call from `next` on that may be carried out now: it has begun before any that is not
/// carried out has ended.
fn candidate(
    calls: &[Pending<'_>],
    done: &[u64],
    next: usize,
    state: &State,
) -> Option<(usize, State)> {
    let is_done = |index: usize| done[index / 64] & 1 << (index % 64) != 0;
    let mut first_end = Time::MAX;
    // Those that begin later cannot be what ends first, once one has ended before they begin.
    for (_, pending) in calls.iter().enumerate().filter(|(index, _)| !is_done(*index)) {
        if pending.call.from > first_end {
            break;
        }
        first_end = first_end.min(pending.to);
    }
    let waiting = calls.iter().enumerate().skip(next).filter(|(index, _)| !is_done(*index));
    waiting
        .take_while(|(_, pending)| pending.call.from <= first_end)
        .find_map(|(index, pending)| Some((index, pending.call.operation.apply(state)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(from: Time, to: Time, operation: Operation) -> Call {
        Call { from, to, operation }
    }

    fn set(data: &str, answered: Option<i32>) -> Operation {
        Operation::Set(data.into(), -1, answered, Ok(()))
    }

    fn read(data: &str, version: i32) -> Operation {
        Operation::Read(Some((data.into(), version)))
    }

    #[test]
    fn an_order_is_found_where_there_is_one() {
        let calls = [
            call(0, 10, Operation::Create("a".into(), Ok(()))),
            call(20, 90, set("b", None)),
            call(25, 80, set("c", None)),
            call(30, 40, read("c", 1)),
            call(50, 60, read("b", 2)),
            call(85, Time::MAX, Operation::Delete(-1, Ok(()))),
            call(95, 99, Operation::Read(None)),
        ];
        assert!(is_linearizable(&calls));
    }

    #[test]
    fn a_stale_read_a_lost_write_and_a_turned_order_are_found() {
        let create = call(0, 10, Operation::Create("a".into(), Ok(())));
        let stale = [create.clone(), call(20, 30, set("b", None)), call(40, 50, read("a", 0))];
        assert!(!is_linearizable(&stale));
        let turned = [
            create.clone(),
            call(20, 90, set("b", None)),
            call(30, 40, read("b", 1)),
            call(50, 60, read("a", 0)),
        ];
        assert!(!is_linearizable(&turned));
        let lost =
            [create.clone(), call(20, 30, set("b", Some(1))), call(40, 50, set("c", Some(1)))];
        assert!(!is_linearizable(&lost));
        let refused =
            [create, call(20, 30, Operation::Set("b".into(), 0, None, Err(ErrorCode::BadVersion)))];
        assert!(!is_linearizable(&refused));
    }

    #[test]
    fn a_call_without_an_end_may_have_been_carried_out_or_not() {
        let create = call(0, 10, Operation::Create("a".into(), Ok(())));
        let perhaps = [call(20, 25, Operation::Set("b".into(), 0, None, Ok(())))];
        let never = [create.clone(), call(30, 40, read("a", 0))];
        let late = [create.clone(), call(30, 40, read("a", 0)), call(50, 60, read("b", 1))];
        let undone = [create.clone(), call(30, 40, read("b", 1)), call(50, 60, read("a", 0))];
        assert!(is_linearizable_perhaps_with(&never, &perhaps));
        assert!(is_linearizable_perhaps_with(&late, &perhaps));
        assert!(!is_linearizable_perhaps_with(&undone, &perhaps));
        assert!(!is_linearizable_perhaps_with(&late, &[]));
        let early = [create, call(12, 15, read("b", 1))];
        assert!(!is_linearizable_perhaps_with(&early, &perhaps), "it had not begun");
    }
}
