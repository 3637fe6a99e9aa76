//! Runs ensembles of real servers through scenarios, measures them, and judges what they did.

use std::process::ExitCode;
use std::time::Duration;

use compat_tests::options::Options;
use compat_tests::scenario::bench::{self, BenchPlan};
use compat_tests::scenario::{Plan, Scenario, names, run, sync_cases, timing};

const HELP: &str = "\
ensemble [--members KINDS] --scenario NAME [options]

  --members KINDS       ours, apache-3.8.0, apache-3.9.3, apache-3.9.6, with commas
                        [apache-3.9.6,apache-3.9.6,apache-3.9.6]
  --scenario NAME       leader-kill follower-kill leader-freeze follower-freeze rolling-restart
                        leader-isolated follower-isolated one-way links-closed all-killed
                        slow-disk failing-disk full-disk small-disk clock-jump torture
                        rolling-replace calm: under load, and judged;
                        failover cold-start: times until the first write, --rounds times [10];
                        hand-over: the longest pause of writes while the leader is stopped;
                        sync: DIFF, SNAP and TRUNC of a member that comes back;
                        bench: two ensembles under the same load in turn
  --seconds N           how long harm is done, or one measurement takes [30]
  --seed N              of all choices [1]
  --observers KINDS     beside the members
  --with KINDS          rolling-replace: what the members become
  --against KINDS       bench: the second ensemble
  --workload NAME       bench: a workload of gamekeeper bench [set]
  --at WHERE            bench: clients connect to leader, follower or all [all]
  --sessions N          bench [30]
  --outstanding N       bench: requests each session keeps unanswered [8]
  --rounds N            failover, hand-over, cold-start, bench [10]
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&NAMES, &arguments).and_then(|options| go(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ensemble: {message}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn go(options: &Options) -> Result<(), String> {
    let apache = "apache-3.9.6,apache-3.9.6,apache-3.9.6";
    let members = options.list("members", apache)?;
    let seconds = options.value("seconds", 30)?;
    let rounds = options.value("rounds", 10)?;
    match options.text("scenario", "") {
        "failover" => {
            println!("failover of {}: {}", names(&members), timing::failover(&members, rounds));
        }
        "hand-over" => {
            println!("hand-over of {}: {}", names(&members), timing::hand_over(&members, rounds));
        }
        "cold-start" => {
            println!("cold start of {}: {}", names(&members), timing::cold_start(&members, rounds));
        }
        "sync" => {
            sync_cases::little_behind(&members);
            sync_cases::far_behind(&members);
            sync_cases::diverged(&members);
            sync_cases::diverged_across_epochs(&members);
        }
        "bench" => bench::run(&BenchPlan {
            members: [members, options.list("against", apache)?],
            workload: options.text("workload", "set").into(),
            at: options.text("at", "all").parse()?,
            sessions: options.value("sessions", 30)?,
            outstanding: options.value("outstanding", 8)?,
            seconds,
            pairs: rounds,
        }),
        scenario => {
            let scenario: Scenario = scenario.parse()?;
            let duration = Duration::from_secs(seconds);
            let mut plan = Plan::new(&members, duration, options.value("seed", 1)?);
            plan.observers = options.list("observers", "")?;
            plan.replacements = options.list("with", &names(&members))?;
            run(scenario, &plan);
        }
    }
    Ok(())
}

/// Its options.
const NAMES: [&str; 12] = [
    "members",
    "scenario",
    "seconds",
    "seed",
    "observers",
    "with",
    "against",
    "workload",
    "at",
    "sessions",
    "outstanding",
    "rounds",
];
