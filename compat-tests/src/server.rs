//! Starts, stops and kills servers on data directories: Apache's releases and this one alike.
//!
//! A [`Home`] is what a server leaves on disk, a [`Server`] is a process that serves from it. The
//! same home can be handed from one kind of server to another.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cache::{cache_dir, crate_dir, target_dir};

/// The releases that `compat-tests/setup` brings.
pub const APACHE_RELEASES: [&str; 3] = ["3.8.0", "3.9.3", "3.9.6"];

/// The release whose behaviour is the reference.
pub const REFERENCE: ServerUnderTest = ServerUnderTest::Apache("3.9.3");

/// Password of the `super` identity in every server of the harness.
pub const SUPER_PASSWORD: &str = "secret";

/// Base64 of the SHA-1 of `super:secret`.
pub(crate) const SUPER_DIGEST: &str = "lK75jTNcA+U9vtVEw5vB51mj/w4=";

/// How long a server may take from its start to its first answer, on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// How long a server may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Lines of a log that are shown of a server whose test has failed.
pub(crate) const LOG_LINES: usize = 40;

/// Which server to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerUnderTest {
    /// This release of Apache ZooKeeper.
    Apache(&'static str),
    /// The server of this workspace.
    Gamekeeper,
}

impl fmt::Display for ServerUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apache(version) => write!(f, "apache-{version}"),
            Self::Gamekeeper => f.write_str("gamekeeper"),
        }
    }
}

impl ServerUnderTest {
    /// The server that `COMPAT_SERVER` names (`gamekeeper`, `apache-3.9.3`, ...), else this one.
    pub fn from_env() -> Self {
        let Ok(name) = std::env::var("COMPAT_SERVER") else { return Self::Gamekeeper };
        name.parse().unwrap_or_else(|e| panic!("COMPAT_SERVER: {e}"))
    }

    /// Starts it on `home` and waits until it serves.
    pub fn start(self, home: Home) -> Server {
        let mut server = self.launch(home);
        server.wait_until_serving();
        server
    }

    /// Starts it on `home`: a member of an ensemble serves only when enough others do.
    pub fn launch(self, home: Home) -> Server {
        let config = home.write_config();
        let mut command = match self {
            Self::Apache(version) => {
                let mut command = Command::new(crate_dir().join("apache"));
                command.args([version, "server"]).env("COMPAT_CACHE", cache_dir());
                command
            }
            Self::Gamekeeper => {
                let mut command = Command::new(gamekeeper_binary());
                command.arg("server");
                command
            }
        };
        let mut log = File::options().create(true).append(true).open(home.log()).expect("a log");
        writeln!(log, "--- {self}").expect("a log");
        let process = command
            .arg(config)
            .env("SERVER_JVMFLAGS", home.jvm_flags.join(" "))
            .envs(home.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(home.dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        Server { kind: self, process, home: Some(home) }
    }
}

impl FromStr for ServerUnderTest {
    type Err = String;

    /// `gamekeeper`, `ours` or the name of one of [`APACHE_RELEASES`], such as `apache-3.9.3`.
    fn from_str(name: &str) -> Result<Self, String> {
        let name = if name == "ours" { "gamekeeper" } else { name };
        let mut all = APACHE_RELEASES.map(Self::Apache).into_iter().chain([Self::Gamekeeper]);
        let names: Vec<String> = all.clone().map(|server| server.to_string()).collect();
        all.find(|server| server.to_string() == name)
            .ok_or_else(|| format!("{name} is none of {}", names.join(", ")))
    }
}

/// The binary of this workspace: `GAMEKEEPER_BIN`, else the newer of the release and debug builds.
pub fn gamekeeper_binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("GAMEKEEPER_BIN") {
        return binary.into();
    }
    let builds = ["release", "debug"].map(|profile| target_dir().join(profile).join("gamekeeper"));
    builds
        .into_iter()
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .expect("no gamekeeper binary: cargo build --release, or set GAMEKEEPER_BIN")
}

/// The answer to a four-letter word, if each step of it takes no longer than `limit`.
pub fn four_letter_word(server: SocketAddr, word: &str, limit: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let _ = stream.shutdown(Shutdown::Both);
    Ok(answer)
}

/// A port that was free a moment ago: for a server alone, which binds it at once.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A server's folder: `zoo.cfg`, `data` and `server.log`. It is removed when dropped, but kept
/// and named when its test has failed.
#[derive(Debug)]
pub struct Home {
    dir: Option<TempDir>,
    port: u16,
    config: Vec<String>,
    jvm_flags: Vec<String>,
    variables: Vec<(String, String)>,
    is_config_its_own: bool,
}

impl Home {
    /// An empty data directory; `config` holds lines of zoo.cfg beyond the usual ones.
    pub fn new(config: &[&str]) -> Self {
        Self::at_port(free_port(), config.iter().map(|line| line.to_string()).collect())
    }

    /// [`Self::new`] for a server whose clients connect to this port. A line of `config` stands in
    /// for a usual line with the same key.
    pub fn at_port(port: u16, config: Vec<String>) -> Self {
        // /tmp may be memory; the log's flushes should meet a disk.
        let parent = target_dir().join("compat-homes");
        fs::create_dir_all(&parent).expect("a folder for data directories");
        let dir = tempfile::Builder::new().prefix("home-").tempdir_in(parent);
        Self {
            dir: Some(dir.expect("a data directory")),
            port,
            config,
            jvm_flags: Vec::new(),
            variables: Vec::new(),
            is_config_its_own: false,
        }
    }

    /// Leaves zoo.cfg as its servers leave it, once it is written.
    pub fn keep_config(mut self) -> Self {
        self.is_config_its_own = true;
        self
    }

    /// Clients of its servers connect to this port from now on.
    pub fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Writes `data/myid`.
    pub fn with_my_id(self, my_id: usize) -> Self {
        let data = self.dir().join("data");
        fs::create_dir_all(&data).expect("a data directory");
        fs::write(data.join("myid"), my_id.to_string()).expect("a myid");
        self
    }

    /// Gives its servers an environment variable.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Gives its servers no variables of their own any more.
    pub fn clear_variables(&mut self) {
        self.variables.clear();
    }

    /// Adds a system property, given to the server as `-D` in `SERVER_JVMFLAGS`: for the
    /// properties that zoo.cfg cannot carry because they do not start with `zookeeper.`.
    pub fn with_property(mut self, property: &str, value: &str) -> Self {
        self.jvm_flags.push(format!("-D{property}={value}"));
        self
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().expect("present until dropped").path()
    }

    /// Where snapshots and transaction logs are.
    pub fn version_2(&self) -> PathBuf {
        self.dir().join("data/version-2")
    }

    /// What its servers printed.
    pub fn log(&self) -> PathBuf {
        self.dir().join("server.log")
    }

    /// The last lines of that.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn write_config(&self) -> PathBuf {
        let usual = format!(
            "tickTime=2000\n\
             dataDir={}\n\
             clientPort={}\n\
             clientPortAddress=127.0.0.1\n\
             maxClientCnxns=0\n\
             admin.enableServer=false\n\
             4lw.commands.whitelist=*\n\
             DigestAuthenticationProvider.superDigest=super:{}\n",
            self.dir().join("data").display(),
            self.port,
            SUPER_DIGEST,
        );
        let key = |line: &str| line.split('=').next().map(str::to_owned);
        let replaced = |line: &str| self.config.iter().any(|own| key(own) == key(line));
        let kept = usual.lines().filter(|line| !replaced(line));
        let lines: Vec<&str> = kept.chain(self.config.iter().map(String::as_str)).collect();
        let config = lines.join("\n") + "\n";
        let path = self.dir().join("zoo.cfg");
        if self.is_config_its_own && path.exists() {
            return path;
        }
        fs::create_dir_all(self.dir().join("data")).expect("a data directory");
        fs::write(&path, config).expect("a zoo.cfg");
        path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking() {
            let dir = self.dir.take().expect("present until dropped").keep();
            eprintln!("the server's folder is kept: {}", dir.display());
        }
    }
}

/// A running server. It is killed when dropped.
#[derive(Debug)]
pub struct Server {
    kind: ServerUnderTest,
    process: Child,
    home: Option<Home>,
}

impl Server {
    /// Which server it is.
    pub fn kind(&self) -> ServerUnderTest {
        self.kind
    }

    /// Its folder.
    pub fn home(&self) -> &Home {
        self.home.as_ref().expect("present until stopped")
    }

    /// Its folder, to be changed.
    pub fn home_mut(&mut self) -> &mut Home {
        self.home.as_mut().expect("present until stopped")
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.home().port).into()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The whole answer to a four-letter word.
    pub fn four_letter_word(&self, word: &str) -> String {
        self.try_four_letter_word(word, Duration::from_secs(30))
            .unwrap_or_else(|e| panic!("{} to {word}: {e}", self.kind))
    }

    /// The answer to a four-letter word, if each step of it takes no longer than `limit`.
    pub fn try_four_letter_word(&self, word: &str, limit: Duration) -> io::Result<String> {
        four_letter_word(self.address(), word, limit)
    }

    /// Waits until it serves.
    pub fn wait_until_serving(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        // A server that listens but has not loaded its data answers "not currently serving", and
        // Apache at times not at all: then only the next connection is answered.
        let limit = Duration::from_secs(1);
        while !matches!(self.try_four_letter_word("srvr", limit), Ok(t) if t.contains("Zxid")) {
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                panic!("{} ended at its start with {status}:\n{}", self.kind, self.log_tail());
            }
            assert!(Instant::now() < deadline, "{} never served: {}", self.kind, self.log_tail());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it with SIGTERM and waits for its end.
    pub fn stop(mut self) -> Home {
        self.signal(Signal::TERM);
        self.thaw();
        let deadline = Instant::now() + STOP_LIMIT;
        while self.process.try_wait().expect("the state of a child").is_none() {
            assert!(Instant::now() < deadline, "{} did not end: {}", self.kind, self.log_tail());
            thread::sleep(Duration::from_millis(10));
        }
        self.home.take().expect("present until stopped")
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) -> Home {
        self.end_now();
        self.home.take().expect("present until stopped")
    }

    /// What it left behind, if it has ended by itself.
    pub fn into_home(mut self) -> Home {
        assert!(self.ended().is_some(), "{} has ended", self.kind);
        self.home.take().expect("present until stopped")
    }

    /// Stops it and starts the same kind again on the same data.
    pub fn restart(self) -> Self {
        let kind = self.kind;
        kind.start(self.stop())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("the state of a child")
    }

    fn end_now(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait().expect("a killed child ends");
    }

    /// Freezes it with SIGSTOP: its connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // One that has ended already needs no signal.
        let _ = kill_process(pid.expect("a process id"), signal);
    }

    /// The last lines it printed.
    pub fn log_tail(&self) -> String {
        self.home().log_tail()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.home.is_none() {
            return;
        }
        self.end_now();
        if thread::panicking() {
            eprintln!("--- the end of {}'s log\n{}", self.kind, self.log_tail());
        }
    }
}
