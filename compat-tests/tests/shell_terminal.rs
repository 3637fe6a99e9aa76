//! Our own shell on a terminal: the prompt, completion of commands and paths, history, an event
//! while a line is being edited, and the end by Ctrl-D.

use std::process::Command;

use compat_tests::server::{Home, ServerUnderTest, gamekeeper_binary};
use rexpect::session::{PtySession, spawn_command};

/// How long an expected text may take, in milliseconds.
const LIMIT_MS: u64 = 60_000;

fn shell(address: &str) -> PtySession {
    let mut command = Command::new(gamekeeper_binary());
    command.args(["cli", "-server", address]).env("TERM", "xterm");
    spawn_command(command, Some(LIMIT_MS)).expect("a shell on a terminal")
}

/// Types keys; they reach the shell without a line end.
fn type_keys(shell: &mut PtySession, keys: &str) {
    shell.send(keys).and_then(|_| shell.flush()).expect("the terminal takes keys");
}

fn expect(shell: &mut PtySession, text: &str) {
    shell.exp_string(text).unwrap_or_else(|error| panic!("no {text:?}: {error}"));
}

#[test]
fn lines_are_edited_completed_and_remembered() {
    let server = ServerUnderTest::from_env().start(Home::new(&[]));
    let address = server.address().to_string();
    let mut shell = shell(&address);
    expect(&mut shell, "JLine support is enabled");
    expect(&mut shell, &format!("[zk: {address}(CONNECT"));
    type_keys(&mut shell, "create /parent\r");
    expect(&mut shell, "Created /parent");
    type_keys(&mut shell, "create /parent/child found\r");
    expect(&mut shell, "Created /parent/child");
    expect(&mut shell, "(CONNECTED) 2] ");

    // Two commands start like this; a third letter leaves one.
    type_keys(&mut shell, "getA\t\t");
    expect(&mut shell, "getAllChildrenNumber");
    type_keys(&mut shell, "l\t /par\t\r");
    expect(&mut shell, "getAllChildrenNumber /parent");
    expect(&mut shell, "\n1\r\n");

    type_keys(&mut shell, "get -w /parent/\t\r");
    expect(&mut shell, "get -w /parent/child");
    expect(&mut shell, "\nfound\r\n");
    expect(&mut shell, "(CONNECTED) 4] ");
    type_keys(&mut shell, "\u{10}\r"); // Ctrl-P: the line before
    expect(&mut shell, "\nfound\r\n");
    expect(&mut shell, "(CONNECTED) 5] ");

    // An event is printed above the line, which stays and can be finished.
    type_keys(&mut shell, "get /par");
    let mut other = Command::new(gamekeeper_binary());
    other.args(["cli", "-server", &address, "set", "/parent/child", "changed"]);
    assert!(other.status().expect("a second shell").success());
    expect(&mut shell, "type:NodeDataChanged path:/parent/child");
    expect(&mut shell, "(CONNECTED) 5] get /par");
    type_keys(&mut shell, "\t/\t\r");
    expect(&mut shell, "\nchanged\r\n");

    type_keys(&mut shell, "\u{4}"); // Ctrl-D
    shell.exp_eof().expect("the shell ends");
}
