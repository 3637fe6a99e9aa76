//! Options of members do what they do for Apache's: a leader that serves nobody, learners that are
//! sent a snapshot in any case, a longer history in memory, observers that write nothing.

use std::thread;
use std::time::{Duration, Instant};

use compat_tests::ensemble::proxied_stream::SyncKind;
use compat_tests::ensemble::{Ensemble, Layout, Role};
use compat_tests::history::History;
use compat_tests::history::checker::assert_sound;
use compat_tests::raw_client::{RawClient, mode, open_acl};
use compat_tests::session_script::{create, new_session, open, same_as_apache, wait_until};

/// Beyond the 500 transactions that a leader keeps in memory unless told otherwise.
const MANY: usize = 1_200;

/// Creates nodes through one member, and waits for every answer.
fn write(ensemble: &Ensemble, member: usize, prefix: &str, count: usize) {
    let mut client = RawClient::connect(ensemble.address(member), 30_000).expect("a session");
    let request = |client: &mut RawClient, number: usize| {
        let path = format!("{prefix}{number}");
        client.queue_create(&path, b"data", open_acl(), mode::PERSISTENT, 0);
    };
    client
        .pipeline(count, 200, request, |_, reply| assert_eq!(reply.header.err, 0))
        .expect("answers");
    client.close().expect("the session is closed");
}

/// How a follower that was down during so many writes is synchronised.
fn sync_of_one_behind(layout: Layout, writes: usize) -> Vec<String> {
    let mut ensemble = layout.proxied().start();
    let (leader, follower) = (ensemble.wait_for_leader(), ensemble.follower(0));
    write(&ensemble, leader, "/before-", 10);
    ensemble.kill(follower);
    write(&ensemble, leader, "/behind-", writes);
    let began = Instant::now();
    ensemble.launch(follower);
    ensemble.wait_until_all_serve();
    let syncs = ensemble.links().syncs();
    let mine = syncs.iter().filter(|sync| sync.learner == follower && sync.at > began);
    let kinds: Vec<SyncKind> = mine.map(|sync| sync.kind).collect();
    assert_sound(&ensemble, &History::default());
    vec![format!("{:?}", kinds.last())]
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
        seen.push(open(ensemble.address(leader), &new_session(20_000), true).describe());
        let (mut client, _) =
            open(ensemble.address(follower), &new_session(20_000), false).client();
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
        write(&ensemble, observer, "/node-", 50);
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
        write(&ensemble, observer, "/later-", 50);
        seen.push(wrote_log(&ensemble));
        assert_sound(&ensemble, &History::default());
        seen
    });
}
