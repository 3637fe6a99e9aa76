//! A program on the C client, libzookeeper_mt (`programs/c`), sees of the server under test what
//! it sees of Apache.

use std::process::Command;
use std::time::Duration;

use compat_tests::program::{compile_c, output};
use compat_tests::server::{Home, ServerUnderTest};
use compat_tests::transcript;

#[test]
fn every_operation() {
    let kind = ServerUnderTest::from_env();
    let server = kind.start(Home::new(&["extendedTypesEnabled=true"]));
    let mut command = Command::new(compile_c("client"));
    command.arg(server.address().to_string());
    let seen = output(command, "", Duration::from_secs(120));
    transcript::check(kind, "c-client", &seen);
}
