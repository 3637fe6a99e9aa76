//! Compiles the client programs, and runs external programs with a time limit.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cache::{cache_dir, clients_dir, crate_dir, target_dir};

/// How long a compiler may take, on a loaded machine; a crate may have to be fetched first.
const COMPILE_LIMIT: Duration = Duration::from_secs(600);

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

/// The release of Apache's Java client that most tests run on.
pub const JAVA_CLIENT: &str = "3.9.3";

/// Compiles all of `programs/<folder>/*.java` of these folders against Apache's client of a
/// release and `libraries`, once per change of the sources; gives the folder of the classes.
pub fn compile_java(release: &str, folders: &[&str], libraries: &[PathBuf]) -> PathBuf {
    let sources: Vec<PathBuf> = folders.iter().flat_map(|folder| sources(folder, "java")).collect();
    let class_path = class_path(release, libraries);
    compiled(&format!("java-{}", folders[0].replace('/', "-")), &class_path, &sources, |into| {
        let mut javac = Command::new("javac");
        javac.arg("-d").arg(into).arg("-cp").arg(&class_path).args(&sources);
        javac
    })
}

/// Compiles `programs/c/<name>.c` with libzookeeper_mt; gives the program.
pub fn compile_c(name: &str) -> PathBuf {
    let source = crate_dir().join("programs/c").join(name).with_extension("c");
    let folder = compiled(&format!("c-{name}"), "", std::slice::from_ref(&source), |into| {
        let library = cache_dir().join("libzookeeper");
        let mut gcc = Command::new("gcc");
        gcc.args(["-std=c11", "-Wall", "-Werror", "-DTHREADED", "-D_GNU_SOURCE"]);
        gcc.arg("-I").arg(library.join("include/zookeeper")).arg(&source);
        gcc.arg("-L").arg(library.join("lib")).args(["-lzookeeper_mt", "-lpthread"]);
        gcc.arg(format!("-Wl,-rpath,{}", library.join("lib").display()));
        gcc.arg("-o").arg(into.join("program"));
        gcc
    });
    folder.join("program")
}

/// Compiles `programs/<folder>/*.go` with Go and its libraries in the cache; gives the program.
pub fn compile_go(folder: &str) -> PathBuf {
    let sources = sources(folder, "go");
    let name = folder.replace('/', "-");
    let folder = compiled(&name, "", &sources, |into| {
        let clients = clients_dir();
        let mut go = Command::new(clients.join("go/bin/go"));
        go.args(["build", "-o"]).arg(into.join("program")).args(&sources);
        // Libraries are where Debian unpacks them, and nothing is fetched.
        go.env("GOROOT", clients.join("go")).env("GOPATH", clients.join("gopath"));
        go.env("GO111MODULE", "off").env("GOCACHE", target_dir().join("compat-go"));
        go.env("GOFLAGS", "").env("CGO_ENABLED", "0");
        go
    });
    folder.join("program")
}

/// Compiles the crate `programs/<folder>`, which is no member of the workspace; gives the program.
pub fn compile_rust(folder: &str) -> PathBuf {
    let crate_folder = crate_dir().join("programs").join(folder);
    let files = ["Cargo.toml", "Cargo.lock", "src/main.rs"].map(|file| crate_folder.join(file));
    let name = folder.replace('/', "-");
    let build = target_dir().join("compat-rust");
    let folder = compiled(&name, "", &files, |into| {
        // Cargo leaves the program in its own folder, with what it is made of.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "cargo build --locked -q && cp \"$CARGO_TARGET_DIR/debug/areas\" \"$0\""]);
        shell.arg(into.join("program")).current_dir(&crate_folder);
        shell.env("CARGO_TARGET_DIR", &build).env_remove("RUSTFLAGS");
        shell
    });
    folder.join("program")
}

/// A command that runs a Java class with Apache's client of a release, `class_folders` and `-cp`
/// jars.
pub fn apache_java(release: &str, libraries: &[PathBuf]) -> Command {
    let mut java = Command::new("java");
    java.arg("-cp").arg(class_path(release, libraries));
    java
}

fn class_path(release: &str, libraries: &[PathBuf]) -> String {
    let apache = cache_dir().join(format!("apache-{release}/lib/*"));
    let all = libraries.iter().chain([&apache]);
    let all: Vec<String> = all.map(|path| path.display().to_string()).collect();
    format!("{}:{}", all.join(":"), crate_dir().join("conf").display())
}

fn sources(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = crate_dir().join("programs").join(folder);
    let entries = std::fs::read_dir(&folder).expect("a folder of programs");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

/// Runs a compiler into a folder that is named by the text of its sources and by what they are
/// compiled `with`, unless it is there.
/// Test threads do so side by side, so the folder appears whole, by a rename.
fn compiled(
    name: &str,
    with: &str,
    sources: &[PathBuf],
    compiler: impl FnOnce(&Path) -> Command,
) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    with.hash(&mut hasher);
    for source in sources {
        std::fs::read(source).expect("a program's source").hash(&mut hasher);
    }
    cache_dir().hash(&mut hasher);
    let parent = target_dir().join("compat-programs");
    let folder = parent.join(format!("{name}-{:016x}", hasher.finish()));
    if folder.exists() {
        return folder;
    }
    std::fs::create_dir_all(&parent).expect("a folder for compiled programs");
    let fresh = tempfile::tempdir_in(&parent).expect("a temporary folder");
    output(compiler(fresh.path()), "", COMPILE_LIMIT);
    let fresh = fresh.keep();
    // Another thread may have been first; its result is the same.
    if std::fs::rename(&fresh, &folder).is_err() {
        std::fs::remove_dir_all(&fresh).expect("a folder that nobody needs");
    }
    folder
}
