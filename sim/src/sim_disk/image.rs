//! A file of the simulated disk: its content as processes see it, what of it is durable, and what
//! has been changed since the last flush.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fastrand::Rng;

use super::WORD_BYTES;

/// The unit that a disk writes whole, in bytes.
const SECTOR_BYTES: usize = 512;

/// A file's content: what lies between the bytes and the length is zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    bytes: Vec<u8>,
    length: usize,
}

/// A change that is not flushed.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A file.
#[derive(Debug, Default)]
pub struct Image {
    live: Content,
    durable: Content,
    unflushed: Vec<Change>,
    /// How often what was durable before has changed, other than by growing.
    rewrites: u64,
    /// Bits that rot has turned over: where, and which.
    rotten: Vec<(usize, u8)>,
}

/// How the loss of power treats what was not flushed.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The first changes are there, the last of these up to any byte.
    InOrder,
    /// Of each sector there is any version since the last flush.
    AnySectors,
}

impl Content {
    /// The bytes up to the last that was written and is not a zero.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.length = self.length.max(end);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
    }

    fn set_length(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.length = length;
    }

    fn make(&mut self, change: &Change) {
        match change {
            Change::Write { offset, bytes } => self.write(*offset, bytes),
            Change::Length(length) => self.set_length(*length),
        }
    }
}

impl Image {
    /// The content as processes see it.
    pub fn live(&self) -> &Content {
        &self.live
    }

    /// The bytes that survive the loss of power whatever happens, as they were written.
    pub fn durable_bytes(&self) -> Cow<'_, [u8]> {
        let mut bytes = Cow::Borrowed(&self.durable.bytes[..]);
        for (offset, bit) in &self.rotten {
            if let Some(byte) = bytes.to_mut().get_mut(*offset) {
                *byte ^= bit;
            }
        }
        bytes
    }

    /// Changes whenever something that was durable has changed.
    pub fn rewrites(&self) -> u64 {
        self.rewrites
    }

    /// Whether bits of it have rotted.
    pub fn is_rotten(&self) -> bool {
        !self.rotten.is_empty()
    }

    /// Writes.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Writes zeros from `start` up to `end`.
    pub fn write_zeros(&mut self, start: usize, end: usize) {
        let known = self.live.bytes.len().clamp(start, end);
        if known > start {
            self.write(start, &vec![0; known - start]);
        }
        if end > self.live.length {
            self.set_length(end);
        }
    }

    /// Cuts or extends.
    pub fn set_length(&mut self, length: usize) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        self.live.make(&change);
        self.unflushed.push(change);
    }

    /// Makes everything durable.
    pub fn flush(&mut self) {
        let known = self.durable.bytes.len();
        for change in std::mem::take(&mut self.unflushed) {
            let (Change::Write { offset: start, .. } | Change::Length(start)) = &change;
            self.rewrites += u64::from(*start < known);
            self.durable.make(&change);
        }
    }

    /// The power is lost.
    pub fn lose_power(&mut self, random: &mut Rng) {
        let changes = std::mem::take(&mut self.unflushed);
        if changes.is_empty() {
            return;
        }
        let loss = if random.bool() { Loss::InOrder } else { Loss::AnySectors };
        match loss {
            Loss::InOrder => self.keep_in_order(&changes, random),
            Loss::AnySectors => self.keep_any_sectors(&changes, random),
        }
        self.live = self.durable.clone();
        self.rewrites += 1;
    }

    fn keep_in_order(&mut self, changes: &[Change], random: &mut Rng) {
        let kept = random.usize(..=changes.len());
        changes[..kept].iter().for_each(|change| self.durable.make(change));
        if let Some(Change::Write { offset, bytes }) = changes.get(kept)
            && bytes.len() > WORD_BYTES
        {
            self.durable.write(*offset, &bytes[..random.usize(..=bytes.len())]);
        }
    }

    fn keep_any_sectors(&mut self, changes: &[Change], random: &mut Rng) {
        let mut lengths = vec![self.durable.length];
        let mut shortest = self.durable.length;
        let mut length = self.durable.length;
        let mut writes: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Length(changed) => length = *changed,
                Change::Write { offset, bytes } => {
                    length = length.max(offset + bytes.len());
                    let (mut offset, mut bytes) = (*offset, &bytes[..]);
                    while !bytes.is_empty() {
                        let sector = offset / SECTOR_BYTES;
                        let room = (sector + 1) * SECTOR_BYTES - offset;
                        let (now, later) = bytes.split_at(room.min(bytes.len()));
                        writes.entry(sector).or_default().push((offset, now));
                        (offset, bytes) = (offset + now.len(), later);
                    }
                }
            }
            lengths.push(length);
        }
        let kept = random.usize(..lengths.len());
        lengths[..=kept].iter().for_each(|length| shortest = shortest.min(*length));
        // What a cut takes away is not there again when the file grows.
        self.durable.set_length(shortest);
        for versions in writes.values() {
            let kept = random.usize(..=versions.len());
            versions[..kept].iter().for_each(|(offset, bytes)| self.durable.write(*offset, bytes));
        }
        self.durable.set_length(lengths[kept]);
    }

    /// A bit turns over, on the disk and in what is read of it.
    pub fn rot(&mut self, end: usize, random: &mut Rng) {
        let length = self.durable.bytes.len().min(self.live.bytes.len()).min(end);
        if length > 0 {
            self.turn(random.usize(..length), 1 << random.u8(..8));
        }
    }

    /// The file is restored from elsewhere.
    pub fn heal(&mut self) {
        for (offset, bit) in std::mem::take(&mut self.rotten) {
            self.turn(offset, bit);
        }
        self.rotten.clear();
    }

    fn turn(&mut self, offset: usize, bit: u8) {
        for content in [&mut self.live, &mut self.durable] {
            if let Some(byte) = content.bytes.get_mut(offset) {
                *byte ^= bit;
            }
        }
        self.rewrites += 1;
        self.rotten.push((offset, bit));
    }
}
