//! How a member that comes back is brought up to date: by the transactions it lacks (DIFF), by the
//! whole tree (SNAP), or after cutting its log (TRUNC); as seen on the link to the leader.

use std::thread;
use std::time::{Duration, Instant};

use crate::ensemble::links::Cut;
use crate::ensemble::proxied_stream::SyncKind;
use crate::ensemble::{Ensemble, Layout};
use crate::history::History;
use crate::history::checker::assert_sound;
use crate::hosts::{Hosts, Role};
use crate::raw_client::{RawClient, create_nodes, mode, open_acl};
use crate::server::ServerUnderTest;
use crate::tree_dump;

/// Beyond the 500 transactions that a leader keeps in memory. It would read its log files beyond
/// the first up to a third of its snapshot's size: so there are several, of 64 MiB each.
const FAR_BEHIND: usize = 1_500;
const SNAP_COUNT: &str = "snapCount=300";

/// How long a majority may take to have another leader.
const LEADER_LIMIT: Duration = Duration::from_secs(60);

/// A follower that was down during a few writes gets a DIFF.
pub fn little_behind(kinds: &[ServerUnderTest]) {
    behind("little behind", kinds, 20, SyncKind::Diff);
}

/// A follower that was down during many gets a SNAP.
pub fn far_behind(kinds: &[ServerUnderTest]) {
    behind("far behind", kinds, FAR_BEHIND, SyncKind::Snap);
}

fn behind(what: &str, kinds: &[ServerUnderTest], writes: usize, wanted: SyncKind) {
    let mut ensemble = Layout::new(kinds).with_config(SNAP_COUNT).proxied().start();
    for turn in 0..kinds.len() - 1 {
        let (follower, began) = leave_behind(&mut ensemble, turn, writes);
        expect_sync(&ensemble, what, follower, began, wanted);
        assert_sound(&ensemble, &History::default());
    }
}

/// How a follower that was down during so many writes is synchronised.
pub fn sync_of_one_behind(layout: Layout, writes: usize) -> Option<SyncKind> {
    let mut ensemble = layout.proxied().start();
    let (follower, began) = leave_behind(&mut ensemble, 0, writes);
    assert_sound(&ensemble, &History::default());
    syncs_of(&ensemble, follower, began).last().copied()
}

/// Leaves a follower behind by so many writes; gives which one, and when it was started again.
fn leave_behind(ensemble: &mut Ensemble, turn: usize, writes: usize) -> (usize, Instant) {
    let follower = ensemble.follower(turn);
    let leader = ensemble.address(ensemble.wait_for_leader());
    create_nodes(leader, &format!("/before-{turn}-"), 10);
    ensemble.kill(follower);
    create_nodes(leader, &format!("/behind-{turn}-"), writes);
    let began = Instant::now();
    ensemble.launch(follower);
    ensemble.wait_until_all_serve();
    (follower, began)
}

/// A leader that logged what nobody else has, and finds another leader when it comes back, gets a
/// TRUNC, and what it logged alone is nowhere.
pub fn diverged(kinds: &[ServerUnderTest]) {
    deposed("diverged", kinds, 0, SyncKind::Trunc);
}

/// The same where the new leader has transactions of its own epoch already: the old leader's last
/// zxid lies between two epochs of the new one's log, and it gets a SNAP.
pub fn diverged_across_epochs(kinds: &[ServerUnderTest]) {
    deposed("diverged across epochs", kinds, 30, SyncKind::Snap);
}

fn deposed(what: &str, kinds: &[ServerUnderTest], writes_after: usize, wanted: SyncKind) {
    let mut ensemble = Layout::new(kinds).proxied().start();
    let old = ensemble.wait_for_leader();
    create_nodes(ensemble.address(old), "/before-", 30);
    let mut client = RawClient::connect(ensemble.address(old), 30_000).expect("a session");
    ensemble.links().isolate(old, Cut::Drop);
    for number in 0..50 {
        let path = format!("/lost-{number}");
        client.queue_create(&path, b"lost", open_acl(), mode::PERSISTENT, 0);
    }
    client.flush().expect("a leader that does not yet know that it is alone");
    let deadline = Instant::now() + LEADER_LIMIT;
    // The old one may take longer to see that it is alone than the others to elect.
    let new = loop {
        match ensemble.leader() {
            Some(leader) if ensemble.role(old) != Role::Leader => break leader,
            _ => assert!(Instant::now() < deadline, "no new leader: {}", ensemble.describe()),
        }
        thread::sleep(Duration::from_millis(20));
    };
    if writes_after > 0 {
        create_nodes(ensemble.address(new), "/after-", writes_after);
    }
    let began = Instant::now();
    ensemble.links().heal_all();
    ensemble.wait_until_all_serve();
    // Ours cuts within the epoch that went wrong, where Apache's sends everything anew.
    let wanted = match ensemble.kind(new) {
        ServerUnderTest::Gamekeeper => SyncKind::Trunc,
        ServerUnderTest::Apache(_) => wanted,
    };
    expect_sync(&ensemble, what, old, began, wanted);
    let nodes = tree_dump::nodes(ensemble.address(old));
    let lost = nodes.keys().filter(|path| path.starts_with("/lost-")).count();
    assert_eq!(lost, 0, "nodes that only the old leader had");
    assert_sound(&ensemble, &History::default());
}

fn expect_sync(ensemble: &Ensemble, what: &str, member: usize, since: Instant, wanted: SyncKind) {
    let kinds = syncs_of(ensemble, member, since);
    let leader = ensemble.wait_for_leader();
    println!(
        "{what}: member {member} ({}) of leader {leader} ({}): {kinds:?}",
        ensemble.kind(member),
        ensemble.kind(leader)
    );
    // A first attempt may meet a leader that is not ready; the last one counts.
    assert_eq!(kinds.last(), Some(&wanted), "{what}: how member {member} was synchronised");
}

fn syncs_of(ensemble: &Ensemble, member: usize, since: Instant) -> Vec<SyncKind> {
    let syncs = ensemble.links().syncs();
    let mine = syncs.iter().filter(|sync| sync.learner == member && sync.at > since);
    mine.map(|sync| sync.kind).collect()
}
