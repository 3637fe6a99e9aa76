//! The files beside `zoo.cfg` that hold the configurations of an ensemble which may change
//! (`QuorumPeerConfig.writeDynamicConfig`, `editStaticConfig`, `backupOldConfig`):
//!
//! | File | Holds |
//! |---|---|
//! | `zoo.cfg.dynamic.<version>` | a committed configuration; `dynamicConfigFile` names the last |
//! | `zoo.cfg.dynamic.next` | one that was proposed and is not known to be committed |
//! | `zoo.cfg.bak` | `zoo.cfg` as it was with the servers in it |
//!
//! Each is replaced as a whole. As with Apache's server, one that cannot be written is an error in
//! the log: the ensemble goes on, and this server will have to learn the configuration anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tracing::{error, info, warn};

use super::error::ConfigError;
use super::properties::Properties;
use super::quorum_config::read_members;
use super::zoo_cfg::{CfgLine, ZooCfg};
use crate::persistence::{OsDisk, write_atomically};
use crate::proto::Sid;
use crate::quorum::{Configs, QuorumMembers, QuorumVerifier};

/// The files beside one `zoo.cfg`.
#[derive(Debug, Clone)]
pub struct DynamicConfigFiles {
    zoo_cfg: PathBuf,
}

impl DynamicConfigFiles {
    /// Those beside this file.
    #[must_use]
    pub fn beside(zoo_cfg: &Path) -> Self {
        Self { zoo_cfg: zoo_cfg.to_owned() }
    }

    /// Keeps a copy of a `zoo.cfg` with the servers in it, before it is rewritten without them.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn back_up(&self) -> Result<(), (PathBuf, io::Error)> {
        let backup = self.with_suffix(".bak");
        let copied =
            fs::read(&self.zoo_cfg).and_then(|text| write_atomically(&OsDisk, &backup, &text));
        copied.map_err(|error| (backup, error))
    }

    /// The configuration that was proposed before this server ended, if there is one.
    ///
    /// # Errors
    /// The file is there, and holds something else.
    pub fn read_next(&self, multi_address: bool) -> Result<Option<QuorumMembers>, ConfigError> {
        let path = self.next();
        if !path.exists() {
            return Ok(None);
        }
        let mut properties = Properties::default();
        properties.add_file(&ZooCfg::read(&path)?);
        read_members(&properties, multi_address).map(Some)
    }

    /// Writes what is different from `before`, for the server `my_id`.
    pub fn store(&self, before: &Configs, after: &Configs, my_id: Sid) {
        let (old, new) = (before.committed(), after.committed());
        if new.version() > old.version() {
            match self.write_committed(new, my_id) {
                Ok(path) => info!("the configuration is written to {}", path.display()),
                Err(error) => error!("cannot write configuration {:x}: {error}", new.version()),
            }
        }
        match after.pending() {
            Some(pending) if pending.version() != before.last_seen().version() => {
                let written =
                    write_atomically(&OsDisk, &self.next(), dynamic_text(pending, true).as_bytes());
                if let Err(error) = written {
                    error!("cannot write {}: {error}", self.next().display());
                }
            }
            Some(_) => {}
            None => match fs::remove_file(self.next()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!("cannot remove {}: {error}", self.next().display());
                }
                _ => {}
            },
        }
    }

    fn write_committed(&self, config: &QuorumVerifier, my_id: Sid) -> io::Result<PathBuf> {
        let dynamic = self.with_suffix(&format!(".dynamic.{:x}", config.version()));
        write_atomically(&OsDisk, &dynamic, dynamic_text(config, false).as_bytes())?;
        let dynamic = fs::canonicalize(dynamic)?;
        let zoo_cfg = ZooCfg::read(&self.zoo_cfg).map_err(io::Error::other)?;
        let own = config.members().servers.get(&my_id);
        let names_client_port = own.is_some_and(|server| server.client_address.is_some());
        let text = static_text(&zoo_cfg.lines, &dynamic, names_client_port);
        write_atomically(&OsDisk, &self.zoo_cfg, text.as_bytes())?;
        Ok(dynamic)
    }

    fn next(&self) -> PathBuf {
        self.with_suffix(".dynamic.next")
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.zoo_cfg);
        name.push(suffix);
        name.into()
    }
}

/// The lines of a configuration in the order of their letters, without an end of the last.
fn dynamic_text(config: &QuorumVerifier, with_version: bool) -> String {
    let text = config.to_text();
    let lines = text.lines().filter(|line| with_version || !line.starts_with("version"));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A `zoo.cfg` that names the dynamic file instead of the servers, and no client port if that file
/// does. The settings stay in their order, where Apache's server has that of a hash table; comments
/// are lost either way.
fn static_text(lines: &[CfgLine], dynamic: &Path, names_client_port: bool) -> String {
    let is_kept = |line: &CfgLine| {
        let key = line.key.as_str();
        let is_client_port = key == "clientPort" || key == "clientPortAddress";
        let is_replaced = QuorumMembers::is_key(key)
            || key.starts_with("dynamicConfigFile")
            || key.starts_with("peerType")
            || (names_client_port && is_client_port);
        !is_replaced
    };
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        // Of a key given twice the last wins.
        let is_last = lines[number + 1..].iter().all(|later| later.key != line.key);
        if is_last && is_kept(line) {
            text += &format!("{}={}\n", escaped(&line.key, true), escaped(&line.value, false));
        }
    }
    let dynamic = dynamic.to_string_lossy();
    text + &format!("dynamicConfigFile={}\n", escaped(&dynamic, false))
}

/// A key or value so that it is read as what it is.
fn escaped(text: &str, is_key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' | '\x0c' | ' ' | '=' | ':' | '#' | '!' if is_key => {
                out.push('\\');
                out.push(character);
            }
            ' '..='~' | '\t' | '\x0c' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out += &format!("\\u{unit:04x}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::server::config::ServerConfig;

    const ZOO_CFG: &str = "# ours\ntickTime=1\ntickTime=2000\ninitLimit=5\nsyncLimit=2\n\
        dataDir=DATA\nclientPort=2181\nserver.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2\nweight.1=1\n\
        peerType=participant\nodd\\ key=a\\\\b\\u00e9\nreconfigEnabled=true\n";

    fn config(text: &str) -> Arc<QuorumVerifier> {
        Arc::new(QuorumVerifier::from_text(text, false).unwrap())
    }

    fn three(client: &str, version: &str) -> Arc<QuorumVerifier> {
        let server = |id| format!("server.{id}=127.0.0.1:1{id}:2{id}:participant{client}\n");
        config(&format!("{}{}{}version={version}", server(1), server(2), server(10)))
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> =
            entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_configuration_is_seen_committed_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("myid"), "1").unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        let text = ZOO_CFG.replace("DATA", data.to_str().unwrap());
        fs::write(&zoo_cfg, &text).unwrap();
        let files = DynamicConfigFiles::beside(&zoo_cfg);
        files.back_up().unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("zoo.cfg.bak")).unwrap(), text);

        let start = Configs::new(three("", "0"), None, true);
        let mut seen = start.clone();
        seen.set_last_seen(three("", "1f"));
        files.store(&start, &seen, Sid(1));
        let next = fs::read_to_string(dir.path().join("zoo.cfg.dynamic.next")).unwrap();
        let members = "server.10=127.0.0.1:110:210:participant\n\
                       server.1=127.0.0.1:11:21:participant\n\
                       server.2=127.0.0.1:12:22:participant";
        assert_eq!(next, format!("{members}\nversion=1f"));
        assert_eq!(files.read_next(false).unwrap().unwrap().version, 0x1f);
        assert_eq!(fs::read_to_string(&zoo_cfg).unwrap(), text, "nothing is committed yet");

        let mut committed = seen.clone();
        committed.set_committed(three("", "1f"));
        files.store(&seen, &committed, Sid(1));
        assert_eq!(names(dir.path()), ["data", "zoo.cfg", "zoo.cfg.bak", "zoo.cfg.dynamic.1f"]);
        let dynamic = fs::canonicalize(dir.path()).unwrap().join("zoo.cfg.dynamic.1f");
        assert_eq!(fs::read_to_string(&dynamic).unwrap(), members);
        let rewritten = fs::read_to_string(&zoo_cfg).unwrap();
        let wanted = format!(
            "tickTime=2000\ninitLimit=5\nsyncLimit=2\ndataDir={}\nclientPort=2181\n\
             odd\\ key=a\\\\b\\u00e9\nreconfigEnabled=true\ndynamicConfigFile={}\n",
            data.display(),
            dynamic.display()
        );
        assert_eq!(rewritten, wanted);
        let read = ServerConfig::from_file(&zoo_cfg, Properties::default()).unwrap();
        assert_eq!(QuorumVerifier::new(read.quorum.members), *three("", "1f"));
        assert_eq!(read.quorum.last_seen, None);
    }

    #[test]
    fn a_client_port_of_the_configuration_takes_the_place_of_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        fs::write(&zoo_cfg, "clientPort=1\nclientPortAddress=h\nclientPortListenBacklog=7\n")
            .unwrap();
        let files = DynamicConfigFiles::beside(&zoo_cfg);
        let start = Configs::new(three("", "0"), None, true);
        let mut committed = start.clone();
        committed.set_committed(three(";127.0.0.1:1", "5"));
        files.store(&start, &committed, Sid(4));
        assert!(fs::read_to_string(&zoo_cfg).unwrap().contains("clientPort=1\n"), "no member");
        files.store(&start, &committed, Sid(1));
        let text = fs::read_to_string(&zoo_cfg).unwrap();
        assert!(text.starts_with("clientPortListenBacklog=7\ndynamicConfigFile="), "{text}");
    }

    #[test]
    fn what_was_proposed_in_vain_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let files = DynamicConfigFiles::beside(&dir.path().join("zoo.cfg"));
        let start = Configs::new(three("", "5"), None, true);
        let mut seen = start.clone();
        seen.set_last_seen(three("", "9"));
        files.store(&start, &seen, Sid(1));
        assert_eq!(names(dir.path()), ["zoo.cfg.dynamic.next"]);
        let mut forgotten = seen.clone();
        forgotten.set_last_seen(three("", "5"));
        files.store(&seen, &forgotten, Sid(1));
        assert!(names(dir.path()).is_empty());
        assert_eq!(files.read_next(false).unwrap(), None);
        fs::write(dir.path().join("zoo.cfg.dynamic.next"), "server.1=nonsense").unwrap();
        assert!(
            files.read_next(false).unwrap_err().to_string().contains("dynamic.next:1: server.1")
        );
    }
}
