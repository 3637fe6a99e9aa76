//! The real persistence over a disk that loses power, dies and tears: whatever a server does when
//! it ends, the next start finds all that was flushed, as it was, and no hole.

use std::path::Path;

use fastrand::Rng;
use gamekeeper::persistence::{
    Compression, DataDirError, DataDirs, EpochFiles, FileTxnLog, LoadedSnapshot, LogBatch,
    LogOptions, RestoreOptions, RestoreSink, SnapshotSink, SnapshotTail, SnapshotWriter,
    install_snapshot, purge, put_end_of_nodes, restore, truncate,
};
use gamekeeper::proto::{SessionId, TxnEntry, Zxid};
use jute::{Acl, Field, SetDataTxn, StatPersisted, TxnHeader};
use sim::sim_disk::SimDisk;

/// Where data and logs are: in one directory, or in two.
const HOMES: [(&str, &str); 2] = [("/data", "/data"), ("/data", "/logs")];

/// What a start finds.
#[derive(Default)]
struct Found {
    snapshot: Option<Zxid>,
    entries: Vec<Vec<u8>>,
}

impl SnapshotSink for Found {
    fn clear(&mut self) {}
    fn session(&mut self, _: SessionId, _: i32) {}
    fn acl(&mut self, _: i64, _: Vec<Acl<'_>>) {}
    fn node(&mut self, _: &str, _: Option<&[u8]>, _: i64, _: &StatPersisted) -> Result<(), String> {
        Ok(())
    }
}

impl RestoreSink for Found {
    fn snapshot_loaded(&mut self, snapshot: &LoadedSnapshot) {
        self.snapshot = Some(snapshot.file.zxid);
    }

    fn apply(&mut self, _: &TxnEntry<'_>, raw: &[u8]) -> Result<(), String> {
        self.entries.push(raw.to_vec());
        Ok(())
    }
}

/// What a server knows of what it has written.
#[derive(Debug, Clone, Default)]
struct Knows {
    /// Entries by their number, from 1 on; those given up are cut off.
    entries: Vec<Vec<u8>>,
    /// How many are flushed.
    flushed: usize,
    /// Numbers that a history which is being given up may end at, the last one included.
    giving_up: Option<usize>,
    /// Whether a snapshot of this many, which stands for other entries, may have replaced all.
    installing: Option<usize>,
    /// What the epoch files may say.
    epochs: Vec<i64>,
}

/// A running server's files.
struct Server {
    dirs: DataDirs<SimDisk>,
    log: FileTxnLog<SimDisk>,
    epochs: EpochFiles<SimDisk>,
}

fn entry(number: usize, generation: u8, length: usize) -> Vec<u8> {
    let header = TxnHeader { zxid: number as i64, kind: 5, ..Default::default() };
    // With stretches of zeros, as data may have.
    let data: Vec<u8> =
        (0..length).map(|at| if at / 700 % 2 == 1 { 0 } else { generation }).collect();
    let txn = SetDataTxn { path: "/a".into(), data: Some(&data), version: 1 };
    [header.to_vec(), txn.to_vec()].concat()
}

fn open(disk: &SimDisk, (data, logs): (&str, &str)) -> Result<DataDirs<SimDisk>, DataDirError> {
    DataDirs::open(disk.clone(), Path::new(data), Path::new(logs), true)
}

fn write_snapshot(
    dirs: &DataDirs<SimDisk>,
    zxid: Zxid,
) -> Result<gamekeeper::persistence::DataFile, gamekeeper::persistence::SnapshotError> {
    let (disk, dir) = (dirs.disk(), dirs.snapshots());
    let mut writer = SnapshotWriter::create(disk, dir, zxid, Compression::None, true)?;
    let mut body = vec![0; 8];
    put_end_of_nodes(&mut body);
    writer.write(&body)?;
    writer.finish(&SnapshotTail::default())
}

impl Server {
    /// Starts, and holds what it finds against what is known.
    fn start(disk: &SimDisk, home: (&str, &str), knows: &mut Knows) -> Self {
        let dirs = open(disk, home).expect("directories");
        let mut found = Found::default();
        let restored = restore(&dirs, RestoreOptions::default(), &mut found);
        let restored = restored.expect("a history that can be read");
        let last = restored.zxid.0 as usize;
        let base = found.snapshot.map_or(0, |zxid| zxid.0 as usize);
        if let Some(installed) = knows.installing.take()
            && base == installed
            && last == installed
        {
            knows.entries.resize(installed, Vec::new());
            knows.flushed = installed;
            knows.giving_up = None;
        }
        let floor = knows.giving_up.take().map_or(knows.flushed, |to| to.min(knows.flushed));
        assert!(last >= floor, "{last} is the last found, {floor} were flushed");
        assert!(last <= knows.entries.len(), "{last} were found, {} written", knows.entries.len());
        assert_eq!(found.entries.len(), last - base, "a hole");
        for (number, raw) in (base + 1..).zip(&found.entries) {
            assert_eq!(*raw, knows.entries[number - 1], "entry {number}");
        }
        knows.entries.truncate(last);
        knows.flushed = last;
        let epochs = EpochFiles::load(disk.clone(), dirs.snapshots(), restored.zxid);
        let epochs = epochs.expect("epochs that fit");
        if !knows.epochs.is_empty() {
            assert!(knows.epochs.contains(&epochs.accepted()), "{epochs:?}, {:?}", knows.epochs);
        }
        knows.epochs = vec![epochs.accepted()];
        if restored.needs_first_snapshot {
            write_snapshot(&dirs, Zxid::ZERO).expect("a snapshot");
        }
        let options = LogOptions { prealloc_bytes: 4096, ..LogOptions::default() };
        let log = FileTxnLog::new(disk.clone(), dirs.logs(), options);
        Self { dirs, log, epochs }
    }

    /// Does something; `None` once the process is dead.
    fn act(&mut self, random: &mut Rng, knows: &mut Knows) -> Option<()> {
        let generation = random.u8(1..);
        match random.u8(..16) {
            0 => self.log.roll().ok()?,
            1 | 2 => {
                let last = Zxid(knows.entries.len() as i64);
                write_snapshot(&self.dirs, last).ok()?;
                self.log.roll().ok()?;
            }
            3 => {
                let (logs, snapshots) = (self.dirs.logs(), self.dirs.snapshots());
                purge(self.dirs.disk(), logs, snapshots, 3).ok()?;
            }
            4 => {
                let to = random.usize(..=knows.entries.len());
                knows.giving_up = Some(to);
                self.log.restart_after(Zxid(to as i64)).ok()?;
                match truncate(&self.dirs, Zxid(to as i64)) {
                    Ok(()) => {
                        knows.entries.truncate(to);
                        knows.flushed = to;
                    }
                    Err(error) if error.needs_snapshot() => {}
                    Err(_) => return None,
                }
                knows.giving_up = None;
            }
            5 => {
                let to = random.usize(..=knows.entries.len() + 20);
                self.log.restart_after(Zxid(to as i64)).ok()?;
                knows.installing = Some(to);
                let zxid = Zxid(to as i64);
                install_snapshot(&self.dirs, zxid, || write_snapshot(&self.dirs, zxid)).ok()?;
                knows.installing = None;
                knows.entries = vec![Vec::new(); to];
                knows.flushed = to;
            }
            6 | 7 => {
                let epoch = self.epochs.accepted() + 1;
                knows.epochs.push(epoch);
                self.epochs.set_accepted(epoch).ok()?;
                knows.epochs = vec![epoch];
            }
            _ => {
                let mut batch = LogBatch::new();
                for _ in 0..random.usize(1..8) {
                    let length = [10, 300, 5_000][random.usize(..3)];
                    let entry = entry(knows.entries.len() + 1, generation, random.usize(..length));
                    batch.push(|out| out.extend_from_slice(&entry));
                    knows.entries.push(entry);
                }
                self.log.append(&batch).ok()?;
                self.log.flush().ok()?;
                knows.flushed = knows.entries.len();
            }
        }
        Some(())
    }
}

/// Lives on one disk, each ended by death or by the loss of power, most amid a change.
fn live_and_die(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let disk = SimDisk::new(random.fork());
    let mut knows = Knows::default();
    let home = HOMES[random.usize(..2)];
    drop(Server::start(&disk, home, &mut knows));
    for _ in 0..8 {
        let mut server = Server::start(&disk, home, &mut knows);
        if random.u8(..4) > 0 {
            disk.die_after(random.u64(..200));
        }
        for _ in 0..random.usize(1..40) {
            if server.act(&mut random, &mut knows).is_none() {
                break;
            }
        }
        drop(server);
        if random.bool() {
            disk.lose_power()
        } else {
            disk.kill()
        }
        // A start may be cut off, too.
        if random.bool() {
            disk.die_after(random.u64(..20));
            if let Ok(dirs) = open(&disk, home) {
                let _ = restore(&dirs, RestoreOptions::default(), &mut Found::default());
            }
            if random.bool() { disk.lose_power() } else { disk.kill() }
        }
    }
    Server::start(&disk, home, &mut knows);
}

#[test]
fn what_was_flushed_is_found_after_any_end() {
    let seeds = std::env::var("DISK_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(150) {
        let lived = std::panic::catch_unwind(|| live_and_die(seed));
        assert!(lived.is_ok(), "seed {seed}");
    }
}
