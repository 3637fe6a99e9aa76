//! A server's disk: a model of its files, with a live image that the process sees and a durable one
//! that survives the loss of power.
//!
//! What is modelled are the log as a row of entries, the snapshots and the two epoch files, with
//! the steps in which `gamekeeper::persistence` makes each durable:
//!
//! 1. An appended entry is live at once and durable after the next flush. The loss of power leaves
//!    any number of the others, in their order: what is torn ends the log, as its checksum tells.
//! 2. A snapshot and an epoch file get their name once they are durable: after a crash there is the
//!    old one or the new one.
//! 3. A cut deletes snapshots, then the log from its end. A crash leaves a part of that undone.
//! 4. An installed snapshot replaces everything, or nothing.
//! 5. A start makes durable what it has read of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use gamekeeper::persistence::{LogBatch, SnapshotTail};
use gamekeeper::proto::Zxid;

/// An entry of the log.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its transaction.
    pub zxid: Zxid,
    /// Header, transaction and digest.
    pub entry: Bytes,
}

/// A snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotFile {
    /// Sessions, lists and nodes, in the form in which a leader sends them.
    pub body: Arc<Vec<u8>>,
    /// What stands behind the body.
    pub tail: SnapshotTail,
}

/// Why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// A bad sector.
    Io,
    /// It is full.
    NoSpace,
}

/// A change that takes time, and that a crash may cut off.
#[derive(Debug)]
pub enum Pending {
    /// What is appended becomes durable.
    Flush,
    /// `acceptedEpoch`.
    AcceptedEpoch(i64),
    /// `currentEpoch`.
    CurrentEpoch(i64),
    /// The log and the snapshots are cut behind this transaction.
    Truncate(Zxid),
    /// This snapshot takes the place of everything; the history that it stands for.
    Install(Zxid, SnapshotFile, Vec<Record>),
}

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    log: Vec<Record>,
    /// Entries of the log that are durable.
    durable: usize,
    /// Entries at the log's beginning that are there no more: they were purged, or stand only in
    /// the snapshot that was installed. The process does not see them; whoever judges does.
    gone: usize,
    snapshots: BTreeMap<Zxid, SnapshotFile>,
    accepted_epoch: i64,
    current_epoch: i64,
    pending: Option<Pending>,
    /// What it answers to whoever writes.
    pub error: Option<DiskError>,
}

impl Disk {
    /// The log as the process sees it.
    pub fn log(&self) -> &[Record] {
        &self.log[self.gone..]
    }

    /// Everything that ever was in the log and was not cut off, with what snapshots stand for.
    pub fn history(&self) -> &[Record] {
        &self.log
    }

    /// The snapshots, all of them durable.
    pub fn snapshots(&self) -> &BTreeMap<Zxid, SnapshotFile> {
        &self.snapshots
    }

    /// `acceptedEpoch` and `currentEpoch`.
    pub fn epochs(&self) -> (i64, i64) {
        (self.accepted_epoch, self.current_epoch)
    }

    /// Whether this very transaction would survive the loss of power, in the log or a snapshot.
    pub fn holds_durably(&self, zxid: Zxid, entry: &[u8]) -> bool {
        let durable = &self.log[..self.durable];
        let found = durable.binary_search_by_key(&zxid, |record| record.zxid);
        found.is_ok_and(|at| durable[at].entry == entry)
    }

    /// Appends a batch; it is live.
    pub fn append(&mut self, batch: &LogBatch) -> Result<(), DiskError> {
        self.error.map_or(Ok(()), Err)?;
        for (zxid, range) in batch.entry_ranges() {
            let entry = Bytes::copy_from_slice(&batch.bytes()[range]);
            self.log.push(Record { zxid, entry });
        }
        Ok(())
    }

    /// Adds a snapshot; it is durable.
    pub fn add_snapshot(&mut self, zxid: Zxid, file: SnapshotFile) -> Result<(), DiskError> {
        self.error.map_or(Ok(()), Err)?;
        self.snapshots.insert(zxid, file);
        Ok(())
    }

    /// Begins a change that takes time.
    pub fn begin(&mut self, pending: Pending) -> Result<(), DiskError> {
        self.error.map_or(Ok(()), Err)?;
        assert!(self.pending.is_none(), "one thread writes, one thing after the other");
        self.pending = Some(pending);
        Ok(())
    }

    /// Whether a change is under way.
    pub fn is_writing(&self) -> bool {
        self.pending.is_some()
    }

    /// The change is made and durable.
    pub fn finish(&mut self) -> Pending {
        let pending = self.pending.take().expect("something was begun");
        match &pending {
            Pending::Flush => self.durable = self.log.len(),
            Pending::AcceptedEpoch(epoch) => self.accepted_epoch = *epoch,
            Pending::CurrentEpoch(epoch) => self.current_epoch = *epoch,
            Pending::Truncate(to) => self.cut(*to),
            Pending::Install(zxid, file, history) => {
                self.replace(*zxid, file.clone(), history.clone());
            }
        }
        pending
    }

    /// Whether the history can be cut there (`persistence::truncate`): a snapshot below it, and the
    /// transaction itself in the log without a hole.
    pub fn can_truncate(&self, to: Zxid) -> bool {
        let Some((&base, _)) = self.snapshots.range(..=to).next_back() else { return false };
        let mut last = base;
        for record in self.log().iter().filter(|record| record.zxid > base && record.zxid <= to) {
            if !record.zxid.may_follow(last) {
                break;
            }
            last = record.zxid;
        }
        last == to
    }

    /// Removes all but the newest `keep` snapshots, and the log that only older ones need
    /// (`PurgeTxnLog`).
    pub fn purge(&mut self, keep: usize) {
        while self.snapshots.len() > keep.max(1) {
            self.snapshots.pop_first();
        }
        let Some((&oldest, _)) = self.snapshots.first_key_value() else { return };
        let durable = &self.log[..self.durable];
        self.gone = self.gone.max(durable.partition_point(|record| record.zxid <= oldest));
    }

    /// The process is gone, what it wrote stays; a change under way is made or not.
    pub fn kill(&mut self, random: &mut Rng) {
        match self.pending.take() {
            Some(Pending::Truncate(to)) if random.bool() => self.cut(to),
            Some(Pending::Truncate(to)) => self.cut_partly(to, random),
            Some(Pending::Flush) | None => {}
            Some(pending) if random.bool() => {
                self.pending = Some(pending);
                self.finish();
            }
            Some(_) => {}
        }
        self.error = None;
    }

    /// The power is gone, and with it whatever was not durable.
    pub fn lose_power(&mut self, random: &mut Rng) {
        self.kill(random);
        let kept = random.usize(self.durable..=self.log.len());
        self.log.truncate(kept);
        self.durable = kept;
    }

    /// A start has read the log.
    pub fn read_at_start(&mut self) {
        self.durable = self.log.len();
        self.pending = None;
    }

    /// Whether a start finds data and epochs that fit together (`EpochFiles::load`).
    pub fn are_epochs_sound(&self, last: Zxid) -> bool {
        self.accepted_epoch >= self.current_epoch
            && (last.epoch() <= self.current_epoch || last.epoch() <= self.accepted_epoch)
    }

    fn cut(&mut self, to: Zxid) {
        self.snapshots.retain(|zxid, _| *zxid <= to);
        let kept = self.log.partition_point(|record| record.zxid <= to);
        self.log.truncate(kept);
        self.durable = self.log.len();
        self.gone = self.gone.min(kept);
    }

    fn cut_partly(&mut self, to: Zxid, random: &mut Rng) {
        self.snapshots.retain(|zxid, _| *zxid <= to);
        let kept = self.log.partition_point(|record| record.zxid <= to);
        let kept = random.usize(kept..=self.log.len());
        self.log.truncate(kept);
        self.durable = self.durable.min(kept);
    }

    fn replace(&mut self, zxid: Zxid, file: SnapshotFile, history: Vec<Record>) {
        self.snapshots = BTreeMap::from([(zxid, file)]);
        self.log = history;
        self.durable = self.log.len();
        self.gone = self.log.len();
    }
}
