//! A member that is cut off from its ensemble serves reads (`readonlymode.enabled`): it answers
//! every request as Apache's does, and its clients go on when the ensemble is whole again.

use std::process::Command;
use std::thread;
use std::time::Duration;

use compat_tests::cache::{cache_dir, crate_dir};
use compat_tests::ensemble::{Ensemble, Layout};
use compat_tests::hosts::{Hosts, Role};
use compat_tests::program::{JAVA_CLIENT, apache_java, compile_java, output};
use compat_tests::raw_client::{RawClient, Session, mode, op};
use compat_tests::server::ServerUnderTest;
use compat_tests::session_script::{
    Opened, ask, ask_bytes, close_session, create, create_both, is_closed_by_server, open,
    same_as_apache,
};
use jute::{ExistsRequest, GetChildrenRequest, GetDataRequest, SetDataRequest, SyncRequest};

/// Until when a client of the programs must be through.
const LIMIT: Duration = Duration::from_secs(120);

fn layout(kind: ServerUnderTest, local_sessions: bool) -> Layout {
    Layout::new(&[kind; 2])
        .with_property("readonlymode.enabled", "true")
        .with_config(&format!("localSessionsEnabled={local_sessions}"))
        .with_config("localSessionsUpgradingEnabled=true")
}

/// Member 0 alone, and a session of the ensemble that is left over.
fn cut_off(ensemble: &mut Ensemble) -> Session {
    let mut client = RawClient::connect(ensemble.address(0), 30_000).expect("a session");
    assert_eq!(create(&mut client, "/node", mode::PERSISTENT), "0");
    // Where sessions are local, this makes it one of the ensemble.
    assert_eq!(create(&mut client, "/ephemeral", mode::EPHEMERAL), "0");
    let session = client.session().clone();
    ensemble.kill(1);
    ensemble.wait_for_role(0, Role::ReadOnly);
    session
}

fn every_request(client: &mut RawClient) -> Vec<String> {
    let path = "/node";
    let exists = ExistsRequest { path: path.into(), watch: true };
    let children = GetChildrenRequest { path: "/".into(), watch: true };
    let set = SetDataRequest { path: path.into(), data: None, version: -1 };
    vec![
        ask(client, op::GET_DATA, &GetDataRequest { path: path.into(), watch: true }),
        ask(client, op::GET_DATA, &GetDataRequest { path: "/none".into(), watch: false }),
        ask(client, op::EXISTS, &exists),
        ask(client, op::GET_CHILDREN, &children),
        create(client, "/new", mode::PERSISTENT),
        create(client, "/new", mode::EPHEMERAL),
        ask(client, op::SET_DATA, &set),
        create_both(client, "/new", "/new-too"),
        ask(client, op::SYNC, &SyncRequest { path: Some(path.into()) }),
        ask_bytes(client, op::DELETE, &[]),
    ]
}

fn words(ensemble: &Ensemble) -> Vec<String> {
    let server = ensemble.server(0);
    let lines = |word: &str, wanted: &[&str]| -> Vec<String> {
        let answer = server.four_letter_word(word);
        let wanted = |line: &&str| wanted.iter().any(|wanted| line.starts_with(wanted));
        // Apache's counts buckets that are empty, too.
        let shown = |line: &str| line.split(" Sets").next().unwrap_or_default().to_owned();
        answer.lines().filter(wanted).map(shown).collect()
    };
    let mut words = vec![server.four_letter_word("isro")];
    words.extend(lines("srvr", &["READ-ONLY", "Mode"]));
    words.extend(lines("stat", &["READ-ONLY", "Mode"]));
    words.extend(lines("mntr", &["zk_server_state", "zk_local_sessions"]));
    words.extend(lines("dump", &["Local Session", "Global", "SessionTracker"]));
    words
}

#[test]
fn with_local_sessions_clients_get_sessions_and_read() {
    same_as_apache(|kind| {
        let mut ensemble = layout(kind, true).start();
        let global = cut_off(&mut ensemble);
        let address = ensemble.address(0);
        let mut seen = words(&ensemble);
        seen.push(open(address, &Session::new(20_000), false).describe());
        seen.push(open(address, &global, true).describe());
        let opened = open(address, &Session::new(20_000), true);
        seen.push(opened.describe());
        let (mut first, session) = opened.client();
        seen.extend(every_request(&mut first));
        seen.extend(words(&ensemble));
        // Another connection for the same session, and one without its password.
        let opened = open(address, &session, true);
        let (mut second, again) = opened.client();
        seen.push(format!("{} {}", again == session, is_closed_by_server(&mut first)));
        let stranger = Session { password: vec![7; 16], ..session.clone() };
        seen.push(open(address, &stranger, true).describe());
        seen.push(is_closed_by_server(&mut second).to_string());
        let (mut third, _) = open(address, &session, true).client();
        seen.push(close_session(&mut third));
        seen.push(open(address, &session, true).describe());
        // The ensemble is whole again: connections end, and so do these sessions.
        let (mut last, local) = open(address, &Session::new(20_000), true).client();
        ensemble.launch(1);
        seen.push(is_closed_by_server(&mut last).to_string());
        ensemble.wait_until_all_serve();
        seen.push(open(address, &local, true).describe());
        let opened = open(address, &global, true);
        seen.push(opened.describe());
        seen.push(create(&mut opened.client().0, "/after", mode::PERSISTENT));
        seen
    });
}

#[test]
fn without_local_sessions_no_session_is_made() {
    same_as_apache(|kind| {
        let mut ensemble = layout(kind, false).start();
        let mut closed = RawClient::connect(ensemble.address(1), 30_000).expect("a session");
        let gone = closed.session().clone();
        close_session(&mut closed);
        let global = cut_off(&mut ensemble);
        let address = ensemble.address(0);
        let mut seen = words(&ensemble);
        seen.push(open(address, &Session::new(20_000), false).describe());
        seen.push(open(address, &Session::new(20_000), true).describe());
        seen.push(open(address, &global, true).describe());
        // Nobody here knows whether a session lives that the ensemble has not.
        let opened = open(address, &gone, true);
        seen.push(opened.describe());
        if let Opened::Session { mut client, .. } = opened {
            seen.extend(every_request(&mut client));
            seen.push(close_session(&mut client));
        }
        seen
    });
}

/// Starts an ensemble, and cuts a client's member off while it runs.
fn client_sees_both_modes(command: impl FnOnce(String) -> Command) -> String {
    let mut ensemble = layout(ServerUnderTest::Gamekeeper, true).start();
    let addresses: Vec<String> = ensemble.addresses().iter().map(ToString::to_string).collect();
    let mut command = command(addresses.join(","));
    let program = thread::spawn(move || {
        command.env("COMPAT_CACHE", cache_dir());
        output(command, "", LIMIT)
    });
    // The program writes a node in each state that it waits for.
    let mut watcher = RawClient::connect(ensemble.address(0), 30_000).expect("a session");
    compat_tests::session_script::wait_until("the program's node", || {
        watcher.exists("/written").expect("an answer")
    });
    ensemble.kill(1);
    ensemble.wait_for_role(0, Role::ReadOnly);
    thread::sleep(Duration::from_secs(3));
    ensemble.launch(1);
    program.join().expect("the program's output")
}

const BOTH_MODES: &str = "read-write\nread-only\nread: yes\nwrite: refused\nread-write\nwritten\n";

#[test]
fn apaches_client_goes_to_read_only_and_back() {
    let seen = client_sees_both_modes(|addresses| {
        let mut command =
            apache_java(JAVA_CLIENT, &[compile_java(JAVA_CLIENT, &["read_only"], &[])]);
        command.args(["ReadOnly", &addresses]);
        command
    });
    assert_eq!(seen, BOTH_MODES);
}

#[test]
fn kazoo_goes_to_read_only_and_back() {
    let seen = client_sees_both_modes(|addresses| {
        let mut command = Command::new(cache_dir().join("kazoo/venv/bin/python"));
        command.arg(crate_dir().join("programs/kazoo/read_only.py")).arg(addresses);
        command
    });
    assert_eq!(seen, BOTH_MODES);
}
