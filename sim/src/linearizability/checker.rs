//! Whether there is an order of calls, each somewhere between its beginning and its end, in which a
//! register would have answered as it did: the algorithm of Wing and Gong ("Testing and verifying
//! concurrent objects", 1993) with Lowe's memory of where it has been ("Testing for
//! linearizability", 2017).
//!
//! A place in the search is looked at from the first call on that may still be carried out, and
//! remembered relative to it. With few calls at a time, the steps grow with the history and not
//! with its square.

use std::collections::HashSet;

use gamekeeper::proto::ErrorCode;

use crate::queue::Time;

/// A register: its data and version, or nothing.
type State<'a> = Option<(&'a [u8], i32)>;

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
    /// When it ended, or had ended if it was carried out at all; [`Time::MAX`] if nobody knows.
    pub to: Time,
    /// What it was.
    pub operation: Operation,
}

impl Operation {
    /// What the register is afterwards, if it may have answered so.
    fn apply<'a>(&'a self, state: State<'a>) -> Option<State<'a>> {
        let matches = |version: i32, expected: i32| expected == -1 || version == expected;
        let absent = Err(ErrorCode::NoNode);
        let wrong = Err(ErrorCode::BadVersion);
        match (self, state) {
            (Self::Read(value), state) => {
                let read = value.as_ref().map(|(data, version)| (data.as_slice(), *version));
                (read == state).then_some(state)
            }
            (Self::Create(data, Ok(())), None) => Some(Some((data, 0))),
            (Self::Create(_, result), Some(_)) => {
                (*result == Err(ErrorCode::NodeExists)).then_some(state)
            }
            (Self::Create(..), None) => None,
            (Self::Delete(_, result), None) => (*result == absent).then_some(None),
            (Self::Delete(expected, result), Some((_, version))) => {
                match matches(version, *expected) {
                    true => result.is_ok().then_some(None),
                    false => (*result == wrong).then_some(state),
                }
            }
            (Self::Set(.., result), None) => (*result == absent).then_some(None),
            (Self::Set(data, expected, answered, result), Some((_, version))) => {
                let next = version + 1;
                match matches(version, *expected) {
                    true if result.is_ok() && answered.is_none_or(|answered| answered == next) => {
                        Some(Some((data, next)))
                    }
                    true => None,
                    false => (*result == wrong).then_some(state),
                }
            }
            (Self::Check(expected), Some((_, version))) => {
                matches(version, *expected).then_some(state)
            }
            (Self::Check(_), None) => None,
        }
    }
}

/// Finds an order of these calls of one register, which was not there before. The calls of
/// `perhaps` may have been carried out between their beginning and their end, or never.
///
/// # Errors
///
/// There is none: the calls around where the search got furthest.
pub fn linearize(calls: &[Call], perhaps: &[Call]) -> Result<(), Vec<Call>> {
    let mut search = Search::new(calls, perhaps);
    if search.succeeds() { Ok(()) } else { Err(search.stuck_at()) }
}

/// Calls shown before and after where a search got furthest.
const SHOWN: (usize, usize) = (16, 32);

/// A call that is to be put in order.
#[derive(Clone, Copy)]
struct Pending<'a> {
    call: &'a Call,
    is_certain: bool,
    /// The how many-th it is of those without an end.
    endless: Option<usize>,
}

/// A call that may be carried out now, and the state after it.
struct Candidate<'a> {
    index: usize,
    state: State<'a>,
    /// Whether no other has to be tried instead.
    is_only: bool,
}

/// A place in the search, apart from which calls have been carried out.
#[derive(Clone, Copy)]
struct Place<'a> {
    state: State<'a>,
    /// The first call with an end that may still be carried out, counted among those.
    first: usize,
    /// When the one that began last of those carried out began: no other can have ended before.
    latest: Time,
}

/// What a place is remembered by. Calls with an end before the first have all been carried out, or
/// can never be; of the others that began until `latest` each has a bit, and so has each call
/// without an end. No other can have been carried out.
#[derive(PartialEq, Eq, Hash)]
struct Visited<'a> {
    state: State<'a>,
    first: usize,
    latest: Time,
    settled: Vec<u64>,
    endless: Vec<u64>,
}

struct Search<'a> {
    /// By their beginning.
    calls: Vec<Pending<'a>>,
    /// Those of them that have an end, and those that have none: one of these would keep the first
    /// call that may still be carried out from getting on.
    ended: Vec<usize>,
    unending: Vec<usize>,
    /// Which have been carried out; and once more of those without an end, a bit each.
    is_done: Vec<bool>,
    endless: Vec<u64>,
    certain_left: usize,
    at: Place<'a>,
    visited: HashSet<Visited<'a>>,
    /// The highest [`Place::first`].
    furthest: usize,
    /// Calls looked at: the work.
    steps: usize,
}

impl<'a> Search<'a> {
    fn new(calls: &'a [Call], perhaps: &'a [Call]) -> Self {
        let pending = |call, is_certain| Pending { call, is_certain, endless: None };
        let certain = calls.iter().map(|call| pending(call, true));
        let others = perhaps.iter().map(|call| pending(call, false));
        let mut all: Vec<Pending<'a>> = certain.chain(others).collect();
        all.sort_by_key(|pending| pending.call.from);
        let has_end = |index: &usize| all[*index].call.to != Time::MAX;
        let (ended, unending): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(has_end);
        for (nth, index) in unending.iter().enumerate() {
            all[*index].endless = Some(nth);
        }
        Self {
            is_done: vec![false; all.len()],
            endless: vec![0; unending.len().div_ceil(64)],
            certain_left: calls.len(),
            at: Place { state: None, first: 0, latest: 0 },
            visited: HashSet::new(),
            furthest: 0,
            steps: 0,
            ended,
            unending,
            calls: all,
        }
    }

    fn succeeds(&mut self) -> bool {
        // Calls carried out so far, each with the place before it.
        let mut path: Vec<(Candidate<'a>, Place<'a>)> = Vec::new();
        let mut next = 0;
        while self.certain_left > 0 {
            match self.candidate(next) {
                Some(candidate) => {
                    let before = self.at;
                    self.carry_out(&candidate);
                    let visited = self.visit();
                    if self.visited.insert(visited) {
                        path.push((candidate, before));
                        next = 0;
                    } else {
                        next = self.take_back(&candidate, before);
                    }
                }
                None => {
                    let Some((candidate, before)) = path.pop() else { return false };
                    next = self.take_back(&candidate, before);
                }
            }
        }
        true
    }

    /// The first call from `next` on that may be carried out now: it has begun before any that is
    /// not carried out has ended, and has not ended before any that is carried out began.
    ///
    /// One that has to be carried out, and would change nothing now, is taken at once and alone,
    /// unless another that need not be would then be too late: any order from here on is still one
    /// with this call moved to its beginning.
    fn candidate(&mut self, next: usize) -> Option<Candidate<'a>> {
        let (mut first_end, mut first_too_late) = (Time::MAX, Time::MAX);
        for &index in &self.ended[self.at.first..] {
            self.steps += 1;
            let Pending { call, is_certain, .. } = self.calls[index];
            // Those that begin later cannot be what ends first, once one has ended before.
            if call.from > first_end {
                break;
            }
            match is_certain {
                _ if self.is_settled(index) => {}
                true => first_end = first_end.min(call.to),
                false => first_too_late = first_too_late.min(call.to),
            }
        }
        let state = self.at.state;
        if next == 0 {
            for &index in &self.ended[self.at.first..] {
                self.steps += 1;
                let Pending { call, is_certain, .. } = self.calls[index];
                if call.from > first_end.min(first_too_late) {
                    break;
                }
                let changes_nothing = || call.operation.apply(state) == Some(state);
                if is_certain && !self.is_done[index] && changes_nothing() {
                    return Some(Candidate { index, state, is_only: true });
                }
            }
        }
        let from_next = |indices: &'_ [usize]| indices.partition_point(|index| *index < next);
        let ended = &self.ended[self.at.first..];
        let mut ended = ended[from_next(ended)..].iter().copied().peekable();
        let unending = &self.unending[from_next(&self.unending)..];
        let mut unending = unending.iter().copied().peekable();
        loop {
            self.steps += 1;
            let index = match (ended.peek(), unending.peek()) {
                (Some(a), Some(b)) if a < b => ended.next(),
                (Some(_), None) => ended.next(),
                _ => unending.next(),
            }?;
            let call = self.calls[index].call;
            if call.from > first_end {
                return None;
            }
            if !self.is_settled(index)
                && let Some(state) = call.operation.apply(state)
            {
                return Some(Candidate { index, state, is_only: false });
            }
        }
    }

    fn carry_out(&mut self, candidate: &Candidate<'a>) {
        let Pending { call, is_certain, .. } = self.calls[candidate.index];
        self.turn(candidate.index);
        self.certain_left -= usize::from(is_certain);
        self.at.state = candidate.state;
        self.at.latest = self.at.latest.max(call.from);
        while self.ended.get(self.at.first).is_some_and(|index| self.is_settled(*index)) {
            self.steps += 1;
            self.at.first += 1;
        }
        self.furthest = self.furthest.max(self.at.first);
    }

    /// Gives the call from which on to try others instead.
    fn take_back(&mut self, candidate: &Candidate<'a>, before: Place<'a>) -> usize {
        self.turn(candidate.index);
        self.certain_left += usize::from(self.calls[candidate.index].is_certain);
        self.at = before;
        if candidate.is_only { self.calls.len() } else { candidate.index + 1 }
    }

    /// From carried out to not, or back.
    fn turn(&mut self, index: usize) {
        self.is_done[index] ^= true;
        if let Some(nth) = self.calls[index].endless {
            self.endless[nth / 64] ^= 1 << (nth % 64);
        }
    }

    fn visit(&mut self) -> Visited<'a> {
        let Place { state, first, latest } = self.at;
        let mut settled = Vec::new();
        let began = |index: &&usize| self.calls[**index].call.from <= latest;
        for (nth, &index) in self.ended[first..].iter().take_while(began).enumerate() {
            if nth % 64 == 0 {
                settled.push(0);
            }
            settled[nth / 64] |= u64::from(self.is_settled(index)) << (nth % 64);
        }
        self.steps += 1 + 64 * settled.len();
        Visited { state, first, latest, settled, endless: self.endless.clone() }
    }

    /// Whether a call has been carried out or can no longer be: it need not be, and has ended.
    fn is_settled(&self, index: usize) -> bool {
        let Pending { call, is_certain, .. } = self.calls[index];
        self.is_done[index] || !is_certain && call.to < self.at.latest
    }

    fn stuck_at(&self) -> Vec<Call> {
        let (before, after) = SHOWN;
        let furthest = self.ended.get(self.furthest).copied().unwrap_or(self.calls.len());
        let shown = self.calls.iter().skip(furthest.saturating_sub(before));
        shown.take(before + after).map(|pending| pending.call.clone()).collect()
    }
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

    fn is_linearizable(calls: &[Call]) -> bool {
        linearize(calls, &[]).is_ok()
    }

    fn is_linearizable_perhaps_with(calls: &[Call], perhaps: &[Call]) -> bool {
        linearize(calls, perhaps).is_ok()
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
        let perhaps = [call(20, Time::MAX, Operation::Set("b".into(), 0, None, Ok(())))];
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

    #[test]
    fn a_call_that_need_not_be_is_carried_out_before_its_end_or_never() {
        let create = call(0, 10, Operation::Create("a".into(), Ok(())));
        let perhaps = [call(20, 35, Operation::Set("b".into(), 0, None, Ok(())))];
        let after = |time, operation| [create.clone(), call(time, time + 5, operation)];
        assert!(is_linearizable_perhaps_with(&after(40, read("a", 0)), &perhaps), "never");
        assert!(is_linearizable_perhaps_with(&after(40, read("b", 1)), &perhaps), "in time");
        let late =
            |from| [create.clone(), call(from, 50, read("a", 0)), call(60, 70, read("b", 1))];
        assert!(is_linearizable_perhaps_with(&late(35), &perhaps), "as the read began");
        assert!(!is_linearizable_perhaps_with(&late(36), &perhaps), "it had ended");
    }

    #[test]
    fn where_a_search_got_no_further_is_told() {
        let mut calls = vec![call(0, 1, Operation::Create("a".into(), Ok(())))];
        calls.extend((1..1000).map(|at| call(10 * at, 10 * at + 1, read("a", 0))));
        calls[700].operation = read("b", 1);
        let stuck = linearize(&calls, &[]).expect_err("nobody wrote what was read");
        assert!(stuck.contains(&calls[700]) && stuck.len() < 100, "{stuck:?}");
    }

    /// A history of one register by clients that read and set it side by side, some of their sets
    /// with an unknown end: the certain calls and the others.
    fn long_history(length: u64, seed: u64) -> (Vec<Call>, Vec<Call>) {
        let mut random = seed;
        let mut below = |end: u64| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) % end
        };
        let (mut data, mut version) = ("first".to_owned(), 0);
        let mut calls = vec![call(0, 100, Operation::Create(data.clone().into(), Ok(())))];
        let mut perhaps = Vec::new();
        for nth in 1..length {
            let at = 100 + 10 * nth;
            let (from, to) = (at - below(35), at + below(35));
            let next = format!("{nth}");
            let set =
                |expected, result| Operation::Set(next.clone().into(), expected, None, result);
            match below(20) {
                0..10 => calls.push(call(from, to, read(&data, version))),
                10..12 => {
                    let refused = set(version + 1, Err(ErrorCode::BadVersion));
                    calls.push(call(from, to, refused));
                }
                kind @ 12..14 => {
                    // Of a session that never wrote again, or did so some time later.
                    let to = if below(500) == 0 { Time::MAX } else { at + below(200) };
                    perhaps.push(call(from.saturating_sub(below(100)), to, set(version, Ok(()))));
                    if kind == 12 {
                        (data, version) = (next, version + 1);
                    }
                }
                _ => {
                    calls.push(call(from, to, set(version, Ok(()))));
                    (data, version) = (next, version + 1);
                }
            }
        }
        (calls, perhaps)
    }

    #[test]
    fn the_steps_grow_with_a_history_and_not_with_its_square() {
        const REGISTERS: u64 = 4;
        const CALLS: u64 = 50_000;
        const STEPS_MAX: usize = 1_000 * CALLS as usize;
        for register in 1..=REGISTERS {
            let (mut calls, perhaps) = long_history(CALLS, register);
            let mut search = Search::new(&calls, &perhaps);
            assert!(search.succeeds(), "register {register}: it was made by an order");
            assert!(search.steps < STEPS_MAX, "register {register}: {} steps", search.steps);

            let is_read = |call: &&mut Call| matches!(call.operation, Operation::Read(_));
            let late_read = calls.iter_mut().rev().find(is_read).expect("a read");
            late_read.operation = read("first", 0);
            let mut search = Search::new(&calls, &perhaps);
            assert!(!search.succeeds(), "register {register}: a read of what is long gone");
            assert!(search.steps < STEPS_MAX, "register {register}: {} steps", search.steps);
        }
    }
}
