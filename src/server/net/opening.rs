//! What a client connection may begin with: a four-letter word, or a connect request.

use bytes::Bytes;
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
