//! A session of every command of zkCli (`programs/zkcli/commands.txt`): Java's shell, unchanged,
//! prints of the server under test what it prints of Apache, and our own shell prints the same.

use std::process::Command;
use std::time::Duration;

use compat_tests::cache::{cache_dir, crate_dir};
use compat_tests::program::{Finished, run};
use compat_tests::server::{Home, ServerUnderTest, gamekeeper_binary};
use compat_tests::transcript;

/// Starts of lines whose rest is another on every run.
const VARYING: [&str; 7] =
    ["cZxid", "mZxid", "pZxid", "ctime", "mtime", "ephemeralOwner = 0x1", "ZooKeeper CLI version"];

/// A line that is a list, in order: the ephemerals of a session come in the order of a hash.
fn sorted_list(line: &str) -> String {
    let Some(list) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) else {
        return line.into();
    };
    let mut names: Vec<&str> = list.split(", ").collect();
    names.sort_unstable();
    format!("[{}]", names.join(", "))
}

/// The lines, with those of `whoami` in order: they come in the order of a hash.
fn with_identities_in_order(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    for start in 1..lines.len() {
        if lines[start - 1] != "Auth scheme: User" {
            continue;
        }
        let until = start + lines[start..].iter().take_while(|line| line.contains(": ")).count();
        lines[start..until].sort_unstable();
    }
    lines
}

/// What a shell printed, in an order and with words that are the same on every run.
fn transcript_of(finished: &Finished) -> String {
    let mut seen = String::new();
    let mut events = Vec::new();
    for line in with_identities_in_order(&finished.stdout) {
        // Events are printed by another thread, amid the answers, with empty lines and a head:
        // they come last here.
        if let Some(event) = line.strip_prefix("WatchedEvent ") {
            events.push(event.split(" zxid").next().unwrap_or_default());
        } else if !line.is_empty() && line != "WATCHER::" {
            let varying = VARYING.iter().find(|start| line.starts_with(**start));
            seen += &varying.map_or_else(|| sorted_list(line), |start| format!("{start}..."));
            seen += "\n";
        }
    }
    events.iter().for_each(|event| seen += &format!("event {event}\n"));
    // Errors are printed to standard error, between the log's lines.
    let errors = finished.stderr.lines().filter(|line| !line.starts_with(|c: char| c.is_numeric()));
    errors.for_each(|line| seen += &format!("error {line}\n"));
    seen + &format!("ended with {:?}\n", finished.status.code())
}

/// Runs every command in a shell on a fresh server and compares.
fn every_command(mut shell: Command) {
    let kind = ServerUnderTest::from_env();
    let server = kind.start(Home::new(&["extendedTypesEnabled=true"]));
    let commands = std::fs::read_to_string(crate_dir().join("programs/zkcli/commands.txt"))
        .expect("a list of commands");
    let address = server.address().to_string();
    shell.args(["-server", &address]).env("COMPAT_CACHE", cache_dir());
    let finished = run(shell, &commands, Duration::from_secs(120));
    let seen = transcript_of(&finished).replace(&address, "SERVER");
    transcript::check(kind, "zkcli", &seen);
}

#[test]
fn javas_shell() {
    let mut shell = Command::new(crate_dir().join("apache"));
    shell.args(["3.9.3", "cli"]);
    every_command(shell);
}

#[test]
fn our_shell() {
    // The expected transcript is Java's shell's.
    if std::env::var_os("COMPAT_RECORD").is_some() {
        return;
    }
    let mut shell = Command::new(gamekeeper_binary());
    shell.arg("cli");
    every_command(shell);
}
