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

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::ensemble::Layout;
use crate::history::checker::assert_sound;
use crate::history::workload::{Load, Workload};
use crate::history::{History, Summary};
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
    /// A disk that is full: likewise.
    FullDisk,
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
    pub const ALL: [Self; 17] = [
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
}

/// A scenario while it runs.
struct Run {
    hosts: Box<dyn Hosts>,
    workload: Workload,
    rng: Rng,
    plan: Plan,
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
    let layout = plan.layout().proxied();
    let ensemble = if scenario.needs_machines() { layout.on_machines() } else { layout }.start();
    run_on(Box::new(ensemble), scenario, plan)
}

/// [`run`] on hosts whose members serve.
pub fn run_on(hosts: Box<dyn Hosts>, scenario: Scenario, plan: &Plan) -> Summary {
    let load = Load { seed: plan.seed, ..Load::default() };
    let workload = Workload::start(&hosts.addresses(), load);
    let mut run = Run { hosts, workload, rng: Rng::new(plan.seed), plan: plan.clone() };
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
    let history: History = run.workload.finish();
    let summary = assert_sound(&*run.hosts, &history);
    println!("{scenario}: {summary}");
    summary
}

/// Kinds, with commas between them.
pub fn names(kinds: &[ServerUnderTest]) -> String {
    kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
