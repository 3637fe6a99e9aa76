//! Harm to one member or link at a time, and all of it mixed.

use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{BEYOND_SYNC_LIMIT_MS, Run, Scenario};
use crate::ensemble::links::Cut;
use crate::hosts::Hosts;
use crate::machine::{Call, Machine};
use crate::server::ServerUnderTest;

/// What torture picks from, with how often.
const MIX: [(usize, Scenario); 14] = [
    (4, Scenario::LeaderKill),
    (4, Scenario::FollowerKill),
    (2, Scenario::LeaderFreeze),
    (2, Scenario::FollowerFreeze),
    (3, Scenario::LeaderIsolated),
    (3, Scenario::FollowerIsolated),
    (3, Scenario::OneWay),
    (2, Scenario::LinksClosed),
    (1, Scenario::AllKilled),
    (2, Scenario::SlowDisk),
    (1, Scenario::FailingDisk),
    (1, Scenario::FullDisk),
    (1, Scenario::SmallDisk),
    (1, Scenario::ClockJump),
];

/// Longest delay of a flush on a slow disk, in milliseconds; below `syncLimit`.
const SLOW_FLUSH_MS_MAX: usize = 400;

/// Calls that a disk may still carry out before it fails.
const CALLS_LEFT_MAX: usize = 200;

/// Bytes that a disk may still take before it is full.
const FREE_BYTES_MAX: usize = 256 << 10;

/// How far a clock jumps to either side, in seconds.
const CLOCK_JUMP_SECONDS_MAX: usize = 10_000;

/// Harm is left alone for so long at most before more comes or all is healed, in milliseconds.
const TORTURE_HOLD_MS_MAX: usize = 3_500;

/// In so many of a thousand cases torture heals before it goes on.
const TORTURE_HEALS: usize = 600;

/// Does one scenario's harm, waits until the others get on where they can, and heals.
pub(super) fn once(run: &mut Run, scenario: Scenario) {
    let leader = run.hosts.wait_for_leader();
    do_harm(run, scenario, leader);
    match scenario {
        Scenario::Calm => hold(Duration::from_millis(500)),
        // The others elect a new leader, or do without the follower.
        Scenario::LeaderKill
        | Scenario::FollowerKill
        | Scenario::LeaderFreeze
        | Scenario::LeaderIsolated
        | Scenario::LinksClosed => run.progress(),
        Scenario::AllKilled => {}
        _ => hold(Duration::from_millis(BEYOND_SYNC_LIMIT_MS)),
    }
    run.recover();
}

/// Harm upon harm, each seed the same.
pub(super) fn torture(run: &mut Run, deadline: Instant) {
    while Instant::now() < deadline {
        let scenario = run.rng.weighted(&MIX);
        // Nobody may lead just now.
        let leader = run.hosts.leader();
        let leader = leader.unwrap_or_else(|| run.rng.below(run.hosts.len()));
        do_harm(run, scenario, leader);
        hold(Duration::from_millis(run.rng.below(TORTURE_HOLD_MS_MAX) as u64));
        if run.rng.per_mille(TORTURE_HEALS) {
            run.recover();
        }
    }
}

fn hold(time: Duration) {
    thread::sleep(time);
}

fn machine(hosts: &dyn Hosts, member: usize) -> &Machine {
    hosts.machine(member).expect("hosts with machines, as the scenario needs them")
}

/// Does harm, as far as who it is meant for is still up.
fn do_harm(run: &mut Run, scenario: Scenario, leader: usize) {
    let voters = run.plan.members.len();
    let others: Vec<usize> = (0..voters).filter(|member| *member != leader).collect();
    let follower = *run.rng.pick(&others);
    let target = match scenario {
        Scenario::FollowerKill | Scenario::FollowerFreeze | Scenario::FollowerIsolated => follower,
        Scenario::SlowDisk
        | Scenario::FailingDisk
        | Scenario::FullDisk
        | Scenario::SmallDisk
        | Scenario::ClockJump => run.rng.below(voters),
        _ => leader,
    };
    let who = format!("{target} ({})", run.hosts.kind(target));
    let (hosts, workload) = (&mut run.hosts, &mut run.workload);
    if !scenario.is_of_links() && !hosts.is_up(target) {
        return;
    }
    // Apache's server goes on when its log has failed, and logs what comes next behind the hole
    // (docs/COMPAT.md): it breaks what is asked of it here.
    if scenario.breaks_logs() && hosts.kind(target) != ServerUnderTest::Gamekeeper {
        return;
    }
    match scenario {
        Scenario::LeaderKill | Scenario::FollowerKill => {
            workload.step(format!("{scenario}: kill -9 of member {who}"));
            hosts.kill(target);
        }
        Scenario::LeaderFreeze | Scenario::FollowerFreeze => {
            workload.step(format!("{scenario}: SIGSTOP to member {who}"));
            hosts.pause(target);
        }
        Scenario::LeaderIsolated | Scenario::FollowerIsolated => {
            workload.step(format!("{scenario}: member {who} is cut off"));
            hosts.cut(target, Cut::Drop);
        }
        Scenario::OneWay => {
            let (from, to) = match run.rng.below(2) {
                0 => (leader, follower),
                _ => (follower, leader),
            };
            workload.step(format!("one-way: member {from} to {to} is cut; {leader} leads"));
            if let Err(reason) = hosts.cut_one_way(from, to) {
                workload.step(format!("not done: {reason}"));
                return;
            }
        }
        Scenario::LinksClosed => {
            workload.step(format!("links-closed: those of member {who}"));
            hosts.cut(target, Cut::Close);
        }
        Scenario::AllKilled => {
            workload.step("all-killed: kill -9 of every member");
            for member in (0..hosts.len()).filter(|m| hosts.is_up(*m)).collect::<Vec<_>>() {
                hosts.kill(member);
            }
        }
        Scenario::SlowDisk => {
            let delay = Duration::from_millis(run.rng.below(SLOW_FLUSH_MS_MAX) as u64);
            workload.step(format!("slow-disk: flushes of member {who} take {delay:?} longer"));
            machine(&**hosts, target).slow_flushes(delay);
        }
        Scenario::FailingDisk | Scenario::FullDisk => {
            let after = run.rng.below(CALLS_LEFT_MAX) as i64;
            let (call, error) = match scenario {
                Scenario::FailingDisk => (Call::Flush, Errno::IO),
                _ => (Call::Write, Errno::NOSPC),
            };
            workload.step(format!("{scenario}: {call:?} of member {who} fails after {after}"));
            machine(&**hosts, target).fail(call, error.raw_os_error(), after);
        }
        Scenario::SmallDisk => {
            let free = run.rng.below(FREE_BYTES_MAX) as u64;
            if !hosts.fill_disk(target, free) {
                workload.step(format!("not done: the disk of member {who} cannot be full"));
                return;
            }
            workload.step(format!("small-disk: that of member {who} has {free} bytes left"));
        }
        Scenario::ClockJump => {
            let by = run.rng.below(2 * CLOCK_JUMP_SECONDS_MAX) as i64;
            let by = by - CLOCK_JUMP_SECONDS_MAX as i64;
            workload.step(format!("clock-jump: of member {who}, by {by} s"));
            machine(&**hosts, target).set_clock_wrong(by);
        }
        Scenario::RollingRestart
        | Scenario::RollingReplace
        | Scenario::Torture
        | Scenario::Calm => return,
    }
    *run.faults.entry(scenario.name()).or_default() += 1;
}
