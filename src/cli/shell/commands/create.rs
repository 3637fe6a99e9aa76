//! `create`: creates a node (`CreateCommand`).

use super::{Command, Session};
use crate::cli::shell::acl;
use crate::cli::shell::command_line::{CommandLine, flag, valued};
use crate::cli::shell::error::{CliError, KeeperError};
use crate::client::ClientError;
use crate::proto::{CreateMode, ErrorCode};
use crate::tree::TTL_MS_MAX;

pub(super) const COMMAND: Command =
    Command::new("create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]", 2, exec).with_options(&[
        flag("e", "ephemeral"),
        flag("s", "sequential"),
        flag("c", "container"),
        valued("t", "ttl"),
    ]);

fn exec(words: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    let line = COMMAND.parse(words)?;
    let (mode, ttl_ms) = mode(&line)?;
    let path = &line.args[1];
    let data = line.args.get(2).map(String::as_bytes);
    let acl = match line.args.get(3) {
        None => acl::open_unsafe(),
        Some(text) => acl::parse(text, session.console),
    };
    let created = match ttl_ms {
        Some(ttl_ms) => {
            session.zk.create2(path, data, &acl, mode, ttl_ms).map(|created| created.path)
        }
        None => session.zk.create(path, data, &acl, mode),
    };
    match created {
        Ok(created) => {
            session.console.error(format_args!("Created {created}"));
            Ok(())
        }
        Err(error) => {
            let error = match acl.is_empty() {
                // Refused before a path was known.
                true if error == ClientError::Code(ErrorCode::InvalidAcl) => {
                    KeeperError::without_path(error)
                }
                _ => KeeperError::new(error, path),
            };
            if error.is(ErrorCode::EphemeralOnLocalSession) {
                session.console.error("Unable to create ephemeral node on a local session");
            } else if error.is(ErrorCode::InvalidAcl) {
                session.console.error(error.message());
            }
            Err(error.into())
        }
    }
}

/// The kind of node that the options ask for, and its time to live.
fn mode(line: &CommandLine) -> Result<(CreateMode, Option<i64>), CliError> {
    let (ephemeral, sequential, container) = (line.has("e"), line.has("s"), line.has("c"));
    if container && (ephemeral || sequential) {
        return Err(CliError::new(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
        ));
    }
    let ttl_ms = line.value("t").map(str::parse::<i64>).transpose();
    let ttl_ms = ttl_ms.map_err(|_| CliError::new("-t argument must be a long value"))?;
    let Some(ttl_ms) = ttl_ms else {
        let mode = match (ephemeral, sequential) {
            (true, true) => CreateMode::EphemeralSequential,
            (true, false) => CreateMode::Ephemeral,
            (false, true) => CreateMode::PersistentSequential,
            (false, false) if container => CreateMode::Container,
            (false, false) => CreateMode::Persistent,
        };
        return Ok((mode, None));
    };
    if ephemeral {
        return Err(CliError::new("TTLs cannot be used with Ephemeral znodes"));
    }
    if container {
        return Err(CliError::new("TTLs cannot be used with Container znodes"));
    }
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        let text = format!("ttl must be positive and cannot be larger than: {TTL_MS_MAX}");
        return Err(CliError::new(text));
    }
    let mode = match sequential {
        true => CreateMode::PersistentSequentialWithTtl,
        false => CreateMode::PersistentWithTtl,
    };
    Ok((mode, Some(ttl_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(text: &str) -> Result<(CreateMode, Option<i64>), String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        mode(&COMMAND.parse(&words).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn options_choose_the_mode() {
        assert_eq!(mode_of("create /a"), Ok((CreateMode::Persistent, None)));
        assert_eq!(mode_of("create -s -e /a"), Ok((CreateMode::EphemeralSequential, None)));
        assert_eq!(mode_of("create -c /a"), Ok((CreateMode::Container, None)));
        let ttl = (CreateMode::PersistentSequentialWithTtl, Some(5));
        assert_eq!(mode_of("create -s -t 5 /a"), Ok(ttl));
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for text in ["create -c -s /a", "create -t 5 -e /a", "create -t 5 -c /a"] {
            assert!(mode_of(text).is_err(), "{text}");
        }
        let range = "ttl must be positive and cannot be larger than: 1099511627775";
        assert_eq!(mode_of("create -t 0 /a"), Err(range.into()));
        assert_eq!(mode_of("create -t x /a"), Err("-t argument must be a long value".into()));
    }
}
