//! Curator's recipes (`programs/curator`), several clients at once, do on the server under test
//! what they do on Apache.

use std::time::Duration;

use compat_tests::cache::cache_dir;
use compat_tests::program::{JAVA_CLIENT, apache_java, compile_java, output};
use compat_tests::server::{Home, ServerUnderTest};
use compat_tests::transcript;

#[test]
fn recipes() {
    let kind = ServerUnderTest::from_env();
    let server = kind.start(Home::new(&["extendedTypesEnabled=true"]));
    let curator = cache_dir().join("curator/*");
    let classes = compile_java(JAVA_CLIENT, &["curator"], std::slice::from_ref(&curator));
    let mut command = apache_java(JAVA_CLIENT, &[classes, curator]);
    command.arg("Recipes").arg(server.address().to_string());
    let seen = output(command, "", Duration::from_secs(300));
    transcript::check(kind, "curator", &seen);
}
