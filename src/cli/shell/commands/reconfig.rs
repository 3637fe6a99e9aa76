//! `reconfig`: changes the membership of the ensemble (`ReconfigCommand`).

use std::io::ErrorKind;

use jute::ReconfigRequest;

use super::{Command, Session};
use crate::cli::shell::command_line::{CommandLine, flag, valued};
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;

pub(super) const COMMAND: Command = Command::new(
    "reconfig",
    "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | \
     [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
    0,
    exec,
)
.with_options(&[
    flag("s", "stats"),
    valued("v", "required current config version"),
    valued("file", "path of config file to parse for membership"),
    valued("members", "comma-separated list of config strings for non-incremental reconfig"),
    valued("add", "comma-separated list of config strings for new servers"),
    valued("remove", "comma-separated list of server IDs to remove"),
]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let request = request(&line)?;
    let (config, stat) = session.zk.reconfigure(&request).at_no_path()?;
    let config = format::text(config.as_deref());
    session.console.line(format_args!("Committed new configuration:\n{config}"));
    if line.has("s") {
        session.console.line(format::stat(&stat));
    }
    Ok(())
}

fn request(line: &CommandLine) -> Result<ReconfigRequest<'static>, CliError> {
    let whole = line.has("file") || line.has("members");
    let parts = line.has("add") || line.has("remove");
    if !whole && !parts {
        return Err(COMMAND.usage());
    }
    let version = line.value("v").map(|version| i64::from_str_radix(version, 16)).transpose();
    let cur_config_id = version
        .map_err(|_| CliError::new("-v must be followed by a long (configuration version)"))?
        .unwrap_or(-1);
    if whole && parts {
        return Err(CliError::new(
            "Can't use -file or -members together with -add or -remove (mixing incremental and \
             non-incremental modes is not allowed)",
        ));
    }
    if line.has("file") && line.has("members") {
        return Err(CliError::new(
            "Can't use -file and -members together (conflicting non-incremental modes)",
        ));
    }
    let lower = |name| line.value(name).map(|value| value.to_lowercase().into());
    let new_members = match line.value("file") {
        Some(file) => Some(read_members(file)?.into()),
        None => lower("members"),
    };
    let (joining_servers, leaving_servers) = (lower("add"), lower("remove"));
    Ok(ReconfigRequest { joining_servers, leaving_servers, new_members, cur_config_id })
}

/// Membership lines of a dynamic configuration file. The leader checks what they say.
fn read_members(file: &str) -> Result<String, CliError> {
    let bad = |why: &str| CliError::new(format!("Error processing {file}{why}"));
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        // Java's words.
        ErrorKind::NotFound => bad(&format!("{file} (No such file or directory)")),
        _ => bad(&format!(": {error}")),
    })?;
    let members = members_of(&text);
    match members.is_empty() {
        true => Err(bad(": no server.N=host:port:port line in it")),
        false => Ok(members),
    }
}

fn members_of(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.trim(), value.trim()));
    let members = pairs.filter(|(key, _)| {
        ["server.", "group.", "weight."].iter().any(|prefix| key.starts_with(prefix))
    });
    members.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(text: &str) -> Result<ReconfigRequest<'static>, String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        request(&COMMAND.parse(&words).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn servers_join_and_leave() {
        let request = requested("reconfig -v 1f -add 5=Host:1:2;3 -remove 1,2").unwrap();
        assert_eq!(request.joining_servers.as_deref(), Some("5=host:1:2;3"));
        assert_eq!(request.leaving_servers.as_deref(), Some("1,2"));
        assert_eq!((request.new_members, request.cur_config_id), (None, 0x1f));
    }

    #[test]
    fn modes_cannot_be_mixed() {
        assert!(requested("reconfig -s").unwrap_err().starts_with("reconfig [-s]"));
        for text in [
            "reconfig -add 1 -members 2",
            "reconfig -file f -members 2",
            "reconfig -add 1 -v x",
            "reconfig -file /nowhere/at/all",
        ] {
            assert!(requested(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_gives_its_members() {
        let text = "# a comment\ndataDir=/x\nserver.1 = a:1:2;3\n\ngroup.1=1:2\nversion=5\n";
        assert_eq!(members_of(text), "server.1=a:1:2;3\ngroup.1=1:2");
    }
}
