//! Cuts and installations, stopped after each of their steps.

use std::fs;
use std::path::Path;

use jute::{Acl, StatPersisted};

use super::super::log_batch::tests::push;
use super::super::{
    Compression, FileTxnLog, LoadedSnapshot, LogBatch, LogOptions, OsDisk, RestoreOptions,
    RestoreSink, SnapshotSink, SnapshotTail, SnapshotWriter, put_end_of_nodes, restore,
};
use super::*;
use crate::proto::{SessionId, TxnEntry};

/// A sink that notes the zxid of the snapshot and those replayed.
#[derive(Default)]
struct Told(Vec<i64>);

impl SnapshotSink for Told {
    fn clear(&mut self) {}
    fn session(&mut self, _: SessionId, _: i32) {}
    fn acl(&mut self, _: i64, _: Vec<Acl<'_>>) {}
    fn node(&mut self, _: &str, _: Option<&[u8]>, _: i64, _: &StatPersisted) -> Result<(), String> {
        Ok(())
    }
}

impl RestoreSink for Told {
    fn snapshot_loaded(&mut self, snapshot: &LoadedSnapshot) {
        self.0.push(snapshot.file.zxid.0);
    }
    fn apply(&mut self, entry: &TxnEntry<'_>, _: &[u8]) -> Result<(), String> {
        self.0.push(entry.zxid().0);
        Ok(())
    }
}

fn open(home: &Path) -> DataDirs {
    DataDirs::open(OsDisk, &home.join("data"), &home.join("logs"), true).unwrap()
}

fn snapshot(dirs: &DataDirs, zxid: i64) -> Result<DataFile, SnapshotError> {
    let mut writer =
        SnapshotWriter::create(&OsDisk, dirs.snapshots(), Zxid(zxid), Compression::None, true)
            .unwrap();
    let mut body = vec![0; 8];
    put_end_of_nodes(&mut body);
    writer.write(&body).unwrap();
    writer.finish(&SnapshotTail::default())
}

fn log(dirs: &DataDirs, zxids: impl Iterator<Item = i64>) {
    let options = LogOptions { prealloc_bytes: 1 << 20, ..LogOptions::default() };
    let mut writer = FileTxnLog::new(OsDisk, dirs.logs(), options);
    let mut batch = LogBatch::new();
    zxids.for_each(|zxid| push(&mut batch, zxid, b"more"));
    writer.append(&batch).unwrap();
    writer.flush().unwrap();
}

/// What a start finds: the snapshot's zxid and those replayed.
fn found(home: &Path) -> Vec<i64> {
    let dirs = open(home);
    let mut told = Told::default();
    restore(&dirs, RestoreOptions::default(), &mut told).unwrap();
    told.0
}

/// Snapshots of 0, 8 and 25, and the logs 1..=10, 11..=20, 21..=30.
fn history(home: &Path) {
    let dirs = open(home);
    [0, 8, 25].into_iter().for_each(|zxid| drop(snapshot(&dirs, zxid).unwrap()));
    [1..=10, 11..=20, 21..=30].into_iter().for_each(|zxids| log(&dirs, zxids));
}

fn from_to(first: i64, last: i64) -> Vec<i64> {
    (first..=last).collect()
}

#[test]
fn a_cut_stopped_anywhere_leaves_a_history_that_can_be_cut_again() {
    // (cut at, the snapshot it is restored from)
    for (to, base) in [(30, 25), (27, 25), (25, 25), (24, 8), (20, 8), (13, 8), (8, 8), (7, 0)] {
        let mut taken = 0;
        loop {
            let home = tempfile::tempdir().unwrap();
            history(home.path());
            let steps = steps(&open(home.path()), Zxid(to)).unwrap();
            let all = steps.len();
            steps.into_iter().take(taken).for_each(|step| step.take(&OsDisk).unwrap());
            let found_between = found(home.path());
            let last = *found_between.last().unwrap();
            assert_eq!(found_between, from_to(found_between[0], last), "no hole");
            assert!(last >= to, "0x{to:x}: all up to the cut, after {taken} steps");

            truncate(&open(home.path()), Zxid(to)).unwrap();
            assert_eq!(found(home.path()), from_to(base, to), "after {taken} steps");
            log(&open(home.path()), to + 1..=to + 3);
            assert_eq!(found(home.path()), from_to(base, to + 3), "the log goes on");
            if taken == all {
                break;
            }
            taken += 1;
        }
        assert_eq!(taken == 0, to == 30, "every other cut changes something");
    }
}

#[test]
fn a_cut_that_cannot_be_made_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dirs = open(home.path());
    let nothing = truncate(&dirs, Zxid(5)).unwrap_err();
    assert!(matches!(nothing, TruncateError::NoSnapshotBelow { oldest: None, .. }), "{nothing}");
    snapshot(&dirs, 8).unwrap();
    let next_epoch = 1 << 32;
    log(&dirs, (1..=10).chain(12..=14).chain(next_epoch + 1..=next_epoch + 3));
    drop(dirs);
    let before = found(home.path());
    let dirs = open(home.path());
    let too_low = truncate(&dirs, Zxid(5)).unwrap_err();
    assert!(too_low.needs_snapshot());
    assert!(matches!(too_low, TruncateError::NoSnapshotBelow { oldest: Some(Zxid(8)), .. }));
    // Beyond the end, beyond a hole, and one that only another history has.
    for to in [next_epoch + 4, 13, 11] {
        let refused = truncate(&dirs, Zxid(to)).unwrap_err();
        assert!(refused.needs_snapshot(), "{refused}");
        let expected = TruncateError::NotInHistory { to: Zxid(to), last: Zxid(10) };
        assert_eq!(refused.to_string(), expected.to_string());
    }
    drop(dirs);
    assert_eq!(found(home.path()), before);
}

#[test]
fn a_damaged_log_is_not_cut_and_asks_for_a_snapshot() {
    // In the middle of the log of 11 to 20, and in its first bytes.
    for (at, damage) in [(200, b"damage"), (0, b"no log")] {
        let home = tempfile::tempdir().unwrap();
        history(home.path());
        let dirs = open(home.path());
        let path = list_logs(&OsDisk, dirs.logs()).unwrap()[1].path.clone();
        let mut bytes = fs::read(&path).unwrap();
        bytes[at..at + damage.len()].copy_from_slice(damage);
        fs::write(&path, &bytes).unwrap();
        let refused = truncate(&dirs, Zxid(20)).unwrap_err();
        assert!(matches!(refused, TruncateError::Log(_)), "{refused}");
        assert!(refused.needs_snapshot(), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(list_logs(&OsDisk, dirs.logs()).unwrap().len(), 3);
        assert_eq!(list_snapshots(&OsDisk, dirs.snapshots()).unwrap().len(), 3);

        install_snapshot(&dirs, Zxid(20), || snapshot(&dirs, 20)).unwrap();
        drop(dirs);
        assert_eq!(found(home.path()), [20], "it is cured");
    }
}

#[test]
fn an_installed_snapshot_takes_the_place_of_everything() {
    // Above, within and below what is on disk.
    for zxid in [100, 15, 8, 3] {
        let home = tempfile::tempdir().unwrap();
        history(home.path());
        let dirs = open(home.path());
        let file = install_snapshot(&dirs, Zxid(zxid), || snapshot(&dirs, zxid)).unwrap();
        assert_eq!(list_snapshots(&OsDisk, dirs.snapshots()).unwrap(), [file]);
        assert_eq!(list_logs(&OsDisk, dirs.logs()).unwrap(), []);
        log(&dirs, zxid + 1..=zxid + 2);
        drop(dirs);
        assert_eq!(found(home.path()), from_to(zxid, zxid + 2));

        // What was replaced is kept, until the next time.
        let replaced = |dir: &str| {
            fs::read_dir(home.path().join(dir).join("version-2/replaced")).unwrap().count()
        };
        let snapshots = if zxid == 8 { 2 } else { 3 };
        assert_eq!((replaced("data"), replaced("logs")), (snapshots, 3));
        let dirs = open(home.path());
        install_snapshot(&dirs, Zxid(200), || snapshot(&dirs, 200)).unwrap();
        assert_eq!((replaced("data"), replaced("logs")), (1, 1));
    }
}

#[test]
fn an_installation_that_a_crash_cut_off_is_void_or_finished_at_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    history(home.path());
    let whole = found(home.path());
    begin_install(&OsDisk, open(home.path()).snapshots(), Zxid(15)).unwrap();
    assert_eq!(found(home.path()), whole, "the snapshot was not there yet");
    assert_eq!(markers(&OsDisk, open(home.path()).snapshots()).unwrap(), []);

    begin_install(&OsDisk, open(home.path()).snapshots(), Zxid(15)).unwrap();
    fs::write(home.path().join("data/version-2/tmp.snapshot.f"), b"half").unwrap();
    assert_eq!(found(home.path()), whole, "nor was it complete");

    let dirs = open(home.path());
    begin_install(&OsDisk, dirs.snapshots(), Zxid(15)).unwrap();
    snapshot(&dirs, 15).unwrap();
    // Some of what it replaces is moved already.
    let first = list_snapshots(&OsDisk, dirs.snapshots()).unwrap().remove(0);
    move_away(&OsDisk, dirs.snapshots(), &[first.path]).unwrap();
    drop(dirs);
    assert_eq!(found(home.path()), [15]);
}

#[test]
fn an_installation_that_fails_leaves_the_history() {
    let home = tempfile::tempdir().unwrap();
    history(home.path());
    let whole = found(home.path());
    let dirs = open(home.path());
    let full = || Err(SnapshotError::io("write", Path::new("x"))(io::Error::other("disk full")));
    install_snapshot(&dirs, Zxid(15), full).unwrap_err();
    drop(dirs);
    assert_eq!(found(home.path()), whole);
}
