//! A run: the ensemble forms, works while things go wrong, and must then recover; in the end
//! everything that was seen is judged.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gamekeeper::mutation::{self, Mutation};
use gamekeeper::proto::CreateMode;

use crate::client::request::Request;
use crate::client::workload::ROOTS;
use crate::invariants::{durability, liveness};
use crate::linearizability;
use crate::plan::Plan;
use crate::queue::{SECOND, Time};
use crate::violation::{Verdict, Violation};
use crate::world::World;

/// How long the ensemble may take to form, and to serve again after the last fault.
const BOUND: Time = 60 * SECOND;

/// How long faults go on at most, if clients cannot make their requests.
const FAULTS_MAX: Time = 600 * SECOND;

/// How long sessions may outlive their clients.
const SESSIONS_BOUND: Time = 40 * SECOND;

/// Requests made after the last fault.
const LAST_REQUESTS: usize = 40;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was found to be wrong.
    pub verdict: Verdict,
    /// Requests of clients that were made, and answers.
    pub requests: usize,
    /// Answers that came.
    pub answers: usize,
    /// Transactions delivered.
    pub transactions: usize,
    /// Reconfigs that came into force; those of them that a leader did not outlive as such; and
    /// processes that ended between the proposal of one and its commit.
    pub reconfigs: [usize; 3],
    /// Epochs that were led.
    pub epochs: i64,
    /// Simulated time.
    pub simulated: Time,
    /// Time it took.
    pub took: Duration,
    /// Sum of the trace.
    pub trace: u64,
}

/// How seeds are run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Requests that clients make while things go wrong.
    pub requests: usize,
    /// Whether the members may change.
    pub may_reconfigure: bool,
    /// The mistake that is switched on.
    pub mutation: Option<Mutation>,
    /// Whether everything that happens is printed.
    pub is_printed: bool,
}

/// Runs a seed.
pub fn run(seed: u64, options: Options) -> Outcome {
    let Options { requests, may_reconfigure, mutation, is_printed } = options;
    let begin = Instant::now();
    let plan = Plan::of_seed(seed, requests, may_reconfigure);
    if is_printed {
        println!("{plan:#?}");
    }
    mutation::set(mutation);
    let mut world = World::new(plan, is_printed);
    let verdict = panic::catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    mutation::set(None);
    let verdict = verdict.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation::new("panic", text.unwrap_or_default()))
    });
    Outcome {
        seed,
        verdict,
        requests: world.oracle.requests,
        answers: world.oracle.answers,
        transactions: world.oracle.reference.history().len(),
        reconfigs: [
            world.oracle.configs.count,
            world.oracle.configs.without_leader,
            world.ended_amid_reconfig,
        ],
        epochs: world.oracle.newest_epoch,
        simulated: world.queue.now(),
        took: begin.elapsed(),
        trace: world.trace.sum(),
    }
}

fn live(world: &mut World) -> Verdict {
    // It forms, and the first nodes are made.
    let bound = world.queue.now() + BOUND;
    world.run(bound, |world| world.are_clients_quiet())?;
    liveness::clients_are_served(world)?;
    for root in ROOTS {
        world.ask(0, Request::Create(root.into(), Bytes::new(), CreateMode::Persistent), None);
    }
    world.run(bound, |world| world.are_clients_quiet())?;
    // It works while things go wrong.
    world.set_clients_idle(false);
    world.begin_faults();
    let bound = world.queue.now() + FAULTS_MAX;
    world.run(bound, |world| !world.oracle.wants_requests())?;
    // It recovers.
    world.end_faults();
    world.oracle.want_more(LAST_REQUESTS);
    let bound = world.queue.now() + BOUND;
    world.run(bound, |world| {
        !world.oracle.wants_requests()
            && world.are_clients_quiet()
            && liveness::all_serve(world).is_ok()
    })?;
    world.set_clients_idle(true);
    let calm = world.queue.now() + SECOND;
    world.run(calm.min(bound), |_| false)?;
    world.run(bound, |world| world.are_clients_quiet() && liveness::all_serve(world).is_ok())?;
    liveness::clients_are_served(world)?;
    liveness::all_serve(world)?;
    let bound = world.queue.now() + SESSIONS_BOUND;
    world.run(bound, |world| liveness::abandoned_sessions_are_over(world).is_ok())?;
    liveness::abandoned_sessions_are_over(world)?;
    durability::acknowledged_writes_are_there(&world.oracle)?;
    linearizability::check(&world.oracle)
}
