//! Registers: nodes that several clients read and set, each set with the version it expects. What
//! was done to each of them is held against linearizability, by the simulator's checker.
//!
//! A read behind a `sync` counts from when that was sent. It is left out where ZooKeeper does not
//! promise it: a `sync` makes no transaction, so that a leader that was replaced and does not know
//! it yet may answer one. Such a read was answered with a zxid of an epoch that was over, as an
//! earlier answer to somebody else shows. Writes are never left out; those whose end nobody knows
//! may have been carried out or not.
//!
//! Such a write has an end all the same, once a later write of its session is acknowledged: what
//! it did, it did before the answer. ZooKeeper promises that the updates of a client are applied in
//! the order in which they were sent, over all connections of a session, and it is so because
//!
//! - on one connection, and from one server to the leader, everything is in order;
//! - a session that is taken up at another server, or anew at the same, is moved there before that
//!   server takes a request of it. What its old connection sent and the leader has not prepared by
//!   then is refused (`SessionMovedException`, or the connection is closed);
//! - what the leader has prepared by then has a lower zxid than the later write, and is applied
//!   before it or, after a change of the leader, perhaps never: histories are cut, never turned.
//!
//! So no history of a server that keeps this promise is refused for it, and one of a server that
//! applies the earlier write after the later may be. A later write that was refused ends nothing:
//! it updated nothing. Nor does one in the next session of the client, which has no such promise.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use gamekeeper::proto::ErrorCode;
use sim::linearizability::checker::{Call, Operation, linearize};
use sim::queue::Time;

use super::{Action, History, Outcome, Read, Trouble, Write};

/// Parent of the registers.
pub(super) const PARENT: &str = "/load/shared";

/// The calls of a register.
#[derive(Debug, Default)]
struct Register {
    calls: Vec<Call>,
    /// Those with an unknown end.
    perhaps: Vec<Call>,
}

/// Whether a path is that of a register.
pub(super) fn is_register(path: &str) -> bool {
    path.strip_prefix(PARENT).is_some_and(|rest| rest.starts_with('/'))
}

/// Every register is linearizable.
pub(super) fn check(history: &History, troubles: &mut Vec<Trouble>) {
    for (path, Register { calls, perhaps }) in registers(history) {
        if let Err(stuck) = linearize(&calls, &perhaps) {
            let text = format!("{path} is not linearizable, somewhere in {stuck:#?}");
            troubles.push(Trouble::new(text));
        }
    }
}

/// Reads that a replaced leader may have answered.
pub(super) fn reads_left_out(history: &History) -> usize {
    let epochs = Epochs::of(history);
    register_reads(history).filter(|read| epochs.is_outdated(read)).count()
}

fn registers(history: &History) -> BTreeMap<&str, Register> {
    let mut all: BTreeMap<&str, Register> = BTreeMap::new();
    let Some(begun) = history.all_writes().map(|write| write.invoked).min() else { return all };
    let at = |time: Instant| time.saturating_duration_since(begun).as_nanos() as u64;
    for writes in &history.writes {
        // When the next write of each session was acknowledged.
        let mut acked: HashMap<i64, Instant> = HashMap::new();
        for write in writes.iter().rev() {
            let end = match write.outcome {
                Outcome::Unknown => acked.get(&write.session).copied(),
                Outcome::Acked { .. } | Outcome::Refused(_) => Some(write.completed),
            };
            if let Outcome::Acked { .. } = write.outcome {
                acked.insert(write.session, write.completed);
            }
            let Some((path, operation)) = operation_of(write) else { continue };
            let call = Call { from: at(write.invoked), to: end.map_or(Time::MAX, at), operation };
            let register = all.entry(path).or_default();
            match write.outcome {
                Outcome::Unknown => register.perhaps.push(call),
                _ => register.calls.push(call),
            }
        }
    }
    let epochs = Epochs::of(history);
    for read in register_reads(history).filter(|read| !epochs.is_outdated(read)) {
        let operation = Operation::Read(Some((read.data.clone().into_bytes(), read.version)));
        let call = Call { from: at(read.invoked), to: at(read.completed), operation };
        all.entry(&read.path).or_default().calls.push(call);
    }
    all
}

fn register_reads(history: &History) -> impl Iterator<Item = &Read> {
    history.reads.iter().flatten().filter(|read| is_register(&read.path))
}

/// What a write does to a register; one whose end is unknown, if it was carried out.
fn operation_of(write: &Write) -> Option<(&str, Operation)> {
    let data = write.data.clone().into_bytes();
    let (version, result) = match &write.outcome {
        Outcome::Acked { version, .. } => (Some(*version), Ok(())),
        Outcome::Unknown => (None, Ok(())),
        // Of the session: it says nothing of the register.
        Outcome::Refused(error) => (None, Err(refusal(*error)?)),
    };
    match &write.action {
        Action::Create { path } if is_register(path) => {
            Some((path, Operation::Create(data, result)))
        }
        Action::Set { path, version: expected } if is_register(path) => {
            Some((path, Operation::Set(data, *expected, version, result)))
        }
        _ => None,
    }
}

fn refusal(error: i32) -> Option<ErrorCode> {
    let all = [ErrorCode::NoNode, ErrorCode::NodeExists, ErrorCode::BadVersion];
    all.into_iter().find(|code| *code as i32 == error)
}

/// When it is known that an epoch had begun: each answer that showed a later one than those before.
struct Epochs(Vec<(Instant, i64)>);

impl Epochs {
    fn of(history: &History) -> Self {
        let writes = history.all_writes().filter_map(|write| match write.outcome {
            Outcome::Acked { zxid: Some(zxid), .. } => Some((write.completed, zxid >> 32)),
            _ => None,
        });
        let reads = history.reads.iter().flatten().map(|read| (read.completed, read.zxid >> 32));
        let mut seen: Vec<(Instant, i64)> = writes.chain(reads).collect();
        seen.sort_unstable();
        let mut latest = i64::MIN;
        seen.retain(|(_, epoch)| {
            let is_new = *epoch > latest;
            latest = latest.max(*epoch);
            is_new
        });
        Self(seen)
    }

    /// Whether a later epoch had begun when this was read.
    fn is_outdated(&self, read: &Read) -> bool {
        let known = self.0.partition_point(|(at, _)| *at <= read.completed);
        known > 0 && self.0[known - 1].1 > read.zxid >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const REGISTER: &str = "/load/shared/0";

    /// A history of one register with calls that take from one millisecond to another.
    struct Doctored {
        start: Instant,
        history: History,
    }

    impl Doctored {
        fn new() -> Self {
            let start = Instant::now();
            let history = History { writes: vec![vec![]], ..History::default() };
            let mut doctored = Self { start, history };
            let create = Action::Create { path: REGISTER.into() };
            doctored.write((0, 1), create, "first", Some((1 << 32 | 1, 0)));
            doctored
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn write(
            &mut self,
            span: (u64, u64),
            action: Action,
            data: &str,
            acked: Option<(i64, i32)>,
        ) {
            let (invoked, completed) = (self.at(span.0), self.at(span.1));
            let outcome = acked.map_or(Outcome::Unknown, |(zxid, version)| Outcome::Acked {
                path: REGISTER.into(),
                zxid: Some(zxid),
                version,
            });
            let data = data.into();
            let write = Write { action, data, invoked, completed, outcome, session: 1 };
            self.history.writes[0].push(write);
        }

        fn set(&mut self, span: (u64, u64), expected: i32, data: &str, acked: Option<i64>) {
            let action = Action::Set { path: REGISTER.into(), version: expected };
            self.write(span, action, data, acked.map(|zxid| (zxid, expected + 1)));
        }

        fn read(&mut self, span: (u64, u64), data: &str, version: i32, zxid: i64) {
            let (invoked, completed) = (self.at(span.0), self.at(span.1));
            let (path, data) = (REGISTER.into(), data.into());
            self.history.reads.push(vec![Read { path, invoked, completed, zxid, version, data }]);
        }

        fn is_sound(&self) -> bool {
            let mut troubles = Vec::new();
            check(&self.history, &mut troubles);
            troubles.is_empty()
        }
    }

    #[test]
    fn a_stale_read_is_found_unless_a_replaced_leader_answered() {
        let mut doctored = Doctored::new();
        doctored.set((10, 20), 0, "second", Some(2 << 32 | 1));
        doctored.read((30, 40), "second", 1, 2 << 32 | 1);
        assert!(doctored.is_sound());
        doctored.read((50, 60), "first", 0, 1 << 32 | 1);
        assert_eq!(reads_left_out(&doctored.history), 1);
        assert!(doctored.is_sound(), "the leader of epoch 1 has been replaced");
        doctored.read((50, 60), "first", 0, 2 << 32 | 1);
        assert!(!doctored.is_sound(), "the leader of epoch 2 leads");
    }

    #[test]
    fn a_version_given_twice_and_a_lost_write_are_found() {
        let mut doctored = Doctored::new();
        doctored.set((10, 20), 0, "second", Some(1 << 32 | 2));
        doctored.set((15, 25), 0, "other", Some(1 << 32 | 3));
        assert!(!doctored.is_sound(), "both had the same version before them");
        let mut doctored = Doctored::new();
        doctored.set((10, 20), 0, "second", Some(1 << 32 | 2));
        doctored.read((30, 40), "other", 1, 1 << 32 | 3);
        assert!(!doctored.is_sound(), "nobody wrote what was read");
        doctored.set((5, 6), 0, "other", None);
        assert!(!doctored.is_sound(), "only one of the two can have been");
    }

    #[test]
    fn nothing_done_is_nothing_wrong() {
        let mut troubles = Vec::new();
        check(&History::default(), &mut troubles);
        assert!(troubles.is_empty());
    }

    #[test]
    fn a_write_with_an_unknown_end_may_have_been_made() {
        let mut doctored = Doctored::new();
        doctored.set((10, 20), 0, "second", None);
        doctored.read((30, 40), "first", 0, 1 << 32 | 1);
        assert!(doctored.is_sound());
        doctored.read((50, 60), "second", 1, 1 << 32 | 2);
        assert!(doctored.is_sound());
        doctored.read((70, 80), "first", 0, 1 << 32 | 2);
        assert!(!doctored.is_sound(), "what was read is gone again");
    }

    #[test]
    fn an_unknown_write_is_over_once_a_later_one_of_its_session_is_acknowledged() {
        let history = |later_session| {
            let mut doctored = Doctored::new();
            doctored.set((10, 20), 0, "second", None);
            let other = Action::Create { path: "/load/shared/1".into() };
            doctored.write((30, 40), other, "other", Some((1 << 32 | 2, 0)));
            doctored.history.writes[0].last_mut().expect("a write").session = later_session;
            doctored.read((50, 60), "first", 0, 1 << 32 | 2);
            assert!(doctored.is_sound(), "it never was");
            doctored.read((70, 80), "second", 1, 1 << 32 | 3);
            doctored
        };
        assert!(!history(1).is_sound(), "it was after the later one");
        assert!(history(2).is_sound(), "the later one was of another session");
    }
}
