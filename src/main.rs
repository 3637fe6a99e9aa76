//! The `gamekeeper` binary.

use std::process::ExitCode;

use clap::Parser;
use gamekeeper::cli::bench;

#[derive(Debug, Parser)]
#[command(name = "gamekeeper", version, about)]
enum Command {
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Bench(args) => bench::run(args),
    }
}
