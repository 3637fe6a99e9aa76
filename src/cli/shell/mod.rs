//! The native zkCli (`ZooKeeperMain`): the commands of Apache 3.9's shell with the same output.
//!
//! One command from the command line, or lines from standard input: with editing, history and
//! completion on a terminal, else one after the other. As in Java the process ends without closing
//! the session, except by `quit`, and its exit code is that of the last command.
//!
//! A bad argument that ends Java's shell with a stack trace, such as `delete -v x /a`, is a message
//! and a failed command here.

mod acl;
mod command_line;
mod commands;
mod completion;
mod console;
mod error;
mod format;
mod options;
mod tree_walk;
mod words;

use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{CompletionType, Editor};

use crate::client::{ClientError, ConnectionState, ZooKeeper};
use commands::{COMMANDS, Command, Session};
use completion::ZNodeCompleter;
use console::Console;
use error::{CliError, KeeperError};
use options::Options;

/// Commands that work on the shell itself, with their usage.
const SHELL_COMMANDS: [(&str, &str); 5] = [
    ("connect", "host:port"),
    ("history", ""),
    ("printwatches", "on|off"),
    ("quit", ""),
    ("redo", "cmdno"),
];

/// Lines that `history` looks back.
const HISTORY_LINES: usize = 10;

/// Wait before the first prompt, so that it can show a connection that is made at once.
const FIRST_PROMPT_WAIT: Duration = Duration::from_millis(300);

/// Runs the shell with these arguments, the program's name left out, and gives its exit code.
/// Client properties also come from -D flags in `CLIENT_JVMFLAGS` and `JVMFLAGS`.
pub fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let (mut options, complaint) = Options::parse(args);
    for variable in ["CLIENT_JVMFLAGS", "JVMFLAGS"] {
        let flags = std::env::var(variable).unwrap_or_default();
        flags.split_whitespace().for_each(|flag| options.add_flag(flag));
    }
    let console = Arc::new(Console::default());
    complaint.iter().for_each(|complaint| console.error(complaint));
    let mut shell = Shell {
        host: options.server.clone(),
        options,
        console,
        zk: Rc::new(RefCell::new(None)),
        history: Vec::new(),
        exit_code: 0,
    };
    shell.console.line(format_args!("Connecting to {}", shell.host));
    let host = shell.host.clone();
    if let Err(error) = shell.connect(&host) {
        shell.console.error(&error.message);
        return ExitCode::from(error.exit_code);
    }
    if shell.options.command.is_empty() {
        shell.console.line("Welcome to ZooKeeper!");
        match io::stdin().is_terminal() {
            true => shell.edit_lines(),
            false => shell.read_lines(),
        }
    } else {
        let words = shell.options.command.clone();
        let _ = shell.process(&words);
    }
    shell.zk.take().into_iter().for_each(ZooKeeper::leave);
    ExitCode::from(shell.exit_code)
}

/// The shell's state.
struct Shell {
    options: Options,
    /// The connect string in use, for the prompt.
    host: String,
    console: Arc<Console>,
    /// The session, shared with completion; there is one unless a connect failed.
    zk: Rc<RefCell<Option<ZooKeeper>>>,
    /// Lines so far; their index is their number.
    history: Vec<String>,
    exit_code: u8,
}

/// `quit` was entered.
struct Quit;

impl Shell {
    /// Closes the session there is and starts another one.
    fn connect(&mut self, host: &str) -> Result<(), CliError> {
        drop(self.zk.take());
        let config = self.options.client_config(host)?;
        self.host = host.to_owned();
        let timeout = Duration::from_millis(config.session_timeout_ms.max(0) as u64);
        let console = Arc::clone(&self.console);
        let zk = ZooKeeper::connect(config, move |event| console.event(event));
        let zk = zk.map_err(|error| CliError::new(format!("cannot start a thread: {error}")))?;
        if self.options.wait_for_connection && !zk.wait_connected(timeout) {
            return Err(KeeperError::without_path(ClientError::ConnectionLoss).into());
        }
        self.zk.replace(Some(zk));
        Ok(())
    }

    /// Reads lines from a pipe or file.
    fn read_lines(&mut self) {
        self.console.line("JLine support is disabled");
        for line in io::stdin().lock().lines() {
            match line {
                Ok(line) if self.execute(&line).is_ok() => (),
                Ok(_) => return,
                Err(error) => return self.console.error(format_args!("standard input: {error}")),
            }
        }
    }

    /// Reads lines from a terminal.
    fn edit_lines(&mut self) {
        self.console.line("JLine support is enabled");
        let config = rustyline::Config::builder()
            .auto_add_history(true)
            .completion_type(CompletionType::List)
            .build();
        let editor = Editor::<ZNodeCompleter, MemHistory>::with_history(config, MemHistory::new());
        let mut editor = match editor {
            Ok(editor) => editor,
            Err(error) => return self.console.error(format_args!("terminal: {error}")),
        };
        let commands = usages().into_iter().map(|(name, _)| name).collect();
        editor.set_helper(Some(ZNodeCompleter { commands, zk: Rc::clone(&self.zk) }));
        if let Ok(printer) = editor.create_external_printer() {
            self.console.print_above_line(Box::new(printer));
        }
        if let Some(zk) = &*self.zk.borrow() {
            zk.wait_connected(FIRST_PROMPT_WAIT);
        }
        loop {
            match editor.readline(&self.prompt()) {
                Ok(line) if self.execute(&line).is_ok() => (),
                Ok(_) | Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
                Err(error) => return self.console.error(format_args!("terminal: {error}")),
            }
        }
    }

    /// `[zk: localhost:2181(CONNECTED) 0] `.
    fn prompt(&self) -> String {
        let state = match self.state() {
            ConnectionState::Connecting => "CONNECTING",
            ConnectionState::Connected => "CONNECTED",
            ConnectionState::ConnectedReadOnly => "CONNECTEDREADONLY",
            ConnectionState::Closed => "CLOSED",
            ConnectionState::AuthFailed => "AUTH_FAILED",
        };
        format!("[zk: {}({state}) {}] ", self.host, self.history.len())
    }

    fn state(&self) -> ConnectionState {
        self.zk.borrow().as_ref().map_or(ConnectionState::Closed, ZooKeeper::state)
    }

    /// Executes a line, which counts unless it is empty.
    fn execute(&mut self, line: &str) -> Result<(), Quit> {
        if line.is_empty() {
            return Ok(());
        }
        self.history.push(line.to_owned());
        self.process(&words::split(line))
    }

    /// Runs one command, prints why it failed and keeps its exit code.
    fn process(&mut self, words: &[String]) -> Result<(), Quit> {
        match self.try_process(words) {
            Ok(Some(Quit)) => return Err(Quit),
            Ok(None) => self.exit_code = 0,
            Err(error) => {
                self.exit_code = error.exit_code;
                self.console.error(&error.message);
            }
        }
        Ok(())
    }

    fn try_process(&mut self, words: &[String]) -> Result<Option<Quit>, CliError> {
        let Some(name) = words.first() else {
            self.print_usage();
            return Err(CliError::new("No command entered"));
        };
        let argument = words.get(1).map(String::as_str);
        match (name.as_str(), argument) {
            ("quit", _) => {
                drop(self.zk.take());
                return Ok(Some(Quit));
            }
            ("redo", Some(number)) => {
                let quit = self.redo(number)?;
                if quit.is_some() {
                    return Ok(quit);
                }
            }
            ("history", _) => self.print_history(),
            ("printwatches", None) => {
                let state = if self.console.shows_events() { "on" } else { "off" };
                self.console.line(format_args!("printwatches is {state}"));
            }
            ("printwatches", Some(state)) => self.console.show_events(state == "on"),
            ("connect", host) => {
                let host = host.unwrap_or(&self.host).to_owned();
                self.connect(&host)?;
            }
            _ => (),
        }
        let command: Option<&Command> =
            COMMANDS.into_iter().find(|command| command.name == name.as_str());
        if command.is_none() && !SHELL_COMMANDS.iter().any(|(known, _)| known == name) {
            self.print_usage();
            return Err(CliError::not_found(name));
        }
        if !self.state().is_alive() {
            self.console.line("Not connected");
            return Ok(None);
        }
        let mut zk = self.zk.borrow_mut();
        if let (Some(command), Some(zk)) = (command, zk.as_mut()) {
            command.exec(words, &mut Session { zk, console: &self.console })?;
        }
        Ok(None)
    }

    /// Runs a line of the history again. Its failure is printed, but is not one of `redo`.
    fn redo(&mut self, number: &str) -> Result<Option<Quit>, CliError> {
        let current = self.history.len().saturating_sub(1);
        let number: usize = number
            .parse()
            .ok()
            .filter(|number| *number < current)
            .ok_or_else(|| CliError::new("Command index out of range"))?;
        let line = self.history[number].clone();
        let words = words::split(&line);
        if words.first().is_some_and(|name| name == "redo") {
            return Err(CliError::new("No redoing redos"));
        }
        self.history[current] = line;
        Ok(self.process(&words).err())
    }

    fn print_history(&self) {
        if self.history.is_empty() {
            // `history` as the one command: it is not in the history itself.
            self.console.line("0 - null");
        }
        let first = self.history.len().saturating_sub(HISTORY_LINES + 1);
        for (number, line) in self.history.iter().enumerate().skip(first) {
            self.console.line(format_args!("{number} - {line}"));
        }
    }

    fn print_usage(&self) {
        self.console
            .error("ZooKeeper -server host:port -client-configuration properties-file cmd args");
        for (name, usage) in usages() {
            self.console.error(format_args!("\t{name} {usage}"));
        }
    }
}

/// Every command with its usage, sorted as Java sorts.
fn usages() -> Vec<(&'static str, &'static str)> {
    let of_session = COMMANDS.iter().map(|command| (command.name, command.synopsis));
    let mut all: Vec<_> = of_session.chain(SHELL_COMMANDS).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_apaches_shell_is_there() {
        let names: Vec<&str> = usages().into_iter().map(|(name, _)| name).collect();
        let expected = "addWatch addauth close config connect create delete deleteall delquota get \
                        getAcl getAllChildrenNumber getEphemerals history listquota ls \
                        printwatches quit reconfig redo removewatches set setAcl setquota stat \
                        sync version whoami";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    }
}
