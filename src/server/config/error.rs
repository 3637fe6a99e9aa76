//! What can be wrong with a configuration, each error one line that names the place and the fix
//! (`QuorumPeerConfig.ConfigException`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a configuration file, counted from 1.
    Line {
        /// The file as it was given.
        file: Arc<Path>,
        /// The first line of the setting, counted from 1.
        line: u32,
    },
    /// A `-D` flag; the name of the environment variable that holds it, or `command line`.
    Flag(&'static str),
    /// An argument of the old command line form `port datadir [ticktime] [maxcnxns]`.
    Argument,
    /// The built-in configuration of a server started without a file.
    Embedded,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Flag(variable) => f.write_str(variable),
            Self::Argument => f.write_str("command line"),
            Self::Embedded => f.write_str("built-in defaults"),
        }
    }
}

/// A configuration that Apache ZooKeeper would refuse to start with, or that asks for something
/// this server must not silently leave out. Each is one line: place, problem, fix. A server that
/// meets one exits with status 2, as `ExitCode.INVALID_INVOCATION` does.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be read as what its key needs.
    #[error("{at}: {} is not {expected}; write for example {example}", one_line(setting))]
    BadValue {
        /// Where the value stands.
        at: Origin,
        /// The setting as written, `tickTime=abc` or `-Dzookeeper.snapCount=x`.
        setting: String,
        /// What the key needs, for example "a whole number of milliseconds".
        expected: String,
        /// A setting that would be accepted.
        example: String,
    },
    /// A value that is well formed but breaks a rule.
    #[error("{at}: {}; {fix}", one_line(problem))]
    Refused {
        /// Where the setting stands.
        at: Origin,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// Something is missing from, or wrong with, the configuration as a whole.
    #[error("{place}: {}; {fix}", one_line(problem))]
    Invalid {
        /// The file, or what stands in for it.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// A file that cannot be read.
    #[error("{}: cannot be read: {source}; {fix}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What to do.
        fix: &'static str,
    },
    /// A setting that guards the server and would be unsafe to ignore.
    #[error("{at}: {} needs {what}, which is not there yet; {fix}", one_line(setting))]
    NotThereYet {
        /// Where the setting stands.
        at: Origin,
        /// The setting as written.
        setting: String,
        /// What it needs.
        what: &'static str,
        /// What to do.
        fix: &'static str,
    },
}

/// A text that may hold what somebody wrote with `\n` or `\u0000`, with such characters escaped.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
