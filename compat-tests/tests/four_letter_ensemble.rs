//! The four-letter words of the members of an ensemble beside Apache's: leader, follower and
//! observer answer the same lines in the same order.

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::hosts::{Hosts, Role};
use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::ServerUnderTest;
use jute::CreateRequest;

const ROLES: [Role; 3] = [Role::Leader, Role::Follower, Role::Observer];

/// Three voters and an observer, after a write at each.
fn used(kind: ServerUnderTest) -> Ensemble {
    let ensemble = Layout::new(&[kind; 3]).with_observer(kind).start();
    for member in 0..ensemble.len() {
        let mut client = RawClient::connect(ensemble.address(member), 30_000).expect("a session");
        let request = CreateRequest {
            path: format!("/node-{member}").into(),
            data: Some(b"data"),
            acl: open_acl(),
            flags: mode::PERSISTENT,
        };
        assert_eq!(client.call(op::CREATE, &request).expect("a reply").header.err, 0);
    }
    ensemble
}

/// What the first member in this role answers.
fn ask(ensemble: &Ensemble, role: Role, word: &str) -> String {
    ensemble.server(ensemble.wait_for(role)).four_letter_word(word)
}

fn keys(text: &str, separator: &str) -> Vec<String> {
    let key = |line: &str| line.split(separator).next().unwrap_or_default().to_owned();
    text.lines().map(key).collect()
}

/// The value of a metric.
fn metric(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}\t")));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).to_owned()
}

/// What depends on who leads, or is listed in docs/COMPAT.md.
fn is_compared(key: &str) -> bool {
    let listed = ["learner_handler_qp", "_per_namespace", "zxids_left_in_epoch"];
    !listed.iter().any(|name| key.contains(name))
}

#[test]
fn leader_follower_and_observer_answer_as_apaches_do() {
    let [apache, ours] = [ServerUnderTest::Apache("3.9.6"), ServerUnderTest::from_env()].map(used);
    for role in ROLES {
        let [theirs, mine] = [&apache, &ours].map(|ensemble| ask(ensemble, role, "mntr"));
        let compared = |text: &str| -> Vec<String> {
            keys(text, "\t").into_iter().filter(|key| is_compared(key)).collect()
        };
        assert_eq!(compared(&mine), compared(&theirs), "mntr of a {role:?}");
        for name in ["zk_server_state", "zk_peer_state", "zk_quorum_size"] {
            assert_eq!(metric(&mine, name), metric(&theirs, name), "{name} of a {role:?}");
        }
        for word in ["conf", "srvr"] {
            let separator = if word == "conf" { "=" } else { ":" };
            let [theirs, mine] = [&apache, &ours].map(|ensemble| ask(ensemble, role, word));
            assert_eq!(keys(&mine, separator), keys(&theirs, separator), "{word} of a {role:?}");
            assert_eq!(mine.ends_with('\n'), theirs.ends_with('\n'), "{word} of a {role:?}");
        }
    }
    let [theirs, mine] = [&apache, &ours].map(|ensemble| ask(ensemble, Role::Leader, "mntr"));
    for name in [
        "zk_learners",
        "zk_synced_followers",
        "zk_synced_observers",
        "zk_synced_non_voting_followers",
        "zk_pending_syncs",
        "zk_last_proposal_size",
        "zk_min_proposal_size",
        "zk_max_proposal_size",
    ] {
        assert_eq!(metric(&mine, name), metric(&theirs, name), "{name}");
    }
}
