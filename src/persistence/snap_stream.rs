//! How the bytes of a snapshot are packed into its file: plainly, with gzip, or with snappy
//! (`SnapStream`). The file's suffix tells which.
//!
//! Snappy is the framing of snappy-java's `SnappyOutputStream`, not the standard frame format:
//!
//! ```text
//! 82 53 4e 41 50 50 59 00 | int version 1 | int lowest compatible version 1
//! then until the end:  int n | n bytes, a raw snappy block of up to 32 KiB
//! ```

use std::io::{self, BufReader, Read, Write};

use super::disk::{DiskFile, FileReader};
use byteorder::{BigEndian, WriteBytesExt};
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Bytes read at once.
const FILE_BUFFER_BYTES: usize = 256 << 10;

/// Bytes written at once.
const DIRECT_BYTES: usize = 1 << 20;

/// Where in memory and file a piece begins when it is written past the page cache.
const ALIGNMENT: usize = 4096;

/// What a gzip file begins with.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What a snappy-java file begins with.
pub(super) const SNAPPY_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";

/// Its first four bytes again, where a block's length should stand: another stream follows.
const SNAPPY_MAGIC_HEAD: u32 = 0x8253_4e41;

/// Version and lowest compatible version.
const SNAPPY_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];

/// Bytes in a block before compression, as snappy-java's default.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;

/// No block of a snapshot is larger than this, compressed or not.
const SNAPPY_BLOCK_BYTES_MAX: usize = 64 << 20;

/// How a snapshot is packed (`snapshot.compression.method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gz,
    /// snappy-java's stream.
    Snappy,
}

impl Compression {
    /// What the setting's value means; Apache takes any unknown one for no compression.
    pub fn from_setting(value: &str) -> Self {
        match value.to_ascii_lowercase().as_str() {
            "gz" => Self::Gz,
            "snappy" => Self::Snappy,
            _ => Self::None,
        }
    }

    /// What stands behind the zxid in a snapshot's name, the dot included.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gz => ".gz",
            Self::Snappy => ".snappy",
        }
    }

    /// How the file of this name is packed.
    pub fn of_name(name: &str) -> Self {
        name.rsplit_once('.').map_or(Self::None, |(_, suffix)| Self::from_setting(suffix))
    }
}

/// Packs a snapshot into its file.
pub(super) enum SnapOutput<F: DiskFile> {
    Plain(DirectFile<F>),
    Gz(Box<GzEncoder<DirectFile<F>>>),
    Snappy(Box<SnappyOutput<DirectFile<F>>>),
}

impl<F: DiskFile> SnapOutput<F> {
    pub(super) fn new(file: F, compression: Compression) -> io::Result<Self> {
        let file = DirectFile::new(file)?;
        Ok(match compression {
            Compression::None => Self::Plain(file),
            Compression::Gz => {
                Self::Gz(Box::new(GzEncoder::new(file, flate2::Compression::default())))
            }
            Compression::Snappy => Self::Snappy(Box::new(SnappyOutput::new(file)?)),
        })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Gz(out) => out.write_all(bytes),
            Self::Snappy(out) => out.write_all(bytes),
        }
    }

    /// Writes what is still held back and gives the file, not yet flushed to the disk.
    pub(super) fn finish(self) -> io::Result<F> {
        let file = match self {
            Self::Plain(out) => out,
            Self::Gz(out) => out.finish()?,
            Self::Snappy(out) => out.finish()?,
        };
        file.into_file()
    }
}

/// A file written past the page cache, in large aligned pieces. Left to the cache, the kernel
/// gathers hundreds of megabytes and writes them at once, each flush of the transaction log waits
/// in the same queue, and copying into fresh pages costs more than all else a snapshot does; and
/// nobody reads a snapshot soon. Where the file system does not do that (tmpfs), it is written as
/// any other.
pub(super) struct DirectFile<F> {
    file: F,
    /// Bytes written.
    position: u64,
    /// Holds [`DIRECT_BYTES`] from `start`, which is aligned in memory.
    buffer: Vec<u8>,
    start: usize,
    is_direct: bool,
}

impl<F: DiskFile> DirectFile<F> {
    fn new(file: F) -> io::Result<Self> {
        let mut buffer: Vec<u8> = Vec::with_capacity(DIRECT_BYTES + ALIGNMENT);
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        buffer.resize(start, 0);
        let is_direct = file.set_direct(true).is_ok();
        Ok(Self { file, position: 0, buffer, start, is_direct })
    }

    /// Writes what is held back and gives the file.
    fn into_file(self) -> io::Result<F> {
        // The rest is no whole piece.
        if self.is_direct {
            self.file.set_direct(false)?;
        }
        self.file.write_all_at(&self.buffer[self.start..], self.position)?;
        Ok(self.file)
    }

    fn write_piece(&mut self) -> io::Result<()> {
        let mut piece = &self.buffer[self.start..];
        while !piece.is_empty() {
            match self.file.write_at(piece, self.position) {
                Ok(count) => {
                    self.position += count as u64;
                    piece = &piece[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.is_direct && error.kind() == io::ErrorKind::InvalidInput => {
                    self.file.set_direct(false)?;
                    self.is_direct = false;
                }
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(self.start);
        Ok(())
    }
}

impl<F: DiskFile> Write for DirectFile<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.start + DIRECT_BYTES - self.buffer.len();
        let count = room.min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if count == room {
            self.write_piece()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unpacks a compressed snapshot; its `read` fails on anything that is not one.
pub(super) fn unpack<'a>(file: impl DiskFile + 'a, compression: Compression) -> Box<dyn Read + 'a> {
    let file = BufReader::with_capacity(FILE_BUFFER_BYTES, FileReader::new(file));
    match compression {
        Compression::None => Box::new(file),
        Compression::Gz => Box::new(MultiGzDecoder::new(file)),
        Compression::Snappy => Box::new(SnappyInput::new(file)),
    }
}

/// snappy-java's `SnappyOutputStream`.
pub(super) struct SnappyOutput<W> {
    out: W,
    block: Vec<u8>,
    encoder: snap::raw::Encoder,
    packed: Vec<u8>,
}

impl<W: Write> SnappyOutput<W> {
    fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&SNAPPY_MAGIC)?;
        out.write_all(&SNAPPY_VERSIONS)?;
        let packed = vec![0; snap::raw::max_compress_len(SNAPPY_BLOCK_BYTES)];
        let block = Vec::with_capacity(SNAPPY_BLOCK_BYTES);
        Ok(Self { out, block, encoder: snap::raw::Encoder::new(), packed })
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = SNAPPY_BLOCK_BYTES - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == SNAPPY_BLOCK_BYTES {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> io::Result<()> {
        let length = self.encoder.compress(&self.block, &mut self.packed)?;
        self.out.write_u32::<BigEndian>(length as u32)?;
        self.out.write_all(&self.packed[..length])?;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        Ok(self.out)
    }
}

/// snappy-java's `SnappyInputStream`.
struct SnappyInput<R> {
    input: R,
    decoder: snap::raw::Decoder,
    packed: Vec<u8>,
    block: Vec<u8>,
    position: usize,
    started: bool,
}

impl<R: Read> SnappyInput<R> {
    fn new(input: R) -> Self {
        let decoder = snap::raw::Decoder::new();
        let (packed, block) = (Vec::new(), Vec::new());
        Self { input, decoder, packed, block, position: 0, started: false }
    }

    fn read_header(&mut self, magic_read: usize) -> io::Result<()> {
        let mut header = [0; 16];
        self.input.read_exact(&mut header[magic_read..])?;
        if header[magic_read..8] != SNAPPY_MAGIC[magic_read..] {
            return Err(invalid("it does not begin like a stream of snappy-java"));
        }
        Ok(())
    }

    /// Unpacks the next block; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        if !self.started {
            self.read_header(0)?;
            self.started = true;
        }
        let mut head = [0; 4];
        if self.input.read(&mut head[..1])? == 0 {
            return Ok(false);
        }
        self.input.read_exact(&mut head[1..])?;
        let length = u32::from_be_bytes(head);
        if length == SNAPPY_MAGIC_HEAD {
            self.read_header(head.len())?;
            return Ok(true);
        }
        let length = length as usize;
        if length > SNAPPY_BLOCK_BYTES_MAX {
            return Err(invalid(&format!("a snappy block of {length} bytes")));
        }
        self.packed.clear();
        let read = (&mut self.input).take(length as u64).read_to_end(&mut self.packed)?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let unpacked = snap::raw::decompress_len(&self.packed)?;
        if unpacked > SNAPPY_BLOCK_BYTES_MAX {
            return Err(invalid(&format!("a snappy block that unpacks to {unpacked} bytes")));
        }
        self.block.resize(unpacked, 0);
        self.decoder.decompress(&self.packed, &mut self.block)?;
        self.position = 0;
        Ok(true)
    }
}

impl<R: Read> Read for SnappyInput<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = out.len().min(self.block.len() - self.position);
        out[..count].copy_from_slice(&self.block[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "abcdabcdabcd..." of 70,000 bytes, packed by snappy-java 1.1.10 in writes of 1,000 bytes:
    /// the lengths of its blocks and what they unpack to.
    #[test]
    fn blocks_are_cut_where_snappy_java_cuts_them() {
        let bytes: Vec<u8> = (0..70_000_u32).map(|index| b"abcd"[index as usize % 4]).collect();
        let mut out = SnappyOutput::new(Vec::new()).unwrap();
        bytes.chunks(1000).for_each(|piece| out.write_all(piece).unwrap());
        let packed = out.finish().unwrap();
        assert_eq!(packed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        let mut unpacked_lengths = Vec::new();
        let mut rest = &packed[16..];
        while let [a, b, c, d, body @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            unpacked_lengths.push(snap::raw::decompress_len(&body[..length]).unwrap());
            rest = &body[length..];
        }
        assert_eq!(unpacked_lengths, [32_768, 32_768, 4_464]);

        let twice = [&packed[..], &packed[..]].concat();
        let mut read = Vec::new();
        SnappyInput::new(&twice[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, [&bytes[..], &bytes[..]].concat());
    }

    #[test]
    fn lengths_out_of_reason_are_refused_before_they_are_allocated() {
        let with_block = |block: &[u8]| {
            let bytes = [&SNAPPY_MAGIC[..], &SNAPPY_VERSIONS, block].concat();
            SnappyInput::new(&bytes[..]).read_to_end(&mut Vec::new()).unwrap_err().to_string()
        };
        assert!(with_block(&[0xff; 8]).contains("a snappy block of"));
        assert!(with_block(&[0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]).contains("unpacks to"));
        let garbage = SnappyInput::new(&b"no snappy at all"[..]).read_to_end(&mut Vec::new());
        assert!(garbage.unwrap_err().to_string().contains("snappy-java"));
    }

    #[test]
    fn the_suffix_tells_the_packing() {
        assert_eq!(Compression::of_name("snapshot.1f"), Compression::None);
        assert_eq!(Compression::of_name("snapshot.1f.gz"), Compression::Gz);
        assert_eq!(Compression::of_name("snapshot.1f.snappy"), Compression::Snappy);
        assert_eq!(Compression::from_setting("zstd"), Compression::None);
    }
}
