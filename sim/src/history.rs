//! The history that a server's disk stands for, as whoever judges knows it, and whether it would
//! survive the loss of power.
//!
//! It goes along with what the server writes, and is read anew from the real files at each start.
//! What is durable is looked for in the durable images of the files themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use gamekeeper::persistence::{LogBatch, LogReader, LogScan, list_snapshots};
use gamekeeper::proto::Zxid;

use crate::sim_disk::{Inode, SimDisk};

/// Bytes of the header of a log file.
const LOG_HEADER_BYTES: usize = 16;

/// A transaction.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its zxid.
    pub zxid: Zxid,
    /// Header, transaction and digest.
    pub entry: Bytes,
}

/// The history of one server.
#[derive(Debug, Default)]
pub struct History {
    records: Vec<Record>,
    /// The epoch it last took part in.
    pub current_epoch: i64,
    /// What must be found at the next start.
    flushed: Zxid,
    /// A snapshot that is being put in the place of everything, and what it stands for.
    installing: Option<(Zxid, Vec<Record>)>,
    scanned: BTreeMap<PathBuf, Scanned>,
}

/// What was read of the durable image of a log file.
#[derive(Debug)]
struct Scanned {
    inode: Inode,
    rewrites: u64,
    position: usize,
    entries: Vec<(Zxid, Bytes)>,
}

impl History {
    /// All of it, with what snapshots stand for.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The part up to this transaction.
    pub fn up_to(&self, zxid: Zxid) -> Vec<Record> {
        self.records.iter().take_while(|record| record.zxid <= zxid).cloned().collect()
    }

    /// A batch is written to the log.
    pub fn append(&mut self, batch: &LogBatch) {
        for (zxid, range) in batch.entry_ranges() {
            let entry = Bytes::copy_from_slice(&batch.bytes()[range]);
            self.records.push(Record { zxid, entry });
        }
    }

    /// It is flushed up to this transaction.
    pub fn flush(&mut self, zxid: Zxid) {
        self.flushed = zxid;
    }

    /// What is above this transaction is being given up.
    pub fn begin_cut(&mut self, to: Zxid) {
        self.flushed = self.flushed.min(to);
    }

    /// What is above this transaction is given up.
    pub fn cut(&mut self, to: Zxid) {
        self.records.retain(|record| record.zxid <= to);
        self.flushed = to;
    }

    /// The snapshot of this transaction is being put in the place of everything.
    pub fn begin_install(&mut self, zxid: Zxid, history: Vec<Record>) {
        self.installing = Some((zxid, history));
    }

    /// It is there.
    pub fn install(&mut self) {
        if let Some((zxid, history)) = self.installing.take() {
            (self.records, self.flushed) = (history, zxid);
        }
    }

    /// A start has found a history up to `last` in the files of this directory.
    ///
    /// # Errors
    /// Something that was flushed is not there.
    pub fn restart(&mut self, disk: &SimDisk, dir: &Path, last: Zxid) -> Result<(), String> {
        let found = read(disk, dir)?;
        match self.installing.take() {
            Some((zxid, history)) if zxid == last && found.is_empty() => self.records = history,
            _ if last < self.flushed => {
                return Err(format!("0x{} was flushed, and the last is 0x{last}", self.flushed));
            }
            _ => {}
        }
        let first = found.first().map_or(Zxid(i64::MAX), |record| record.zxid);
        self.records.retain(|record| record.zxid <= last && record.zxid < first);
        self.records.extend(found.into_iter().filter(|record| record.zxid <= last));
        self.flushed = last;
        Ok(())
    }

    /// Whether this very transaction would survive the loss of power, in the log or in a snapshot.
    pub fn holds_durably(&mut self, disk: &SimDisk, dir: &Path, zxid: Zxid, entry: &[u8]) -> bool {
        let at = self.records.binary_search_by_key(&zxid, |record| record.zxid);
        if !at.is_ok_and(|at| self.records[at].entry == entry) {
            return false;
        }
        let mut log: Option<(Zxid, PathBuf, Inode)> = None;
        let mut in_snapshot = false;
        disk.for_each_durable(dir, |path, inode| {
            if path.parent() != Some(dir) {
                return;
            }
            if let Some(first) = zxid_of_name(path, "log.").filter(|first| *first <= zxid) {
                if log.as_ref().is_none_or(|(before, ..)| *before < first) {
                    log = Some((first, path.to_owned(), inode.clone()));
                }
            } else {
                in_snapshot |= zxid_of_name(path, "snapshot.").is_some_and(|of| of >= zxid);
            }
        });
        in_snapshot || log.is_some_and(|(_, path, inode)| self.is_logged(path, inode, zxid, entry))
    }

    fn is_logged(&mut self, path: PathBuf, inode: Inode, zxid: Zxid, entry: &[u8]) -> bool {
        let image = inode.borrow();
        let scanned = self.scanned.entry(path).or_insert_with(|| Scanned::new(&inode));
        if !Rc::ptr_eq(&scanned.inode, &inode) || scanned.rewrites != image.rewrites() {
            *scanned = Scanned::new(&inode);
            scanned.rewrites = image.rewrites();
        }
        // Rot is found when it is read, and then the file is restored.
        let bytes = image.durable_bytes();
        let mut scan = LogScan::from(&bytes, scanned.position);
        for record in &mut scan {
            scanned.entries.push((record.zxid(), Bytes::copy_from_slice(record.entry)));
        }
        scanned.position = scan.position();
        let at = scanned.entries.binary_search_by_key(&zxid, |(zxid, _)| *zxid);
        at.is_ok_and(|at| scanned.entries[at].1 == entry)
    }
}

impl Scanned {
    fn new(inode: &Inode) -> Self {
        let (rewrites, position, entries) = (0, LOG_HEADER_BYTES, Vec::new());
        Self { inode: inode.clone(), rewrites, position, entries }
    }
}

/// What the logs hold behind the newest snapshot.
fn read(disk: &SimDisk, dir: &Path) -> Result<Vec<Record>, String> {
    let snapshots = list_snapshots(disk, dir).map_err(|error| error.to_string())?;
    let from = snapshots.last().map_or(Zxid::ZERO, |newest| newest.zxid.next());
    let mut found: Vec<Record> = Vec::new();
    let mut reader = LogReader::open(disk, dir, from).map_err(|error| error.to_string())?;
    while let Some(record) = reader.next_record().map_err(|error| error.to_string())? {
        let zxid = record.zxid();
        if found.last().is_none_or(|last| last.zxid < zxid) {
            found.push(Record { zxid, entry: Bytes::copy_from_slice(record.raw) });
        }
    }
    Ok(found)
}

fn zxid_of_name(path: &Path, prefix: &str) -> Option<Zxid> {
    let digits = path.file_name()?.to_str()?.strip_prefix(prefix)?;
    i64::from_str_radix(digits, 16).ok().map(Zxid)
}
