//! `gamekeeper server`: runs a server in the foreground (`QuorumPeerMain`, `ZooKeeperServerMain`).

use std::env;
use std::process::ExitCode;

use tracing::{error, warn};

use crate::server::config::ServerConfig;
use crate::server::run;

/// Exit code for bad arguments and configuration (`ExitCode.INVALID_INVOCATION`).
const INVALID_INVOCATION: u8 = 2;

/// Runs a server with these arguments: `-D` flags, then zoo.cfg, or `port datadir [ticktime]
/// [maxcnxns]`, or nothing.
pub fn run(args: &[String]) -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let flags = |name| env::var(name).ok();
    let config = ServerConfig::from_args(
        args,
        flags("SERVER_JVMFLAGS").as_deref(),
        flags("JVMFLAGS").as_deref(),
    );
    let config = match config.and_then(|config| config.require_runnable().map(|()| config)) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(INVALID_INVOCATION);
        }
    };
    for warning in &config.warnings {
        warn!("{warning}");
    }
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            error.exit_code()
        }
    }
}
