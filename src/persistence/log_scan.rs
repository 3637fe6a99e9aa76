//! The records of one log file, as a pure function of its bytes (`FileTxnLog.FileTxnIterator`).
//!
//! Where the records end, the file must tell a write that a crash cut off from damage:
//!
//! * zeros to the end: the padding; a clean end;
//! * something that is no whole record, and no valid record behind it: the torn end of the last
//!   write, which was never acknowledged;
//! * zeros where the head of a record should be, within the last [`UNFLUSHED_BYTES_MAX`], valid
//!   records behind it: a process killed while it stored a batch, whose first head it stores last;
//! * a sector of zeros within the last [`UNFLUSHED_BYTES_MAX`], valid records behind it: a power
//!   failure after some sectors of the last batch reached the disk before others. One that never
//!   arrived reads as the zeros it was initialised with; rot does not look like that;
//! * the same for the part of a head that lies in a sector which arrived without it;
//! * anything else with a valid record behind it: damage. Apache goes on with the next file in most
//!   of these cases, and so loses what follows without a word.

use byteorder::{BigEndian, ByteOrder};
use thiserror::Error;

use super::checksum::adler32;
use super::log_batch::{END_OF_RECORD, FRAME_HEAD_BYTES, zxid_of};
use crate::proto::{TxnEntry, Zxid};

/// Bytes of a log's file header.
pub(super) const LOG_HEADER_BYTES: usize = 16;

/// "ZKLG", version 2, dbid 0.
pub(super) const LOG_HEADER: [u8; LOG_HEADER_BYTES] =
    [b'Z', b'K', b'L', b'G', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];

/// No flush is of more than this: what lies further back was flushed and acknowledged.
pub(super) const UNFLUSHED_BYTES_MAX: usize = 8 << 20;

/// The unit in which a file reaches the disk: a page, but a disk may lose power between two of its
/// sectors.
const SECTOR_BYTES: usize = 512;

/// Bytes of padding looked at together.
const PAGE_BYTES: usize = 4096;

/// How far behind a bad record a valid one is looked for.
const SEARCH_BYTES_MAX: usize = 64 << 20;

/// How many bytes the search may take checksums of, so that crafted bytes cannot make it long.
const SEARCH_CHECKSUM_BYTES_MAX: usize = 256 << 20;

/// Walks the records of a log file that is held in memory or mapped.
#[derive(Debug, Clone)]
pub struct LogScan<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScannedRecord<'a> {
    /// Where its frame begins in the file.
    pub offset: usize,
    /// The entry: header, transaction, digest. Never shorter than a header.
    pub entry: &'a [u8],
}

/// Why there is no record at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Stop {
    /// The file ends.
    #[error("end of file")]
    EndOfFile,
    /// The length is 0: padding.
    #[error("padding")]
    Padding,
    /// The length is negative.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// The record would end behind the file.
    #[error("the record of {0} bytes does not end before the file does")]
    Incomplete(i32),
    /// There is no 'B' behind the entry.
    #[error("no end mark behind the record of {0} bytes")]
    NoEndMark(i32),
    /// The entry is complete, but not what was written.
    #[error("the record of {length} bytes has checksum {computed:x}, not {stored:x}")]
    Checksum {
        /// The entry's length.
        length: i32,
        /// What stands in front of it.
        stored: i64,
        /// What it has.
        computed: i64,
    },
    /// An entry that cannot even hold a header.
    #[error("a record of {0} bytes is too short for a transaction")]
    TooShort(i32),
}

/// What follows the last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Padding, or nothing.
    Clean,
    /// The unfinished end of the last write.
    Torn {
        /// Where it begins.
        offset: usize,
        /// From there to the last byte that is not zero.
        length: usize,
        /// What is wrong with its first record.
        stop: Stop,
    },
    /// Damage with valid records behind it.
    Damaged {
        /// Where it begins.
        offset: usize,
        /// The next valid record.
        next_valid: usize,
        /// What is wrong at `offset`.
        stop: Stop,
    },
}

impl<'a> LogScan<'a> {
    /// A scan of a log file's bytes, its header included. The header itself is not looked at.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::from(bytes, LOG_HEADER_BYTES)
    }

    /// A scan that goes on at `position`, where a record begins.
    pub fn from(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    /// Where the next record begins, or the tail.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next record, or why there is none.
    pub fn next_record(&mut self) -> Result<ScannedRecord<'a>, Stop> {
        let offset = self.position;
        let entry = entry_at(self.bytes, offset)?;
        self.position = offset + FRAME_HEAD_BYTES + entry.len() + 1;
        Ok(ScannedRecord { offset, entry })
    }

    /// What follows the last record, after [`LogScan::next_record`] gave `stop`.
    pub fn tail(&self, stop: Stop) -> Tail {
        let offset = self.position;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let data_end = offset + length_without_trailing_zeros(rest);
        if data_end == offset {
            return Tail::Clean;
        }
        let data = &self.bytes[..data_end];
        let torn = Tail::Torn { offset, length: data_end - offset, stop };
        let Some(next_valid) = find_record(data, offset + 1) else {
            return torn;
        };
        // A batch whose head was never stored, or a sector of one that never reached the disk.
        let no_head = self.bytes[offset..].starts_with(&[0; FRAME_HEAD_BYTES]);
        let before = &self.bytes[..next_valid];
        let is_torn = no_head || has_zero_sector(before, offset) || has_torn_head(before, offset);
        if is_torn && data_end - offset <= UNFLUSHED_BYTES_MAX {
            return torn;
        }
        Tail::Damaged { offset, next_valid, stop }
    }
}

impl<'a> Iterator for LogScan<'a> {
    type Item = ScannedRecord<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().ok()
    }
}

impl ScannedRecord<'_> {
    /// The transaction's zxid.
    pub fn zxid(&self) -> Zxid {
        zxid_of(self.entry)
    }
}

/// The entry of the record at `offset`.
fn entry_at(bytes: &[u8], offset: usize) -> Result<&[u8], Stop> {
    let frame = bytes.get(offset..).unwrap_or_default();
    let Some((head, rest)) = frame.split_at_checked(FRAME_HEAD_BYTES) else {
        return Err(Stop::EndOfFile);
    };
    let stored = BigEndian::read_i64(head);
    let length = BigEndian::read_i32(&head[8..]);
    let size = match usize::try_from(length) {
        Ok(0) => return Err(Stop::Padding),
        Ok(size) => size,
        Err(_) => return Err(Stop::NegativeLength(length)),
    };
    let Some((entry, behind)) = rest.split_at_checked(size) else {
        return Err(Stop::Incomplete(length));
    };
    match behind.first() {
        None => return Err(Stop::Incomplete(length)),
        Some(&END_OF_RECORD) => {}
        Some(_) => return Err(Stop::NoEndMark(length)),
    }
    let computed = adler32(entry);
    if computed != stored {
        return Err(Stop::Checksum { length, stored, computed });
    }
    if size < TxnEntry::HEADER_BYTES {
        return Err(Stop::TooShort(length));
    }
    Ok(entry)
}

/// The first offset from `start` on where a valid record begins. A search that runs out of its
/// limits answers with where it stopped: what cannot be shown to be a torn end is damage.
fn find_record(bytes: &[u8], start: usize) -> Option<usize> {
    let mut budget = SEARCH_CHECKSUM_BYTES_MAX;
    let shortest = FRAME_HEAD_BYTES + TxnEntry::HEADER_BYTES + 1;
    for offset in start..bytes.len().saturating_sub(shortest - 1) {
        // The checksum is a long whose upper half is always zero: few other places look like it.
        if bytes[offset..offset + 4] != [0; 4] {
            continue;
        }
        match entry_at(bytes, offset) {
            Ok(_) => return Some(offset),
            Err(Stop::Checksum { length, .. }) => {
                let Some(left) = budget.checked_sub(length as usize) else {
                    return Some(offset);
                };
                budget = left;
            }
            Err(_) => {}
        }
        if offset - start >= SEARCH_BYTES_MAX {
            return Some(offset);
        }
    }
    None
}

/// Whether `bytes[from..]` has nothing but zeros in some sector of the file: in a whole one, or in
/// what it covers of its first, if that is more than the zeros every checksum begins with.
fn has_zero_sector(bytes: &[u8], from: usize) -> bool {
    let first_end = bytes.len().min((from / SECTOR_BYTES + 1) * SECTOR_BYTES);
    let (first, whole) = (&bytes[from..first_end], &bytes[first_end..]);
    first.len() > 4 && is_zero(first) || whole.chunks_exact(SECTOR_BYTES).any(is_zero)
}

/// Whether `bytes[from..]` is one whole record but for its head, which two sectors share, and which
/// has zeros in one of them.
fn has_torn_head(bytes: &[u8], from: usize) -> bool {
    let in_first = SECTOR_BYTES - from % SECTOR_BYTES;
    let Some((found, [entry @ .., END_OF_RECORD])) =
        bytes[from..].split_at_checked(FRAME_HEAD_BYTES)
    else {
        return false;
    };
    if in_first >= FRAME_HEAD_BYTES {
        return false;
    }
    let mut head = [0; FRAME_HEAD_BYTES];
    BigEndian::write_i64(&mut head, adler32(entry));
    BigEndian::write_i32(&mut head[8..], entry.len() as i32);
    let (first, second) = found.split_at(in_first);
    let (head_first, head_second) = head.split_at(in_first);
    first == head_first && is_zero(second) || is_zero(first) && second == head_second
}

/// The length of `bytes` without the zeros at its end.
fn length_without_trailing_zeros(bytes: &[u8]) -> usize {
    let zero_pages = bytes.rchunks(PAGE_BYTES).take_while(|page| is_zero(page));
    let rest = &bytes[..bytes.len() - zero_pages.map(<[u8]>::len).sum::<usize>()];
    rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// Without a branch per byte, so that padding is skipped at the speed of memory.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |seen, byte| seen | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::super::log_batch::LogBatch;
    use super::super::log_batch::tests::push;
    use super::*;
    use proptest::prelude::*;

    /// A file of records with the given body lengths and zxids from 1 on, and their offsets.
    fn file(lengths: &[usize], padding: usize) -> (Vec<u8>, Vec<usize>) {
        let mut batch = LogBatch::new();
        let mut offsets = Vec::new();
        for (index, &length) in lengths.iter().enumerate() {
            offsets.push(LOG_HEADER_BYTES + batch.bytes().len());
            push(&mut batch, index as i64 + 1, &vec![0xa5; length]);
        }
        let mut bytes = [&LOG_HEADER, batch.bytes()].concat();
        bytes.resize(bytes.len() + padding, 0);
        (bytes, offsets)
    }

    /// How many records there are, and the tail.
    fn scan(bytes: &[u8]) -> (usize, Tail) {
        let mut scan = LogScan::new(bytes);
        let mut count = 0;
        loop {
            match scan.next_record() {
                Ok(_) => count += 1,
                Err(stop) => return (count, scan.tail(stop)),
            }
        }
    }

    #[test]
    fn padding_and_the_end_of_the_file_are_clean_ends() {
        assert_eq!(scan(&file(&[10, 20], 0).0), (2, Tail::Clean));
        assert_eq!(scan(&file(&[10, 20], 5000).0), (2, Tail::Clean));
        assert_eq!(scan(&file(&[], 5).0), (0, Tail::Clean));
    }

    #[test]
    fn a_flipped_bit_in_the_middle_is_damage() {
        let (bytes, offsets) = file(&[10, 500, 20], 5000);
        for at in offsets[1]..offsets[2] {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            let (count, tail) = scan(&bad);
            assert_eq!(count, 1, "byte {at}");
            let Tail::Damaged { offset, next_valid, .. } = tail else { panic!("{at}: {tail:?}") };
            assert_eq!((offset, next_valid), (offsets[1], offsets[2]));
        }
    }

    #[test]
    fn a_flipped_bit_in_the_last_record_is_a_torn_end() {
        let (bytes, offsets) = file(&[10, 20], 5000);
        for at in offsets[1]..bytes.len() - 5000 {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            let (count, tail) = scan(&bad);
            assert_eq!(count, 1, "byte {at}");
            assert!(matches!(tail, Tail::Torn { .. }), "{at}: {tail:?}");
        }
    }

    #[test]
    fn a_batch_without_its_head_is_torn() {
        let (mut bytes, offsets) = file(&[100, 100, 100, 100], 5000);
        bytes[offsets[1]..offsets[1] + FRAME_HEAD_BYTES].fill(0);
        let (records, tail) = scan(&bytes);
        assert_eq!(records, 1);
        assert!(matches!(tail, Tail::Torn { offset, .. } if offset == offsets[1]), "{tail:?}");
    }

    #[test]
    fn a_page_that_never_arrived_tears_the_last_batch_but_damages_an_old_one() {
        let (bytes, offsets) = file(&[1000; 30], 5000);
        let mut bad = bytes.clone();
        bad[4096..8192].fill(0);
        let kept = offsets.iter().filter(|&&offset| offset + 1050 <= 4096).count();
        let (count, tail) = scan(&bad);
        assert_eq!(count, kept);
        assert!(matches!(tail, Tail::Torn { .. }), "{tail:?}");

        let (mut long, _) = file(&vec![1000; 2 * UNFLUSHED_BYTES_MAX / 1000], 0);
        long[4096..8192].fill(0);
        let (_, tail) = scan(&long);
        assert!(matches!(tail, Tail::Damaged { .. }), "{tail:?}");
    }

    #[test]
    fn a_sector_that_never_arrived_tears_the_last_batch() {
        let (bytes, offsets) = file(&[300; 30], 5000);
        for sector in 1..offsets[29] / SECTOR_BYTES {
            let mut bad = bytes.clone();
            bad[sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(0);
            let (_, tail) = scan(&bad);
            assert!(matches!(tail, Tail::Torn { .. }), "sector {sector}: {tail:?}");
        }
    }

    #[test]
    fn a_head_of_which_one_sector_lacks_its_part_is_torn() {
        let mut heads = 0;
        for first in 300..600 {
            let (bytes, offsets) = file(&[first, 1000, 20], 5000);
            let (head, border) = (offsets[1], offsets[1].next_multiple_of(SECTOR_BYTES));
            if border == head || border >= head + FRAME_HEAD_BYTES {
                continue;
            }
            for part in [head..border, border..head + FRAME_HEAD_BYTES] {
                let mut bad = bytes.clone();
                if is_zero(&bad[part.clone()]) {
                    continue;
                }
                bad[part.clone()].fill(0);
                let (count, tail) = scan(&bad);
                assert_eq!(count, 1, "{first}");
                assert!(matches!(tail, Tail::Torn { .. }), "{first}, {part:?}: {tail:?}");
                heads += 1;
            }
        }
        assert!(heads > 10, "{heads}");
    }

    proptest! {
        #[test]
        fn a_file_cut_at_any_byte_keeps_the_whole_records_before_it(
            lengths in prop::collection::vec(0_usize..300, 1..8),
            padding in 0_usize..100,
            zeroed in any::<bool>())
        {
            let (bytes, offsets) = file(&lengths, 0);
            for cut in LOG_HEADER_BYTES..=bytes.len() {
                let mut torn = bytes[..cut].to_vec();
                if zeroed {
                    torn.resize(bytes.len() + padding, 0);
                }
                let ends = offsets.iter().skip(1).copied().chain([bytes.len()]);
                let whole = ends.filter(|&end| end <= cut).count();
                let (count, tail) = scan(&torn);
                prop_assert_eq!(count, whole);
                let damaged = matches!(tail, Tail::Damaged { .. });
                prop_assert!(!damaged, "cut at {}: {:?}", cut, tail);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(
            prop_oneof![Just(0_u8), Just(b'B'), any::<u8>()], 0..400))
        {
            scan(&bytes);
        }
    }
}
