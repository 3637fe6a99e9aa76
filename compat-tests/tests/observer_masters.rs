//! Followers that serve observers (`observerMasterPort`): ours serve Apache's observers and their
//! own kind, and our observers are served by Apache's followers; what their clients do goes through
//! the follower to the leader and back.

use std::thread;
use std::time::{Duration, Instant};

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::history::History;
use compat_tests::history::checker::assert_sound;
use compat_tests::hosts::Hosts;
use compat_tests::raw_client::{RawClient, Session, mode, op};
use compat_tests::server::ServerUnderTest;
use compat_tests::session_script::{ask, close_session, create, exists, open, wait_until};
use jute::SyncRequest;

const APACHE: ServerUnderTest = ServerUnderTest::Apache("3.9.6");
const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;

const OBSERVER: usize = 3;

/// Requests made one after the other, so that some meet the answers to others.
const MANY: usize = 300;

/// The follower that serves the observer.
fn master(ensemble: &Ensemble) -> usize {
    let mut masters = Vec::new();
    wait_until("a follower that serves the observer", || {
        masters = ensemble.observer_masters();
        masters.len() == 1
    });
    masters[0]
}

fn clients_of_the_observer_are_served(ensemble: &Ensemble, round: &str) {
    let is_first = round == "first";
    let leader = ensemble.wait_for_leader();
    let path = |name: &str| format!("/{round}-{name}");
    let opened = open(ensemble.address(OBSERVER), &Session::new(4_000), false);
    let (mut client, session) = opened.client();
    assert_eq!(create(&mut client, &path("persistent"), mode::PERSISTENT), "0");
    assert_eq!(create(&mut client, &path("ephemeral"), mode::EPHEMERAL), "0");
    assert_eq!(create(&mut client, &path("persistent"), mode::PERSISTENT), "-110");
    let mut other = RawClient::connect(ensemble.address(leader), 30_000).expect("a session");
    assert_eq!(exists(&mut other, &path("ephemeral")), "0", "what the leader has");
    assert_eq!(create(&mut other, &path("of-leader"), mode::PERSISTENT), "0");
    let sync = SyncRequest { path: Some("/".into()) };
    assert_eq!(ask(&mut client, op::SYNC, &sync), "0");
    assert_eq!(exists(&mut client, &path("of-leader")), "0", "what a sync brings");

    // Writes and syncs on their way together are answered in their order.
    let request = |client: &mut RawClient, number: usize| {
        if number.is_multiple_of(3) {
            client.queue(op::SYNC, &sync);
        } else {
            let name = path(&format!("many-{number}"));
            client.queue_create(&name, b"", compat_tests::raw_client::open_acl(), 0, 0);
        }
    };
    let each = |number, reply: compat_tests::raw_client::Reply| {
        assert_eq!(reply.header.err, 0, "the answer to request {number}");
    };
    client.pipeline(MANY, 50, request, each).expect("answers");

    // The session lives as long as its client is heard of, wherever that is.
    let until = Instant::now() + Duration::from_secs(6);
    while is_first && Instant::now() < until {
        assert_eq!(exists(&mut client, &path("ephemeral")), "0");
        thread::sleep(Duration::from_millis(300));
    }
    let (mut moved, same) = open(ensemble.address(leader), &session, false).client();
    assert_eq!(same.id, session.id);
    assert_eq!(create(&mut client, &path("old"), mode::PERSISTENT), "closed");
    assert_eq!(create(&mut moved, &path("moved"), mode::EPHEMERAL), "0");
    let (mut back, _) = open(ensemble.address(OBSERVER), &session, false).client();
    assert_eq!(create(&mut back, &path("back"), mode::EPHEMERAL), "0");
    assert_eq!(close_session(&mut back), "0");
    wait_until("the end of the ephemeral nodes", || {
        exists(&mut other, &path("ephemeral")) == "-101"
    });
    assert_eq!(open(ensemble.address(leader), &session, false).describe(), "expired");
}

fn observed(voters: ServerUnderTest, observer: ServerUnderTest) {
    let layout = Layout::new(&[voters; 3]).with_observer(observer).with_observer_masters();
    let mut ensemble = layout.start();
    let first = master(&ensemble);
    assert_ne!(first, ensemble.wait_for_leader(), "a leader does not serve observers there");
    clients_of_the_observer_are_served(&ensemble, "first");
    // Without that follower there is another.
    ensemble.kill(first);
    wait_until("another follower that serves the observer", || {
        let masters = ensemble.observer_masters();
        masters.len() == 1 && masters[0] != first
    });
    ensemble.wait_until_serving(&[OBSERVER]);
    clients_of_the_observer_are_served(&ensemble, "second");
    ensemble.recover();
    assert_sound(&ensemble, &History::default());
}

#[test]
fn ours_serve_apaches_observers() {
    observed(OURS, APACHE);
}

#[test]
fn apaches_serve_our_observers() {
    observed(APACHE, OURS);
}

#[test]
fn ours_serve_our_observers() {
    observed(OURS, OURS);
}
