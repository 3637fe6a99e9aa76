//! `config`: shows the ensemble's configuration (`GetConfigCommand`).

use super::{Command, Session};
use crate::cli::shell::command_line::flag;
use crate::cli::shell::error::{AtPath, CliError};
use crate::cli::shell::format;
use crate::proto::path::CONFIG_PATH;

pub(super) const COMMAND: Command = Command::new("config", "[-c] [-w] [-s]", 1, exec)
    .with_options(&[flag("s", "stats"), flag("w", "watch"), flag("c", "client connection string")]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let (data, stat) = session.zk.get_config(line.has("w")).at(CONFIG_PATH)?;
    let text = format::text(data.as_deref());
    match line.has("c") {
        true => session.console.line(client_config(&text)),
        false => session.console.line(text),
    }
    if line.has("s") {
        session.console.line(format::stat(&stat));
    }
    Ok(())
}

/// Version of a configuration and where clients connect (`ConfigUtils.getClientConfigStr`).
fn client_config(text: &str) -> String {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs: Vec<(&str, &str)> = pairs.map(|(key, value)| (key.trim(), value.trim())).collect();
    let version = pairs.iter().rfind(|(key, _)| *key == "version").map_or("", |(_, value)| value);
    let servers = pairs.iter().filter(|(key, _)| key.starts_with("server."));
    let clients: Vec<String> = servers.map(|(_, server)| client_address(server)).collect();
    format!("{version} {}", clients.join(","))
}

/// Where clients connect to a server of this configuration; empty if it does not say.
fn client_address(server: &str) -> String {
    match server.split_once(';') {
        None => String::new(),
        Some((_, port)) if !port.contains(':') => format!("0.0.0.0:{port}"),
        Some((_, address)) => address.replace(['[', ']'], ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_string_has_version_and_addresses() {
        let text = "server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:1:2;2182\nversion=5";
        assert_eq!(client_config(text), "5 0.0.0.0:2181,0.0.0.0:2182");
        assert_eq!(client_config("server.1=a:1:2\nversion=0"), "0 ");
        assert_eq!(client_config(""), " ");
    }
}
