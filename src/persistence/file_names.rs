//! Names of logs and snapshots, and directories of them in the order of their zxids (`Util`).

use std::io;
use std::path::{Path, PathBuf};

use super::Disk;
use crate::proto::Zxid;

/// A log or snapshot in its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// The zxid in its name: a log's first transaction, or the last one that was complete when a
    /// snapshot was begun.
    pub zxid: Zxid,
}

/// `log.` and the zxid of the file's first transaction.
pub fn log_name(first: Zxid) -> String {
    format!("log.{first}")
}

/// The log files of `dir`, oldest first.
pub fn list_logs(disk: &impl Disk, dir: &Path) -> io::Result<Vec<DataFile>> {
    list(disk, dir, |name| {
        let (prefix, zxid) = name.split_once('.')?;
        (prefix == "log").then(|| hex_zxid(zxid)).flatten()
    })
}

/// The files to read for the transactions after `zxid`: the newest whose name is not above it, and
/// every later one.
pub fn logs_from(logs: &[DataFile], zxid: Zxid) -> &[DataFile] {
    let later = logs.partition_point(|log| log.zxid <= zxid);
    &logs[later.saturating_sub(1)..]
}

/// Files of `dir` to whose name `zxid_of` gives a zxid, in the order of those.
pub(super) fn list(
    disk: &impl Disk,
    dir: &Path,
    zxid_of: impl Fn(&str) -> Option<Zxid>,
) -> io::Result<Vec<DataFile>> {
    let mut files = Vec::new();
    for path in disk.list(dir)? {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(zxid) = name.and_then(&zxid_of) {
            files.push(DataFile { path, zxid });
        }
    }
    files.sort_by(|a, b| (a.zxid, &a.path).cmp(&(b.zxid, &b.path)));
    Ok(files)
}

/// The zxid in a file name: hexadecimal digits and nothing else.
pub(super) fn hex_zxid(text: &str) -> Option<Zxid> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| i64::from_str_radix(text, 16).ok().map(Zxid)).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::OsDisk;
    use super::*;
    use std::fs;

    #[test]
    fn logs_are_sorted_by_number_and_other_files_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["log.10", "log.9", "log.100000001", "log.a.fixed", "log.", "log.-1", "logs.3"]
        {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let zxids: Vec<_> =
            list_logs(&OsDisk, dir.path()).unwrap().into_iter().map(|file| file.zxid.0).collect();
        assert_eq!(zxids, [0x9, 0x10, 0x1_0000_0001]);
    }

    #[test]
    fn the_newest_log_not_above_the_zxid_is_read_first() {
        let logs: Vec<_> = [1, 5, 9]
            .map(|zxid| DataFile { path: PathBuf::new(), zxid: Zxid(zxid) })
            .into_iter()
            .collect();
        let firsts =
            |zxid| logs_from(&logs, Zxid(zxid)).iter().map(|l| l.zxid.0).collect::<Vec<_>>();
        assert_eq!(firsts(0), [1, 5, 9]);
        assert_eq!(firsts(4), [1, 5, 9]);
        assert_eq!(firsts(5), [5, 9]);
        assert_eq!(firsts(100), [9]);
    }
}
