//! The simulated world: servers with their processes and disks, the network between them, clients,
//! and what goes wrong. Everything happens in one thread, one event after the other; all chance
//! comes from the seed.

mod client_cnxn;
mod disk_work;
mod driver;
mod election;
mod faults;
mod learner_cnxn;
pub mod membership;
mod process;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fastrand::Rng;

pub use client_cnxn::ClientLink;
pub use disk_work::FILES_DIR;
pub use faults::Fault;
pub use learner_cnxn::Stream;
pub use process::{Process, Server, leader_of};

use crate::client::Client;
use crate::config_files::ConfigFiles;
use crate::history::Record;
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::queue::{Event, Queue, SECOND, Time};
use crate::trace::Trace;
use crate::violation::{Verdict, Violation};

/// A part of what flows through a connection.
#[derive(Debug)]
pub enum Piece {
    /// Bytes.
    Bytes(Bytes),
    /// A snapshot ends here; the history that it stands for, for whoever judges.
    SnapshotEnd(Vec<Record>),
    /// The sender has closed.
    Close,
}

/// The world.
pub struct World {
    /// What the seed decided.
    pub plan: Plan,
    /// The clock.
    pub queue: Queue,
    /// Chance.
    pub random: Rng,
    /// The servers.
    pub servers: Vec<Server>,
    /// Connections between servers, by number.
    pub streams: BTreeMap<u64, Stream>,
    /// Election messages under way, from one server to another: the newest counts.
    pub votes: BTreeMap<(usize, usize), Bytes>,
    /// From which server to which nothing passes.
    pub cut: BTreeSet<(usize, usize)>,
    /// Clients that no server hears.
    pub cut_clients: BTreeSet<usize>,
    /// How much slower the network is than in quiet times.
    pub slowness: u64,
    /// Faults that are going on, by number.
    pub faults: BTreeMap<usize, Fault>,
    /// Whether new faults come.
    pub is_failing: bool,
    /// The clients.
    pub clients: Vec<Client>,
    /// Connections of clients, by number.
    pub links: BTreeMap<u64, ClientLink>,
    /// Who knows what must hold.
    pub oracle: Oracle,
    /// What happened.
    pub trace: Trace,
    /// Processes that ended between the proposal of a reconfig and its commit.
    pub ended_amid_reconfig: usize,
    /// What was found to be wrong first.
    pub violation: Option<Violation>,
    next_number: u64,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(plan: Plan, is_trace_printed: bool) -> Self {
        let mut random = Rng::with_seed(plan.seed ^ 0x5eed);
        let mut servers: Vec<_> = (0..plan.slots()).map(|_| Server::new(random.fork())).collect();
        for server in &mut servers[..plan.servers()] {
            server.config_files = Some(ConfigFiles::new(plan.verifier()));
        }
        let mut clients: Vec<_> =
            (0..plan.clients).map(|index| Client::new(index, plan.pause, random.fork())).collect();
        if plan.has_reconfigs {
            let mut administrator = Client::new(plan.clients, plan.reconfig_pause, random.fork());
            administrator.is_administrator = true;
            clients.push(administrator);
        }
        let mut world = Self {
            oracle: Oracle::new(&plan),
            queue: Queue::default(),
            random,
            servers,
            streams: BTreeMap::new(),
            votes: BTreeMap::new(),
            cut: BTreeSet::new(),
            cut_clients: BTreeSet::new(),
            slowness: 1,
            faults: BTreeMap::new(),
            is_failing: false,
            clients,
            links: BTreeMap::new(),
            trace: Trace::new(is_trace_printed),
            ended_amid_reconfig: 0,
            violation: None,
            next_number: 0,
            plan,
        };
        for server in 0..world.plan.servers() {
            let delay = world.random.u64(..SECOND / 2);
            world.plan_start(server, delay);
        }
        for client in 0..world.clients.len() {
            let at = world.random.u64(..SECOND);
            world.queue.at(at, Event::Client(client));
        }
        world
    }

    /// Lets events happen until `until` or until `is_enough`.
    ///
    /// # Errors
    /// An invariant is broken.
    pub fn run(&mut self, until: Time, mut is_enough: impl FnMut(&World) -> bool) -> Verdict {
        while self.queue.now() < until && !is_enough(self) {
            let Some(event) = self.queue.advance() else { break };
            self.happen(event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Fault(number) => self.on_fault(number),
            Event::Start(server) => self.start(server),
            Event::Step(id) => self.on_step(id),
            Event::DiskDone(id) => self.on_disk_done(id),
            Event::Snapshot(id) => self.go_on_with_snapshot(id),
            Event::Sync(id, job) => self.go_on_with_sync(id, job),
            Event::Connect(id, attempt) => self.try_to_connect(id, attempt),
            Event::Stream(stream, end) => self.on_stream(stream, end),
            Event::Silence(stream, end) => self.on_silence(stream, end),
            Event::Election(from, to) => self.deliver_vote(from, to),
            Event::ClientCnxn(link, end) => self.on_link(link, end),
            Event::Client(client) => self.on_client_timer(client),
        }
    }

    /// Adds a line to the trace.
    pub fn note(&mut self, text: std::fmt::Arguments<'_>) {
        self.trace.line(self.queue.now(), text);
    }

    /// Remembers the first violation.
    pub fn judge(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.note(format_args!("VIOLATION {violation}"));
            self.violation.get_or_insert(violation);
        }
    }

    /// A number that is used once.
    pub fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// How long a message takes now.
    pub fn delay(&mut self) -> Time {
        50 + self.random.u64(..self.plan.delay) * self.slowness
    }

    /// Whether a message passes from one server to another.
    pub fn passes(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }
}
