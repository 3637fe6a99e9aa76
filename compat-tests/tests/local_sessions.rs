//! Sessions that only the server knows that they are on (`localSessionsEnabled`): what they may do,
//! when they become sessions of the ensemble, and when they end; on a leader, a follower and an
//! observer, as on Apache's.

use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::hosts::{Hosts, Role};
use compat_tests::raw_client::{Session, mode};
use compat_tests::server::ServerUnderTest;
use compat_tests::session_script::{
    Opened, close_session, create, create_both, is_closed_by_server, open, same_as_apache,
    wait_until,
};

const ROLES: [Role; 3] = [Role::Leader, Role::Follower, Role::Observer];

fn start(members: &[ServerUnderTest; 3], upgrading: bool) -> Ensemble {
    Layout::new(&members[..2])
        .with_observer(members[2])
        .with_config("localSessionsEnabled=true")
        .with_config(&format!("localSessionsUpgradingEnabled={upgrading}"))
        .start()
}

fn member(ensemble: &Ensemble, role: Role) -> usize {
    (0..ensemble.len()).find(|member| ensemble.role(*member) == role).expect("one of each role")
}

/// Local and global sessions, as a member counts them.
fn sessions(ensemble: &Ensemble, member: usize) -> String {
    let mntr = ensemble.server(member).four_letter_word("mntr");
    let value = |name: &str| mntr.lines().find_map(|line| line.strip_prefix(name));
    let (local, global) = (value("zk_local_sessions\t"), value("zk_global_sessions\t"));
    format!("{} local, {} global", local.unwrap_or("?"), global.unwrap_or("?"))
}

fn describe(opened: &Opened, wanted: &Session) -> String {
    match opened {
        Opened::Session { client, .. } if client.session().id == wanted.id => {
            "the same session".into()
        }
        Opened::Session { .. } => "another session".into(),
        other => other.describe(),
    }
}

/// What can be done in sessions of one member; `other` is another one.
fn script(ensemble: &Ensemble, role: Role, other: Role) -> Vec<String> {
    let (here, there) = (member(ensemble, role), member(ensemble, other));
    let address = ensemble.address(here);
    let path = |name: &str| format!("/{role:?}-{name}");
    let zxid = || ensemble.last_zxid(here).expect("a member that serves");
    let mut seen = vec![format!("{role:?}: {}", sessions(ensemble, here))];

    // Made, used, gone on with, and closed: nobody else hears of it.
    let before = zxid();
    let opened = open(address, &Session::new(20_000), false);
    let (mut client, session) = opened.client();
    seen.push(format!("is of this server: {}", session.id >> 56 == here as i64 + 1));
    seen.push(format!("took {} transactions", zxid() - before));
    seen.push(sessions(ensemble, here));
    seen.push(create(&mut client, &path("persistent"), mode::PERSISTENT));
    seen.push(create(&mut client, &path("sequential"), mode::PERSISTENT_SEQUENTIAL));
    let opened = open(address, &session, false);
    seen.push(describe(&opened, &session));
    seen.push(is_closed_by_server(&mut client).to_string());
    seen.push(open(ensemble.address(there), &session, false).describe());
    let mut client = opened.client().0;
    let before = zxid();
    seen.push(close_session(&mut client));
    seen.push(format!("took {} transactions", zxid() - before));
    seen.push(open(address, &session, false).describe());

    // With an ephemeral node, by itself and within a multi.
    for multi in [false, true] {
        let (mut client, session) = open(address, &Session::new(20_000), false).client();
        seen.push(match multi {
            false => create(&mut client, &path("ephemeral"), mode::EPHEMERAL),
            true => create_both(&mut client, &path("one"), &path("other")),
        });
        seen.push(create(&mut client, &path(&format!("later-{multi}")), mode::PERSISTENT));
        seen.push(sessions(ensemble, here));
        let opened = open(ensemble.address(there), &session, false);
        seen.push(describe(&opened, &session));
        if let Opened::Session { mut client, .. } = opened {
            seen.push(create(&mut client, &path(&format!("moved-{multi}")), mode::EPHEMERAL));
            seen.push(close_session(&mut client));
        } else {
            seen.push(close_session(&mut client));
        }
    }

    // One whose client is silent ends.
    let (mut client, silent) = open(address, &Session::new(1_000), false).client();
    seen.push(is_closed_by_server(&mut client).to_string());
    // Not before: the end of a session closes whatever connection it has then.
    wait_until("the end of all sessions", || sessions(ensemble, here).starts_with("0 local, 0 "));
    seen.push(open(address, &silent, false).describe());
    seen
}

fn on_each_role(members: &[ServerUnderTest; 3], upgrading: bool) -> Vec<String> {
    let ensemble = start(members, upgrading);
    let others = ROLES.iter().cycle().skip(1);
    ROLES.iter().zip(others).flat_map(|(role, other)| script(&ensemble, *role, *other)).collect()
}

#[test]
fn a_local_session_becomes_global_with_its_first_ephemeral_node() {
    same_as_apache(|kind| on_each_role(&[kind; 3], true));
}

#[test]
fn without_upgrading_there_are_no_ephemeral_nodes() {
    same_as_apache(|kind| on_each_role(&[kind; 3], false));
}
