//! Ensembles in containers, as users of the official image run them, under harm and under load:
//! what was acknowledged is kept, and members find each other again, also under new addresses.
//!
//! Where no engine runs containers, the same scenarios run as processes on loopback. With
//! `COMPAT_CONTAINERS=whole` every release and every scenario of harm takes part.

use std::time::Duration;
use std::{env, thread};

use compat_tests::ensemble::links::Cut;
use compat_tests::history::checker::assert_sound;
use compat_tests::history::workload::{Load, Workload};
use compat_tests::hosts::{self, Role};
use compat_tests::scenario::{Plan, Scenario, names, run_on};
use compat_tests::server::{APACHE_RELEASES, REFERENCE, ServerUnderTest};

const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;

/// How long writers may take to get on after harm.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);

fn is_whole() -> bool {
    env::var("COMPAT_CONTAINERS").is_ok_and(|value| value == "whole")
}

/// Apache's servers that take part. Each is an image, which takes minutes to build at first.
fn apache() -> Vec<ServerUnderTest> {
    match is_whole() {
        true => APACHE_RELEASES.map(ServerUnderTest::Apache).into(),
        false => vec![REFERENCE],
    }
}

/// Seed of the choices; `COMPAT_SEED` names another.
fn seed() -> u64 {
    let text = env::var("COMPAT_SEED").unwrap_or_else(|_| "1".into());
    text.parse().unwrap_or_else(|_| panic!("COMPAT_SEED={text} is no number"))
}

/// Says how to repeat a test alone if it fails.
struct Repeat;

impl Drop for Repeat {
    fn drop(&mut self) {
        if thread::panicking() {
            let variables = ["COMPAT_CONTAINERS", "GAMEKEEPER_BIN"];
            let set = variables.map(|name| env::var(name).map(|value| format!("{name}={value} ")));
            eprintln!(
                "to repeat it alone: {}COMPAT_SEED={} cargo test -p compat-tests --test containers \
                 -- --exact {} --nocapture",
                set.into_iter().flatten().collect::<String>(),
                seed(),
                thread::current().name().unwrap_or_default(),
            );
        }
    }
}

/// Runs a scenario on each of these ensembles; the last member leads at first.
fn judge(scenario: Scenario, mixes: &[[ServerUnderTest; 3]], more: impl Fn(&mut Plan)) {
    let _repeat = Repeat;
    for mix in mixes {
        let duration = Duration::from_secs(if is_whole() { 20 } else { 0 });
        let mut plan = Plan::new(mix, duration, seed());
        more(&mut plan);
        let observers = match plan.observers.is_empty() {
            true => String::new(),
            false => format!(" with observers {}", names(&plan.observers)),
        };
        println!("{scenario} of {}{observers}, seed {}", names(mix), plan.seed);
        run_on(hosts::start(plan.layout()), scenario, &plan);
    }
}

/// Ensembles that a server of ours leads.
fn led_by_us() -> Vec<[ServerUnderTest; 3]> {
    apache().into_iter().map(|apache| [apache, apache, OURS]).collect()
}

/// Ensembles that one of Apache's leads.
fn led_by_apache() -> Vec<[ServerUnderTest; 3]> {
    apache().into_iter().map(|apache| [OURS, OURS, apache]).collect()
}

/// The member that was killed returns under another address.
#[test]
fn the_leader_is_killed() {
    judge(Scenario::LeaderKill, &[[OURS; 3]], |_| {});
    judge(Scenario::LeaderKill, &led_by_us(), |_| {});
}

#[test]
fn the_leader_is_paused() {
    judge(Scenario::LeaderFreeze, &led_by_apache(), |_| {});
}

#[test]
fn the_leader_leaves_the_network_and_returns() {
    judge(Scenario::LeaderIsolated, &led_by_us(), |_| {});
}

#[test]
fn a_follower_leaves_the_network_and_returns() {
    judge(Scenario::FollowerIsolated, &[[OURS; 3]], |_| {});
    judge(Scenario::FollowerIsolated, &led_by_apache(), |_| {});
}

#[test]
fn packets_are_lost_in_one_direction() {
    judge(Scenario::OneWay, &led_by_us(), |_| {});
}

#[test]
fn members_are_replaced_on_their_volumes_under_load() {
    for apache in apache() {
        judge(Scenario::RollingReplace, &[[apache; 3]], |plan| {
            plan.duration = Duration::ZERO;
            plan.replacements = vec![OURS; 3];
        });
    }
}

/// Its connections are those of an address that is gone, and say nothing of it. Apache's servers
/// wait then until TCP gives up, so they have no part in this.
#[test]
fn a_follower_returns_to_the_network_under_another_address() {
    let _repeat = Repeat;
    let plan = Plan::new(&[OURS; 3], Duration::ZERO, seed());
    // A server that listens at the address it had at first is not found again.
    let mut hosts = hosts::start(plan.layout().with_config("quorumListenOnAllIPs=true"));
    let mut workload =
        Workload::start(&hosts.addresses(), Load { seed: plan.seed, ..Load::default() });
    let follower = hosts.follower(0);
    workload.step(format!("member {follower} leaves the network"));
    hosts.cut(follower, Cut::Drop);
    assert!(workload.wait_for_progress(5, PROGRESS_LIMIT), "writes of the others");
    workload.step(format!("member {follower} returns under another address"));
    hosts.heal_elsewhere();
    hosts.wait_until_all_serve();
    assert!(workload.wait_for_progress(5, PROGRESS_LIMIT), "writes of all");
    println!("{}", assert_sound(&*hosts, &workload.finish()));
}

/// What `./test` leaves to the whole: more kinds of harm, to more ensembles.
#[test]
fn harm_of_every_other_kind() {
    if !is_whole() {
        return println!("only with COMPAT_CONTAINERS=whole");
    }
    use Scenario::*;
    for scenario in [FollowerKill, FollowerFreeze, RollingRestart, AllKilled, LeaderIsolated] {
        judge(scenario, &[[OURS; 3]], |_| {});
        judge(scenario, &led_by_us(), |_| {});
        judge(scenario, &led_by_apache(), |_| {});
    }
}

#[test]
fn an_observer_follows_from_leader_to_leader() {
    let _repeat = Repeat;
    for mix in led_by_apache() {
        let mut plan = Plan::new(&mix, Duration::ZERO, seed());
        plan.observers = vec![OURS, mix[2]];
        println!("observers {} of {}", names(&plan.observers), names(&mix));
        let mut hosts = hosts::start(plan.layout());
        assert_eq!((hosts.role(3), hosts.role(4)), (Role::Observer, Role::Observer));
        let load = Load { seed: plan.seed, ..Load::default() };
        let mut workload = Workload::start(&[hosts.address(3), hosts.address(4)], load);
        let progress = |workload: &Workload, what: &str| {
            assert!(workload.wait_for_progress(20, PROGRESS_LIMIT), "writes through {what}");
        };
        progress(&workload, "observers");
        workload.step("the leader is stopped");
        hosts.stop(hosts.wait_for_leader());
        progress(&workload, "observers of the next leader");
        hosts.recover();
        progress(&workload, "observers of all");
        println!("{}", assert_sound(&*hosts, &workload.finish()));
    }
}
