//! The commands that work on a session (`CommandFactory`, `CliCommand`), one file for each. Those
//! that work on the shell itself are in `shell`.

mod add_auth;
mod add_watch;
mod close;
mod config;
mod create;
mod del_quota;
mod delete;
mod delete_all;
mod get;
mod get_acl;
mod get_all_children_number;
mod get_ephemerals;
mod list_quota;
mod ls;
mod reconfig;
mod remove_watches;
mod set;
mod set_acl;
mod set_quota;
mod stat;
mod sync;
mod version;
mod who_am_i;

use super::command_line::{self, Choice, CommandLine, Opt};
use super::console::Console;
use super::error::CliError;
use crate::client::ZooKeeper;

/// A command: what it is called, what it takes and what it does.
pub(super) struct Command {
    /// Its name.
    pub(super) name: &'static str,
    /// Its options and words, as the usage shows them.
    pub(super) synopsis: &'static str,
    options: &'static [Opt],
    choice: Choice,
    /// Fewest words beside the options, the name included; with fewer the usage is shown.
    words_min: usize,
    /// Whether the usage describes the options.
    describes_options: bool,
    exec: fn(&[String], &mut Session<'_>) -> Result<(), CliError>,
}

/// What a command works on.
pub(super) struct Session<'a> {
    pub(super) zk: &'a mut ZooKeeper,
    pub(super) console: &'a Console,
}

/// Every command.
pub(super) const COMMANDS: [&Command; 23] = [
    &add_auth::COMMAND,
    &add_watch::COMMAND,
    &close::COMMAND,
    &config::COMMAND,
    &create::COMMAND,
    &delete::COMMAND,
    &delete_all::COMMAND,
    &del_quota::COMMAND,
    &get::COMMAND,
    &get_acl::COMMAND,
    &get_all_children_number::COMMAND,
    &get_ephemerals::COMMAND,
    &list_quota::COMMAND,
    &ls::COMMAND,
    &reconfig::COMMAND,
    &remove_watches::COMMAND,
    &set::COMMAND,
    &set_acl::COMMAND,
    &set_quota::COMMAND,
    &stat::COMMAND,
    &sync::COMMAND,
    &version::COMMAND,
    &who_am_i::COMMAND,
];

impl Command {
    /// A command without options.
    const fn new(
        name: &'static str,
        synopsis: &'static str,
        words_min: usize,
        exec: fn(&[String], &mut Session<'_>) -> Result<(), CliError>,
    ) -> Self {
        let (options, choice) = (&[], Choice::Any);
        Self { name, synopsis, options, choice, words_min, describes_options: false, exec }
    }

    /// The same with options.
    const fn with_options(mut self, options: &'static [Opt]) -> Self {
        self.options = options;
        self
    }

    /// Runs it on a user's words, of which the first is its name.
    pub(super) fn exec(&self, words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
        (self.exec)(words, session)
    }

    /// Takes a user's words apart.
    fn parse(&self, words: &[String]) -> Result<CommandLine, CliError> {
        let line = command_line::parse(self.options, self.choice, words)?;
        if line.args.len() < self.words_min {
            return Err(self.usage());
        }
        Ok(line)
    }

    /// Takes a user's words apart where a third word once meant the option -w.
    fn parse_with_watch_word(
        &self,
        words: &[String],
        console: &Console,
    ) -> Result<CommandLine, CliError> {
        let line = self.parse(words)?;
        if line.args.len() <= 2 {
            return Ok(line);
        }
        let options = if self.name == "get" { "[-s] [-w]" } else { "[-w]" };
        let name = self.name;
        console.error(format_args!(
            "'{name} path [watch]' has been deprecated. Please use '{name} {options} path' instead."
        ));
        let mut words = words.to_vec();
        words[2] = "-w".into();
        command_line::parse(self.options, self.choice, &words)
    }

    /// The error that shows how it is used.
    fn usage(&self) -> CliError {
        let usage = format!("{} {}", self.name, self.synopsis);
        match self.describes_options {
            true => CliError::new(format!("{usage}\n{}\n", command_line::describe(self.options))),
            false => CliError::new(usage),
        }
    }
}
