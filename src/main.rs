//! The `gamekeeper` binary.

use std::process::ExitCode;

use clap::Parser;
use gamekeeper::cli::{bench, shell};

#[derive(Debug, Parser)]
#[command(name = "gamekeeper", version, about)]
enum Command {
    Bench(bench::Args),
    /// Apache's zkCli, with its options and commands
    #[command(disable_help_flag = true)]
    Cli {
        /// -server host:port, -timeout ms, -r, -waitforconnection, -client-configuration file,
        /// then perhaps one command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Bench(args) => bench::run(args),
        Command::Cli { args } => shell::run(args.into_iter()),
    }
}
