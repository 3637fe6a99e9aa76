//! Runs seeds.
//!
//! ```text
//! sim --seed 1 --runs 300       seeds 1 to 300; exit status 0 only if all hold
//! sim --reconfigs --runs 300    the same, and the members change
//! sim --seed 17 --trace         one seed, with everything that happens
//! sim --mutations               each named mistake of the server must be found
//! ```

use std::fmt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use gamekeeper::mutation::Mutation;
use sim::queue::SECOND;
use sim::run::{Options, Outcome, run};

/// Simulates ensembles by seed.
#[derive(Debug, Clone, Parser)]
#[command(name = "sim")]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from the first on.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Requests that clients make in each run while things go wrong.
    #[arg(long, default_value_t = 1_000)]
    requests: usize,
    /// Has an administrator change the members, in two of three seeds.
    #[arg(long)]
    reconfigs: bool,
    /// Prints everything that happens.
    #[arg(long)]
    trace: bool,
    /// Prints what the servers log, too.
    #[arg(long)]
    log: bool,
    /// Runs with this mistake switched on (needs the feature `mutations`).
    #[arg(long, value_parser = mutation_of)]
    mutation: Option<Mutation>,
    /// Looks for each mistake in turn, in up to `--runs` seeds (needs the feature `mutations`).
    #[arg(long)]
    mutations: bool,
}

fn mutation_of(name: &str) -> Result<Mutation, String> {
    let all = Mutation::ALL.iter();
    let found = all.copied().find(|mutation| format!("{mutation:?}") == name);
    found.ok_or_else(|| format!("one of {:?}", Mutation::ALL))
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.log {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().init();
    }
    if args.mutations || args.mutation.is_some() {
        if !cfg!(feature = "mutations") {
            eprintln!("mistakes can be switched on only with --features mutations");
            return ExitCode::FAILURE;
        }
        // What they do is printed once it is known which.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let is_well = match args.mutations {
        // All are looked for, also after one that is not found.
        true => Mutation::ALL.map(|mutation| find(&args, mutation)).iter().all(|found| *found),
        false => run_all(&args),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs seeds on all processors until one fails; gives that one, the smallest if there are several.
fn run_seeds(
    args: &Args,
    mutation: Option<Mutation>,
    tell: &(dyn Fn(&Outcome) + Sync),
) -> Option<Outcome> {
    let next = AtomicU64::new(args.seed);
    let end = args.seed + args.runs;
    let is_over = AtomicBool::new(false);
    let failed: Mutex<Option<Outcome>> = Mutex::new(None);
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    let threads = if args.trace || args.log { 1 } else { threads };
    let options = Options {
        requests: args.requests,
        may_reconfigure: args.reconfigs || mutation.is_some_and(needs_reconfigs),
        mutation,
        is_printed: args.trace,
    };
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let outcome = run(seed, options);
            tell(&outcome);
            if outcome.verdict.is_err() {
                is_over.store(true, Ordering::Relaxed);
                let mut failed = failed.lock().expect("nobody panics with it");
                if failed.as_ref().is_none_or(|before| before.seed > seed) {
                    *failed = Some(outcome);
                }
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    failed.into_inner().expect("nobody panics with it")
}

/// Whether a mistake shows only where the members change.
fn needs_reconfigs(mutation: Mutation) -> bool {
    matches!(mutation, Mutation::OldQuorumIsEnough | Mutation::ActivateProposed)
}

fn run_all(args: &Args) -> bool {
    let begin = Instant::now();
    let sums = Mutex::new(Sums::default());
    let tell = |outcome: &Outcome| {
        sums.lock().expect("nobody panics with it").add(outcome);
        if args.runs <= 10 {
            println!(
                "seed {}: {} requests, {} answers, {} transactions, {} reconfigs, {} epochs, {} s \
                 simulated in {:.2} s, trace {:016x}",
                outcome.seed,
                outcome.requests,
                outcome.answers,
                outcome.transactions,
                outcome.reconfigs[0],
                outcome.epochs,
                outcome.simulated / SECOND,
                outcome.took.as_secs_f64(),
                outcome.trace
            );
        }
    };
    let failed = run_seeds(args, args.mutation, &tell);
    let took = begin.elapsed().as_secs_f64();
    let sums = sums.into_inner().expect("nobody panics with it");
    println!("{sums}");
    println!(
        "{took:.1} s: {:.0} requests a second, {:.0} times as fast as real time",
        sums.requests as f64 / took,
        (sums.simulated / SECOND) as f64 / took
    );
    let Some(failed) = failed else { return true };
    if let Err(violation) = &failed.verdict {
        println!("seed {} FAILED: {violation}", failed.seed);
    }
    let Args { requests, .. } = args;
    let more = match (args.mutation, *requests) {
        (None, 1_000) => String::new(),
        (None, requests) => format!(" --requests {requests}"),
        (Some(mutation), requests) => format!(" --requests {requests} --mutation {mutation:?}"),
    };
    let more = if args.reconfigs { format!(" --reconfigs{more}") } else { more };
    let features = if args.mutation.is_some() { " --features mutations" } else { "" };
    println!("again: cargo run --release -p sim{features} -- --seed {} --trace{more}", failed.seed);
    false
}

/// What came of many runs.
#[derive(Debug, Default)]
struct Sums {
    runs: usize,
    requests: usize,
    answers: usize,
    transactions: usize,
    reconfigs: [usize; 3],
    epochs: i64,
    simulated: u64,
}

impl Sums {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.requests += outcome.requests;
        self.answers += outcome.answers;
        self.transactions += outcome.transactions;
        self.reconfigs.iter_mut().zip(outcome.reconfigs).for_each(|(sum, one)| *sum += one);
        self.epochs += outcome.epochs;
        self.simulated += outcome.simulated;
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, requests, answers, transactions, epochs, .. } = self;
        let [reconfigs, without_leader, ended_amid] = self.reconfigs;
        write!(
            f,
            "{runs} seeds: {requests} requests, {answers} answers, {transactions} transactions, \
             {reconfigs} reconfigs ({without_leader} without the leader; {ended_amid} processes \
             ended amid one), {epochs} epochs"
        )
    }
}

/// Looks for a mistake.
fn find(args: &Args, mutation: Mutation) -> bool {
    let begin = Instant::now();
    let failed = run_seeds(args, Some(mutation), &|_| {});
    let took = begin.elapsed().as_secs_f64();
    match failed.map(|outcome| (outcome.seed, outcome.verdict)) {
        Some((seed, Err(violation))) => {
            let seeds = seed - args.seed + 1;
            let text: String = violation.to_string().chars().take(140).collect();
            println!("{mutation:?}: found with {seeds} seeds, {took:.1} s: {text}");
            true
        }
        _ => {
            println!("{mutation:?}: NOT found in {} seeds, {took:.1} s", args.runs);
            false
        }
    }
}
