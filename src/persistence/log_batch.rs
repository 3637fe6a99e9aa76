//! Transactions framed as they stand on disk: what one group commit appends (`FileTxnLog.append`,
//! `Util.writeTxnBytes`).
//!
//! An entry is encoded once, into the batch; the log copies the whole batch into its file, and the
//! same bytes are what is applied and what is sent to learners. One frame:
//!
//! ```text
//! long Adler-32 of the entry | int length | entry: TxnHeader, txn, TxnDigest | 0x42 'B'
//! ```

use std::ops::Range;

use byteorder::{BigEndian, ByteOrder};

use super::checksum::adler32;
use crate::proto::{TxnEntry, Zxid};

/// Bytes in front of an entry: checksum and length.
pub(super) const FRAME_HEAD_BYTES: usize = 12;

/// The byte behind each entry.
pub(super) const END_OF_RECORD: u8 = b'B';

/// Framed transactions, in the order they were pushed.
#[derive(Debug, Clone, Default)]
pub struct LogBatch {
    bytes: Vec<u8>,
    count: usize,
    first: Zxid,
    last: Zxid,
}

impl LogBatch {
    /// A batch that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Frames the entry that `encode` appends: a `TxnHeader`, its transaction, and the digest if
    /// there is one. Returns where the entry lies in [`LogBatch::bytes`].
    ///
    /// # Panics
    /// If `encode` takes bytes away or appends less than a header: both are faults of the caller.
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let pushed = self.try_push(|out| {
            encode(out);
            Ok::<_, std::convert::Infallible>(())
        });
        match pushed {
            Ok(((), entry)) => entry,
        }
    }

    /// As [`Self::push`], for an entry that may turn out not to be one: if `encode` fails, the
    /// batch is as it was.
    pub fn try_push<T, E>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<(T, Range<usize>), E> {
        let before = self.bytes.len();
        let start = before + FRAME_HEAD_BYTES;
        self.bytes.resize(start, 0);
        let encoded = encode(&mut self.bytes).inspect_err(|_| self.bytes.truncate(before))?;
        assert!(
            self.bytes.len() >= start + TxnEntry::HEADER_BYTES,
            "a log entry begins with a transaction header"
        );
        let (head, entry) = self.bytes[start - FRAME_HEAD_BYTES..].split_at_mut(FRAME_HEAD_BYTES);
        let length = i32::try_from(entry.len()).expect("entries are bounded by jute.maxbuffer");
        BigEndian::write_i64(head, adler32(entry));
        BigEndian::write_i32(&mut head[8..], length);
        self.last = zxid_of(entry);
        if self.count == 0 {
            self.first = self.last;
        }
        self.count += 1;
        let end = self.bytes.len();
        self.bytes.push(END_OF_RECORD);
        Ok((encoded, start..end))
    }

    /// The frames, as they go to disk.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entries without their frames.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.entry_ranges().map(|(_, entry)| &self.bytes[entry])
    }

    /// Each transaction, and where its entry lies in [`LogBatch::bytes`].
    pub fn entry_ranges(&self) -> impl Iterator<Item = (Zxid, Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let head = self.bytes.get(at..at + FRAME_HEAD_BYTES)?;
            let start = at + FRAME_HEAD_BYTES;
            let end = start + BigEndian::read_u32(&head[8..]) as usize;
            at = end + 1;
            Some((zxid_of(&self.bytes[start..end]), start..end))
        })
    }

    /// How many transactions it holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The zxid pushed first, if any.
    pub fn first_zxid(&self) -> Option<Zxid> {
        (self.count > 0).then_some(self.first)
    }

    /// The zxid pushed last, if any.
    pub fn last_zxid(&self) -> Option<Zxid> {
        (self.count > 0).then_some(self.last)
    }

    /// Forgets the transactions and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

/// The zxid in the header of `entry`, which holds a whole header.
pub(super) fn zxid_of(entry: &[u8]) -> Zxid {
    Zxid(TxnEntry::header_of(entry).expect("an entry begins with a header").zxid)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use jute::{ErrorTxn, Field, TxnHeader};
    use proptest::prelude::*;

    /// Bytes from hex; anything but hex digits is left out.
    pub(in crate::persistence) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// Pushes an error transaction, and `more` bytes that nobody reads.
    pub(in crate::persistence) fn push(batch: &mut LogBatch, zxid: i64, more: &[u8]) {
        batch.push(|out| {
            TxnHeader { client_id: 1, cxid: 2, zxid, time: 4, kind: -1 }.write(out);
            ErrorTxn { err: -101 }.write(out);
            out.extend_from_slice(more);
        });
    }

    #[test]
    fn a_frame_is_what_a_live_server_wrote() {
        let mut batch = LogBatch::new();
        let range = batch.push(|out| {
            TxnHeader {
                client_id: 0x0100_000f_34a6_0000,
                cxid: 0,
                zxid: 1,
                time: 0x1a1_fc15_0b72,
                kind: -10,
            }
            .write(out);
            jute::CreateSessionTxn { time_out: 10_000 }.write(out);
            jute::TxnDigest { version: 2, tree_digest: 0x51c6_d660 }.write(out);
        });
        assert_eq!(range, 12..60);
        assert_eq!(batch.bytes()[..12], [0, 0, 0, 0, 0xad, 0x57, 0x09, 0x95, 0, 0, 0, 0x30]);
        assert_eq!(batch.bytes()[60..], [0x42]);
        assert_eq!((batch.first_zxid(), batch.last_zxid()), (Some(Zxid(1)), Some(Zxid(1))));
    }

    proptest! {
        #[test]
        fn entries_come_out_as_they_went_in(bodies in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..100), 0..20))
        {
            let mut batch = LogBatch::new();
            push(&mut batch, 99, b"of an earlier batch");
            batch.clear();
            for (index, body) in bodies.iter().enumerate() {
                push(&mut batch, index as i64 + 5, body);
            }
            prop_assert_eq!(batch.count(), bodies.len());
            prop_assert_eq!(batch.first_zxid(), (!bodies.is_empty()).then_some(Zxid(5)));
            let read: Vec<_> = batch.entries().map(|entry| entry[36..].to_vec()).collect();
            prop_assert_eq!(read, bodies);
        }
    }
}
