//! Clients that write, read and hold ephemeral nodes while an ensemble is maltreated, and take
//! notes of it.
//!
//! - A writer owns `/load/w-N`: sequential nodes, plain nodes and their ends, a counter that only
//!   it sets, always with the version it expects, and now and then a write that must be refused.
//! - A reader reads the counters, each read after a `sync`.
//! - A contender reads a register that all contenders share, after a `sync`, and sets it with the
//!   version it has read. Every minute they go on to a new one.
//! - A keeper holds an ephemeral node and looks at it again and again.
//! - A passer-by opens a session, creates an ephemeral node, and closes the session or just goes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jute::{
    Create2Response, CreateRequest, DeleteRequest, ExistsRequest, GetDataRequest, GetDataResponse,
    SetDataRequest, SetDataResponse,
};

use super::session::{Answer, ClusterSession};
use super::{Action, Ephemeral, History, Outcome, Read, Trouble, Write, registers};
use crate::raw_client::{mode, op, open_acl};

/// Error codes that the clients expect here and there.
const NO_NODE: i32 = -101;
const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;
const SESSION_EXPIRED: i32 = -112;
const SESSION_MOVED: i32 = -118;

/// For how long contenders share one register, and pause between two sets.
const REGISTER_TIME: Duration = Duration::from_secs(60);
const CONTENDER_PAUSE: Duration = Duration::from_millis(10);

/// Data of a write that has to be refused; it must never be seen.
pub(super) const REFUSED: &str = "refused";

/// Parent of everything.
pub(super) const ROOT: &str = "/load";

/// How many clients there are of each sort, and how busy they are.
#[derive(Debug, Clone)]
pub struct Load {
    /// Writers.
    pub writers: usize,
    /// Readers.
    pub readers: usize,
    /// Contenders.
    pub contenders: usize,
    /// Holders of an ephemeral node.
    pub keepers: usize,
    /// Pause of a writer or reader between two requests.
    pub pause: Duration,
    /// Session timeout of all, in milliseconds.
    pub session_timeout_ms: i32,
    /// Picks the order in which members are tried.
    pub seed: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            writers: 4,
            readers: 2,
            contenders: 3,
            keepers: 2,
            pause: Duration::from_millis(2),
            session_timeout_ms: 10_000,
            seed: 1,
        }
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Notes>>,
    begun: Instant,
    steps: Vec<(Instant, String)>,
}

#[derive(Debug)]
struct Shared {
    members: Vec<SocketAddr>,
    load: Load,
    begun: Instant,
    stop: AtomicBool,
    acked: Vec<AtomicUsize>,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn session(&self, client: usize) -> ClusterSession {
        let seed = self.load.seed.wrapping_mul(1000).wrapping_add(client as u64);
        ClusterSession::new(&self.members, self.load.session_timeout_ms, seed)
    }

    /// Connects, unless all is over first.
    fn connect(&self, session: &mut ClusterSession) -> bool {
        while !self.stopped() {
            if session.connect(Instant::now() + Duration::from_millis(200)) {
                return true;
            }
        }
        false
    }
}

/// What one client noted.
#[derive(Debug, Default)]
struct Notes {
    writes: Vec<Write>,
    reads: Vec<Read>,
    ephemerals: Vec<Ephemeral>,
    sessions: Vec<ClusterSession>,
    troubles: Vec<Trouble>,
}

impl Workload {
    /// Makes the parents and starts all clients.
    pub fn start(members: &[SocketAddr], load: Load) -> Self {
        make_parents(members, &load);
        let acked = (0..load.writers).map(|_| AtomicUsize::new(0)).collect();
        let stop = AtomicBool::new(false);
        let begun = Instant::now();
        let shared = Arc::new(Shared { members: members.to_vec(), load, begun, stop, acked });
        let mut threads = Vec::new();
        let mut client = |run: fn(&Shared, usize, usize) -> Notes, count: usize| {
            for number in 0..count {
                let (shared, seed) = (Arc::clone(&shared), threads.len());
                threads.push(thread::spawn(move || run(&shared, number, seed)));
            }
        };
        client(write, shared.load.writers);
        client(read, shared.load.readers);
        client(contend, shared.load.contenders);
        client(keep, shared.load.keepers);
        client(pass_by, 1);
        Self { shared, threads, begun, steps: Vec::new() }
    }

    /// Notes what is done to the ensemble now.
    pub fn step(&mut self, what: impl Into<String>) {
        let what = what.into();
        println!("[{:8.3}] {what}", self.begun.elapsed().as_secs_f64());
        self.steps.push((Instant::now(), what));
    }

    /// Writes acknowledged so far.
    pub fn acked(&self) -> usize {
        self.shared.acked.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Waits until every writer has had this many more writes acknowledged: after harm is over,
    /// nobody may be left behind. False if that takes longer than `limit`.
    pub fn wait_for_progress(&self, writes: usize, limit: Duration) -> bool {
        let count = |each: &AtomicUsize| each.load(Ordering::Relaxed);
        let wanted: Vec<usize> = self.shared.acked.iter().map(|c| count(c) + writes).collect();
        let deadline = Instant::now() + limit;
        while self.shared.acked.iter().zip(&wanted).any(|(now, wanted)| count(now) < *wanted) {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Ends all clients and collects their notes. The ensemble has to serve: the sessions are
    /// closed.
    pub fn finish(self) -> History {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut history = History { steps: self.steps, ..History::default() };
        history.span = Some((self.begun, Instant::now()));
        for thread in self.threads {
            let notes = thread.join().expect("a client");
            history.writes.push(notes.writes);
            history.reads.push(notes.reads);
            history.ephemerals.extend(notes.ephemerals);
            history.troubles.extend(notes.troubles);
            for mut session in notes.sessions {
                history.expired.append(&mut session.expired);
                history.troubles.append(&mut session.troubles);
                history.reconnects += session.reconnects;
                session.close();
            }
        }
        history
    }
}

/// Makes the parents, however often it takes.
fn make_parents(members: &[SocketAddr], load: &Load) {
    let mut session = ClusterSession::new(members, load.session_timeout_ms, load.seed);
    let below =
        (0..load.writers).flat_map(|w| ["", "/seq", "/n"].map(|x| format!("{}{x}", own(w))));
    let parents = [ROOT.to_string(), format!("{ROOT}/eph"), registers::PARENT.to_string()];
    let paths: Vec<String> = parents.into_iter().chain(below).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    for path in &paths {
        loop {
            assert!(session.connect(deadline), "nobody serves the making of {path}");
            match create(&mut session, path, "", mode::PERSISTENT) {
                Outcome::Acked { .. } | Outcome::Refused(NODE_EXISTS) => break,
                Outcome::Unknown => {}
                Outcome::Refused(error) => panic!("making {path}: error {error}"),
            }
        }
    }
    session.close();
}

fn own(writer: usize) -> String {
    format!("{ROOT}/w-{writer}")
}

fn create(session: &mut ClusterSession, path: &str, data: &str, flags: i32) -> Outcome {
    let request =
        CreateRequest { path: path.into(), data: Some(data.as_bytes()), acl: open_acl(), flags };
    match session.call(op::CREATE2, &request) {
        Answer::Unknown => Outcome::Unknown,
        Answer::Reply(reply) if reply.header.err != 0 => Outcome::Refused(reply.header.err),
        Answer::Reply(reply) => {
            let made: Create2Response<'_> = reply.record();
            Outcome::Acked { path: made.path.into(), zxid: Some(made.stat.czxid), version: 0 }
        }
    }
}

fn set(session: &mut ClusterSession, path: &str, data: &str, version: i32) -> Outcome {
    let request = SetDataRequest { path: path.into(), data: Some(data.as_bytes()), version };
    match session.call(op::SET_DATA, &request) {
        Answer::Unknown => Outcome::Unknown,
        Answer::Reply(reply) if reply.header.err != 0 => Outcome::Refused(reply.header.err),
        Answer::Reply(reply) => {
            let stat = reply.record::<SetDataResponse>().stat;
            Outcome::Acked { path: path.into(), zxid: Some(stat.mzxid), version: stat.version }
        }
    }
}

fn delete(session: &mut ClusterSession, path: &str) -> Outcome {
    match session.call(op::DELETE, &DeleteRequest { path: path.into(), version: -1 }) {
        Answer::Unknown => Outcome::Unknown,
        Answer::Reply(reply) if reply.header.err != 0 => Outcome::Refused(reply.header.err),
        Answer::Reply(_) => Outcome::Acked { path: path.into(), zxid: None, version: 0 },
    }
}

/// A read behind a `sync`, or the error code; none when there was no answer to either.
fn sync_and_get(session: &mut ClusterSession, path: &str) -> Option<Result<Read, i32>> {
    let invoked = Instant::now();
    if !session.sync() {
        return None;
    }
    match session.call(op::GET_DATA, &GetDataRequest { path: path.into(), watch: false }) {
        Answer::Unknown => None,
        Answer::Reply(reply) if reply.header.err != 0 => Some(Err(reply.header.err)),
        Answer::Reply(reply) => {
            let got: GetDataResponse<'_> = reply.record();
            Some(Ok(Read {
                path: path.into(),
                invoked,
                completed: Instant::now(),
                zxid: reply.header.zxid,
                version: got.stat.version,
                data: String::from_utf8_lossy(got.data.unwrap_or_default()).into_owned(),
            }))
        }
    }
}

fn is_about_session(error: i32) -> bool {
    error == SESSION_EXPIRED || error == SESSION_MOVED
}

/// A writer's loop.
fn write(shared: &Shared, number: usize, seed: usize) -> Notes {
    let mut writer =
        Writer { shared, number, session: shared.session(seed), notes: Notes::default() };
    let own = own(number);
    let mut counter = None;
    // What was created and not yet deleted, the oldest first.
    let mut alive = Vec::new();
    for turn in 0.. {
        if !shared.connect(&mut writer.session) {
            break;
        }
        match turn % 8 {
            0 | 4 => {
                let prefix = format!("{own}/seq/s-");
                let action = Action::CreateSequential { prefix: prefix.clone() };
                writer.note(action, format!("{number}.{turn}"), |session, data| {
                    create(session, &prefix, data, mode::PERSISTENT_SEQUENTIAL)
                });
            }
            1 | 5 => {
                let path = format!("{own}/n/{turn}");
                let action = Action::Create { path: path.clone() };
                let outcome = writer.note(action, format!("{number}.{turn}"), |session, data| {
                    create(session, &path, data, mode::PERSISTENT)
                });
                alive.push(path.clone());
                if let Outcome::Acked { .. } = outcome {
                    writer.refused(turn, &path);
                }
            }
            6 if turn % 16 == 6 && alive.len() > 4 => {
                let path = alive.remove(0);
                let action = Action::Delete { path: path.clone() };
                writer.note(action, String::new(), |session, _| delete(session, &path));
            }
            _ => counter = writer.count(&format!("{own}/counter"), counter, turn),
        }
        thread::sleep(shared.load.pause);
    }
    writer.notes.sessions.push(writer.session);
    writer.notes
}

struct Writer<'a> {
    shared: &'a Shared,
    number: usize,
    session: ClusterSession,
    notes: Notes,
}

impl Writer<'_> {
    fn note(
        &mut self,
        action: Action,
        data: String,
        run: impl FnOnce(&mut ClusterSession, &str) -> Outcome,
    ) -> Outcome {
        let session = self.session.id().expect("a connected session");
        let invoked = Instant::now();
        let outcome = run(&mut self.session, &data);
        let completed = Instant::now();
        let fresh = match &action {
            Action::CreateSequential { .. } => true,
            // A create of before, with an unknown end, may have made a register.
            Action::Create { path } => !registers::is_register(path),
            Action::Set { .. } | Action::Delete { .. } => false,
        };
        match &outcome {
            Outcome::Acked { .. } => {
                // Contenders have higher numbers, and are not waited for.
                if let Some(acked) = self.shared.acked.get(self.number) {
                    acked.fetch_add(1, Ordering::Relaxed);
                }
            }
            Outcome::Refused(error) if fresh && !is_about_session(*error) => {
                let text = format!("{action:?} of {data} was refused with {error}");
                self.notes.troubles.push(Trouble::new(text));
            }
            _ => {}
        }
        let outcome_noted = outcome.clone();
        let write = Write { action, data, invoked, completed, outcome: outcome_noted, session };
        self.notes.writes.push(write);
        outcome
    }

    /// Sets the counter; `version` is what it has, if that is known. Gives the same for next time.
    fn count(&mut self, path: &str, version: Option<i32>, turn: usize) -> Option<i32> {
        let Some(version) = version else { return self.find_counter(path) };
        let action = Action::Set { path: path.into(), version };
        let data = format!("{}.{turn}", self.number);
        match self.note(action, data.clone(), |session, data| set(session, path, data, version)) {
            Outcome::Acked { version: now, .. } if now == version + 1 => Some(now),
            Outcome::Unknown => None,
            Outcome::Refused(error) if is_about_session(error) => None,
            other => {
                let text = format!("a set of {path} from version {version} gave {other:?}");
                self.notes.troubles.push(Trouble::new(text));
                None
            }
        }
    }

    /// The version of the counter after an unknown end, by a read behind a `sync`; creates it at
    /// first.
    fn find_counter(&mut self, path: &str) -> Option<i32> {
        let error = match sync_and_get(&mut self.session, path)? {
            Ok(read) => return Some(read.version),
            Err(error) => error,
        };
        if error == NO_NODE {
            let action = Action::Create { path: path.into() };
            let data = format!("{}.counter", self.number);
            let outcome = self.note(action, data.clone(), |session, data| {
                create(session, path, data, mode::PERSISTENT)
            });
            return matches!(outcome, Outcome::Acked { .. }).then_some(0);
        }
        None
    }

    /// Writes that have to be refused: a node that is there, a version that is wrong.
    fn refused(&mut self, turn: usize, path: &str) {
        let (outcome, wanted) = match turn % 16 {
            1 => (create(&mut self.session, path, REFUSED, mode::PERSISTENT), NODE_EXISTS),
            _ => (set(&mut self.session, path, REFUSED, 7), BAD_VERSION),
        };
        match outcome {
            Outcome::Refused(error) if error == wanted || is_about_session(error) => {}
            Outcome::Unknown => {}
            other => {
                let text = format!("{path}: a write to be refused with {wanted} gave {other:?}");
                self.notes.troubles.push(Trouble::new(text));
            }
        }
    }
}

/// A reader's loop.
fn read(shared: &Shared, number: usize, seed: usize) -> Notes {
    let mut notes = Notes::default();
    let mut session = shared.session(seed);
    for turn in number.. {
        if !shared.connect(&mut session) {
            break;
        }
        let path = format!("{}/counter", own(turn % shared.load.writers.max(1)));
        if let Some(Ok(read)) = sync_and_get(&mut session, &path) {
            notes.reads.push(read);
        }
        thread::sleep(shared.load.pause);
    }
    notes.sessions.push(session);
    notes
}

/// A contender's loop.
fn contend(shared: &Shared, number: usize, seed: usize) -> Notes {
    let makes_registers = number == 0;
    let number = shared.load.writers + number;
    let session = shared.session(seed);
    let mut contender = Writer { shared, number, session, notes: Notes::default() };
    for turn in 0.. {
        if !shared.connect(&mut contender.session) {
            break;
        }
        let nth = shared.begun.elapsed().as_nanos() / REGISTER_TIME.as_nanos();
        let path = format!("{}/{nth}", registers::PARENT);
        let data = format!("{number}.{turn}");
        match sync_and_get(&mut contender.session, &path) {
            Some(Ok(read)) => {
                let version = read.version;
                contender.notes.reads.push(read);
                let action = Action::Set { path: path.clone(), version };
                contender.note(action, data, |session, data| set(session, &path, data, version));
            }
            Some(Err(NO_NODE)) if makes_registers => {
                let action = Action::Create { path: path.clone() };
                contender.note(action, data, |session, data| {
                    create(session, &path, data, mode::PERSISTENT)
                });
            }
            _ => {}
        }
        thread::sleep(CONTENDER_PAUSE);
    }
    contender.notes.sessions.push(contender.session);
    contender.notes
}

/// A keeper's loop: its node is there for as long as its session is.
fn keep(shared: &Shared, number: usize, seed: usize) -> Notes {
    let mut notes = Notes::default();
    let mut session = shared.session(seed);
    // The session's node, and whether its making was acknowledged.
    let mut held: Option<(i64, String, bool)> = None;
    for turn in 0.. {
        if !shared.connect(&mut session) {
            break;
        }
        let id = session.id().expect("a connected session");
        if let Some((owner, path, _)) = held.take_if(|(owner, _, _)| *owner != id) {
            notes.ephemerals.push(Ephemeral { path, session: owner });
        }
        match &mut held {
            None => {
                let path = format!("{ROOT}/eph/keeper-{number}-{turn}");
                let outcome = create(&mut session, &path, "", mode::EPHEMERAL);
                held = Some((id, path, matches!(outcome, Outcome::Acked { .. })));
            }
            Some((_, path, made)) => {
                let request = ExistsRequest { path: path.as_str().into(), watch: false };
                let answer = session.call(op::EXISTS, &request);
                let Answer::Reply(reply) = answer else { continue };
                if *made && reply.header.err == NO_NODE {
                    let text = format!("{path} is gone while its session {id:#x} goes on");
                    notes.troubles.push(Trouble::new(text));
                }
                // It may have been made after all, or never.
                *made = reply.header.err == 0 || (*made && reply.header.err != NO_NODE);
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    if let Some((owner, path, _)) = held {
        notes.ephemerals.push(Ephemeral { path, session: owner });
    }
    notes.sessions.push(session);
    notes
}

/// The loop of the sessions that come and go.
fn pass_by(shared: &Shared, _number: usize, seed: usize) -> Notes {
    let mut notes = Notes::default();
    for turn in 0.. {
        let mut session = shared.session(seed + 1000 * turn);
        if !shared.connect(&mut session) {
            break;
        }
        let path = format!("{ROOT}/eph/passer-by-{turn}");
        create(&mut session, &path, "", mode::EPHEMERAL);
        if let Some(id) = session.id() {
            notes.ephemerals.push(Ephemeral { path, session: id });
        }
        notes.troubles.append(&mut session.troubles);
        // One in three says good-bye; the others' sessions end by their timeout.
        if turn % 3 == 0 {
            session.close();
        }
        thread::sleep(Duration::from_millis(200));
    }
    notes
}
