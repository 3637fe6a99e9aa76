//! `gamekeeper bench`: a load generator that drives any ZooKeeper-compatible server over the wire.
//!
//! It must cost far less than the server it measures: sessions share a thread's epoll loop, requests are encoded
//! once and patched, a batch of replies is one read and is followed by one write, and nothing is allocated for an
//! operation. `docs/BENCH.md` says how to use it and how to read its figures.

mod args;
mod driver;
mod error;
mod link;
mod measure;
mod process;
mod report;
mod request;
mod run;
mod session;
mod stage;
mod stats;
mod workload;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

pub use args::{Args, WorkloadName};
use error::BenchError;
use process::Process;
use report::Report;
use session::Target;

/// Runs the benchmark and prints what it found. Fails if it could not be run to its end, or if a server answered
/// with errors.
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

/// Whether all went without error replies.
fn bench(args: &Args) -> Result<bool, BenchError> {
    args.validate().map_err(BenchError::Usage)?;
    let target = Target::resolve(&args.server, args.session_timeout as i32)?;
    let server = find_process(args.server_pid, &target);
    let report = Report::new(args, &target.name, &run::run_once(args, &target, server)?);
    let to_output = args.json.as_deref() == Some(Path::new("-"));
    if !to_output {
        println!("{} at {}", report.workload.name(), report.server);
        print!("{}", report.text());
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report).expect("a report has only plain fields");
        if to_output {
            println!("{json}");
        } else {
            let what = format!("writing {}", path.display());
            fs::write(path, json + "\n").map_err(BenchError::io(what))?;
        }
    }
    Ok(report.errors.is_empty())
}

fn find_process(given: Option<u32>, target: &Target) -> Option<Process> {
    given.map(|pid| Process { pid }).or_else(|| Process::listening_on(target.address))
}
