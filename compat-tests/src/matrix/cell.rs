//! One run of a client's program for one area.
//!
//! The program is told where to connect by `MATRIX_HOSTS`, below which node to work by
//! `MATRIX_ROOT`, and whom a reconfig may change by `MATRIX_SERVER_LINE`. It prints
//!
//! - `ok AREA CHECK` or `FAIL AREA CHECK: WHY`, for each check;
//! - `none AREA: WHY`, if its library cannot do any of it;
//! - `? REQUEST`, for what only the runner can do to the servers ([`Stage::obey`]), and then waits
//!   for a line on its standard input.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Area, Client, Servers, Stage};

/// How long a program may take. Each wait inside it is shorter, so that it can say what was late.
const LIMIT: Duration = Duration::from_secs(240);

/// A check that a program made.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// What came of a cell.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// These checks ran.
    Ran(Vec<Check>),
    /// The library cannot do any of it, for this reason.
    None(String),
}

impl Outcome {
    /// The checks that ran.
    pub fn checks(&self) -> &[Check] {
        match self {
            Self::Ran(checks) => checks,
            Self::None(_) => &[],
        }
    }

    /// Those that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks().iter().filter(|check| check.failure.is_some())
    }

    /// How many passed.
    pub fn passed(&self) -> usize {
        self.checks().len() - self.failures().count()
    }
}

/// A client, on an ensemble, in an area.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Who asks.
    pub client: &'static Client,
    /// Who answers.
    pub servers: &'static Servers,
    /// What it is about.
    pub area: Area,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.servers.name, self.client.name, self.area)
    }
}

impl Cell {
    /// Runs it on an ensemble that is in order.
    pub fn run(self, stage: &mut Stage) -> Outcome {
        let mut command = self.client.command();
        let hosts = stage.hosts(self.area);
        command.arg(self.area.name()).env("MATRIX_HOSTS", hosts);
        command.env("MATRIX_ROOT", format!("/{}-{}", self.client.name, self.area));
        command.env("MATRIX_SERVER_LINE", stage.server_line());
        let mut program = Running::start(command);
        let outcome = program.converse(self.area, stage);
        if outcome.failures().next().is_some() {
            eprintln!("{}", self.report(&outcome, &program.stderr(), &stage.logs()));
        }
        outcome
    }

    /// The command that runs this cell alone.
    pub fn repeat(self) -> String {
        let program = "cargo run --release -p compat-tests --bin matrix --";
        let (client, servers, area) = (self.client.name, self.servers.name, self.area);
        format!("{program} --clients {client} --servers {servers} --areas {area}")
    }

    fn report(self, outcome: &Outcome, stderr: &str, logs: &str) -> String {
        let mut text = String::new();
        for check in outcome.failures() {
            let why = check.failure.as_deref().unwrap_or_default();
            text += &format!("FAIL {} {}: {why}\n", self.area, check.name);
        }
        text + logs
            + "--- standard error of the program\n"
            + stderr
            + "--- again: "
            + &self.repeat()
    }
}

/// A program that runs; it is killed when dropped.
struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    folder: tempfile::TempDir,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stderr = File::create(folder.path().join("stderr")).expect("a temporary file");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            lines.take_while(|line| send.send(line.clone()).is_ok()).count()
        });
        Self { child, stdin, lines, folder }
    }

    /// Takes what it prints, and does what it asks for, until its end.
    fn converse(&mut self, area: Area, stage: &mut Stage) -> Outcome {
        let deadline = Instant::now() + LIMIT;
        let mut checks = Vec::new();
        let fail = |checks: &mut Vec<Check>, name: &str, why: String| {
            checks.push(Check { name: name.to_owned(), failure: Some(why) });
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    fail(&mut checks, "end", format!("it still ran after {LIMIT:?}"));
                    return Outcome::Ran(checks);
                }
            };
            let of_area = |verdict: &str| {
                let rest = line.strip_prefix(verdict)?.strip_prefix(area.name())?;
                Some(rest.trim_start_matches([' ', ':']))
            };
            if let Some(request) = line.strip_prefix("? ") {
                match stage.obey(request) {
                    // One that has ended meanwhile says so by the end of its output.
                    Ok(answer) => drop(writeln!(self.stdin, "{answer}")),
                    Err(why) => {
                        fail(&mut checks, request, why);
                        return Outcome::Ran(checks);
                    }
                }
            } else if let Some(name) = of_area("ok ") {
                checks.push(Check { name: name.to_owned(), failure: None });
            } else if let Some(check) = of_area("FAIL ") {
                let (name, why) = check.split_once(": ").unwrap_or((check, ""));
                fail(&mut checks, name, why.to_owned());
            } else if let Some(why) = of_area("none ") {
                return Outcome::None(why.to_owned());
            }
        }
        let status = self.child.wait().expect("the end of a child");
        if !status.success() || checks.is_empty() {
            fail(&mut checks, "end", format!("it ended with {status}"));
        }
        Outcome::Ran(checks)
    }

    fn stderr(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
