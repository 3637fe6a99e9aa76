//! Programs on Apache's Java client (`programs/java`) see of the server under test what they see
//! of Apache: results, errors, Stats, events and their order, identities, sessions.

use std::time::Duration;

use compat_tests::program::{JAVA_CLIENT, apache_java, compile_java, output};
use compat_tests::server::{Home, ServerUnderTest};
use compat_tests::transcript;

const LIMIT: Duration = Duration::from_secs(180);

fn same_as_apache(program: &str) {
    let kind = ServerUnderTest::from_env();
    let config = ["extendedTypesEnabled=true", "maxSessionTimeout=60000", "reconfigEnabled=true"];
    let server = kind.start(Home::new(&config));
    let classes = compile_java(JAVA_CLIENT, &["java"], &[]);
    let mut command = apache_java(JAVA_CLIENT, &[classes]);
    command.arg(program).arg(server.address().to_string());
    let seen = output(command, "", LIMIT);
    transcript::check(kind, &format!("java-{}", program.to_lowercase()), &seen);
}

#[test]
fn every_operation() {
    same_as_apache("Operations");
}

#[test]
fn watches() {
    same_as_apache("Watches");
}

#[test]
fn auth() {
    same_as_apache("Auth");
}

#[test]
fn sessions() {
    same_as_apache("Sessions");
}
