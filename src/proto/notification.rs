//! What servers tell each other while they elect: the body of a message of an election connection
//! (`FastLeaderElection.Notification`, `FastLeaderElection.buildMsg` and the parsing of its
//! `WorkerReceiver`). On the wire an `int` length stands before each body.
//!
//! 1. A body of 28 bytes (before 3.4.6) has no epoch of its own, one of exactly 40 bytes no
//!    version; what is longer begins with both. Bytes behind what is known are passed over.
//! 2. Only a body of version 2 or higher carries a configuration.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::frame::{self, BadLength};
use super::{Sid, Zxid};

/// Longest body of an election message, in bytes (`QuorumCnxManager.PACKETMAXSIZE`).
pub const MESSAGE_BYTES_MAX: usize = 512 << 10;

/// The version that this server writes (`Notification.CURRENTVERSION`).
pub const CURRENT_VERSION: i32 = 2;

/// Bytes of a body before its configuration.
const HEAD_BYTES: usize = 44;

/// What a server of an ensemble does. The numbers are those of the election's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ServerState {
    /// It looks for a leader.
    Looking = 0,
    /// It follows one.
    Following = 1,
    /// It leads.
    Leading = 2,
    /// It observes.
    Observing = 3,
}

impl ServerState {
    /// The state with this number on the wire.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        [Self::Looking, Self::Following, Self::Leading, Self::Observing]
            .into_iter()
            .find(|state| *state as i32 == code)
    }
}

/// What a server says it votes for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What the sender does.
    pub state: ServerState,
    /// Whom it votes for, or follows.
    pub leader: Sid,
    /// The last transaction of that candidate.
    pub zxid: Zxid,
    /// The sender's round of the election (`electionEpoch`).
    pub round: i64,
    /// The epoch that the candidate last took part in; with a sender of version 0 perhaps another.
    pub peer_epoch: i64,
    /// Version of the message: 0, 1, or 2 with a configuration.
    pub version: i32,
    /// The sender's configuration as text, from version 2 on.
    pub config: Option<Bytes>,
}

/// A body that is no notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// Its length is not between 1 and [`MESSAGE_BYTES_MAX`].
    #[error("a message of {0} bytes, 1 to {MESSAGE_BYTES_MAX} are allowed")]
    MessageLength(i32),
    /// It ends too early.
    #[error("a notification of {0} bytes ends within a field")]
    Short(usize),
    /// Its state has no meaning.
    #[error("a notification of state {0}")]
    State(i32),
    /// Its configuration has a length that does not fit.
    #[error("a notification with {bytes} bytes says that {length} of them are a configuration")]
    ConfigLength {
        /// What it says.
        length: i32,
        /// What it has in all.
        bytes: usize,
    },
}

/// Takes the next whole message off what was read from an election connection.
pub fn next_message(input: &mut BytesMut) -> Result<Option<Bytes>, NotificationError> {
    match frame::next_frame(input, MESSAGE_BYTES_MAX) {
        Ok(Some(body)) if body.is_empty() => Err(NotificationError::MessageLength(0)),
        Ok(body) => Ok(body.map(BytesMut::freeze)),
        Err(BadLength(length)) => Err(NotificationError::MessageLength(length)),
    }
}

impl Notification {
    /// Reads a body.
    pub fn decode(body: &Bytes) -> Result<Self, NotificationError> {
        let bytes = body.len();
        let short = |_| NotificationError::Short(bytes);
        let mut rest = body.clone();
        let state = rest.try_get_i32().map_err(short)?;
        let leader = Sid(rest.try_get_i64().map_err(short)?);
        let zxid = Zxid(rest.try_get_i64().map_err(short)?);
        let round = rest.try_get_i64().map_err(short)?;
        let peer_epoch = match bytes {
            28 => zxid.epoch(),
            _ => rest.try_get_i64().map_err(short)?,
        };
        let version = match bytes {
            28 | 40 => 0,
            _ => rest.try_get_i32().map_err(short)?,
        };
        let mut config = None;
        if version >= CURRENT_VERSION {
            let length = rest.try_get_i32().map_err(short)?;
            let fits = usize::try_from(length).ok().filter(|length| *length <= rest.len());
            let fits = fits.ok_or(NotificationError::ConfigLength { length, bytes })?;
            config = Some(rest.split_to(fits));
        }
        let state = ServerState::from_code(state).ok_or(NotificationError::State(state))?;
        Ok(Self { state, leader, zxid, round, peer_epoch, version, config })
    }

    /// Its body in the newest form, without the length before it; a configuration that is not
    /// there is written as an empty one.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let config = self.config.as_deref().unwrap_or_default();
        assert!(HEAD_BYTES + config.len() <= MESSAGE_BYTES_MAX, "a configuration of many bytes");
        let mut out = BytesMut::with_capacity(HEAD_BYTES + config.len());
        out.put_i32(self.state as i32);
        out.put_i64(self.leader.0);
        out.put_i64(self.zxid.0);
        out.put_i64(self.round);
        out.put_i64(self.peer_epoch);
        out.put_i32(CURRENT_VERSION);
        out.put_i32(config.len() as i32);
        out.put_slice(config);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Bytes {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    /// A follower's answer, recorded from a server of Apache's, its configuration cut short.
    const FOLLOWER: &str = "00000001 0000000000000003 0000000000000000 0000000000000001 \
                            0000000000000001 00000002 00000004 76657273";

    #[test]
    fn the_newest_form_is_read_and_written() {
        let read = Notification::decode(&hex(FOLLOWER)).unwrap();
        let config = Some(Bytes::from_static(b"vers"));
        let expected = Notification {
            state: ServerState::Following,
            leader: Sid(3),
            zxid: Zxid(0),
            round: 1,
            peer_epoch: 1,
            version: 2,
            config,
        };
        assert_eq!(read, expected);
        assert_eq!(read.encode(), hex(FOLLOWER));
    }

    #[test]
    fn the_older_forms_lack_what_came_later() {
        let head = "00000000 0000000000000002 0000000500000007 0000000000000009";
        let oldest = Notification::decode(&hex(head)).unwrap();
        assert_eq!((oldest.zxid, oldest.peer_epoch, oldest.version), (Zxid(0x5_0000_0007), 5, 0));
        let with_epoch = format!("{head} 0000000000000004 00000001");
        let middle = Notification::decode(&hex(&with_epoch)).unwrap();
        assert_eq!((middle.peer_epoch, middle.version, middle.config), (4, 0, None));
        let version_1 = format!("{with_epoch} 00");
        let later = Notification::decode(&hex(&version_1)).unwrap();
        assert_eq!((later.peer_epoch, later.version, later.config), (4, 1, None));
    }

    #[test]
    fn what_is_malformed_is_told() {
        let whole = hex(FOLLOWER);
        for bytes in (0..whole.len()).filter(|bytes| ![28, 40].contains(bytes)) {
            assert!(Notification::decode(&whole.slice(..bytes)).is_err(), "{bytes}");
        }
        let with = |at: usize, value: i32| {
            let mut bytes = whole.to_vec();
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
            Notification::decode(&bytes.into()).unwrap_err()
        };
        assert_eq!(with(0, 4), NotificationError::State(4));
        assert_eq!(with(0, -1), NotificationError::State(-1));
        for length in [-1, 5, i32::MAX] {
            assert_eq!(with(40, length), NotificationError::ConfigLength { length, bytes: 48 });
        }
    }

    #[test]
    fn messages_have_a_length_from_1_to_the_limit() {
        let next = |bytes: &[u8]| next_message(&mut BytesMut::from(bytes));
        assert_eq!(next(&[0, 0, 0, 1, 7]), Ok(Some(Bytes::from_static(&[7]))));
        assert_eq!(next(&[0, 8, 0, 0, 7]), Ok(None));
        assert_eq!(next(&[0, 8, 0, 1]), Err(NotificationError::MessageLength(524_289)));
        assert_eq!(next(&[0, 0, 0, 0]), Err(NotificationError::MessageLength(0)));
        assert_eq!(next(&[255; 4]), Err(NotificationError::MessageLength(-1)));
    }
}
