//! The clients of the matrix: which program, on which release of which library.

use std::path::PathBuf;
use std::process::Command;

use crate::cache::{cache_dir, clients_dir, crate_dir};
use crate::program::{apache_java, compile_c, compile_go, compile_java, compile_rust};
use crate::transcript::expected;

/// For a JVM that runs for seconds: a compiler that optimises would cost more than it gains.
const SHORT_RUN: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// A client library of one release.
#[derive(Debug)]
pub struct Client {
    /// Its name, for the command line, with its release.
    pub name: &'static str,
    /// What the table says it is.
    pub title: &'static str,
    program: Program,
}

/// How the program of a client is run.
#[derive(Debug)]
enum Program {
    /// On Apache's Java client of this release.
    Java(&'static str),
    /// On Curator in this folder of the cache, and the Java client of this release.
    Curator(&'static str, &'static str),
    /// With the Python of this folder of the cache, which has Kazoo.
    Kazoo(&'static str),
    /// On libzookeeper_mt.
    C,
    /// Through Java's shell of this release.
    ZkCli(&'static str),
    /// On go-zookeeper.
    Go,
    /// On the crate zookeeper-client.
    Rust,
}

/// All, in the order of the table.
pub const CLIENTS: [Client; 11] = [
    client("java-3.8", "Java client 3.8.0", Program::Java("3.8.0")),
    client("java-3.9", "Java client 3.9.6", Program::Java("3.9.6")),
    client("curator-5.4", "Curator 5.4.0", Program::Curator("curator", "3.9.3")),
    client("curator-5.7", "Curator 5.7.1", Program::Curator("clients/curator", "3.9.6")),
    client("c", "C library 3.8.0", Program::C),
    client("kazoo-2.8", "Kazoo 2.8.0", Program::Kazoo("clients/kazoo")),
    client("kazoo-2.11", "Kazoo 2.11.0", Program::Kazoo("kazoo/venv")),
    client("go", "go-zookeeper 1.0.4", Program::Go),
    client("rust", "zookeeper-client 0.11.2 (Rust)", Program::Rust),
    client("zkcli-3.8", "zkCli.sh 3.8.0", Program::ZkCli("3.8.0")),
    client("zkcli-3.9", "zkCli.sh 3.9.6", Program::ZkCli("3.9.6")),
];

const fn client(name: &'static str, title: &'static str, program: Program) -> Client {
    Client { name, title, program }
}

impl Client {
    /// The command that runs its program; the first call compiles it.
    pub fn command(&self) -> Command {
        clients_dir();
        let script = |name: &str| crate_dir().join("programs/matrix").join(name);
        match self.program {
            Program::Java(release) => java(&["matrix/java"], release, &[]),
            Program::Curator(folder, release) => {
                let curator = cache_dir().join(folder).join("*");
                let mut java = java(&["matrix/curator", "curator"], release, &[curator]);
                java.env("MATRIX_RECIPES", expected("curator"));
                java
            }
            Program::Kazoo(folder) => {
                let mut python = Command::new(cache_dir().join(folder).join("bin/python"));
                python.arg(script("kazoo_areas.py"));
                python
            }
            Program::C => Command::new(compile_c("areas")),
            Program::ZkCli(release) => {
                let mut python = Command::new("python3");
                python.arg(script("zkcli_areas.py")).arg(crate_dir().join("apache")).arg(release);
                python.env("COMPAT_CACHE", cache_dir()).env("CLIENT_JVMFLAGS", SHORT_RUN.join(" "));
                python
            }
            Program::Go => Command::new(compile_go("matrix/go")),
            Program::Rust => Command::new(compile_rust("matrix/rust")),
        }
    }
}

/// The class `Areas` of these folders, compiled against what it then runs with.
fn java(folders: &[&str], release: &str, libraries: &[PathBuf]) -> Command {
    let folders = [folders, &["matrix/java-checks"]].concat();
    let classes = compile_java(release, &folders, libraries);
    let mut java = apache_java(release, &[&[classes], libraries].concat());
    java.args(SHORT_RUN).arg("Areas");
    java
}
