//! Reads one snapshot into a sink (`FileSnap.deserialize`, `SnapStream.checkSealIntegrity`).
//!
//! A plain file is mapped and parsed in place; a compressed one passes through a window that grows
//! only to hold one record. Both run the same parser, which a fuzzer can call on bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jute::{Acl, Field, JuteError, Reader, StatPersisted, Ustring};

use super::checksum::RunningChecksum;
use super::mapping::map_for_reading;
use super::snap_stream::unpack;
use super::snapshot_format::SNAPSHOT_HEADER;
use super::{
    Compression, SnapshotDigest, SnapshotError, SnapshotFault, SnapshotSink, SnapshotTail,
};
use crate::proto::{SessionId, Zxid};

/// Bytes a stream's window begins with.
const WINDOW_BYTES: usize = 256 << 10;

/// No record is longer; it bounds the window. jute.maxbuffer, 1 MiB by default, bounds what clients
/// can write.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// Bytes parsed before the checksum takes them in: few enough to be in the cache still.
const CHECKSUM_STEP_BYTES: usize = 64 << 10;

/// Bytes of a seal, and of the last zxid with its seal.
const SEAL_BYTES: usize = 13;
const LAST_ZXID_BYTES: usize = 8 + SEAL_BYTES;

/// More than all parts behind the body take.
const TAIL_BYTES_MAX: usize = 4096;

/// Reads the snapshot file at `path`; its suffix tells how it is packed.
pub fn read_snapshot(
    path: &Path,
    sink: &mut impl SnapshotSink,
) -> Result<SnapshotTail, SnapshotError> {
    let file = File::open(path).map_err(SnapshotError::io("open", path))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parsed = match Compression::of_name(name) {
        Compression::None => {
            let map = map_for_reading(&file).map_err(SnapshotError::io("map", path))?;
            parse_snapshot(&map, sink)
        }
        packed => parse_snapshot_stream(&mut unpack(file, packed), sink),
    };
    parsed.map_err(|fault| SnapshotError::Corrupt { path: path.to_owned(), fault })
}

/// Parses the bytes of a plain snapshot file.
pub fn parse_snapshot(
    bytes: &[u8],
    sink: &mut impl SnapshotSink,
) -> Result<SnapshotTail, SnapshotFault> {
    parse(&mut Source::new(Input::Whole(bytes)), sink)
}

/// Parses an unpacked snapshot from a stream, with bounded memory.
pub fn parse_snapshot_stream(
    input: &mut dyn Read,
    sink: &mut impl SnapshotSink,
) -> Result<SnapshotTail, SnapshotFault> {
    parse(&mut Source::new(Input::Stream { input, window: Vec::new(), ended: false }), sink)
}

fn parse(
    source: &mut Source<'_>,
    sink: &mut impl SnapshotSink,
) -> Result<SnapshotTail, SnapshotFault> {
    let header = source.read(|reader| Ok(reader.take(SNAPSHOT_HEADER.len())?[..4].to_vec()))?;
    if header != SNAPSHOT_HEADER[..4] {
        return Err(SnapshotFault { offset: 0, reason: "it does not begin with \"ZKSN\"".into() });
    }
    read_body(source, sink)?;
    source.check_seal()?;
    read_tail(source)
}

fn read_body(source: &mut Source<'_>, sink: &mut impl SnapshotSink) -> Result<(), SnapshotFault> {
    // A negative count is none, as in SerializeUtils.
    for _ in 0..source.read(|reader| reader.int())? {
        let (id, timeout_ms) = source.read(|reader| Ok((reader.long()?, reader.int()?)))?;
        sink.session(SessionId(id), timeout_ms);
    }
    for _ in 0..source.read(|reader| reader.int())? {
        source.read(|reader| {
            let (number, acl) = (reader.long()?, Vec::<Acl<'_>>::read(reader)?);
            sink.acl(number, acl);
            Ok(())
        })?;
    }
    loop {
        let offset = source.offset();
        let node = source.read(|reader| {
            let path = Ustring::read(reader)?;
            if path == "/" {
                return Ok(None);
            }
            let (data, acl_number) = (reader.buffer()?, reader.long()?);
            let stat = StatPersisted::read(reader)?;
            Ok(Some(sink.node(&path, data, acl_number, &stat)))
        })?;
        match node {
            None => return Ok(()),
            Some(taken) => taken.map_err(|reason| SnapshotFault { offset, reason })?,
        }
    }
}

/// The parts behind the body. Writers leave out what is switched off there, and old releases know
/// neither; so the length tells what is there.
fn read_tail(source: &mut Source<'_>) -> Result<SnapshotTail, SnapshotFault> {
    let mut tail = SnapshotTail::default();
    if source.left()? != 0 && source.left()? != LAST_ZXID_BYTES {
        tail.digest = Some(source.read(|reader| {
            let (zxid, version) = (Zxid(reader.long()?), reader.int()?);
            // The first version wrote the digest as hexadecimal text.
            let digest = match version {
                ..2 => u64::from_str_radix(&Ustring::read(reader)?, 16).unwrap_or(0) as i64,
                _ => reader.long()?,
            };
            Ok(SnapshotDigest { zxid, version, digest })
        })?);
        source.check_seal()?;
    }
    if source.left()? != 0 {
        tail.last_processed = Some(Zxid(source.read(|reader| reader.long())?));
        source.check_seal()?;
    }
    Ok(tail)
}

/// Where a snapshot's bytes come from, and their checksum.
struct Source<'a> {
    input: Input<'a>,
    /// Read up to here, in the window.
    position: usize,
    /// Taken into the checksum up to here, in the window.
    hashed: usize,
    /// Where the window begins in the stream.
    window_offset: u64,
    checksum: RunningChecksum,
}

enum Input<'a> {
    Whole(&'a [u8]),
    Stream { input: &'a mut dyn Read, window: Vec<u8>, ended: bool },
}

impl<'a> Source<'a> {
    fn new(input: Input<'a>) -> Self {
        let checksum = RunningChecksum::new();
        Self { input, position: 0, hashed: 0, window_offset: 0, checksum }
    }

    fn window(&self) -> &[u8] {
        match &self.input {
            Input::Whole(bytes) => bytes,
            Input::Stream { window, .. } => window,
        }
    }

    fn offset(&self) -> u64 {
        self.window_offset + self.position as u64
    }

    /// Reads with `parse`, which is called again from the start if it needed more than the window
    /// holds.
    fn read<T>(
        &mut self,
        mut parse: impl FnMut(&mut Reader<'_>) -> Result<T, JuteError>,
    ) -> Result<T, SnapshotFault> {
        loop {
            let rest = &self.window()[self.position..];
            let mut reader = Reader::with_limit(rest, RECORD_BYTES_MAX);
            match parse(&mut reader) {
                Ok(value) => {
                    self.position += reader.position();
                    if self.position - self.hashed >= CHECKSUM_STEP_BYTES {
                        self.hash();
                    }
                    return Ok(value);
                }
                Err(error) => {
                    let more_may_help = match error {
                        JuteError::Truncated { .. } => true,
                        // A count of elements that are not all in the window.
                        JuteError::UnreasonableLength { length, .. } => length > 0,
                        JuteError::Null { .. } => false,
                    };
                    if !more_may_help || !self.refill()? {
                        return Err(SnapshotFault {
                            offset: self.offset(),
                            reason: error.to_string(),
                        });
                    }
                }
            }
        }
    }

    /// Reads the checksum of everything before it.
    fn check_seal(&mut self) -> Result<(), SnapshotFault> {
        self.hash();
        let (offset, computed) = (self.offset(), self.checksum.value());
        let stored = self.read(|reader| {
            let stored = reader.long()?;
            reader.ustring()?;
            Ok(stored)
        })?;
        if stored != computed {
            let reason = format!("the checksum is {computed:x}, not {stored:x}");
            return Err(SnapshotFault { offset, reason });
        }
        Ok(())
    }

    /// Bytes that are left, if that is no more than a tail can have.
    fn left(&mut self) -> Result<usize, SnapshotFault> {
        while self.window().len() - self.position < TAIL_BYTES_MAX && self.refill()? {}
        Ok(self.window().len() - self.position)
    }

    /// Takes what was read since the last time into the checksum.
    fn hash(&mut self) {
        let read = match &self.input {
            Input::Whole(bytes) => &bytes[self.hashed..self.position],
            Input::Stream { window, .. } => &window[self.hashed..self.position],
        };
        self.checksum.update(read);
        self.hashed = self.position;
    }

    /// Lets go what was read and gets more; false if there is no more, or the window is full.
    fn refill(&mut self) -> Result<bool, SnapshotFault> {
        self.hash();
        let offset = self.offset();
        let Input::Stream { input, window, ended } = &mut self.input else {
            return Ok(false);
        };
        window.drain(..self.position);
        self.window_offset += self.position as u64;
        (self.position, self.hashed) = (0, 0);
        if *ended || window.len() >= RECORD_BYTES_MAX {
            return Ok(false);
        }
        let wanted = window.len().max(WINDOW_BYTES);
        let got = input
            .take(wanted as u64)
            .read_to_end(window)
            .map_err(|error| SnapshotFault { offset, reason: error.to_string() })?;
        *ended = got < wanted;
        Ok(got > 0)
    }
}
