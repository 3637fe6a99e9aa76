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
    let mut suite = Command::new(crate_dir().join("kazoo-suite"));
    suite.env("COMPAT_CACHE", cache_dir());
    if kind == ServerUnderTest::Gamekeeper {
        suite.env("GAMEKEEPER_BIN", gamekeeper_binary());
    }
    suite.arg(kind.to_string()).arg(target_dir().join(format!("kazoo-{kind}.txt")));
    suite.arg(expected("kazoo-apache-3.9.3"));
    println!("{}", output(suite, "", LIMIT));
}
