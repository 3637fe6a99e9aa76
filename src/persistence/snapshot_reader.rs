//! Reads one snapshot into a sink (`FileSnap.deserialize`, `SnapStream.checkSealIntegrity`).
//!
//! The file passes through a window that grows only to hold one record. Reading a plain file so is
//! as fast as mapping it (a million nodes of 100 bytes in 0.2 s either way), its pages do not count
//! into resident memory, and a disk error is an error and not a SIGBUS: an older snapshot can still
//! be tried. The same parser runs on bytes, for a fuzzer.

use std::io::{ErrorKind, Read};
use std::path::Path;

use jute::{Acl, Field, JuteError, Reader, StatPersisted, Ustring};

use super::checksum::RunningChecksum;
use super::snap_stream::unpack;
use super::snapshot_format::{SNAP_SIGNATURE, SNAPSHOT_HEADER};
use super::{
    Compression, Disk, SnapshotDigest, SnapshotError, SnapshotFault, SnapshotSink, SnapshotTail,
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
    disk: &impl Disk,
    path: &Path,
    sink: &mut impl SnapshotSink,
) -> Result<SnapshotTail, SnapshotError> {
    let file = disk.open(path).map_err(SnapshotError::io("open", path))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parsed = parse_snapshot_stream(&mut unpack(file, Compression::of_name(name)), sink);
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

/// Reads the snapshot a leader sends from a stream that goes on behind it (`Learner.
/// syncWithLeader`): a body, without header and seals, and [`SNAP_SIGNATURE`]. Returns the bytes
/// that were read beyond it.
pub fn parse_leaders_snapshot(
    input: &mut dyn Read,
    sink: &mut impl SnapshotSink,
) -> Result<Vec<u8>, SnapshotFault> {
    let input = Input::Stream { input, window: Vec::new(), ended: false };
    let mut source = Source::new(input);
    read_body(&mut source, sink)?;
    let offset = source.offset();
    let is_signed = source.read(|reader| Ok(Ustring::read(reader)? == SNAP_SIGNATURE))?;
    if !is_signed {
        return Err(SnapshotFault { offset, reason: "the leader's signature is missing".into() });
    }
    Ok(source.window()[source.position..].to_vec())
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
        // One read, because a stream that goes on behind the snapshot may have no more for now; and
        // no more room for it than it may well fill, because the room is zeroed each time.
        let held = window.len();
        window.resize(held + WINDOW_BYTES, 0);
        let got = loop {
            match input.read(&mut window[held..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                got => break got,
            }
        };
        window.truncate(held + *got.as_ref().unwrap_or(&0));
        let got = got.map_err(|error| SnapshotFault { offset, reason: error.to_string() })?;
        *ended = got == 0;
        Ok(got > 0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::log_batch::tests::hex;
    use super::super::{
        OsDisk, SnapshotWriter, load_newest_snapshot, put_acls, put_end_of_nodes, put_leaders_end,
        put_node, put_sessions,
    };
    use super::*;
    use jute::Id;
    use proptest::prelude::*;

    type Node = (String, Option<Vec<u8>>, i64, StatPersisted);
    type OwnedAcl = Vec<(i32, String, String)>;

    /// A sink that keeps everything.
    #[derive(Debug, Default, PartialEq)]
    pub(in crate::persistence) struct Content {
        sessions: Vec<(i64, i32)>,
        acls: Vec<(i64, OwnedAcl)>,
        nodes: Vec<Node>,
        /// Of a restore: zxid of the snapshot, and those of the transactions behind it.
        pub(in crate::persistence) loaded_from: Option<Zxid>,
        pub(in crate::persistence) replayed: Vec<i64>,
    }

    impl SnapshotSink for Content {
        fn clear(&mut self) {
            *self = Self::default();
        }

        fn session(&mut self, id: SessionId, timeout_ms: i32) {
            self.sessions.push((id.0, timeout_ms));
        }

        fn acl(&mut self, number: i64, acl: Vec<Acl<'_>>) {
            let owned = |entry: Acl<'_>| {
                (entry.perms, entry.id.scheme.into_owned(), entry.id.id.into_owned())
            };
            self.acls.push((number, acl.into_iter().map(owned).collect()));
        }

        fn node(
            &mut self,
            path: &str,
            data: Option<&[u8]>,
            acl_number: i64,
            stat: &StatPersisted,
        ) -> Result<(), String> {
            if path == "/refused" {
                return Err("no such parent".into());
            }
            let data = data.map(<[u8]>::to_vec);
            self.nodes.push((path.to_owned(), data, acl_number, stat.clone()));
            Ok(())
        }
    }

    impl Content {
        /// A body with this content.
        pub(in crate::persistence) fn body(&self) -> Vec<u8> {
            let mut out = Vec::new();
            put_sessions(&mut out, self.sessions.iter().map(|&(id, ms)| (SessionId(id), ms)));
            let acls: Vec<(i64, Vec<Acl<'_>>)> = self
                .acls
                .iter()
                .map(|(number, acl)| {
                    let entry = |(perms, scheme, id): &(i32, String, String)| Acl {
                        perms: *perms,
                        id: Id { scheme: scheme.clone().into(), id: id.clone().into() },
                    };
                    (*number, acl.iter().map(entry).collect())
                })
                .collect();
            put_acls(&mut out, acls.iter().map(|(number, acl)| (*number, &acl[..])));
            for (path, data, acl_number, stat) in &self.nodes {
                put_node(&mut out, path, data.as_deref(), *acl_number, stat);
            }
            put_end_of_nodes(&mut out);
            out
        }

        fn write(
            &self,
            dir: &Path,
            compression: Compression,
            tail: &SnapshotTail,
        ) -> super::super::DataFile {
            let mut writer =
                SnapshotWriter::create(&OsDisk, dir, Zxid(0x1f), compression, true).unwrap();
            self.body().chunks(1000).for_each(|piece| writer.write(piece).unwrap());
            writer.finish(tail).unwrap()
        }
    }

    pub(in crate::persistence) fn content(nodes: usize, data_bytes: usize) -> Content {
        let stat = StatPersisted { czxid: 7, cversion: 3, ..Default::default() };
        let node = |index: usize| {
            let data = (!index.is_multiple_of(5)).then(|| vec![index as u8; data_bytes]);
            (format!("/node-{index}"), data, (index % 3) as i64 - 1, stat.clone())
        };
        let root = (String::new(), Some(Vec::new()), -1, StatPersisted::default());
        Content {
            sessions: vec![(0x0100_0000_0000_0001, 30_000), (-2, 4000)],
            acls: vec![(1, vec![(1, "world".into(), "anyone".into())]), (9, vec![])],
            nodes: std::iter::once(root).chain((0..nodes).map(node)).collect(),
            ..Content::default()
        }
    }

    fn tails() -> [SnapshotTail; 4] {
        let digest = Some(SnapshotDigest { zxid: Zxid(0x20), version: 2, digest: -5 });
        let last_processed = Some(Zxid(0x22));
        [
            SnapshotTail { digest, last_processed },
            SnapshotTail { digest, last_processed: None },
            SnapshotTail { digest: None, last_processed },
            SnapshotTail { digest: None, last_processed: None },
        ]
    }

    #[test]
    fn every_packing_and_tail_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let written = content(3000, 300);
        for compression in [Compression::None, Compression::Gz, Compression::Snappy] {
            for tail in tails() {
                let file = written.write(dir.path(), compression, &tail);
                let mut read = Content::default();
                assert_eq!(read_snapshot(&OsDisk, &file.path, &mut read).unwrap(), tail);
                assert_eq!(read, written);
                std::fs::remove_file(file.path).unwrap();
            }
        }
    }

    #[test]
    fn the_snapshot_of_a_fresh_apache_server_is_read() {
        let bytes = hex("5a4b534e 00000002 ffffffffffffffff 00000000 \
             00000001 0000000000000001 00000001 00000001 00000005 776f726c64 00000006 616e796f6e65 \
             00000000 00000000 ffffffffffffffff \
             0000000000000000 0000000000000000 0000000000000000 0000000000000000 \
             00000000 00000000 00000000 0000000000000000 0000000000000000 \
             0000000a 2f7a6f6f6b6565706572 00000000 ffffffffffffffff \
             0000000000000000 0000000000000000 0000000000000000 0000000000000000 \
             00000000 00000000 00000000 0000000000000000 0000000000000000 \
             00000011 2f7a6f6f6b65657065722f636f6e666967 00000000 0000000000000001 \
             0000000000000000 0000000000000000 0000000000000000 0000000000000000 \
             00000000 00000000 ffffffff 0000000000000000 0000000000000000 \
             00000010 2f7a6f6f6b65657065722f71756f7461 00000000 ffffffffffffffff \
             0000000000000000 0000000000000000 0000000000000000 0000000000000000 \
             00000000 00000000 00000000 0000000000000000 0000000000000000 \
             00000001 2f 00000000b8a23b49 00000001 2f \
             0000000000000000 00000002 0000000000000000 0000000095b93d59 00000001 2f \
             0000000000000000 00000000bde83f6d 00000001 2f");
        assert_eq!(bytes.len(), 478);
        let mut read = Content::default();
        let tail = parse_snapshot(&bytes, &mut read).unwrap();
        let digest = SnapshotDigest { zxid: Zxid::ZERO, version: 2, digest: 0 };
        let last_processed = Some(Zxid::ZERO);
        assert_eq!(tail, SnapshotTail { digest: Some(digest), last_processed });
        assert_eq!(read.acls, [(1, vec![(1, "world".into(), "anyone".into())])]);
        let paths: Vec<_> = read.nodes.iter().map(|node| (&node.0[..], node.2)).collect();
        let (config, quota) = (("/zookeeper/config", 1), ("/zookeeper/quota", -1));
        assert_eq!(paths, [("", -1), ("/zookeeper", -1), config, quota]);

        let dir = tempfile::tempdir().unwrap();
        let mut writer =
            SnapshotWriter::create(&OsDisk, dir.path(), Zxid(0), Compression::None, false).unwrap();
        writer.write(&read.body()).unwrap();
        let file = writer.finish(&tail).unwrap();
        assert_eq!(std::fs::read(file.path).unwrap(), bytes, "we write the same file");
    }

    #[test]
    fn the_digest_of_the_first_version_is_text() {
        let mut bytes = [&SNAPSHOT_HEADER[..], &Content::default().body()].concat();
        let seal = |bytes: &mut Vec<u8>| {
            let sum = super::super::checksum::adler32(bytes);
            bytes.extend(sum.to_be_bytes());
            bytes.extend(hex("00000001 2f"));
        };
        seal(&mut bytes);
        bytes.extend(hex("0000000000000005 00000001 00000003 616263"));
        seal(&mut bytes);
        let tail = parse_snapshot(&bytes, &mut Content::default()).unwrap();
        let digest = SnapshotDigest { zxid: Zxid(5), version: 1, digest: 0xabc };
        assert_eq!(tail.digest, Some(digest));
    }

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = content(5, 20).write(dir.path(), Compression::None, &tails()[0]);
        let bytes = std::fs::read(file.path).unwrap();
        // The version and dbid of the header are covered by the checksum like all else; only the
        // text of the last seal is read by nobody.
        for at in 0..bytes.len() - 5 {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let parsed = parse_snapshot(&bad, &mut Content::default());
            assert!(parsed.is_err(), "byte {at} of {}", bytes.len());
        }
    }

    #[test]
    fn a_bad_snapshot_gives_way_to_an_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let older = content(5, 20);
        let file = older.write(dir.path(), Compression::None, &tails()[0]);
        let mut bytes = std::fs::read(&file.path).unwrap();
        bytes[200] ^= 1;
        std::fs::write(dir.path().join("snapshot.100000000"), &bytes).unwrap();
        std::fs::write(dir.path().join("snapshot.200000000"), b"cut off").unwrap();
        let mut read = Content::default();
        let loaded = load_newest_snapshot(&OsDisk, dir.path(), &mut read).unwrap().unwrap();
        assert_eq!((loaded.file, loaded.tail), (file.clone(), tails()[0]));
        assert_eq!(read, older);

        std::fs::remove_file(&file.path).unwrap();
        let error = load_newest_snapshot(&OsDisk, dir.path(), &mut read).unwrap_err();
        assert!(matches!(error, SnapshotError::NoneValid { tried: 1, .. }), "{error}");
        assert_eq!(read, Content::default());
    }

    #[test]
    fn a_snapshot_that_is_not_finished_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer =
            SnapshotWriter::create(&OsDisk, dir.path(), Zxid(5), Compression::None, false).unwrap();
        writer.write(&content(5, 20).body()).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_refused_node_ends_the_load_where_it_stands() {
        let mut refused = content(1, 1);
        refused.nodes[1].0 = "/refused".into();
        let bytes = [&SNAPSHOT_HEADER[..], &refused.body()].concat();
        let fault = parse_snapshot(&bytes, &mut Content::default()).unwrap_err();
        assert_eq!(fault.reason, "no such parent");
    }

    /// A stream that hands out a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_leaders_snapshot_ends_with_its_signature_and_the_stream_goes_on() {
        let sent = content(100, 50);
        let mut bytes = sent.body();
        put_leaders_end(&mut bytes);
        assert!(bytes.ends_with(b"\0\0\0\x01/\0\0\0\x0aBenWasHere"));
        let whole = bytes.len();
        bytes.extend(b"packets");
        for step in [1, 7, 1000, usize::MAX] {
            let (mut read, mut stream) = (Content::default(), Trickle(&bytes, step));
            let mut beyond = parse_leaders_snapshot(&mut stream, &mut read).unwrap();
            beyond.extend(stream.0);
            assert_eq!((&read, &beyond[..]), (&sent, &b"packets"[..]));
        }
        for cut in [0, 8, whole - 11, whole - 1] {
            let mut stream = Trickle(&bytes[..cut], 100);
            parse_leaders_snapshot(&mut stream, &mut Content::default()).unwrap_err();
        }
        bytes[whole - 1] = b'a';
        let refused = parse_leaders_snapshot(&mut &bytes[..], &mut Content::default());
        assert!(refused.unwrap_err().reason.contains("signature"));
    }

    #[test]
    fn a_record_larger_than_the_window_passes_a_stream() {
        let large = content(3, 3 * WINDOW_BYTES);
        let dir = tempfile::tempdir().unwrap();
        let file = large.write(dir.path(), Compression::Snappy, &tails()[0]);
        let mut read = Content::default();
        read_snapshot(&OsDisk, &file.path, &mut read).unwrap();
        assert_eq!(read, large);
    }

    proptest! {
        #[test]
        fn cut_off_or_random_bytes_are_an_error_and_no_panic(
            cut in 0_usize..600, random in prop::collection::vec(any::<u8>(), 0..100))
        {
            let whole = [&SNAPSHOT_HEADER[..], &content(8, 30).body()].concat();
            let cut = cut.min(whole.len());
            prop_assert!(parse_snapshot(&whole[..cut], &mut Content::default()).is_err());
            let mixed = [&whole[..cut], &random[..]].concat();
            let of_bytes = parse_snapshot(&mixed, &mut Content::default());
            let of_stream = parse_snapshot_stream(&mut &mixed[..], &mut Content::default());
            prop_assert_eq!(of_bytes.is_err(), of_stream.is_err());
        }
    }
}
