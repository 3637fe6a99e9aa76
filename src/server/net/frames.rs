//! Frames of the client protocol, and what a connection may begin with.

use bytes::{Buf, Bytes, BytesMut};
use jute::{JuteError, Reader};

/// What the first four bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// Not four bytes yet.
    Incomplete,
    /// A four-letter word.
    Word([u8; 4]),
    /// The length of a frame.
    Frame,
}

/// Every word a server knows (`FourLetterCommands`); the last one is how a telnet client says that
/// it leaves.
const WORDS: [&[u8; 4]; 19] = [
    b"conf",
    b"cons",
    b"crst",
    b"dirs",
    b"dump",
    b"envi",
    b"gtmk",
    b"hash",
    b"isro",
    b"mntr",
    b"ruok",
    b"srst",
    b"srvr",
    b"stat",
    b"stmk",
    b"wchc",
    b"wchp",
    b"wchs",
    b"\xff\xf4\xff\xfd",
];

/// Looks at the first bytes of a connection without taking them.
pub fn opening(input: &[u8]) -> Opening {
    let Some(first) = input.first_chunk::<4>() else { return Opening::Incomplete };
    if WORDS.contains(&first) { Opening::Word(*first) } else { Opening::Frame }
}

/// Room that is made for a frame at once, at least.
const ROOM_BYTES_MIN: usize = 16 << 10;

/// A length no frame may have.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLength(pub i32);

/// Takes the next whole frame, without its length, off the input. If none is whole yet, makes room
/// for more of it.
pub fn next_frame(input: &mut BytesMut, max_bytes: usize) -> Result<Option<BytesMut>, BadLength> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*head);
    let Some(bytes) = usize::try_from(length).ok().filter(|bytes| *bytes <= max_bytes) else {
        return Err(BadLength(length));
    };
    if input.len() < 4 + bytes {
        // Room grows with what has come, not with what is announced: an announcement costs its
        // sender nothing.
        let missing = 4 + bytes - input.len();
        input.reserve(missing.min(input.len().max(ROOM_BYTES_MIN)));
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(bytes)))
}

/// A connect request (`ConnectRequest`). Clients up to 3.3 leave the last byte out.
#[derive(Debug, PartialEq, Eq)]
pub struct ConnectFrame {
    /// Newest zxid the client has seen.
    pub last_zxid_seen: i64,
    /// Session timeout asked for, in milliseconds.
    pub timeout_ms: i32,
    /// Session to resume, 0 for a new one.
    pub session_id: i64,
    /// Password of that session.
    pub password: Bytes,
    /// Whether a read-only server will do; none in the old form.
    pub read_only: Option<bool>,
}

impl ConnectFrame {
    /// Reads the first frame of a connection.
    pub fn decode(frame: &[u8]) -> Result<Self, JuteError> {
        let mut reader = Reader::new(frame);
        let _protocol_version = reader.int()?;
        Ok(Self {
            last_zxid_seen: reader.long()?,
            timeout_ms: reader.int()?,
            session_id: reader.long()?,
            password: Bytes::copy_from_slice(reader.buffer()?.unwrap_or_default()),
            read_only: reader.boolean().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_or_not_at_all() {
        let mut input = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert_eq!(next_frame(&mut input, 10), Ok(None));
        input.extend_from_slice(&[8, 0, 0]);
        assert_eq!(next_frame(&mut input, 10), Ok(Some(BytesMut::from(&[7, 8][..]))));
        assert_eq!(next_frame(&mut input, 10), Ok(None));
        assert_eq!(&input[..], [0, 0]);
    }

    #[test]
    fn a_length_is_checked_before_anything_is_reserved() {
        for length in [-1, 11, i32::MAX, i32::MIN] {
            let mut input = BytesMut::from(&length.to_be_bytes()[..]);
            assert_eq!(next_frame(&mut input, 10), Err(BadLength(length)));
        }
    }

    #[test]
    fn words_are_told_from_lengths() {
        assert_eq!(opening(b"ruok"), Opening::Word(*b"ruok"));
        assert_eq!(opening(&[0, 0, 0, 45, 0]), Opening::Frame);
        assert_eq!(opening(b"ruo"), Opening::Incomplete);
        assert_eq!(opening(b"nope"), Opening::Frame);
    }

    #[test]
    fn an_old_client_sends_no_read_only_byte() {
        let mut frame = vec![0; 24];
        frame.extend_from_slice(&[0xff; 4]);
        assert_eq!(ConnectFrame::decode(&frame).unwrap().read_only, None);
        frame.push(1);
        assert_eq!(ConnectFrame::decode(&frame).unwrap().read_only, Some(true));
        assert!(ConnectFrame::decode(&frame[..20]).is_err());
    }
}
