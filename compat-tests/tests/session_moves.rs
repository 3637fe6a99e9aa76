//! Sessions that go from one member to another: their clients go on there, and what the connection
//! they left still asks for is refused as Apache's does, by members of one kind and of both.

use std::thread;

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::hosts::Hosts;
use compat_tests::raw_client::{Session, mode};
use compat_tests::server::ServerUnderTest;
use compat_tests::session_script::{close_session, create, exists, open, wait_until};

const APACHE: ServerUnderTest = ServerUnderTest::Apache("3.9.6");
const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;

/// The member with the highest id leads an ensemble that starts empty.
const MIXES: [[ServerUnderTest; 3]; 3] =
    [[OURS, OURS, OURS], [APACHE, OURS, APACHE], [OURS, APACHE, OURS]];

/// A session with an ephemeral node goes from one member to another; the connection it leaves
/// reads or writes first.
fn moves(ensemble: &Ensemble, from: usize, to: usize, reads_first: bool) -> Vec<String> {
    let path = |name: &str| format!("/{name}-{from}-{to}-{reads_first}");
    let (mut old, session) = open(ensemble.address(from), &Session::new(20_000), false).client();
    let mut seen = vec![create(&mut old, &path("ephemeral"), mode::EPHEMERAL)];
    let (mut new, moved) = open(ensemble.address(to), &session, false).client();
    seen.push((moved == session).to_string());
    if reads_first {
        seen.push(exists(&mut old, "/"));
    }
    seen.push(create(&mut old, &path("old"), mode::PERSISTENT));
    seen.push(exists(&mut old, "/"));
    seen.push(create(&mut new, &path("new"), mode::PERSISTENT));
    seen.push(exists(&mut new, &path("ephemeral")));
    seen.push(exists(&mut new, &path("old")));
    // And back, where it is welcome again.
    let (mut back, _) = open(ensemble.address(from), &session, false).client();
    seen.push(create(&mut back, &path("back"), mode::PERSISTENT));
    seen.push(create(&mut new, &path("again"), mode::PERSISTENT));
    seen.push(close_session(&mut back));
    // Who hears of the end only now closes a connection that comes for the session meanwhile.
    let ended = ensemble.last_zxid(from);
    wait_until("the end of the session", || ensemble.last_zxid(to) >= ended);
    seen.push(open(ensemble.address(to), &session, false).describe());
    seen
}

fn script(kinds: &[ServerUnderTest; 3]) -> Vec<String> {
    let ensemble = Layout::new(kinds).start();
    let leader = ensemble.wait_for_leader();
    let followers = [ensemble.follower(0), ensemble.follower(1)];
    let ways = [(leader, followers[0]), (followers[0], leader), (followers[0], followers[1])];
    let mut seen = Vec::new();
    for (way, (from, to)) in ways.into_iter().enumerate() {
        for reads_first in [false, true] {
            let moved = moves(&ensemble, from, to, reads_first);
            seen.push(format!("way {way}, reads first {reads_first}: {moved:?}"));
        }
    }
    for member in [leader, followers[0]] {
        let (client, session) =
            open(ensemble.address(member), &Session::new(20_000), false).client();
        let stranger = Session { password: vec![7; 16], ..session.clone() };
        let unknown = Session { id: session.id + 77, ..session };
        for other in [leader, followers[1]] {
            seen.push(open(ensemble.address(other), &stranger, false).describe());
            seen.push(open(ensemble.address(other), &unknown, false).describe());
        }
        drop(client);
    }
    seen
}

#[test]
fn a_session_goes_where_its_client_goes() {
    let apache = thread::spawn(|| script(&[APACHE; 3]));
    let runs = MIXES.map(|mix| (mix, thread::spawn(move || script(&mix))));
    let apache = apache.join().expect("a script that ends");
    for (mix, run) in runs {
        assert_eq!(run.join().expect("a script that ends"), apache, "{mix:?} and Apache's");
    }
}
