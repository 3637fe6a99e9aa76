//! Ensembles under harm: what was acknowledged is kept, nobody reads backwards, sessions and their
//! ephemeral nodes live and end as they should, and all members end with the same tree.
//!
//! More of it, for longer and with other seeds: `cargo run -p compat-tests --bin ensemble`.

use std::time::Duration;

use compat_tests::ensemble::{Layout, MemberSpec, PeerType};
use compat_tests::history::checker::assert_sound;
use compat_tests::history::workload::{Load, Workload};
use compat_tests::hosts::{Hosts, Role};
use compat_tests::raw_client::{RawClient, mode, open_acl};
use compat_tests::scenario::{Plan, Scenario, run, sync_cases, timing};
use compat_tests::server::ServerUnderTest;
use compat_tests::session_script::wait_until;
use compat_tests::small_disk::SmallDisk;

/// Who the ensembles of these tests are made of; the last is the one that costly tests take.
const MIXES: [[ServerUnderTest; 3]; 2] = [[OURS, OURS, OURS], [OLDEST, APACHE, OURS]];

const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;

const APACHE: ServerUnderTest = ServerUnderTest::Apache("3.9.6");
const OLDEST: ServerUnderTest = ServerUnderTest::Apache("3.8.0");

const LAST_MIX: [ServerUnderTest; 3] = MIXES[MIXES.len() - 1];

/// Seed of the choices; a failing run prints it.
const SEED: u64 = 1;

#[test]
fn a_killed_leader_is_replaced_and_nothing_is_lost() {
    for mix in MIXES {
        run(Scenario::LeaderKill, &Plan::new(&mix, Duration::from_secs(3), SEED));
    }
}

#[test]
fn a_leader_that_is_cut_off_or_frozen_is_replaced() {
    for (mix, scenario) in MIXES.iter().zip([Scenario::LeaderIsolated, Scenario::LeaderFreeze]) {
        run(scenario, &Plan::new(mix, Duration::ZERO, SEED));
    }
}

#[test]
fn followers_come_and_go() {
    for scenario in [Scenario::FollowerKill, Scenario::FollowerFreeze, Scenario::OneWay] {
        run(scenario, &Plan::new(&LAST_MIX, Duration::ZERO, SEED));
    }
}

#[test]
fn all_members_killed_at_once_lose_nothing() {
    run(Scenario::AllKilled, &Plan::new(&LAST_MIX, Duration::from_secs(3), SEED));
}

#[test]
fn members_are_replaced_one_by_one_under_load() {
    let mut plan = Plan::new(&[APACHE; 3], Duration::ZERO, SEED);
    plan.replacements = vec![OURS; 3];
    run(Scenario::RollingReplace, &plan);
}

#[test]
fn disks_that_fail_and_clocks_that_jump_lose_nothing() {
    let mix = [OURS, APACHE, OURS];
    use Scenario::*;
    for (seed, scenario) in (SEED..).zip([FailingDisk, FullDisk, SlowDisk, ClockJump, SmallDisk]) {
        run(scenario, &Plan::new(&mix, Duration::ZERO, seed));
    }
}

/// The leader's disk is really small, and then full: the others go on, and it comes back when there
/// is room.
#[test]
fn a_leader_whose_disk_is_full_is_replaced() {
    let layout = Layout::new(&[OURS, APACHE, OURS]).with_config("preAllocSize=64");
    let mut ensemble = layout.prepare();
    // Of the two that start first, the one with the higher id leads.
    let (leader, others) = (2, [0, 1]);
    let disk = match SmallDisk::under(ensemble.home(leader), 4 << 20) {
        Ok(disk) => disk,
        Err(reason) => return println!("skipped, no disk can be mounted: {reason}"),
    };
    std::fs::write(ensemble.home(leader).dir().join("data/myid"), "3").expect("a myid on it");
    [leader, 0].into_iter().for_each(|member| ensemble.launch(member));
    assert_eq!(ensemble.wait_for_leader(), leader);
    ensemble.launch(1);
    ensemble.wait_until_all_serve();
    let workload = Workload::start(&ensemble.addresses(), Load::default());
    let mut client = RawClient::connect(ensemble.address(leader), 30_000).expect("a session");
    let data = [b'x'; 20_000];
    let path = |number: usize| format!("/large-{number}");
    let is_made = |number: &usize| {
        client.queue_create(&path(*number), &data, open_acl(), mode::PERSISTENT, 0);
        client.flush().and_then(|()| client.receive()).is_ok_and(|reply| reply.header.err == 0)
    };
    let made = (0..1000).take_while(is_made).count();
    assert!((1..1000).contains(&made), "{made} large nodes on a disk of 4 MiB");
    wait_until("the end of the leader", || ensemble.ended(leader).is_some());
    assert!(workload.wait_for_progress(5, Duration::from_secs(60)), "writes of the others");
    disk.resize(64 << 20);
    ensemble.kill(leader);
    ensemble.launch(leader);
    ensemble.wait_until_all_serve();
    assert!(workload.wait_for_progress(5, Duration::from_secs(60)), "writes of all");
    let mut client = RawClient::connect(ensemble.address(others[0]), 30_000).expect("a session");
    for number in 0..made {
        assert!(client.exists(&path(number)).expect("an answer"), "{} is lost", path(number));
    }
    println!("{made} large nodes; {}", assert_sound(&ensemble, &workload.finish()));
}

#[test]
fn a_mix_of_all_harm_does_none() {
    for mix in MIXES {
        run(Scenario::Torture, &Plan::new(&mix, Duration::from_secs(10), SEED));
    }
}

#[test]
fn a_member_that_comes_back_gets_diff_snap_or_trunc() {
    for mix in MIXES {
        sync_cases::little_behind(&mix);
        sync_cases::far_behind(&mix);
        sync_cases::diverged(&mix);
        sync_cases::diverged_across_epochs(&mix);
    }
}

#[test]
fn writes_go_on_after_a_failover_and_a_cold_start() {
    for mix in MIXES {
        println!("failover: {}", timing::failover(&mix, 2));
        println!("cold start: {}", timing::cold_start(&mix, 2));
    }
}

#[test]
fn an_observer_serves_and_does_not_vote() {
    let mix = LAST_MIX;
    let mut ensemble = Layout::new(&mix).with_observer(mix[0]).proxied().start();
    assert_eq!(ensemble.role(3), Role::Observer);
    let workload = Workload::start(&[ensemble.address(3)], Load::default());
    assert!(workload.wait_for_progress(20, Duration::from_secs(60)), "writes by an observer");
    // With two of three voters the rest goes on; the observer is no third.
    let follower = ensemble.follower(0);
    ensemble.kill(follower);
    assert!(workload.wait_for_progress(20, Duration::from_secs(60)), "writes of a majority");
    let other = (0..3).find(|m| *m != follower && ensemble.role(*m) == Role::Follower);
    ensemble.kill(other.expect("the other follower"));
    assert!(!workload.wait_for_progress(5, Duration::from_secs(6)), "a write without majority");
    ensemble.recover();
    assert!(workload.wait_for_progress(20, Duration::from_secs(60)), "writes after all");
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}

#[test]
fn groups_decide_by_a_majority_of_each_of_most_groups() {
    let mix = LAST_MIX;
    // Groups of one, one and three: the two single ones are a majority of groups.
    let kinds = [mix[0], mix[1], mix[2], mix[0], mix[1]];
    let spec = |(index, kind): (usize, &ServerUnderTest)| MemberSpec {
        kind: *kind,
        peer_type: PeerType::Participant,
        group: Some((u32::try_from(index.min(2)).expect("a small number") + 1, 1)),
        joins_later: false,
    };
    let mut ensemble = Layout::of(kinds.iter().enumerate().map(spec).collect()).start();
    let workload = Workload::start(&ensemble.addresses(), Load::default());
    (2..5).for_each(|member| ensemble.kill(member));
    let limit = Duration::from_secs(60);
    assert!(workload.wait_for_progress(20, limit), "writes with two of three groups");
    ensemble.recover();
    assert!(workload.wait_for_progress(20, limit), "writes with all");
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}
