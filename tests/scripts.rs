//! The scripts of `bin/`, run with a stand-in for the binary that notes how it was called: which
//! file and flags it gets, which messages and exit codes the user gets, and that signals reach
//! the server.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare itself fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A stand-in for `gamekeeper`: notes its arguments and flags in `called`, then does what the
/// subcommand would, as far as the scripts can tell. A server lives until it is told to stop,
/// and for a minute at most.
const STAND_IN: &str = r#"#!/usr/bin/env bash
here="$(dirname "$0")"
echo "$* | $SERVER_JVMFLAGS | $JVMFLAGS | $CLIENT_JVMFLAGS" >> "$here/called"
case "$1" in
server)
    if [ -e "$here/broken" ]; then
        echo "conf/zoo.cfg:7: no good" >&2
        exit 2
    fi
    echo "out: $$"
    echo "log: $$" >&2
    trap 'echo stopped >> "$here/called"; exit 0' TERM
    for _ in $(seq 600); do sleep 0.1; done
    ;;
4lw) [ -e "$here/silent" ] || printf 'Zookeeper version: x\nMode: standalone\nNode count: 5\n' ;;
version) echo "version: x" ;;
esac
"#;

/// An installation in a directory of its own: `bin` with the scripts, `conf`, the stand-in.
struct Installation {
    root: TempDir,
}

impl Installation {
    fn new(zoo_cfg: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let installation = Self { root };
        for dir in ["bin", "conf"] {
            fs::create_dir(installation.path(dir)).unwrap();
        }
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("bin");
        for entry in fs::read_dir(scripts).unwrap() {
            let script = entry.unwrap().path();
            let name = script.file_name().unwrap();
            fs::copy(&script, installation.path("bin").join(name)).unwrap();
        }
        installation.write("bin/gamekeeper", STAND_IN);
        installation.make_executable("bin/gamekeeper");
        let data = installation.path("data");
        installation.write("conf/zoo.cfg", &zoo_cfg.replace("DATA", data.to_str().unwrap()));
        installation
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn make_executable(&self, name: &str) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A script, in an environment that holds nothing but PATH.
    fn script(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new("bash");
        command.arg(self.path("bin").join(name)).args(args).current_dir(self.root.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command
    }

    fn run(&self, name: &str, args: &[&str]) -> (i32, String) {
        ended(self.script(name, args).output().unwrap())
    }

    /// The calls of the stand-in so far: its arguments, then the flags it got.
    fn called(&self) -> Vec<String> {
        self.read("bin/called").lines().map(str::to_owned).collect()
    }

    fn pid_file(&self) -> PathBuf {
        self.path("data/zookeeper_server.pid")
    }

    /// The path of a configuration file as the scripts hand it on.
    fn conf(&self, name: &str) -> String {
        format!("{}/../conf/{name}", self.path("bin").display())
    }
}

impl Drop for Installation {
    /// Stops the server a failed test left behind.
    fn drop(&mut self) {
        if self.pid_file().exists() {
            self.run("zkServer.sh", &["stop"]);
        }
    }
}

fn ended(output: Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

const STANDALONE: &str = "tickTime=2000\n dataDir = DATA \nclientPort=2181\n";

#[test]
fn a_server_is_started_questioned_restarted_and_stopped() {
    let here = Installation::new(STANDALONE);
    assert_eq!(
        here.run("zkServer.sh", &["start"]),
        (0, "Starting zookeeper ... STARTED\n".to_owned())
    );
    let pid = fs::read_to_string(here.pid_file()).unwrap();
    assert_eq!(here.called(), [format!("server {} |  |  | ", here.conf("zoo.cfg"))]);
    let again = format!("Starting zookeeper ... already running as process {pid}.\n");
    assert_eq!(here.run("zkServer.sh", &["start"]), (1, again));
    let status = "Client port found: 2181. Client address: localhost. Client SSL: false.\n\
                  Mode: standalone\n";
    assert_eq!(here.run("zkServer.sh", &["status"]), (0, status.to_owned()));
    assert_eq!(here.called()[1], "4lw localhost 2181 srvr false |  |  | ");
    assert_eq!(
        here.run("zkServer.sh", &["restart"]),
        (0, "Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED\n".to_owned())
    );
    assert_eq!(here.called()[2], "stopped");
    assert_ne!(fs::read_to_string(here.pid_file()).unwrap(), pid);
    assert_eq!(
        here.run("zkServer.sh", &["stop"]),
        (0, "Stopping zookeeper ... STOPPED\n".to_owned())
    );
    assert_eq!(here.called()[4], "stopped");
    let nothing = format!(
        "Stopping zookeeper ... no zookeeper to stop (could not find file {})\n",
        here.pid_file().display()
    );
    assert_eq!(here.run("zkServer.sh", &["stop"]), (0, nothing));
}

#[test]
fn a_server_that_ends_at_once_failed_to_start() {
    let here = Installation::new(STANDALONE);
    here.write("bin/broken", "");
    let output = here.script("zkServer.sh", &["start"]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(ended(output), (1, "Starting zookeeper ... FAILED TO START\n".to_owned()));
    assert!(complaint.contains("conf/zoo.cfg:7: no good"), "{complaint}");
}

#[test]
fn a_file_without_data_dir_cannot_be_started_as_a_daemon() {
    let here = Installation::new("clientPort=2181\n");
    assert_eq!(
        here.run("zkServer.sh", &["start"]),
        (1, "Starting zookeeper ... FAILED TO START\n".to_owned())
    );
    assert_eq!(here.called(), [""; 0]);
}

#[test]
fn in_the_foreground_the_script_becomes_the_server() {
    let here = Installation::new(STANDALONE);
    let mut script = here.script("zkServer.sh", &["start-foreground"]);
    let mut server = script.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first_line = String::new();
    let mut stdout = std::io::BufReader::new(server.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut first_line).unwrap();
    assert_eq!(first_line, format!("out: {}\n", server.id()), "the process id is the script's");
    let pid = server.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
    assert_eq!(here.called()[1], "stopped");
}

#[test]
fn the_configuration_is_found_as_apache_finds_it() {
    let here = Installation::new(STANDALONE);
    fs::create_dir(here.path("other")).unwrap();
    here.write("bin/broken", "");
    let run = |args: &[&str], envs: &[(&str, &str)]| {
        let mut script = here.script("zkServer.sh", args);
        script.envs(envs.iter().copied()).output().unwrap();
        let last = here.called().pop().unwrap();
        last.strip_prefix("server ").unwrap().split(" |").next().unwrap().to_owned()
    };
    let foreground = "start-foreground";
    assert_eq!(run(&[foreground], &[]), here.conf("zoo.cfg"));
    assert_eq!(run(&[foreground, "b.cfg"], &[]), here.conf("b.cfg"));
    assert_eq!(run(&[foreground, "other/b.cfg"], &[]), "other/b.cfg");
    assert_eq!(run(&["--config", "other", foreground], &[]), "other/zoo.cfg");
    assert_eq!(run(&["--config", "other", foreground, "b.cfg"], &[]), "other/b.cfg");
    assert_eq!(run(&[foreground], &[("ZOOCFGDIR", "other")]), "other/zoo.cfg");
    assert_eq!(run(&[foreground], &[("ZOOCFG", "c.cfg")]), here.conf("c.cfg"));
    here.write("other/zookeeper-env.sh", "ZOOCFG=d.cfg\n");
    assert_eq!(run(&[foreground], &[("ZOOCFGDIR", "other")]), "other/d.cfg");
}

#[test]
fn flags_reach_the_server_and_missing_directories_can_be_refused() {
    let here = Installation::new(STANDALONE);
    here.write("bin/broken", "");
    here.write("conf/java.env", "SERVER_JVMFLAGS=\"-Dzookeeper.snapCount=5 $SERVER_JVMFLAGS\"\n");
    let flags = [("SERVER_JVMFLAGS", "-Da=1"), ("JVMFLAGS", "-Db=2"), ("CLIENT_JVMFLAGS", "-Dc")];
    here.script("zkServer.sh", &["start-foreground"]).envs(flags).output().unwrap();
    let given = " | -Dzookeeper.snapCount=5 -Da=1 | -Db=2 | -Dc";
    assert_eq!(here.called(), [format!("server {}{given}", here.conf("zoo.cfg"))]);

    let refuse = ("ZOO_DATADIR_AUTOCREATE_DISABLE", "1");
    let start = |verb| ended(here.script("zkServer.sh", &[verb]).envs([refuse]).output().unwrap());
    let data = here.path("data");
    let (code, text) = start("start-foreground");
    let missing = format!(
        "ZooKeeper data directory is missing at {} fix the path or run initialize\n",
        data.display()
    );
    assert_eq!((code, text), (1, missing));
    fs::create_dir_all(data.join("version-2")).unwrap();
    let (code, _) = start("start-foreground");
    assert_eq!(code, 2, "the server ran");
    let last = here.called().pop().unwrap();
    assert!(last.starts_with("server -Dzookeeper.datadir.autocreate=false /"), "{last}");
}

#[test]
fn output_and_process_id_go_where_the_variables_say() {
    let here = Installation::new(STANDALONE);
    let places = [
        ("ZOO_LOG_DIR", "logs/deep"),
        ("ZOO_LOG_FILE", "zk.log"),
        ("ZOOPIDFILE", "run/zk.pid"),
        ("USER", "zoo"),
    ];
    let run = |verb| here.script("zkServer.sh", &[verb]).envs(places).status().unwrap();
    assert!(run("start").success());
    let pid = here.read("run/zk.pid");
    assert_eq!(here.read("logs/deep/zk.log"), format!("log: {pid}\n"));
    let out = fs::read_dir(here.path("logs/deep")).unwrap();
    let out: Vec<_> = out.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(out.iter().any(|n| n.starts_with("zookeeper-zoo-server-")), "{out:?}");
    assert!(run("stop").success());
    assert!(!here.path("run/zk.pid").exists());
}

#[test]
fn status_finds_the_port_or_says_what_is_missing() {
    let status = |cfg: &str, my_id: Option<&str>, silent: bool| {
        let here = Installation::new(cfg);
        if let Some(id) = my_id {
            fs::create_dir_all(here.path("data")).unwrap();
            here.write("data/myid", id);
        }
        let dynamic = here.path("conf/dynamic");
        here.write("conf/dynamic", "server.2=b:2888:3888;[::1]:2282\n");
        let cfg = here.read("conf/zoo.cfg").replace("DYNAMIC", dynamic.to_str().unwrap());
        here.write("conf/zoo.cfg", &cfg);
        if silent {
            here.write("bin/silent", "");
        }
        let (code, text) = here.run("zkServer.sh", &["status"]);
        let asked = here.called().pop().map(|c| c.split(" |").next().unwrap().to_owned());
        (code, text.lines().last().unwrap().to_owned(), asked.unwrap_or_default())
    };
    let mode = "Mode: standalone".to_owned();
    let with_address = "dataDir=DATA\nclientPort = 2183\nclientPortAddress=127.0.0.1\n";
    assert_eq!(
        status(with_address, None, false),
        (0, mode.clone(), "4lw 127.0.0.1 2183 srvr false".to_owned())
    );
    let listed = "dataDir=DATA\nserver.1=a:2888:3888;127.0.0.2:2281\n";
    assert_eq!(
        status(listed, Some("1"), false),
        (0, mode.clone(), "4lw 127.0.0.2 2281 srvr false".to_owned())
    );
    let dynamic = "dataDir=DATA\ndynamicConfigFile=DYNAMIC\n";
    assert_eq!(status(dynamic, Some("2"), false), (0, mode, "4lw ::1 2282 srvr false".to_owned()));
    let silent = "Error contacting service. It is probably not running.".to_owned();
    assert_eq!(status(STANDALONE, None, true).0, 1);
    assert_eq!(status(STANDALONE, None, true).1, silent);
    let none = "Unable to find either secure or unsecure client port in any configs. Terminating.";
    assert_eq!(status("dataDir=DATA\n", None, false), (1, none.to_owned(), String::new()));
}

#[test]
fn the_binary_is_found_in_the_documented_order() {
    let here = Installation::new(STANDALONE);
    let own = |name: &str| {
        let dir = here.path(name);
        fs::create_dir_all(&dir).unwrap();
        let file = format!("{name}/gamekeeper");
        here.write(&file, &format!("#!/bin/sh\necho {name} \"$@\"\n"));
        here.make_executable(&file);
    };
    for dir in ["named", "bin", "target/release", "target/debug", "path"] {
        own(dir);
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", here.path("path").display());
    let version = |named: bool| {
        let mut script = here.script("zkServer.sh", &["version"]);
        script.env("PATH", &path);
        if named {
            script.env("GAMEKEEPER_BIN", here.path("named/gamekeeper"));
        }
        ended(script.output().unwrap())
    };
    assert_eq!(version(true), (0, "named version\n".to_owned()));
    for dir in ["bin", "target/release", "target/debug", "path"] {
        assert_eq!(version(false), (0, format!("{dir} version\n")));
        fs::remove_file(here.path(dir).join("gamekeeper")).unwrap();
    }
    let (code, _) = version(false);
    assert_eq!(code, 1);
    fs::remove_file(here.path("named/gamekeeper")).unwrap();
    assert_eq!(version(true).0, 1);
}

#[test]
fn the_other_verbs_print_and_end() {
    let here = Installation::new(STANDALONE);
    let (code, command) = here.run("zkServer.sh", &["print-cmd"]);
    assert_eq!(code, 0);
    assert!(command.contains(&format!("server \"{}\" >", here.conf("zoo.cfg"))), "{command}");
    assert_eq!(here.run("zkServer.sh", &["version"]), (0, "version: x\n".to_owned()));
    let (code, text) = here.run("zkServer.sh", &["upgrade"]);
    assert_eq!((code, text.lines().next()), (0, Some("upgrading the servers to 3.*")));
    assert_eq!(here.run("zkServer.sh", &["begin"]), (1, String::new()));
}

#[test]
fn the_client_and_the_purge_get_their_arguments() {
    let here = Installation::new(STANDALONE);
    here.run("zkCli.sh", &["-server", "a:2181", "create", "/a b", "c d"]);
    assert_eq!(here.called()[0], "cli -server a:2181 create /a b c d |  |  | ");
    let data = here.path("data");
    let data = data.to_str().unwrap();
    here.run("zkCleanup.sh", &["-n", "5"]);
    assert_eq!(here.called()[1], format!("purge {data} -n 5 |  |  | "));
    here.write("conf/zoo.cfg", &format!("dataDir={data}\ndataLogDir=/l\n"));
    here.run("zkCleanup.sh", &["-n", "5"]);
    assert_eq!(here.called()[2], format!("purge /l {data} -n 5 |  |  | "));
}

#[test]
fn directories_are_initialised_once_unless_forced() {
    let here = Installation::new("dataDir=DATA\ndataLogDir=DATA/log\n");
    let (code, text) = here.run("zkServer-initialize.sh", &["--myid=3"]);
    assert_eq!((code, text.as_str()), (0, "Using myid of 3\n"));
    assert_eq!(here.read("data/myid"), "3\n");
    assert!(here.path("data/initialize").exists());
    assert!(here.path("data/log/version-2").is_dir());
    here.write("data/version-2/snapshot.0", "precious");
    let (code, text) = here.run("zkServer-initialize.sh", &[]);
    assert_eq!(code, 1);
    assert!(text.contains("already exists"), "{text}");
    assert_eq!(here.read("data/version-2/snapshot.0"), "precious");
    let (code, _) = here.run("zkServer-initialize.sh", &["--force"]);
    assert_eq!(code, 0);
    assert!(!here.path("data/version-2/snapshot.0").exists());
    assert!(!here.path("data/myid").exists());
    let other = here.path("other.cfg");
    here.write("other.cfg", &format!("dataDir={}\n", here.path("data2").display()));
    let argument = format!("--configfile={}", other.display());
    assert_eq!(here.run("zkServer-initialize.sh", &[&argument]).0, 0);
    assert!(here.path("data2/version-2").is_dir());
    assert_eq!(here.run("zkServer-initialize.sh", &["--what"]).0, 1);
    assert_eq!(here.run("zkServer-initialize.sh", &["-h"]).0, 1);
}
