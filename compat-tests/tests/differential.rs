//! The same seeded scripts, raw on the wire, put to Apache's server and to this one: every reply,
//! notification and closed connection must be the same.
//!
//! `DIFF_SEEDS` (10) scripts from `DIFF_FIRST_SEED` (1) on, of `DIFF_REQUESTS` (2000) requests
//! each, against `DIFF_APACHE` (3.9.6). `DIFF_SHOW` (1) differences of a seed are printed;
//! `DIFF_MINIMISE` (0) is how many runs may go into shortening the script of the first.
//! `DIFF_SELF=1` compares Apache with itself, which proves that the comparison sees no ghosts.

use std::fmt::Write;
use std::net::SocketAddr;
use std::str::FromStr;
use std::thread;

use compat_tests::differential::{
    Difference, Restart, Script, StepRecord, differences, minimise, run, script,
};
use compat_tests::server::{APACHE_RELEASES, Home, Server, ServerUnderTest};

fn setting<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

fn reference() -> ServerUnderTest {
    let wanted = setting("DIFF_APACHE", String::from("3.9.6"));
    let found = APACHE_RELEASES.into_iter().find(|release| *release == wanted);
    ServerUnderTest::Apache(found.unwrap_or_else(|| panic!("no Apache {wanted} is set up")))
}

fn other() -> ServerUnderTest {
    match setting("DIFF_SELF", 0) {
        0 => ServerUnderTest::Gamekeeper,
        _ => reference(),
    }
}

/// The server of one run; empty only while it is being restarted.
struct Running(Option<Server>);

impl Running {
    fn server(&mut self) -> &mut Server {
        self.0.as_mut().expect("a server between restarts")
    }
}

impl Restart for Running {
    fn address(&self) -> SocketAddr {
        self.0.as_ref().expect("a server between restarts").address()
    }

    fn restart(&mut self, killed: bool) {
        let server = self.0.take().expect("a server between restarts");
        let kind = server.kind();
        let home = if killed { server.kill() } else { server.stop() };
        self.0 = Some(kind.start(home));
    }
}

/// Runs a script on a fresh server.
fn record(kind: ServerUnderTest, script: &Script) -> Vec<StepRecord> {
    let home = Home::new(&script.config).with_property("file.encoding", "UTF-8");
    let mut running = Running(Some(kind.start(home)));
    let records = run(&mut running, script);
    if let Some(status) = running.server().ended() {
        panic!("the server ended with {status} under seed {}", script.seed);
    }
    records
}

fn compare(script: &Script) -> Vec<Difference> {
    let (expected, actual) = thread::scope(|scope| {
        let expected = scope.spawn(|| record(reference(), script));
        let actual = scope.spawn(|| record(other(), script));
        (expected.join().expect("the reference's run"), actual.join().expect("the other's run"))
    });
    differences(script, &expected, &actual)
}

/// What to print of the differences of a seed.
fn report(script: &Script, found: &[Difference], requests: usize) -> String {
    let mut text = format!("seed {}: {} steps differ\n", script.seed, found.len());
    for difference in found.iter().take(setting("DIFF_SHOW", 1)) {
        writeln!(text, "{difference}").expect("a string takes it");
    }
    let tries = setting("DIFF_MINIMISE", 0);
    if tries > 0 {
        let mut cut = script.clone();
        cut.steps.truncate(found[0].index + 1);
        let shortest = minimise(&cut, tries, |candidate| {
            let last = candidate.steps.len() - 1;
            compare(candidate).iter().any(|difference| difference.index == last)
        });
        writeln!(text, "A shorter script that ends in a difference, with {:?}:", shortest.config)
            .expect("a string takes it");
        for step in &shortest.steps {
            writeln!(text, "  {step}").expect("a string takes it");
        }
    }
    write!(
        text,
        "To repeat: DIFF_FIRST_SEED={} DIFF_SEEDS=1 DIFF_REQUESTS={requests} \
         cargo test -p compat-tests --test differential -- --nocapture",
        script.seed
    )
    .expect("a string takes it");
    text
}

#[test]
fn every_reply_is_the_reference_s() {
    let requests = setting("DIFF_REQUESTS", 2000);
    let first = setting("DIFF_FIRST_SEED", 1_u64);
    let mut reports = Vec::new();
    for seed in first..first + setting("DIFF_SEEDS", 10_u64) {
        let script = script(seed, requests);
        let found = compare(&script);
        println!("seed {seed}: {} steps, {} differ", script.steps.len(), found.len());
        if !found.is_empty() {
            reports.push(report(&script, &found, requests));
        }
    }
    assert!(reports.is_empty(), "{}", reports.join("\n\n"));
}
