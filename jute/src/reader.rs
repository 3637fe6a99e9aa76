//! The decoder: a cursor over a byte slice (`org.apache.jute.BinaryInputArchive`).
//!
//! Invariants:
//! 1. `position <= bytes.len()`, always; a failed read leaves the position where the value started.
//! 2. Nothing is allocated by a length from the input before that many bytes are known to be there.

use byteorder::{BigEndian, ByteOrder};

use crate::{JuteError, text};
use std::borrow::Cow;

/// ZooKeeper's default limit for one string or buffer inside a record, in bytes: `jute.maxbuffer`
/// plus `zookeeper.jute.maxbuffer.extrasize`, both 1,048,575 unless configured.
pub const DEFAULT_MAX_BUFFER_BYTES: usize = 2 * 0xf_ffff;

/// A cursor that decodes Jute values, borrowing from the slice where it can.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    max_buffer_bytes: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`, with the default limit for strings and buffers.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_limit(bytes, DEFAULT_MAX_BUFFER_BYTES)
    }

    /// A reader that refuses strings and buffers longer than `max_buffer_bytes`.
    pub fn with_limit(bytes: &'a [u8], max_buffer_bytes: usize) -> Self {
        Self { bytes, position: 0, max_buffer_bytes }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The bytes not read yet, without reading them.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], JuteError> {
        let left = self.remaining();
        if count > left {
            return Err(JuteError::Truncated { offset: self.position, wanted: count, left });
        }
        let taken = &self.bytes[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }

    /// One byte; any value but 0 is true.
    pub fn boolean(&mut self) -> Result<bool, JuteError> {
        Ok(self.take(1)?[0] != 0)
    }

    /// Four bytes, signed.
    pub fn int(&mut self) -> Result<i32, JuteError> {
        Ok(BigEndian::read_i32(self.take(4)?))
    }

    /// Eight bytes, signed.
    pub fn long(&mut self) -> Result<i64, JuteError> {
        Ok(BigEndian::read_i64(self.take(8)?))
    }

    /// A buffer; `None` is null, which is not the same as empty.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, JuteError> {
        let start = self.position;
        let length = self.int()?;
        if length == -1 {
            return Ok(None);
        }
        match usize::try_from(length) {
            Ok(count) if count <= self.max_buffer_bytes => {
                self.take(count).map(Some).inspect_err(|_| self.position = start)
            }
            _ => {
                self.position = start;
                Err(JuteError::UnreasonableLength { offset: start, length })
            }
        }
    }

    /// A string as Java reads it: UTF-8, with U+FFFD for what is malformed. `None` is null.
    pub fn ustring(&mut self) -> Result<Option<Cow<'a, str>>, JuteError> {
        Ok(self.buffer()?.map(text::decode))
    }

    /// The count in front of a vector's elements; `None` is null, and a count below -1 is an empty
    /// vector, as `BinaryInputArchive` reads it. Each element takes `min_element_bytes` or more, so
    /// a count the rest of the input cannot hold is refused before anything is allocated by it.
    pub fn count(&mut self, min_element_bytes: usize) -> Result<Option<usize>, JuteError> {
        let start = self.position;
        let length = self.int()?;
        if length == -1 {
            return Ok(None);
        }
        let count = usize::try_from(length).unwrap_or(0);
        if count > self.remaining() / min_element_bytes.max(1) {
            self.position = start;
            return Err(JuteError::UnreasonableLength { offset: start, length });
        }
        Ok(Some(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_slice_is_refused_and_leaves_the_position() {
        let mut reader = Reader::new(&[0, 0, 0, 9, 1, 2]);
        assert_eq!(reader.buffer(), Err(JuteError::Truncated { offset: 4, wanted: 9, left: 2 }));
        assert_eq!(reader.position(), 0);
    }

    #[test]
    fn null_and_empty_stay_distinct() {
        assert_eq!(Reader::new(&[0xff; 4]).buffer(), Ok(None));
        assert_eq!(Reader::new(&[0; 4]).buffer(), Ok(Some(&[][..])));
    }

    #[test]
    fn negative_and_oversized_lengths_are_unreasonable() {
        let negative = [0xff, 0xff, 0xff, 0xfe];
        assert_eq!(
            Reader::new(&negative).buffer(),
            Err(JuteError::UnreasonableLength { offset: 0, length: -2 })
        );
        let five = [0, 0, 0, 5, 1, 2, 3, 4, 5];
        assert!(Reader::with_limit(&five, 5).buffer().is_ok());
        assert_eq!(
            Reader::with_limit(&five, 4).buffer(),
            Err(JuteError::UnreasonableLength { offset: 0, length: 5 })
        );
    }

    #[test]
    fn a_count_the_input_cannot_hold_is_refused() {
        let bytes = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert!(matches!(
            Reader::new(&bytes).count(4),
            Err(JuteError::UnreasonableLength { length: 0x7fff_ffff, .. })
        ));
    }
}
