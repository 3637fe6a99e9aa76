//! Kazoo's own test suite, unmodified: what passes on Apache 3.9.3
//! (`expected/kazoo-apache-3.9.3.txt`) passes on the server under test.

use std::process::Command;
use std::time::Duration;

use compat_tests::cache::{cache_dir, crate_dir, target_dir};
use compat_tests::program::output;
use compat_tests::server::{ServerUnderTest, gamekeeper_binary};
use compat_tests::transcript::expected;

/// The limit of the runner's own runs, and some time to collect.
const LIMIT: Duration = Duration::from_secs(3600);

#[test]
fn what_passes_on_apache_passes_here() {
    let kind = ServerUnderTest::from_env();
    let suite = || {
        let mut suite = Command::new(crate_dir().join("kazoo-suite"));
        suite.env("COMPAT_CACHE", cache_dir());
        if kind == ServerUnderTest::Gamekeeper {
            suite.env("GAMEKEEPER_BIN", gamekeeper_binary());
        }
        suite
    };
    let results = target_dir().join(format!("kazoo-{kind}.txt"));
    let mut run = suite();
    run.arg(kind.to_string()).arg(&results);
    println!("{}", output(run, "", LIMIT));
    let mut compare = suite();
    compare.arg("compare").arg(expected("kazoo-apache-3.9.3")).arg(&results);
    println!("{}", output(compare, "", Duration::from_secs(60)));
}
