//! `gamekeeper container`: what a container runs, in the place of the entry point of ZooKeeper's
//! official image. The variables are those of that image, so that its compose files and charts
//! work.
//!
//! No shell is needed: `zkServer.sh start-foreground`, `zkCli.sh ...` and `zkCleanup.sh ...`, which
//! such files name as commands, are carried out here.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use super::{purge, server, shell};
use crate::server::config::{Properties, ServerConfig};

/// How long the server may take to answer a question after its health.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);

/// The variables of the official image and what they are if they are not set, in the order of the
/// keys that it writes.
const KEYS: [(&str, &str, &str); 10] = [
    ("dataDir", "ZOO_DATA_DIR", "/data"),
    ("dataLogDir", "ZOO_DATA_LOG_DIR", "/datalog"),
    ("tickTime", "ZOO_TICK_TIME", "2000"),
    ("initLimit", "ZOO_INIT_LIMIT", "5"),
    ("syncLimit", "ZOO_SYNC_LIMIT", "2"),
    ("autopurge.snapRetainCount", "ZOO_AUTOPURGE_SNAPRETAINCOUNT", "3"),
    ("autopurge.purgeInterval", "ZOO_AUTOPURGE_PURGEINTERVAL", "0"),
    ("maxClientCnxns", "ZOO_MAX_CLIENT_CNXNS", "60"),
    ("standaloneEnabled", "ZOO_STANDALONE_ENABLED", "true"),
    ("admin.enableServer", "ZOO_ADMINSERVER_ENABLED", "true"),
];

/// The ensemble of a container that is told of none.
const ALONE: &str = "server.1=localhost:2888:3888;2181";

/// Runs what the container is to run: a server, or the program that is named.
#[must_use]
pub fn run(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["zkServer.sh", "start-foreground"] => serve(),
        ["zkServer.sh", "start-foreground", file] => server::run(&[(*file).to_owned()]),
        ["zkCli.sh", arguments @ ..] => shell::run(arguments.iter().map(|word| (*word).to_owned())),
        ["zkCleanup.sh", arguments @ ..] => {
            purge::run(&arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        }
        ["health"] | ["zkServer.sh", "status"] => match check_health() {
            Ok(answer) => {
                print!("{answer}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        [program, arguments @ ..] => {
            let error = Command::new(program).args(arguments).exec();
            eprintln!("cannot run {program}: {error}");
            ExitCode::from(127)
        }
    }
}

/// Runs a server with the configuration of the volume, or one made of the variables if there is
/// none.
fn serve() -> ExitCode {
    let variable = |name: &str| env::var(name).ok();
    match prepare(&variable) {
        Ok(zoo_cfg) => server::run(&[zoo_cfg.display().to_string()]),
        Err((path, error)) => {
            eprintln!(
                "cannot write {}: {error}; let the container's user write there, or mount the file",
                path.display()
            );
            ExitCode::FAILURE
        }
    }
}

/// Writes `zoo.cfg` and `myid` where there are none; gives the former's path.
fn prepare(variable: &impl Fn(&str) -> Option<String>) -> Result<PathBuf, (PathBuf, io::Error)> {
    let set = |name: &str, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
    let zoo_cfg = zoo_cfg_path(variable);
    write_if_absent(&zoo_cfg, &zoo_cfg_text(variable))?;
    let my_id = Path::new(&set("ZOO_DATA_DIR", "/data")).join("myid");
    write_if_absent(&my_id, &format!("{}\n", set("ZOO_MY_ID", "1")))?;
    Ok(zoo_cfg)
}

fn zoo_cfg_path(variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    Path::new(&variable("ZOO_CONF_DIR").unwrap_or_else(|| "/conf".into())).join("zoo.cfg")
}

fn write_if_absent(path: &Path, text: &str) -> Result<(), (PathBuf, io::Error)> {
    match fs::exists(path) {
        Ok(true) => Ok(()),
        Ok(false) => fs::write(path, text).map_err(|error| (path.to_owned(), error)),
        Err(error) => Err((path.to_owned(), error)),
    }
}

/// What the official image writes for these variables.
fn zoo_cfg_text(variable: &impl Fn(&str) -> Option<String>) -> String {
    // A variable without a value is one that is not set, as compose files pass them on.
    let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut lines: Vec<String> = KEYS
        .iter()
        .map(|(key, name, default)| {
            format!("{key}={}", filled(name).unwrap_or_else(|| (*default).to_owned()))
        })
        .collect();
    let servers = filled("ZOO_SERVERS").unwrap_or_else(|| ALONE.to_owned());
    lines.extend(servers.split_whitespace().map(str::to_owned));
    if let Some(words) = filled("ZOO_4LW_COMMANDS_WHITELIST") {
        lines.push(format!("4lw.commands.whitelist={words}"));
    }
    let more = filled("ZOO_CFG_EXTRA").unwrap_or_default();
    lines.extend(more.split_whitespace().map(str::to_owned));
    lines.join("\n") + "\n"
}

/// Asks the server of this container whether it serves; its answer, or why it does not.
fn check_health() -> Result<String, String> {
    let file = zoo_cfg_path(&|name: &str| env::var(name).ok());
    let config =
        ServerConfig::from_file(&file, Properties::default()).map_err(|error| error.to_string())?;
    let listens = config.client_address.ok_or("the server has no client port without TLS")?;
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = SocketAddr::new(listens.ip.unwrap_or(here), listens.port);
    let answer = ask(address).map_err(|error| format!("{address}: {error}"))?;
    if answer.contains("not currently serving") {
        return Err(answer);
    }
    Ok(answer)
}

/// The answer to `srvr`; a server that may not answer it says so, and serves.
fn ask(address: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, HEALTH_LIMIT)?;
    socket.set_read_timeout(Some(HEALTH_LIMIT))?;
    socket.write_all(b"srvr")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::other("no answer"));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn text(variables: &[(&str, &str)]) -> String {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        zoo_cfg_text(&|name: &str| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn without_variables_the_server_stands_alone() {
        let expected = "dataDir=/data\ndataLogDir=/datalog\ntickTime=2000\ninitLimit=5\n\
                        syncLimit=2\nautopurge.snapRetainCount=3\nautopurge.purgeInterval=0\n\
                        maxClientCnxns=60\nstandaloneEnabled=true\nadmin.enableServer=true\n\
                        server.1=localhost:2888:3888;2181\n";
        assert_eq!(text(&[]), expected);
        assert_eq!(text(&[("ZOO_SERVERS", ""), ("ZOO_TICK_TIME", "")]), expected);
    }

    #[test]
    fn lists_become_lines() {
        let text = text(&[
            ("ZOO_SERVERS", "server.1=a:2888:3888;2181 server.2=b:2888:3888;2181"),
            ("ZOO_4LW_COMMANDS_WHITELIST", "srvr, mntr"),
            ("ZOO_CFG_EXTRA", "snapCount=7\nmetricsProvider.httpPort=7000"),
            ("ZOO_TICK_TIME", "500"),
        ]);
        let expected = "server.1=a:2888:3888;2181\nserver.2=b:2888:3888;2181\n\
                        4lw.commands.whitelist=srvr, mntr\nsnapCount=7\n\
                        metricsProvider.httpPort=7000\n";
        assert!(text.ends_with(expected) && text.contains("tickTime=500\n"), "{text}");
        assert!(!text.contains("localhost"), "{text}");
    }

    #[test]
    fn what_is_mounted_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let variable = |name: &str| match name {
            "ZOO_DATA_DIR" | "ZOO_CONF_DIR" => Some(path.clone()),
            "ZOO_MY_ID" => Some("7".into()),
            _ => None,
        };
        let zoo_cfg = prepare(&variable).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("myid")).unwrap(), "7\n");
        fs::write(&zoo_cfg, "mine").unwrap();
        fs::write(dir.path().join("myid"), "9").unwrap();
        prepare(&variable).unwrap();
        assert_eq!(fs::read_to_string(&zoo_cfg).unwrap(), "mine");
        assert_eq!(fs::read_to_string(dir.path().join("myid")).unwrap(), "9");
    }

    #[test]
    fn a_server_that_answers_nothing_is_not_well() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || drop(listener.accept()));
        assert!(ask(address).is_err());
        server.join().unwrap();
    }
}
