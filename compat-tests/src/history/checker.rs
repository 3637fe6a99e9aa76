//! Judges the notes of clients against each other and against the trees of all members.
//!
//! 1. A write that was acknowledged is there, with its zxid, and a deleted node is gone.
//! 2. What was refused, and what nobody asked for, is nowhere. A write with an unknown end is there
//!    once or not at all.
//! 3. A counter's versions are accounted for: one for each acknowledged set, the others by sets
//!    with an unknown end.
//! 4. A write that began after another was acknowledged has the higher zxid, and no zxid is used
//!    twice.
//! 5. What a reader reads of a counter is what was written as that version, and its versions never
//!    go back.
//! 6. A session is lost only after its timeout without an answer, while nobody else was served
//!    either.
//! 7. Ephemeral nodes of sessions that are over are gone.
//! 8. All members have the same tree, to the last field of each Stat, the same digests and the same
//!    last zxid.
//! 9. What was done to a node that several clients set is linearizable ([`super::registers`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::thread;
use std::time::{Duration, Instant};

use super::workload::{REFUSED, ROOT};
use super::{Action, History, Outcome, Summary, Trouble, Write, registers};
use crate::hosts::Hosts;
use crate::server::ServerUnderTest;
use crate::tree_dump;

/// How long members may take to have the same last zxid, and ephemeral nodes to go after their
/// sessions' timeout.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// The node with the members of the ensemble.
const CONFIG: &str = "/zookeeper/config";

/// Nodes of a dump: path -> one line of data, Stat and ACL.
type Nodes = BTreeMap<String, String>;

/// Checks everything; the ensemble has to serve, and nobody may write to it any more. Gives the
/// counts, or what is wrong.
pub fn check(hosts: &dyn Hosts, history: &History) -> Result<Summary, Vec<Trouble>> {
    let mut troubles = history.troubles.clone();
    wait_for_ephemerals(hosts, history, &mut troubles);
    let nodes = same_on_all_members(hosts, &mut troubles);
    check_nodes(history, &nodes, &mut troubles);
    check_counters(history, &nodes, &mut troubles);
    check_order(history, &mut troubles);
    check_reads(history, &mut troubles);
    check_sessions(history, &mut troubles);
    registers::check(history, &mut troubles);
    if troubles.is_empty() { Ok(history.summary()) } else { Err(troubles) }
}

/// [`check`] that panics with what is wrong.
pub fn assert_sound(hosts: &dyn Hosts, history: &History) -> Summary {
    sound(check(hosts, history), history)
}

/// What was judged to be sound; panics with what is wrong otherwise.
pub fn sound(judged: Result<Summary, Vec<Trouble>>, history: &History) -> Summary {
    judged.unwrap_or_else(|troubles| {
        let shown: Vec<String> = troubles.iter().take(20).map(ToString::to_string).collect();
        panic!(
            "{} things are wrong:\n  {}\n{}",
            troubles.len(),
            shown.join("\n  "),
            history.summary()
        )
    })
}

fn wait_for_ephemerals(hosts: &dyn Hosts, history: &History, troubles: &mut Vec<Trouble>) {
    let longest = history.expired.iter().map(|expired| expired.timeout).max();
    let deadline = Instant::now() + SETTLE_LIMIT + longest.unwrap_or_default();
    let ours: BTreeSet<&str> = history.ephemerals.iter().map(|node| node.path.as_str()).collect();
    let left = loop {
        let owned: Vec<String> = tree_dump::sessions(hosts.address(0))
            .into_iter()
            .filter(|line| line.split(' ').nth(2).is_some_and(|path| ours.contains(path)))
            .collect();
        if owned.is_empty() || Instant::now() > deadline {
            break owned;
        }
        thread::sleep(Duration::from_millis(100));
    };
    troubles.extend(left.iter().map(|line| Trouble::new(format!("its session is over: {line}"))));
}

/// The nodes, after making sure that all members have the same.
fn same_on_all_members(hosts: &dyn Hosts, troubles: &mut Vec<Trouble>) -> Nodes {
    // A session that ends between two members' dumps would not change what is compared.
    let dump = |member: usize| -> Result<Nodes, Trouble> {
        let nodes = tree_dump::try_nodes(hosts.address(member));
        let mut nodes =
            nodes.map_err(|e| Trouble::new(format!("member {member} cannot be read: {e}")))?;
        // Each member makes that node itself, at its own time; and with its own text where others
        // are known to it by addresses of its own.
        if let Some(line) = nodes.remove(CONFIG)
            && hosts.agree_on_addresses()
        {
            nodes.insert(CONFIG.into(), data_of(&line).into());
        }
        Ok(nodes)
    };
    let compare = || -> Result<(Nodes, Vec<Trouble>), Trouble> {
        let first = dump(0)?;
        let mut differing = Vec::new();
        for member in 1..hosts.len() {
            let paths = tree_dump::differing(&first, &dump(member)?).into_iter();
            let trouble = |path| format!("members 0 and {member} differ at {path}");
            differing.extend(paths.map(|path| Trouble::new(trouble(path))));
        }
        Ok((first, differing))
    };
    let deadline = Instant::now() + SETTLE_LIMIT;
    let first = loop {
        // Sessions of clients that gave up may still expire between two members' dumps; and on a
        // busy machine a member may look for its leader once more.
        let (first, differing) = compare().unwrap_or_else(|trouble| (Nodes::new(), vec![trouble]));
        if differing.is_empty() || Instant::now() > deadline {
            troubles.extend(differing);
            break first;
        }
        thread::sleep(Duration::from_millis(250));
    };
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        let zxids: Vec<Option<i64>> = (0..hosts.len()).map(|m| hosts.last_zxid(m)).collect();
        if zxids.iter().all(|zxid| zxid.is_some() && *zxid == zxids[0]) {
            break;
        }
        if Instant::now() > deadline {
            troubles.push(Trouble::new(format!("the members' last zxids differ: {zxids:x?}")));
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let mut digests: HashMap<String, (usize, String)> = HashMap::new();
    for member in 0..hosts.len() {
        let server = hosts.address(member);
        if let Some(count @ 1..) = tree_dump::digest_mismatches(server) {
            let text = format!("member {member} counts {count} mismatches of digests");
            match hosts.kind(member) {
                ServerUnderTest::Gamekeeper => troubles.push(Trouble::new(text)),
                // Apache's learner counts and logs digests over a leader's snapshot, taken while
                // writes went on, before the tree is that of one moment again. Its deposed leader
                // applies what it logged alone, and then gets all of it truncated. That the trees
                // are the same was seen above.
                ServerUnderTest::Apache(_) => {
                    println!("note: {text}");
                    continue;
                }
            }
        }
        for (zxid, digest) in tree_dump::digests(server) {
            let (other, wanted) = digests.entry(zxid.clone()).or_insert((member, digest.clone()));
            if *wanted != digest {
                let text = format!("members {other} and {member} differ in the digest at {zxid}");
                troubles.push(Trouble::new(text));
            }
        }
    }
    first
}

/// The data of a dumped node.
fn data_of(line: &str) -> &str {
    line.strip_prefix("data=\"").and_then(|rest| rest.split('"').next()).unwrap_or_default()
}

/// A field of a dumped node's Stat.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let fields = line.split(' ').filter_map(|word| word.split_once('='));
    fields.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back().unwrap_or_default()
}

/// Rules 1 and 2, for all but counters.
fn check_nodes(history: &History, nodes: &Nodes, troubles: &mut Vec<Trouble>) {
    let mut wrong = |text: String| troubles.push(Trouble::new(text));
    let mut gone = BTreeSet::new();
    let mut perhaps_gone = BTreeSet::new();
    for write in history.all_writes() {
        if let Action::Delete { path } = &write.action {
            match write.outcome {
                Outcome::Acked { .. } => gone.insert(path.as_str()),
                Outcome::Unknown => perhaps_gone.insert(path.as_str()),
                Outcome::Refused(_) => continue,
            };
        }
    }
    // Data of creates -> whether it may be there.
    let mut asked: HashMap<&str, &Write> = HashMap::new();
    for write in history.all_writes() {
        let fresh = matches!(write.action, Action::Create { .. } | Action::CreateSequential { .. });
        if fresh && !is_counter(&write.action) {
            asked.insert(&write.data, write);
        }
        let Outcome::Acked { path, zxid: Some(zxid), .. } = &write.outcome else { continue };
        if !fresh || is_counter(&write.action) {
            continue;
        }
        match nodes.get(path) {
            None if gone.contains(path.as_str()) || perhaps_gone.contains(path.as_str()) => {}
            None => wrong(format!("lost: {path}, acknowledged with zxid {zxid:#x}")),
            Some(_) if gone.contains(path.as_str()) => wrong(format!("{path} was deleted")),
            Some(line) => {
                let czxid = format!("{zxid:x}");
                if data_of(line) != write.data || field(line, "czxid") != czxid {
                    wrong(format!("{path} was made as {} at {czxid} and is {line}", write.data));
                }
            }
        }
    }
    let mut times: HashMap<&str, usize> = HashMap::new();
    for (path, line) in nodes.iter().filter(|(path, _)| path.starts_with(ROOT)) {
        let data = data_of(line);
        if data == REFUSED {
            wrong(format!("{path} has data that was refused"));
        }
        if !path.contains("/seq/") && !path.contains("/n/") {
            continue;
        }
        *times.entry(data).or_default() += 1;
        match asked.get(data).map(|write| &write.outcome) {
            None => wrong(format!("nobody asked for {path} with {data}")),
            Some(Outcome::Refused(error)) => wrong(format!("{path} was refused with {error}")),
            Some(_) => {}
        }
    }
    for (data, times) in times.into_iter().filter(|(_, times)| *times > 1) {
        wrong(format!("one create with {data} is there {times} times"));
    }
}

fn is_counter(action: &Action) -> bool {
    match action {
        Action::Create { path } | Action::Set { path, .. } => {
            path.ends_with("/counter") || registers::is_register(path)
        }
        _ => false,
    }
}

/// Version -> the data acknowledged with it, and the data of sets with an unknown end that would
/// have made it.
#[derive(Debug, Default)]
struct Counter<'a> {
    acked: BTreeMap<i32, &'a Write>,
    unknown: BTreeMap<i32, Vec<&'a Write>>,
}

fn counters(history: &History) -> BTreeMap<&str, Counter<'_>> {
    let mut all: BTreeMap<&str, Counter<'_>> = BTreeMap::new();
    for write in history.all_writes() {
        let (path, made) = match &write.action {
            Action::Set { path, version } => (path, version + 1),
            Action::Create { path } if is_counter(&write.action) => (path, 0),
            _ => continue,
        };
        let counter = all.entry(path).or_default();
        match write.outcome {
            Outcome::Acked { .. } => drop(counter.acked.insert(made, write)),
            Outcome::Unknown => counter.unknown.entry(made).or_default().push(write),
            Outcome::Refused(_) => {}
        }
    }
    all
}

/// Rule 3, and rules 1 and 2 for counters.
fn check_counters(history: &History, nodes: &Nodes, troubles: &mut Vec<Trouble>) {
    let mut wrong = |text: String| troubles.push(Trouble::new(text));
    for (path, counter) in counters(history) {
        let Some(line) = nodes.get(path) else {
            if !counter.acked.is_empty() {
                wrong(format!("lost: {path}"));
            }
            continue;
        };
        let last: i32 = field(line, "version").parse().expect("a version");
        if let Some((acked, _)) = counter.acked.last_key_value()
            && *acked > last
        {
            wrong(format!("lost: {path} has version {last}, and {acked} was acknowledged"));
        }
        for version in 0..=last {
            if !counter.acked.contains_key(&version) && !counter.unknown.contains_key(&version) {
                wrong(format!("nobody made version {version} of {path}"));
            }
        }
        let made = counter.acked.get(&last).into_iter();
        let mut made = made.chain(counter.unknown.get(&last).into_iter().flatten());
        if !made.any(|write| write.data == data_of(line)) {
            wrong(format!("{path} has data that nobody gave version {last}: {line}"));
        }
        if let Some(Outcome::Acked { zxid: Some(zxid), .. }) =
            counter.acked.get(&last).map(|write| &write.outcome)
            && last > 0
            && field(line, "mzxid") != format!("{zxid:x}")
        {
            wrong(format!("{path} was set at {zxid:#x} and is {line}"));
        }
    }
}

/// Rule 4.
fn check_order(history: &History, troubles: &mut Vec<Trouble>) {
    let mut acked: Vec<(&Write, i64)> = Vec::new();
    for write in history.all_writes() {
        if let Outcome::Acked { zxid: Some(zxid), .. } = write.outcome {
            acked.push((write, zxid));
        }
    }
    let mut seen = HashMap::new();
    for (write, zxid) in &acked {
        if let Some(other) = seen.insert(*zxid, write) {
            let text = format!("{:?} and {:?} have zxid {zxid:#x}", other.action, write.action);
            troubles.push(Trouble::new(text));
        }
    }
    let mut by_end = acked.clone();
    by_end.sort_by_key(|(write, _)| write.completed);
    acked.sort_by_key(|(write, _)| write.invoked);
    let mut ended = by_end.into_iter().peekable();
    let mut highest = 0;
    for (write, zxid) in acked {
        while let Some((_, before)) = ended.next_if(|(w, _)| w.completed < write.invoked) {
            highest = highest.max(before);
        }
        if zxid <= highest {
            let text = format!(
                "{:?} has zxid {zxid:#x}; before it began one with {highest:#x} was acknowledged",
                write.action
            );
            troubles.push(Trouble::new(text));
        }
    }
}

/// Rule 5.
fn check_reads(history: &History, troubles: &mut Vec<Trouble>) {
    let counters = counters(history);
    for reads in &history.reads {
        let mut last: HashMap<&str, i32> = HashMap::new();
        for read in reads {
            let before = last.insert(&read.path, read.version).unwrap_or(-1);
            if read.version < before {
                let text = format!("{}: version {} after {before}", read.path, read.version);
                troubles.push(Trouble::new(text));
            }
            let Some(counter) = counters.get(read.path.as_str()) else { continue };
            let acked = counter.acked.get(&read.version).into_iter();
            let mut made = acked.chain(counter.unknown.get(&read.version).into_iter().flatten());
            if !made.any(|write| write.data == read.data) {
                troubles.push(Trouble::new(format!("nobody wrote what was read: {read:?}")));
            }
        }
    }
}

/// Reads that missed a write acknowledged before their `sync`.
pub(super) fn stale_reads(history: &History) -> usize {
    let mut acked: HashMap<&str, Vec<(Instant, i32)>> = HashMap::new();
    for (path, counter) in counters(history) {
        let times = counter.acked.iter().map(|(version, write)| (write.completed, *version));
        let mut times: Vec<(Instant, i32)> = times.collect();
        times.sort_unstable();
        // Of several writers one may hear later than another what was done before.
        for index in 1..times.len() {
            times[index].1 = times[index].1.max(times[index - 1].1);
        }
        acked.insert(path, times);
    }
    let stale = |read: &&super::Read| {
        let Some(acked) = acked.get(read.path.as_str()) else { return false };
        let before = acked.partition_point(|(at, _)| *at < read.invoked);
        before.checked_sub(1).is_some_and(|index| acked[index].1 > read.version)
    };
    history.reads.iter().flatten().filter(stale).count()
}

/// Rule 6.
fn check_sessions(history: &History, troubles: &mut Vec<Trouble>) {
    for expired in &history.expired {
        let silent = expired.silent;
        let stall = history.stall(expired.at - silent, expired.at);
        if silent < expired.timeout {
            let text = format!(
                "a session with a timeout of {:?} was lost {silent:?} after its last answer",
                expired.timeout
            );
            troubles.push(Trouble::new(text));
        } else if stall < expired.timeout / 2 {
            let text = format!(
                "a session was lost {silent:?} after its last answer, while others were served"
            );
            troubles.push(Trouble::new(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Read, session::Expired};

    /// A time in milliseconds from a start that all times of a test share.
    fn at(ms: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_millis(ms)
    }

    fn write(action: Action, data: &str, span: (u64, u64), outcome: Outcome) -> Write {
        let (invoked, completed) = (at(span.0), at(span.1));
        Write { action, data: data.into(), invoked, completed, outcome, session: 1 }
    }

    fn acked(path: &str, zxid: i64, version: i32) -> Outcome {
        Outcome::Acked { path: path.into(), zxid: Some(zxid), version }
    }

    const PLAIN: &str = "/load/w-0/n/1";
    const COUNTER: &str = "/load/w-0/counter";

    fn create(path: &str, data: &str, outcome: Outcome) -> Write {
        write(Action::Create { path: path.into() }, data, (0, 1), outcome)
    }

    fn set(version: i32, data: &str, outcome: Outcome) -> Write {
        write(Action::Set { path: COUNTER.into(), version }, data, (2, 3), outcome)
    }

    fn history(writes: Vec<Write>) -> History {
        let span = Some((at(0), at(60_000)));
        History { writes: vec![writes], span, ..History::default() }
    }

    fn nodes(lines: &[(&str, &str)]) -> Nodes {
        lines.iter().map(|(path, line)| (path.to_string(), line.to_string())).collect()
    }

    /// What all rules on notes and nodes find.
    fn found(history: &History, nodes: &Nodes) -> String {
        let mut troubles = Vec::new();
        check_nodes(history, nodes, &mut troubles);
        check_counters(history, nodes, &mut troubles);
        check_order(history, &mut troubles);
        check_reads(history, &mut troubles);
        check_sessions(history, &mut troubles);
        troubles.iter().map(|trouble| format!("{trouble}\n")).collect()
    }

    #[test]
    fn a_lost_or_changed_or_doubled_node_is_found() {
        let made = history(vec![create(PLAIN, "0.1", acked(PLAIN, 16, 0))]);
        let good = nodes(&[(PLAIN, "data=\"0.1\" czxid=10")]);
        assert_eq!(found(&made, &good), "");
        assert!(found(&made, &nodes(&[])).contains("lost: /load/w-0/n/1"));
        let other = nodes(&[(PLAIN, "data=\"0.1\" czxid=11")]);
        assert!(found(&made, &other).contains("was made as 0.1 at 10 and is"));
        let twice = nodes(&[
            (PLAIN, "data=\"0.1\" czxid=10"),
            ("/load/w-0/seq/s-0", "data=\"0.1\" czxid=12"),
        ]);
        assert!(found(&made, &twice).contains("is there 2 times"));
    }

    #[test]
    fn what_was_refused_or_never_asked_for_is_found() {
        let refused = history(vec![create(PLAIN, "0.1", Outcome::Refused(-112))]);
        assert_eq!(found(&refused, &nodes(&[])), "");
        let there = nodes(&[(PLAIN, "data=\"0.1\" czxid=10")]);
        assert!(found(&refused, &there).contains("was refused with -112"));
        assert!(found(&history(vec![]), &there).contains("nobody asked for"));
        let unknown = history(vec![create(PLAIN, "0.1", Outcome::Unknown)]);
        assert_eq!(found(&unknown, &there) + &found(&unknown, &nodes(&[])), "");
    }

    #[test]
    fn a_deleted_node_must_be_gone() {
        let delete = Action::Delete { path: PLAIN.into() };
        let outcome = Outcome::Acked { path: PLAIN.into(), zxid: None, version: 0 };
        let writes =
            vec![create(PLAIN, "0.1", acked(PLAIN, 16, 0)), write(delete, "", (4, 5), outcome)];
        let deleted = history(writes);
        assert_eq!(found(&deleted, &nodes(&[])), "");
        let there = nodes(&[(PLAIN, "data=\"0.1\" czxid=10")]);
        assert!(found(&deleted, &there).contains("was deleted"));
    }

    #[test]
    fn a_counter_accounts_for_each_version() {
        let writes = vec![
            create(COUNTER, "0.c", acked(COUNTER, 1, 0)),
            set(0, "0.1", acked(COUNTER, 2, 1)),
            set(1, "0.2", Outcome::Unknown),
        ];
        let counted = history(writes);
        let with = |line| nodes(&[(COUNTER, line)]);
        assert_eq!(found(&counted, &with("data=\"0.1\" mzxid=2 version=1")), "");
        assert_eq!(found(&counted, &with("data=\"0.2\" mzxid=9 version=2")), "");
        let back = found(&counted, &with("data=\"0.c\" mzxid=1 version=0"));
        assert!(back.contains("has version 0, and 1 was acknowledged"));
        let more = found(&counted, &with("data=\"0.9\" mzxid=9 version=3"));
        assert!(more.contains("nobody made version 3"));
        let data = found(&counted, &with("data=\"0.x\" mzxid=2 version=1"));
        assert!(data.contains("data that nobody gave version 1"));
    }

    #[test]
    fn a_later_write_has_the_higher_zxid() {
        let later = write(Action::Create { path: COUNTER.into() }, "", (2, 3), acked("", 15, 0));
        let both = history(vec![create(COUNTER, "", acked("", 16, 0)), later]);
        let mut troubles = Vec::new();
        check_order(&both, &mut troubles);
        assert!(troubles[0].to_string().contains("before it began one with 0x10"));
    }

    #[test]
    fn a_read_goes_neither_back_nor_astray() {
        let made =
            vec![create(COUNTER, "0.c", acked(COUNTER, 1, 0)), set(0, "0.1", acked(COUNTER, 2, 1))];
        let read = |version, data: &str| Read {
            path: COUNTER.into(),
            invoked: at(10),
            completed: at(11),
            zxid: 2,
            version,
            data: data.into(),
        };
        let mut reading = history(made);
        reading.reads = vec![vec![read(1, "0.1")]];
        let there = nodes(&[(COUNTER, "data=\"0.1\" mzxid=2 version=1")]);
        assert_eq!((found(&reading, &there).as_str(), stale_reads(&reading)), ("", 0));
        reading.reads = vec![vec![read(1, "0.1"), read(0, "0.c")]];
        assert!(found(&reading, &there).contains("version 0 after 1"));
        assert_eq!(stale_reads(&reading), 1);
        reading.reads = vec![vec![read(1, "0.c")]];
        assert!(found(&reading, &there).contains("nobody wrote what was read"));
    }

    #[test]
    fn a_session_is_not_lost_while_others_are_served() {
        let timeout = Duration::from_secs(10);
        let acks = (0..60).map(|s| {
            let (path, span) = (format!("/load/w-0/n/{s}"), (s * 1000, s * 1000 + 1));
            let outcome = acked(&path, s as i64 + 1, 0);
            write(Action::Create { path }, "", span, outcome)
        });
        let mut lost = history(acks.collect());
        let mut told = |silent| {
            lost.expired = vec![Expired { at: at(40_000), silent, timeout }];
            let mut troubles = Vec::new();
            check_sessions(&lost, &mut troubles);
            troubles.iter().map(ToString::to_string).collect::<String>()
        };
        assert!(told(Duration::from_secs(4)).contains("after its last answer"));
        assert!(told(Duration::from_secs(12)).contains("while others were served"));
        lost.writes.clear();
        lost.expired[0].silent = Duration::from_secs(12);
        assert_eq!(found(&lost, &nodes(&[])), "");
    }
}
