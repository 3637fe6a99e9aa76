//! The numbers of an epoch run out (ZOOKEEPER-1277): the leadership begins anew in the next epoch,
//! and nothing is lost. Each leadership begins near the last number
//! (`testingonly.initialZxid`), so that it happens again and again.

use std::thread;
use std::time::{Duration, Instant};

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::history::Summary;
use compat_tests::history::checker::assert_sound;
use compat_tests::history::workload::{Load, Workload};
use compat_tests::hosts::Hosts;
use compat_tests::server::ServerUnderTest;

const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;
const APACHE: ServerUnderTest = ServerUnderTest::Apache("3.9.6");

/// Epochs that must come and go.
const EPOCHS: i64 = 2;

/// How long that may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Numbers each leadership begins with: an Apache leader uses all, one of ours half.
const NUMBERS: i64 = 600;

/// What clients saw of it.
fn through_the_rollover(kinds: &[ServerUnderTest]) -> Summary {
    let initial = i64::from(u32::MAX) - NUMBERS;
    let ensemble =
        Layout::new(kinds).with_config(&format!("testingonly.initialZxid={initial}")).start();
    let first = epoch(&ensemble).expect("it serves");
    let workload = Workload::start(&ensemble.addresses(), Load::default());
    let deadline = Instant::now() + LIMIT;
    while epoch(&ensemble).is_none_or(|now| now < first + EPOCHS) {
        assert!(Instant::now() < deadline, "no new epochs: {}", ensemble.describe());
        thread::sleep(Duration::from_millis(50));
    }
    // An epoch has just begun: what follows does not reach its end.
    assert!(workload.wait_for_progress(5, LIMIT), "writes after the rollover");
    let mut ensemble = ensemble;
    ensemble.wait_until_all_serve();
    let summary = assert_sound(&ensemble, &workload.finish());
    println!("{summary}");
    summary
}

/// The epoch of the last transaction of whoever leads.
fn epoch(ensemble: &Ensemble) -> Option<i64> {
    Some(ensemble.last_zxid(ensemble.leader()?)? >> 32)
}

#[test]
fn servers_of_ours_go_on_in_the_next_epoch() {
    let Summary { reconnects, unknown, .. } = through_the_rollover(&[OURS; 3]);
    assert_eq!((reconnects, unknown), (0, 0), "clients notice");
}

#[test]
fn a_mixed_ensemble_goes_on_whoever_leads() {
    // With equal data the last one leads first.
    through_the_rollover(&[APACHE, APACHE, OURS]);
    through_the_rollover(&[OURS, OURS, APACHE]);
}
