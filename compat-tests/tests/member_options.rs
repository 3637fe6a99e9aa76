//! Options of members do what they do for Apache's: a leader that serves nobody, learners that are
//! sent a snapshot in any case, a longer history in memory, observers that write nothing.

use std::thread;
use std::time::Duration;

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::history::History;
use compat_tests::history::checker::assert_sound;
use compat_tests::hosts::{Hosts, Role};
use compat_tests::raw_client::{Session, create_nodes, mode};
use compat_tests::scenario::sync_cases;
use compat_tests::session_script::{create, open, same_as_apache, wait_until};

/// Beyond the 500 transactions that a leader keeps in memory unless told otherwise.
const MANY: usize = 1_200;

/// How a follower that was down during so many writes is synchronised.
fn sync_of_one_behind(layout: Layout, writes: usize) -> Vec<String> {
    vec![format!("{:?}", sync_cases::sync_of_one_behind(layout, writes))]
}

#[test]
fn a_leader_that_does_not_serve_leaves_that_to_its_followers() {
    same_as_apache(|kind| {
        let mut ensemble = Layout::new(&[kind; 2]).with_config("leaderServes=no").prepare();
        (0..2).for_each(|member| ensemble.launch(member));
        let roles = |ensemble: &Ensemble| [0, 1].map(|member| ensemble.role(member));
        wait_until("a follower", || roles(&ensemble).contains(&Role::Follower));
        let follower = usize::from(ensemble.role(1) == Role::Follower);
        let leader = 1 - follower;
        let word = |word: &str| ensemble.server(leader).four_letter_word(word);
        let mut seen = vec![word("srvr"), word("mntr"), word("isro"), word("ruok")];
        seen.push(open(ensemble.address(leader), &Session::new(20_000), true).describe());
        let (mut client, _) =
            open(ensemble.address(follower), &Session::new(20_000), false).client();
        seen.push(create(&mut client, "/ephemeral", mode::EPHEMERAL));
        seen
    });
}

#[test]
fn a_snapshot_is_sent_in_any_case() {
    same_as_apache(|kind| {
        sync_of_one_behind(Layout::new(&[kind; 3]).with_config("forceSnapshotSync=true"), 5)
    });
}

#[test]
fn a_longer_history_in_memory_makes_a_diff_of_a_snapshot() {
    same_as_apache(|kind| {
        // Nothing is sent from the log on disk.
        let layout = Layout::new(&[kind; 3]).with_config("snapshotSizeFactor=-1");
        sync_of_one_behind(layout.with_config("commitLogCount=2000"), MANY)
    });
}

#[test]
fn an_observer_that_writes_nothing_is_sent_it_anew() {
    same_as_apache(|kind| {
        let layout = Layout::new(&[kind; 2]).with_observer(kind);
        let mut ensemble = layout.with_config("syncEnabled=false").start();
        let observer = 2;
        create_nodes(ensemble.address(observer), "/node-", 50);
        let wrote_log = |ensemble: &Ensemble| {
            let dir = ensemble.server(observer).home().version_2();
            let entries = std::fs::read_dir(dir).expect("a data directory");
            let mut names = entries.map(|entry| entry.expect("a file").file_name());
            names.any(|name| name.to_string_lossy().starts_with("log.")).to_string()
        };
        let mut seen = vec![wrote_log(&ensemble)];
        ensemble.stop(observer);
        ensemble.launch(observer);
        ensemble.wait_until_all_serve();
        thread::sleep(Duration::from_millis(200));
        create_nodes(ensemble.address(observer), "/later-", 50);
        seen.push(wrote_log(&ensemble));
        assert_sound(&ensemble, &History::default());
        seen
    });
}
