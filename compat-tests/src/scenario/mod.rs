//! What is done to ensembles, for tests and for `src/bin/ensemble.rs`.
//!
//! A scenario of harm runs a [`Workload`] against an ensemble on proxied links, does its harm again
//! and again until its time is up, heals everything, waits until every writer gets on, and has the
//! notes judged. The others measure, or look how a learner was synchronised.

pub mod bench;
mod harm;
mod rolling;
pub mod sync_cases;
pub mod timing;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::ensemble::Layout;
use crate::history::checker::{check, sound};
use crate::history::workload::{Load, Workload};
use crate::history::{History, Summary, Trouble};
use crate::hosts::Hosts;
use crate::rng::Rng;
use crate::server::ServerUnderTest;

/// How long writers may take to get on after all is healed.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);

/// Longer than the members of [`Layout::new`] wait for a silent one, in milliseconds.
const BEYOND_SYNC_LIMIT_MS: u64 = 3_000;

/// What can be done to an ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// kill -9 of the leader, and its restart.
    LeaderKill,
    /// The same of a follower.
    FollowerKill,
    /// The leader frozen for longer than `syncLimit`.
    LeaderFreeze,
    /// The same of a follower.
    FollowerFreeze,
    /// Each member stopped with SIGTERM and started again.
    RollingRestart,
    /// The leader cut off from all others, silently.
    LeaderIsolated,
    /// The same of a follower.
    FollowerIsolated,
    /// One direction between the leader and a follower cut, silently.
    OneWay,
    /// All connections of the leader closed, and new ones refused for a while.
    LinksClosed,
    /// kill -9 of all at once.
    AllKilled,
    /// A disk whose flushes take long.
    SlowDisk,
    /// A disk that fails: its server ends.
    FailingDisk,
    /// A disk that says it is full: likewise.
    FullDisk,
    /// A disk that really is small, and full: likewise.
    SmallDisk,
    /// A clock that jumps by hours.
    ClockJump,
    /// All of these by chance, also several at once.
    Torture,
    /// Each member replaced by another kind of server on its data, and back.
    RollingReplace,
    /// Nothing.
    Calm,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::LeaderKill,
        Self::FollowerKill,
        Self::LeaderFreeze,
        Self::FollowerFreeze,
        Self::RollingRestart,
        Self::LeaderIsolated,
        Self::FollowerIsolated,
        Self::OneWay,
        Self::LinksClosed,
        Self::AllKilled,
        Self::SlowDisk,
        Self::FailingDisk,
        Self::FullDisk,
        Self::SmallDisk,
        Self::ClockJump,
        Self::Torture,
        Self::RollingReplace,
        Self::Calm,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaderKill => "leader-kill",
            Self::FollowerKill => "follower-kill",
            Self::LeaderFreeze => "leader-freeze",
            Self::FollowerFreeze => "follower-freeze",
            Self::RollingRestart => "rolling-restart",
            Self::LeaderIsolated => "leader-isolated",
            Self::FollowerIsolated => "follower-isolated",
            Self::OneWay => "one-way",
            Self::LinksClosed => "links-closed",
            Self::AllKilled => "all-killed",
            Self::SlowDisk => "slow-disk",
            Self::FailingDisk => "failing-disk",
            Self::FullDisk => "full-disk",
            Self::SmallDisk => "small-disk",
            Self::ClockJump => "clock-jump",
            Self::Torture => "torture",
            Self::RollingReplace => "rolling-replace",
            Self::Calm => "calm",
        }
    }
}

impl Scenario {
    /// Whether it breaks disks or clocks.
    fn needs_machines(self) -> bool {
        use Scenario::*;
        matches!(self, SlowDisk | FailingDisk | FullDisk | ClockJump | Torture)
    }

    /// Whether it fills disks.
    fn needs_small_disks(self) -> bool {
        matches!(self, Self::SmallDisk | Self::Torture)
    }

    /// Whether writes or flushes of a log fail.
    fn breaks_logs(self) -> bool {
        matches!(self, Self::FailingDisk | Self::FullDisk | Self::SmallDisk)
    }

    /// Whether it is done to links, or to all, and not to one member that has to be up.
    fn is_of_links(self) -> bool {
        use Scenario::*;
        matches!(self, LeaderIsolated | FollowerIsolated | OneWay | LinksClosed | AllKilled)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            format!("{name} is none of {}", names.join(", "))
        })
    }
}

/// How a scenario is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The voters.
    pub members: Vec<ServerUnderTest>,
    /// Observers beside them.
    pub observers: Vec<ServerUnderTest>,
    /// What members become in [`Scenario::RollingReplace`], in turn.
    pub replacements: Vec<ServerUnderTest>,
    /// How long harm is done; a round that has begun is ended.
    pub duration: Duration,
    /// Seed of all choices.
    pub seed: u64,
}

impl Plan {
    /// A plan for these voters.
    pub fn new(members: &[ServerUnderTest], duration: Duration, seed: u64) -> Self {
        let replacements = members.to_vec();
        Self { members: members.to_vec(), observers: Vec::new(), replacements, duration, seed }
    }

    /// Its members, with short ticks.
    pub fn layout(&self) -> Layout {
        let observers = self.observers.iter();
        observers.fold(Layout::new(&self.members), |layout, kind| layout.with_observer(*kind))
    }

    /// What runs a scenario by this plan.
    fn command(&self, scenario: Scenario) -> String {
        let mut command = format!(
            "cargo run --release -p compat-tests --bin ensemble -- --scenario {scenario} \
             --members {} --seconds {} --seed {}",
            names(&self.members),
            self.duration.as_secs(),
            self.seed
        );
        if !self.observers.is_empty() {
            command += &format!(" --observers {}", names(&self.observers));
        }
        if self.replacements != self.members {
            command += &format!(" --with {}", names(&self.replacements));
        }
        command
    }
}

/// A scenario while it runs.
struct Run {
    hosts: Box<dyn Hosts>,
    workload: Workload,
    rng: Rng,
    plan: Plan,
    /// What was done, and how often.
    faults: BTreeMap<&'static str, usize>,
}

impl Run {
    /// Everything whole again, and every writer getting on.
    fn recover(&mut self) {
        self.workload.step("recover");
        self.hosts.recover();
        self.progress();
    }

    /// Waits until every writer gets on; panics if one never does.
    fn progress(&mut self) {
        assert!(
            self.workload.wait_for_progress(5, PROGRESS_LIMIT),
            "a writer has been stuck for {PROGRESS_LIMIT:?}: {}",
            self.hosts.describe()
        );
    }
}

/// Runs a scenario on processes and judges it; panics with what is wrong.
pub fn run(scenario: Scenario, plan: &Plan) -> Summary {
    println!("{scenario} of {} with seed {}", names(&plan.members), plan.seed);
    let command = plan.command(scenario);
    println!("again: {command}");
    let layout = plan.layout().proxied();
    let layout = if scenario.needs_machines() { layout.on_machines() } else { layout };
    let layout = if scenario.needs_small_disks() { layout.on_small_disks() } else { layout };
    judge(Box::new(layout.start()), scenario, plan, Some(&command))
}

/// [`run`] on hosts whose members serve.
pub fn run_on(hosts: Box<dyn Hosts>, scenario: Scenario, plan: &Plan) -> Summary {
    judge(hosts, scenario, plan, None)
}

fn judge(hosts: Box<dyn Hosts>, scenario: Scenario, plan: &Plan, command: Option<&str>) -> Summary {
    let load = Load { seed: plan.seed, ..Load::default() };
    let workload = Workload::start(&hosts.addresses(), load);
    let (rng, faults) = (Rng::new(plan.seed), BTreeMap::new());
    let mut run = Run { hosts, workload, rng, plan: plan.clone(), faults };
    run.progress();
    let deadline = Instant::now() + plan.duration;
    loop {
        match scenario {
            Scenario::RollingRestart => rolling::restart(&mut run),
            Scenario::RollingReplace => rolling::replace(&mut run),
            Scenario::Torture => harm::torture(&mut run, deadline),
            _ => harm::once(&mut run, scenario),
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    run.recover();
    let mut history: History = run.workload.finish();
    history.troubles.extend(failed_assertions(&*run.hosts));
    let judged = check(&*run.hosts, &history);
    println!("{scenario}: {}", history.summary());
    let faults = run.faults.iter().map(|(kind, times)| format!("{kind} {times}"));
    println!("operations: {}", history.operations());
    println!("faults: {}", faults.collect::<Vec<_>>().join(", "));
    println!("violations: {}", judged.as_ref().err().map_or(0, Vec::len));
    if let Some(command) = command {
        println!("again: {command}");
    }
    sound(judged, &history)
}

/// Servers of ours that ended by an assertion, whoever killed or started them since.
fn failed_assertions(hosts: &dyn Hosts) -> Vec<Trouble> {
    let failed = (0..hosts.len()).flat_map(|member| {
        let log = hosts.log(member);
        let lines: Vec<&str> = log.lines().collect();
        let failed = lines.windows(2).filter(|pair| pair[0].contains("panicked at"));
        let trouble = |pair: &[&str]| Trouble::new(format!("member {member}: {}", pair.join(" ")));
        failed.map(trouble).collect::<Vec<_>>()
    });
    failed.collect()
}

/// Kinds, with commas between them.
pub fn names(kinds: &[ServerUnderTest]) -> String {
    kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
