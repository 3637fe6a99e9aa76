//! Our own shell against Java's, side by side: the same odd lines (wrong options, missing words,
//! quotes, bad paths, quotas: `programs/zkcli/odd_lines.txt`) give the same standard output, the
//! same standard error and the same exit code. Nothing is recorded; both run on the server under
//! test, each on a fresh one.

use std::process::Command;
use std::time::Duration;

use compat_tests::cache::{cache_dir, crate_dir};
use compat_tests::program::{Finished, run};
use compat_tests::server::{Home, ServerUnderTest, gamekeeper_binary};

/// Starts of lines whose rest is another on every run.
const VARYING: [&str; 7] =
    ["cZxid", "mZxid", "pZxid", "ctime", "mtime", "ephemeralOwner = 0x1", "ZooKeeper CLI version"];

fn finished(mut shell: Command) -> Finished {
    let server = ServerUnderTest::from_env().start(Home::new(&["extendedTypesEnabled=true"]));
    let file = crate_dir().join("programs/zkcli/odd_lines.txt");
    let lines = std::fs::read_to_string(file).expect("a list of lines");
    shell.args(["-server", &server.address().to_string()]);
    shell.env("COMPAT_CACHE", cache_dir()).env("COMPAT_LOG_LEVEL", "OFF").env("TZ", "UTC");
    // Java prints as the locale can.
    shell.env("LC_ALL", "C.UTF-8");
    let mut finished = run(shell, &lines, Duration::from_secs(120));
    finished.stdout = finished.stdout.replace(&server.address().to_string(), "SERVER");
    finished
}

/// Answers in order, then events in order: Java prints events from a thread of its own. Of `whoami`
/// and lists of ephemerals the order is that of a hash.
fn answers_and_events(stdout: &str) -> Vec<String> {
    let (mut answers, mut events) = (Vec::new(), Vec::new());
    let mut lines = stdout.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() && lines.peek() == Some(&"WATCHER::") {
            let event = lines.nth(2).unwrap_or_default();
            events.push(event.split(" zxid").next().unwrap_or_default().to_owned());
            continue;
        }
        let varying = VARYING.iter().find(|start| line.starts_with(**start));
        answers.push(varying.map_or_else(|| line.to_owned(), |start| format!("{start}...")));
    }
    answers.extend(events);
    answers
}

/// What a shell printed and how it ended.
fn outcome(shell: &Finished) -> (Vec<String>, Vec<String>, Option<i32>) {
    let errors = shell.stderr.lines().map(str::to_owned).collect();
    (answers_and_events(&shell.stdout), errors, shell.status.code())
}

#[test]
fn odd_lines() {
    // Java's shell prints from several threads, and once in fifty runs leaves out an event. What
    // differs in three runs differs.
    for last in [false, false, true] {
        let mut java = Command::new(crate_dir().join("apache"));
        java.args(["3.9.3", "cli"]);
        let mut ours = Command::new(gamekeeper_binary());
        ours.arg("cli");
        let (java, ours) = (finished(java), finished(ours));
        if !last && outcome(&ours) != outcome(&java) {
            continue;
        }
        assert_eq!(outcome(&ours), outcome(&java));
        return;
    }
}
