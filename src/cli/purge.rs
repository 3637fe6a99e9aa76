//! `gamekeeper purge`, behind `bin/zkCleanup.sh`: removes old snapshots and logs (the command line
//! of `PurgeTxnLog`). A server may run on the directories meanwhile.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::persistence::{OsDisk, SNAPSHOTS_KEPT_MIN, VERSION_DIR, purge};

const USAGE: &str = "\
Usage:
gamekeeper purge dataLogDir [snapDir] -n count
\tdataLogDir -- directory of the transaction logs, as in zoo.cfg
\tsnapDir -- directory of the snapshots (dataDir in zoo.cfg), if it is another one
\tcount -- how many of the newest snapshots to keep, 3 or more";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    logs: PathBuf,
    snapshots: PathBuf,
    count: usize,
}

/// Runs `purge` with the arguments behind its name. Names each file it removed; the exit code is 1
/// if the arguments are wrong or the directories cannot be read.
pub fn run(args: &[String]) -> ExitCode {
    let request = match parse(args) {
        Ok(request) => request,
        Err(error) => {
            if !error.is_empty() {
                eprintln!("{error}");
            }
            println!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match purge(&OsDisk, &request.logs, &request.snapshots, request.count) {
        Ok(removed) => {
            removed.iter().for_each(|path| println!("Removing file: {}", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The error is what to tell in front of the usage, if anything.
fn parse(args: &[String]) -> Result<Request, String> {
    let (logs, snapshots, count) = match args {
        [logs, option, count] if option == "-n" => (logs, logs, count),
        [logs, snapshots, option, count] if option == "-n" => (logs, snapshots, count),
        _ => return Err(String::new()),
    };
    let directory = |path: &String| match Path::new(path).exists() {
        true => Ok(Path::new(path).join(VERSION_DIR)),
        false => Err(format!("Path '{path}' does not exist.")),
    };
    let (logs, snapshots) = (directory(logs)?, directory(snapshots)?);
    let count: usize =
        count.parse().map_err(|_| format!("'{count}' can not be parsed to integer."))?;
    if count < SNAPSHOTS_KEPT_MIN {
        return Err("count should be greater than or equal to 3".into());
    }
    Ok(Request { logs, snapshots, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Request, String> {
        parse(&args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn one_directory_or_two_and_a_count_of_three_or_more() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().to_str().unwrap();
        let version_dir = home.path().join("version-2");
        let request =
            Request { logs: version_dir.clone(), snapshots: version_dir.clone(), count: 3 };
        assert_eq!(parsed(&[dir, "-n", "3"]), Ok(request));
        assert_eq!(parsed(&[dir, "/", "-n", "9"]).unwrap().snapshots, Path::new("/version-2"));
        assert_eq!(parsed(&[dir, "3"]), Err(String::new()));
        assert_eq!(parsed(&[dir, "-m", "3"]), Err(String::new()));
        assert!(parsed(&[dir, "-n", "2"]).unwrap_err().contains("equal to 3"));
        assert!(parsed(&[dir, "-n", "two"]).unwrap_err().contains("'two'"));
        assert!(parsed(&["/no such place", "-n", "3"]).unwrap_err().contains("does not exist"));
    }
}
