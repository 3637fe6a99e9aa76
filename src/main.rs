//! The `gamekeeper` binary.

use std::process::ExitCode;

use clap::{Args, Parser};
use gamekeeper::cli::{bench, container, four_letter_word, purge, server, shell, version};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "gamekeeper", version, about)]
enum Command {
    /// Run a server in the foreground until SIGTERM or SIGINT.
    Server(Words),
    /// ZooKeeper's shell, with its options and commands.
    #[command(disable_help_flag = true)]
    Cli(Words),
    /// Send a four-letter word to a server and print its answer: host port word.
    #[command(name = "4lw")]
    FourLetterWord(Words),
    /// Remove old snapshots and logs: dataLogDir [dataDir] -n count.
    Purge(Words),
    /// Run a container of the image: a server as the ZOO_ variables describe it.
    Container(Words),
    /// Drive a server with load and measure it.
    Bench(bench::Args),
    /// Print name, version and date.
    Version,
}

/// Arguments in a form of ZooKeeper's own, which the subcommand reads itself.
#[derive(Debug, Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

fn main() -> ExitCode {
    if let Some(words) = script_words() {
        return container::run(&words);
    }
    match Command::parse() {
        Command::Server(args) => server::run(&args.words),
        Command::Cli(args) => shell::run(args.words.into_iter()),
        Command::FourLetterWord(args) => four_letter_word::run(&args.words),
        Command::Purge(args) => purge::run(&args.words),
        Command::Container(args) => container::run(&args.words),
        Command::Bench(args) => bench::run(args),
        Command::Version => version::run(),
    }
}

/// The words of a call by the name of a script of ZooKeeper's, as in the image, where there is no
/// shell: that name and the arguments.
fn script_words() -> Option<Vec<String>> {
    let mut words: Vec<String> = std::env::args().collect();
    let called = words.first_mut()?;
    *called = called.rsplit('/').next()?.to_owned();
    called.ends_with(".sh").then_some(words)
}
