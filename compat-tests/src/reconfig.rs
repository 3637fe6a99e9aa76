//! Reconfigs of ensembles: asks for them as `super`, and looks what came of them, in the tree of
//! every member and in the files beside its `zoo.cfg`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use jute::{GetDataRequest, GetDataResponse, ReconfigRequest};

use crate::ensemble::Ensemble;
use crate::hosts::Hosts;
use crate::raw_client::{RawClient, op};
use crate::server::SUPER_PASSWORD;

/// How long a change may take to be in force everywhere.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

const SESSION_TIMEOUT_MS: i32 = 10_000;

/// The error codes of a reconfig that passes by itself: another one is under way, or those who
/// join have not caught up.
const PASSING: [i32; 2] = [-14, -13];

/// What a reconfig asks for.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Servers to add or change.
    pub joining: Option<String>,
    /// Ids of servers to remove.
    pub leaving: Option<String>,
    /// All members, instead.
    pub members: Option<String>,
    /// The version it is to change, or -1.
    pub from: i64,
}

impl Change {
    /// Adds or changes a server.
    pub fn add(line: impl Into<String>) -> Self {
        Self { joining: Some(line.into()), from: -1, ..Self::default() }
    }

    /// Removes a member.
    pub fn remove(member: usize) -> Self {
        Self { leaving: Some((member + 1).to_string()), from: -1, ..Self::default() }
    }

    /// Names all members.
    pub fn members(lines: &[String]) -> Self {
        Self { members: Some(lines.join(",")), from: -1, ..Self::default() }
    }

    /// Asks a server for it, with this password of `super` or as nobody. The new configuration, or
    /// the error code.
    pub fn ask(
        &self,
        server: SocketAddr,
        password: Option<&str>,
    ) -> io::Result<Result<String, i32>> {
        let mut client = RawClient::connect(server, SESSION_TIMEOUT_MS)?;
        client.set_answer_limit(ANSWER_LIMIT)?;
        if let Some(password) = password {
            client.add_auth("digest", &format!("super:{password}"))?;
        }
        let text = |text: &Option<String>| text.clone().map(Into::into);
        let request = ReconfigRequest {
            joining_servers: text(&self.joining),
            leaving_servers: text(&self.leaving),
            new_members: text(&self.members),
            cur_config_id: self.from,
        };
        let reply = client.call(op::RECONFIG, &request)?;
        // Nobody else is to wait for the end of the session.
        let _ = client.close();
        if reply.header.err != 0 {
            return Ok(Err(reply.header.err));
        }
        let answer: GetDataResponse<'_> = reply.record();
        Ok(Ok(String::from_utf8_lossy(answer.data.unwrap_or_default()).into_owned()))
    }
}

/// The configuration that a server shows in `/zookeeper/config`.
pub fn config_of(server: SocketAddr) -> io::Result<String> {
    let mut client = RawClient::connect(server, SESSION_TIMEOUT_MS)?;
    client.set_answer_limit(ANSWER_LIMIT)?;
    let request = GetDataRequest { path: "/zookeeper/config".into(), watch: false };
    let reply = client.call(op::GET_DATA, &request)?;
    let _ = client.close();
    if reply.header.err != 0 {
        return Err(io::Error::other(format!("error {}", reply.header.err)));
    }
    let answer: GetDataResponse<'_> = reply.record();
    Ok(String::from_utf8_lossy(answer.data.unwrap_or_default()).into_owned())
}

/// The version of a configuration.
pub fn version_of(config: &str) -> i64 {
    let version = config.lines().find_map(|line| line.strip_prefix("version="));
    let version = version.and_then(|version| i64::from_str_radix(version, 16).ok());
    version.unwrap_or_else(|| panic!("no version in {config:?}"))
}

/// Changes an ensemble through this member, and waits until the change is in force with all members
/// that run. If the connection breaks, as it does where the leader changes, the change may have
/// been made or not: it is asked for again, which does no harm.
pub fn change(ensemble: &Ensemble, through: usize, change: &Change) -> String {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let before = loop {
        match config_of(ensemble.address(through)) {
            Ok(config) => break version_of(&config),
            Err(error) => assert!(Instant::now() < deadline, "{error}: {}", ensemble.describe()),
        }
        thread::sleep(POLL);
    };
    loop {
        let asked = change.ask(ensemble.address(through), Some(SUPER_PASSWORD));
        match asked {
            Ok(Ok(config)) => {
                assert!(version_of(&config) > before, "{config}");
                break;
            }
            Ok(Err(code)) if PASSING.contains(&code) => {}
            Ok(Err(code)) => panic!("{change:?} through {through}: error {code}"),
            Err(_) => {
                if config_of(ensemble.address(through)).is_ok_and(|now| version_of(&now) > before) {
                    break;
                }
            }
        }
        assert!(Instant::now() < deadline, "{change:?}: {}", ensemble.describe());
        thread::sleep(POLL);
    }
    agreed(ensemble, before)
}

/// Waits until all members that run show the same configuration, later than `after`, and have it on
/// disk, byte for byte the same. Gives it.
pub fn agreed(ensemble: &Ensemble, after: i64) -> String {
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        let state = look(ensemble, after);
        match state {
            Ok(config) => return config,
            Err(why) => {
                assert!(Instant::now() < deadline, "{why}; {}", ensemble.describe());
                thread::sleep(POLL);
            }
        }
    }
}

fn look(ensemble: &Ensemble, after: i64) -> Result<String, String> {
    let mut shown: Option<String> = None;
    for member in (0..ensemble.len()).filter(|member| ensemble.is_up(*member)) {
        if !ensemble.role(member).serves() {
            return Err(format!("member {member} does not serve"));
        }
        let config = config_of(ensemble.address(member));
        let config = config.map_err(|error| format!("member {member}: {error}"))?;
        if version_of(&config) <= after {
            return Err(format!("member {member} still has {config:?}"));
        }
        let first = shown.get_or_insert_with(|| config.clone());
        if *first != config {
            return Err(format!("one has {first:?}, member {member} has {config:?}"));
        }
        let files = files_of(ensemble.server(member).home().dir());
        check_files(&files, ensemble.server(member).home().dir(), &config)
            .map_err(|why| format!("member {member}: {why}"))?;
    }
    shown.ok_or_else(|| "nobody runs".into())
}

/// `zoo.cfg` and what lies beside it under its name.
pub fn files_of(home: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(home).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names = names.filter(|name| name.starts_with("zoo.cfg"));
    names
        .filter_map(|name| Some((name.clone(), fs::read_to_string(home.join(name)).ok()?)))
        .collect()
}

/// Whether the files are those of a server with this configuration in force and none pending.
fn check_files(files: &BTreeMap<String, String>, home: &Path, config: &str) -> Result<(), String> {
    let name = format!("zoo.cfg.dynamic.{:x}", version_of(config));
    let mut lines: Vec<&str> =
        config.lines().filter(|line| !line.starts_with("version=")).collect();
    lines.sort_unstable();
    let dynamic = files.get(&name).ok_or_else(|| format!("no {name} among {:?}", files.keys()))?;
    if *dynamic != lines.join("\n") {
        return Err(format!("{name} holds {dynamic:?}"));
    }
    if files.contains_key("zoo.cfg.dynamic.next") {
        return Err("a configuration is pending".into());
    }
    let zoo_cfg = &files["zoo.cfg"];
    let home = home.canonicalize().map_err(|error| error.to_string())?;
    let named = format!("dynamicConfigFile={}", home.join(&name).display());
    if !zoo_cfg.lines().any(|line| line == named) || zoo_cfg.contains("server.") {
        return Err(format!("zoo.cfg is {zoo_cfg:?}"));
    }
    Ok(())
}
