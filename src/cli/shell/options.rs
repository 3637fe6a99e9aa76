//! The shell's own command line (`ZooKeeperMain.MyCommandOptions.parseOptions`) and its client
//! configuration (`ZKClientConfig`).

use std::fs;
use std::time::Duration;

use super::error::CliError;
use crate::client::wire::DEFAULT_MAX_FRAME_BYTES;
use crate::client::{Config, ConnectString};

/// What the shell was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Connect string (-server).
    pub(super) server: String,
    /// Session timeout in milliseconds (-timeout).
    pub(super) timeout: String,
    /// A read-only server will do (-r).
    pub(super) read_only: bool,
    /// Wait for the connection before anything else (-waitforconnection).
    pub(super) wait_for_connection: bool,
    /// File with client properties (-client-configuration).
    client_configuration: Option<String>,
    /// Properties from -Dname=value, the later ones over the earlier.
    properties: Vec<(String, String)>,
    /// The one command to run, empty for an interactive shell.
    pub(super) command: Vec<String>,
}

impl Options {
    /// Parses the arguments. The first that is no option starts the command; unknown options are
    /// passed over, as Java does. The second part is a complaint about an option without a value,
    /// after which the defaults hold.
    pub(super) fn parse(args: impl Iterator<Item = String>) -> (Self, Option<String>) {
        let mut options = Self {
            server: "localhost:2181".into(),
            timeout: "30000".into(),
            read_only: false,
            wait_for_connection: false,
            client_configuration: None,
            properties: Vec::new(),
            command: Vec::new(),
        };
        let mut args = args.peekable();
        while let Some(option) = args.next_if(|arg| arg.starts_with('-')) {
            let mut value = || args.next();
            let taken = match option.as_str() {
                "-server" => value().map(|value| options.server = value),
                "-timeout" => value().map(|value| options.timeout = value),
                "-client-configuration" => {
                    value().map(|value| options.client_configuration = Some(value))
                }
                "-r" => {
                    options.read_only = true;
                    Some(())
                }
                "-waitforconnection" => {
                    options.wait_for_connection = true;
                    Some(())
                }
                flag => {
                    options.add_flag(flag);
                    Some(())
                }
            };
            if taken.is_none() {
                return (options, Some(format!("Error: no argument found for option {option}")));
            }
        }
        options.command = args.collect();
        (options, None)
    }

    /// Takes a flag of the Java machine: -Dname=value sets a property, any other means nothing
    /// here.
    pub(super) fn add_flag(&mut self, flag: &str) {
        let property = flag.strip_prefix("-D").and_then(|property| property.split_once('='));
        self.properties.extend(property.map(|(name, value)| (name.into(), value.into())));
    }

    /// How to reach `server`.
    pub(super) fn client_config(&self, server: &str) -> Result<Config, CliError> {
        let connect =
            ConnectString::parse(server).map_err(|error| CliError::new(error.to_string()))?;
        let session_timeout_ms = self.timeout.parse().map_err(|_| {
            CliError::new(format!("-timeout {}: not a number of milliseconds", self.timeout))
        })?;
        let mut config = Config {
            connect,
            session_timeout_ms,
            can_be_read_only: self.read_only,
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
            request_timeout: None,
        };
        let mut properties = self.properties.clone();
        if let Some(file) = &self.client_configuration {
            let text = fs::read_to_string(file).map_err(|error| CliError {
                message: format!("Error processing {file}: {error}"),
                exit_code: 2,
            })?;
            properties.extend(properties_of(&text));
        }
        properties.iter().try_for_each(|(name, value)| apply(&mut config, name, value))?;
        Ok(config)
    }
}

/// Lines `name=value` of a Java properties file.
fn properties_of(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    let pairs = lines.filter_map(|line| line.split_once(['=', ':']));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
}

/// Applies one client property; those that mean nothing here are passed over.
fn apply(config: &mut Config, name: &str, value: &str) -> Result<(), CliError> {
    let bad = |what: &str| CliError { message: format!("{name}={value}: {what}"), exit_code: 2 };
    match name {
        "jute.maxbuffer" => {
            config.max_frame_bytes =
                parse_bytes(value).ok_or_else(|| bad("not a size in bytes"))?;
        }
        "zookeeper.request.timeout" => {
            let ms: u64 = value.parse().map_err(|_| bad("not a number of milliseconds"))?;
            config.request_timeout = (ms > 0).then(|| Duration::from_millis(ms));
        }
        "zookeeper.client.secure" if value.eq_ignore_ascii_case("true") => {
            return Err(bad("this shell cannot speak TLS yet; use the server's clientPort"));
        }
        _ => (),
    }
    Ok(())
}

/// A number, decimal or hexadecimal as `Integer.decode` takes it.
fn parse_bytes(value: &str) -> Option<usize> {
    let hex = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X"));
    let bytes = match hex {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    };
    bytes.filter(|bytes| i32::try_from(*bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Options, Option<String>) {
        Options::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let (options, complaint) = parsed("-server h:1 -r -x -timeout 5 ls -s /");
        assert_eq!(complaint, None);
        assert_eq!((options.server.as_str(), options.timeout.as_str()), ("h:1", "5"));
        assert!(options.read_only && !options.wait_for_connection);
        assert_eq!(options.command, ["ls", "-s", "/"]);
        let (options, complaint) = parsed("-r -server");
        assert_eq!(complaint.as_deref(), Some("Error: no argument found for option -server"));
        assert_eq!(options.server, "localhost:2181");
    }

    #[test]
    fn properties_reach_the_client() {
        let (mut options, _) = parsed("-Djute.maxbuffer=77 -Dzookeeper.request.timeout=50");
        ["-Xmx256m", "-Djute.maxbuffer=0x400"].iter().for_each(|flag| options.add_flag(flag));
        let config = options.client_config("h:1/c").unwrap();
        assert_eq!(config.max_frame_bytes, 1024);
        assert_eq!(config.request_timeout, Some(Duration::from_millis(50)));
        assert_eq!(config.connect.chroot, "/c");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let exit_code = |text: &str| parsed(text).0.client_config("h:1").unwrap_err().exit_code;
        assert_eq!(exit_code("-timeout soon"), 1);
        assert_eq!(exit_code("-Dzookeeper.client.secure=true"), 2);
        assert_eq!(exit_code("-Djute.maxbuffer=-5"), 2);
        assert_eq!(exit_code("-client-configuration /nowhere/at/all"), 2);
    }

    #[test]
    fn property_files_are_javas() {
        let text = "# comment\n! comment\n\na = b\nc:d\nnonsense\n";
        let read: Vec<_> = properties_of(text).collect();
        assert_eq!(read, [("a".into(), "b".into()), ("c".into(), "d".into())]);
    }
}
