//! `gamekeeper version` (`VersionInfoMain`), behind `zkServer.sh version`.

use std::process::ExitCode;

use crate::version;

/// Prints name, version and date on one line.
#[must_use]
pub fn run() -> ExitCode {
    println!("{}, version {} {}", version::GAMEKEEPER, version::revision(), version::build_date());
    ExitCode::SUCCESS
}
