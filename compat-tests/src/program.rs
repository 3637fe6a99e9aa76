//! Runs external programs (clients, compilers, scripts) with a time limit.

use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `command` with `input` on its standard input and waits for it; kills it and panics when it
/// takes longer than `limit`.
pub fn run(mut command: Command, input: &str, limit: Duration) -> Finished {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| std::fs::File::create(dir.path().join(name)).expect("a temporary file");
    let text = |name: &str| {
        let bytes = std::fs::read(dir.path().join(name)).expect("a temporary file");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    std::fs::write(dir.path().join("in"), input).expect("a temporary file");
    let stdin = std::fs::File::open(dir.path().join("in")).expect("a temporary file");
    command.stdin(Stdio::from(stdin)).stdout(file("out")).stderr(file("err"));
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the state of a child") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
            panic!(
                "{command:?} still ran after {limit:?}\n--- stdout\n{}\n--- stderr\n{}",
                text("out"),
                text("err")
            );
        }
        thread::sleep(Duration::from_millis(10));
    };
    Finished { status, stdout: text("out"), stderr: text("err") }
}

/// [`run`] for a program that must succeed; gives its standard output.
pub fn output(command: Command, input: &str, limit: Duration) -> String {
    let shown = format!("{command:?}");
    let finished = run(command, input, limit);
    assert!(
        finished.status.success(),
        "{shown} ended with {}\n--- stdout\n{}\n--- stderr\n{}",
        finished.status,
        finished.stdout,
        finished.stderr
    );
    finished.stdout
}
