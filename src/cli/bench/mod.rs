//! `gamekeeper bench`: a load generator that drives any ZooKeeper-compatible server over the wire.
//!
//! It must cost far less than the server it measures: sessions share a thread's epoll loop,
//! requests are encoded once and patched, a batch of replies is one read and is followed by one
//! write, and nothing is allocated for an operation. `docs/BENCH.md` says how to use it and how to
//! read its figures.

mod args;
mod compare;
mod driver;
mod error;
mod idle;
mod link;
mod measure;
mod pool;
mod process;
mod report;
mod request;
mod run;
mod session;
mod stage;
mod stats;
#[cfg(test)]
mod tests;
mod watch;
mod workload;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

pub use args::{Args, WorkloadName};
use compare::Comparison;
use error::BenchError;
use process::Process;
use report::Report;
use serde::Serialize;
use session::Target;

/// Open files beside the sessions' connections.
const SPARE_FILES: u64 = 100;

/// Runs the benchmark and prints what it found. Fails if it could not be run to its end, or if a
/// server answered with errors.
pub fn run(args: Args) -> ExitCode {
    match bench(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gamekeeper bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went without error replies and losses.
fn bench(args: &Args) -> Result<bool, BenchError> {
    args.validate().map_err(BenchError::Usage)?;
    process::allow_files(args.sessions() as u64 + SPARE_FILES)?;
    let timeout_ms = args.session_timeout as i32;
    let target = Target::resolve(&args.server, timeout_ms)?;
    match &args.against {
        Some(other) => compare(args, &target, &Target::resolve(other, timeout_ms)?),
        None => single(args, &target),
    }
}

fn single(args: &Args, target: &Target) -> Result<bool, BenchError> {
    let server = find_process(args.server_pid, target);
    let report = Report::new(args, &target.name, &run::run_once(args, target, server)?);
    if !json_to_output(args) {
        println!("{}", report.title());
        print!("{}", report.text());
    }
    write_json(args, &report)?;
    Ok(report.is_clean())
}

fn compare(args: &Args, target: &Target, against: &Target) -> Result<bool, BenchError> {
    let sides = [(target, args.server_pid), (against, args.against_pid)];
    let sides = sides.map(|(target, pid)| (target, find_process(pid, target)));
    let mut runs = Vec::new();
    for pair in 1..=args.pairs {
        for (target, server) in sides {
            let measured = run::run_once(args, target, server)?;
            let report = Report::new(args, &target.name, &measured);
            if !json_to_output(args) {
                if runs.is_empty() {
                    println!("{}\n{}", report.title(), compare::HEADING);
                }
                println!("{}", compare::row(pair, &report));
            }
            runs.push(report);
        }
    }
    let comparison = Comparison::new(runs);
    if !json_to_output(args) {
        print!("{}", comparison.text());
    }
    write_json(args, &comparison)?;
    Ok(comparison.runs.iter().all(Report::is_clean))
}

fn find_process(given: Option<u32>, target: &Target) -> Option<Process> {
    given.map(|pid| Process { pid }).or_else(|| Process::listening_on(target.address))
}

/// Whether the JSON takes the place of the text.
fn json_to_output(args: &Args) -> bool {
    args.json.as_deref() == Some(Path::new("-"))
}

fn write_json(args: &Args, result: &impl Serialize) -> Result<(), BenchError> {
    let Some(path) = &args.json else { return Ok(()) };
    let json = serde_json::to_string_pretty(result).expect("results have only plain fields");
    if json_to_output(args) {
        println!("{json}");
        return Ok(());
    }
    let what = format!("writing {}", path.display());
    fs::write(path, json + "\n").map_err(BenchError::io(what))
}
