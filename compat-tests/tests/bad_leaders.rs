//! What broken leaders send to a follower of ours: it hangs up and says on whom and why, its
//! history stays what it was, and it goes on with a leader that works.

use std::fs;

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::history::History;
use compat_tests::history::checker::assert_sound;
use compat_tests::hosts::Hosts;
use compat_tests::raw_client::create_nodes;
use compat_tests::scripted_leader::{Follower, ScriptedLeader, create_proposal};
use compat_tests::server::ServerUnderTest;
use compat_tests::session_script::wait_until;
use compat_tests::tree_dump;
use compat_tests::wire::quorum::{bare, kind, packet};

/// The follower, and whose place the broken leaders take.
const FOLLOWER: usize = 0;
const LEADER: usize = 2;

/// Nodes that there are before.
const NODES: usize = 20;

/// The head of a snapshot's file, which a snapshot on the wire has not: magic, version, id.
const SNAPSHOT_HEAD_BYTES: usize = 4 + 4 + 8;

/// What a broken leader does.
struct Fault {
    what: &'static str,
    /// What the follower says of it.
    why: &'static str,
    script: fn(&mut Broken<'_>),
}

/// A broken leader and its follower.
struct Broken<'a> {
    follower: Follower,
    /// The last transaction that is committed.
    committed: i64,
    snapshot: &'a [u8],
}

impl Broken<'_> {
    fn send(&mut self, bytes: &[u8]) {
        self.follower.send(bytes);
    }

    fn begin_epoch(&mut self) {
        self.follower.begin_epoch(self.follower.epoch + 1);
    }

    /// An epoch, and a history that ends with what is committed: proposals of leaders before that
    /// nobody else has are cut off.
    fn begin(&mut self) {
        self.begin_epoch();
        let choice = if self.follower.last > self.committed { kind::TRUNC } else { kind::DIFF };
        self.send(&bare(choice, self.committed));
    }

    /// The same up to where the follower serves.
    fn lead(&mut self) {
        self.begin();
        self.follower.begin_leading();
        self.follower.let_serve();
    }

    /// Proposes a node, so many transactions behind what is committed.
    fn propose(&mut self, nth: i64) {
        self.send(&create_proposal(self.committed + nth, &format!("/bad-{nth}")));
    }

    fn commit(&mut self, nth: i64) {
        self.send(&bare(kind::COMMIT, self.committed + nth));
    }
}

const FAULTS: [Fault; 20] = [
    Fault {
        what: "garbage",
        why: "packet type -1 is not known",
        script: |leader| leader.send(&[0xff; 64]),
    },
    Fault {
        what: "a packet of two gigabytes",
        why: "a body of 2139062143 bytes is malformed or over the limit",
        script: |leader| {
            leader.begin();
            leader.send(&[&kind::PROPOSAL.to_be_bytes()[..], &[0x7f; 12]].concat());
        },
    },
    Fault {
        what: "an epoch of the past",
        why: "is older than the accepted",
        script: |leader| leader.send(&bare(kind::LEADER_INFO, 0)),
    },
    Fault {
        what: "the last epoch",
        why: "the leader's epoch 2147483647 is the last",
        script: |leader| leader.send(&bare(kind::LEADER_INFO, i64::from(i32::MAX) << 32)),
    },
    Fault {
        what: "NEWLEADER before its history",
        why: "unexpected packet NewLeader in phase Choice",
        script: |leader| {
            leader.begin_epoch();
            let start = leader.follower.epoch << 32;
            leader.send(&bare(kind::NEW_LEADER, start));
        },
    },
    Fault {
        what: "NEWLEADER of another epoch",
        why: "NEWLEADER of 0x",
        script: |leader| {
            leader.begin();
            let start = (leader.follower.epoch + 1) << 32;
            leader.send(&bare(kind::NEW_LEADER, start));
        },
    },
    Fault {
        what: "UPTODATE before NEWLEADER",
        why: "unexpected packet UpToDate",
        script: |leader| {
            leader.begin();
            leader.send(&bare(kind::UP_TO_DATE, -1));
        },
    },
    Fault {
        what: "a history with a hole",
        why: "some are missing",
        script: |leader| {
            leader.begin();
            leader.propose(2);
        },
    },
    Fault {
        what: "a transaction twice",
        why: "some are missing",
        script: |leader| {
            leader.begin();
            leader.propose(1);
            leader.propose(1);
        },
    },
    Fault {
        what: "a DIFF that ends early",
        why: "that was to go to",
        script: |leader| {
            leader.begin_epoch();
            // What a broken leader before has proposed may be in the log, or not.
            let last = leader.follower.last;
            leader.send(&bare(kind::DIFF, last + 3));
            leader.send(&create_proposal(last + 1, "/bad-diff"));
            leader.send(&bare(kind::COMMIT, last + 1));
            let start = leader.follower.epoch << 32;
            leader.send(&bare(kind::NEW_LEADER, start));
        },
    },
    Fault {
        what: "a cut beyond the log",
        why: "beyond it",
        script: |leader| {
            leader.begin_epoch();
            let beyond = leader.follower.last + 1;
            leader.send(&bare(kind::TRUNC, beyond));
        },
    },
    Fault {
        what: "a proposal that is no transaction",
        why: "a proposal cannot be decoded",
        script: |leader| {
            leader.begin();
            let zxid = leader.committed + 1;
            let mut entry = vec![0x7f; 64];
            entry[12..20].copy_from_slice(&zxid.to_be_bytes());
            leader.send(&packet(kind::PROPOSAL, zxid, &entry));
        },
    },
    Fault {
        what: "a proposal without a body",
        why: "a proposal without data",
        script: |leader| {
            leader.begin();
            let zxid = leader.committed + 1;
            leader.send(&bare(kind::PROPOSAL, zxid));
        },
    },
    Fault {
        what: "a commit with nothing proposed",
        why: "without its proposal",
        script: |leader| {
            leader.begin();
            leader.commit(1);
        },
    },
    Fault {
        what: "commits out of order",
        why: "is next",
        script: |leader| {
            leader.begin();
            leader.propose(1);
            leader.propose(2);
            leader.commit(2);
        },
    },
    Fault {
        what: "a snapshot that is none",
        why: "cannot read the snapshot",
        script: |leader| {
            leader.begin_epoch();
            let zxid = leader.committed + 1;
            leader.send(&bare(kind::SNAP, zxid));
            leader.send(&[0xff; 4096]);
        },
    },
    Fault {
        what: "half a snapshot, then garbage",
        why: "cannot read the snapshot",
        script: |leader| {
            leader.begin_epoch();
            let zxid = leader.committed + 1;
            leader.send(&bare(kind::SNAP, zxid));
            leader.follower.send(&leader.snapshot[..leader.snapshot.len() / 2]);
            leader.send(&[0x80; 4096]);
        },
    },
    Fault {
        what: "half a snapshot, then nothing",
        why: "input ends",
        script: |leader| {
            leader.begin_epoch();
            let zxid = leader.committed + 1;
            leader.send(&bare(kind::SNAP, zxid));
            leader.follower.send(&leader.snapshot[..leader.snapshot.len() / 2]);
            leader.follower.hang_up();
        },
    },
    Fault {
        what: "a hole in what is proposed to who serves",
        why: "some are missing",
        script: |leader| {
            leader.lead();
            leader.propose(2);
        },
    },
    Fault {
        what: "commits out of order to who serves",
        why: "is next",
        script: |leader| {
            leader.lead();
            leader.propose(1);
            leader.propose(2);
            leader.commit(2);
        },
    },
];

/// An ensemble of ours with some nodes, of which only the follower runs; and its last transaction.
fn lone_follower() -> (Ensemble, i64) {
    let mut ensemble = Layout::new(&[ServerUnderTest::Gamekeeper; 3]).start();
    create_nodes(ensemble.address(FOLLOWER), "/first-", NODES);
    let last = ensemble.last_zxid(FOLLOWER).expect("it serves");
    (0..ensemble.len()).filter(|member| *member != FOLLOWER).for_each(|m| ensemble.kill(m));
    (ensemble, last)
}

/// A snapshot as it goes over the wire.
fn snapshot_of(ensemble: &Ensemble) -> Vec<u8> {
    let files = fs::read_dir(ensemble.server(FOLLOWER).home().version_2()).expect("a directory");
    let mut paths = files.map(|file| file.expect("a file").path());
    let is_snapshot = |path: &std::path::PathBuf| path.to_string_lossy().contains("/snapshot.");
    let path = paths.find(is_snapshot).expect("a first snapshot");
    fs::read(path).expect("a snapshot")[SNAPSHOT_HEAD_BYTES..].to_vec()
}

#[test]
fn a_broken_leader_is_left_and_nothing_is_lost() {
    let (mut ensemble, committed) = lone_follower();
    let snapshot = snapshot_of(&ensemble);
    let log = || fs::read_to_string(ensemble.server(FOLLOWER).home().log()).expect("a log");
    let leader = ScriptedLeader::in_place_of(&ensemble, LEADER, FOLLOWER);
    let said = format!("leader {} at {}: ", LEADER + 1, leader.address());
    for Fault { what, why, script } in FAULTS {
        let follower = leader.next_follower();
        let before = log().len();
        let mut broken = Broken { follower, committed, snapshot: &snapshot };
        script(&mut broken);
        let last = broken.follower.last;
        assert!(last == 0 || last >= committed, "{what}: {last:#x} of {committed:#x} is left");
        broken.follower.wait_until_closed();
        wait_until(what, || log().len() > before && log()[before..].contains(&said));
        let line = log()[before..].lines().find(|line| line.contains(&said)).map(str::to_owned);
        let line = line.expect("it was just there");
        println!("{what}: {line}");
        assert!(line.contains(why), "{what} is refused with: {line}");
    }

    // One that works, though it sends a COMMIT before UPTODATE, as Apache's do (ZOOKEEPER-4394).
    let mut good = Broken { follower: leader.next_follower(), committed, snapshot: &snapshot };
    good.begin();
    good.send(&create_proposal(committed + 1, "/good-1"));
    good.follower.begin_leading();
    good.commit(1);
    good.follower.let_serve();
    let next = (good.follower.epoch << 32) + 1;
    good.send(&create_proposal(next, "/good-2"));
    good.follower.wait_for_ack(next);
    good.send(&bare(kind::COMMIT, next));
    wait_until("what is committed", || ensemble.last_zxid(FOLLOWER) == Some(next));
    drop((good, leader));

    // The others are a quorum that has less than it: so one of them first, which it leads. Then it
    // follows one of the two.
    ensemble.launch(1);
    ensemble.wait_until_serving(&[FOLLOWER, 1]);
    ensemble.launch(LEADER);
    ensemble.wait_until_all_serve();
    ensemble.stop(FOLLOWER);
    ensemble.wait_for_leader();
    ensemble.launch(FOLLOWER);
    ensemble.wait_until_all_serve();
    assert_sound(&ensemble, &History::default());
    let nodes = tree_dump::nodes(ensemble.address(FOLLOWER));
    let first = (0..NODES).map(|number| format!("/first-{number}"));
    for path in first.chain(["/good-1".into(), "/good-2".into()]) {
        assert!(nodes.contains_key(&path), "{path} is lost");
    }
    assert!(!nodes.keys().any(|path| path.starts_with("/bad")), "{:?}", nodes.keys());
}
