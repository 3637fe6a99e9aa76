//! Runs seeds.
//!
//! ```text
//! sim --seed 1 --runs 300       seeds 1 to 300; exit status 0 only if all hold
//! sim --seed 17 --trace         one seed, with everything that happens
//! sim --mutations               each named mistake of the server must be found
//! ```

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use gamekeeper::mutation::Mutation;
use sim::queue::SECOND;
use sim::run::{Outcome, run};

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
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let outcome = run(seed, args.requests, mutation, args.trace);
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

fn run_all(args: &Args) -> bool {
    let begin = Instant::now();
    let sums = Mutex::new((0_u64, 0_usize, 0_usize, 0_usize, 0_i64, 0_u64));
    let tell = |outcome: &Outcome| {
        let mut sums = sums.lock().expect("nobody panics with it");
        sums.0 += 1;
        sums.1 += outcome.requests;
        sums.2 += outcome.answers;
        sums.3 += outcome.transactions;
        sums.4 += outcome.epochs;
        sums.5 += outcome.simulated;
        if args.runs <= 10 {
            println!(
                "seed {}: {} requests, {} answers, {} transactions, {} epochs, {} s simulated in \
                 {:.2} s, trace {:016x}",
                outcome.seed,
                outcome.requests,
                outcome.answers,
                outcome.transactions,
                outcome.epochs,
                outcome.simulated / SECOND,
                outcome.took.as_secs_f64(),
                outcome.trace
            );
        }
    };
    let failed = run_seeds(args, args.mutation, &tell);
    let (runs, requests, answers, transactions, epochs, simulated) =
        *sums.lock().expect("nobody panics with it");
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{runs} seeds in {took:.1} s: {requests} requests, {answers} answers, {transactions} \
         transactions, {epochs} epochs, {:.0} requests a second, {:.0} times as fast as real time",
        requests as f64 / took,
        (simulated / SECOND) as f64 / took
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
    let features = if args.mutation.is_some() { " --features mutations" } else { "" };
    println!("again: cargo run --release -p sim{features} -- --seed {} --trace{more}", failed.seed);
    false
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
