//! The client's side of the wire without any I/O: what `ClientCnxnSocket` and `ClientCnxn.Packet`
//! do to bytes.
//!
//! A frame is an `int` length and that many bytes. Callers append requests to a [`BytesMut`] they
//! write out themselves, read into another one, and take whole frames from it with [`next_frame`].

use bytes::{Bytes, BytesMut};
use jute::{
    ConnectRequest, ConnectResponse, Field, JuteError, Reader, ReplyHeader, RequestHeader,
    WatcherEvent,
};
use thiserror::Error;

use crate::proto::frame::{self, BadLength, put_frame};
use crate::proto::{OpCode, PASSWORD_BYTES, SessionId, XID_PING, Xid, Zxid};

/// xid of a notification.
pub const XID_NOTIFICATION: Xid = -1;
/// xid a client gives to an auth packet.
pub const XID_AUTH: Xid = -4;
/// xid a client gives to setWatches and setWatches2.
pub const XID_SET_WATCHES: Xid = -8;

/// Longest frame a client accepts unless told otherwise, in bytes (`jute.maxbuffer` of the Java
/// client).
pub const DEFAULT_MAX_FRAME_BYTES: usize = 0xf_ffff;

/// Bytes of a connect response without the readOnly byte, as servers up to 3.3 send it.
const OLD_CONNECT_RESPONSE_BYTES: usize = 36;

/// What is wrong with what the server sent; the connection cannot be used any further.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// A frame is negative or over the limit.
    #[error("a frame of {length} bytes is out of range: the limit is {max_bytes}")]
    FrameLength {
        /// The length as read.
        length: i32,
        /// The limit.
        max_bytes: usize,
    },
    /// A reply does not belong to the oldest request that waits for one.
    #[error("a reply with xid {got} where one with {expected:?} was due")]
    XidOutOfOrder {
        /// The reply's xid.
        got: Xid,
        /// The oldest request's xid, if any waits.
        expected: Option<Xid>,
    },
    /// A result of a multi is of no known type.
    #[error("a result of unknown type {0}")]
    ResultType(i32),
    /// A record could not be decoded.
    #[error("malformed record: {0}")]
    Record(#[from] JuteError),
}

/// Appends a request: header and record in one frame.
pub fn put_request<'a>(out: &mut BytesMut, xid: Xid, op: OpCode, record: &impl Field<'a>) {
    put_frame(out, |out| {
        RequestHeader { xid, kind: op.code() }.write(out);
        record.write(out);
    });
}

/// Appends a request that is a header alone: closeSession, whoAmI.
pub fn put_bare_request(out: &mut BytesMut, xid: Xid, op: OpCode) {
    put_frame(out, |out| RequestHeader { xid, kind: op.code() }.write(out));
}

/// Appends a ping.
pub fn put_ping(out: &mut BytesMut) {
    put_bare_request(out, XID_PING, OpCode::Ping);
}

/// Appends the first packet of a connection, in the form with the readOnly byte.
pub fn put_connect_request(out: &mut BytesMut, connect: &ConnectRequest<'_>) {
    put_frame(out, |out| connect.write(out));
}

/// Takes the first whole frame out of `input`, without its length; `None` if more bytes are needed.
pub fn next_frame(input: &mut BytesMut, max_bytes: usize) -> Result<Option<Bytes>, WireError> {
    match frame::next_frame(input, max_bytes) {
        Ok(frame) => Ok(frame.map(BytesMut::freeze)),
        Err(BadLength(length)) => Err(WireError::FrameLength { length, max_bytes }),
    }
}

/// A session as the server granted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub session: SessionId,
    /// Its password, which a reconnect must show.
    pub password: [u8; PASSWORD_BYTES],
    /// Session timeout granted, in milliseconds.
    pub timeout_ms: i32,
    /// Whether this server is read-only.
    pub read_only: bool,
}

/// Decodes the first frame of a connection; `None` if the session is refused: it has expired, or
/// the password is wrong.
pub fn read_connect_response(frame: &[u8]) -> Result<Option<Grant>, WireError> {
    let mut padded;
    let mut frame = frame;
    if frame.len() == OLD_CONNECT_RESPONSE_BYTES {
        padded = frame.to_vec();
        padded.push(0);
        frame = &padded;
    }
    let response = ConnectResponse::from_bytes(frame)?;
    if response.time_out <= 0 {
        return Ok(None);
    }
    let mut password = [0; PASSWORD_BYTES];
    let given = response.passwd.unwrap_or_default();
    let count = given.len().min(PASSWORD_BYTES);
    password[..count].copy_from_slice(&given[..count]);
    Ok(Some(Grant {
        session: SessionId(response.session_id),
        password,
        timeout_ms: response.time_out,
        read_only: response.read_only,
    }))
}

/// A frame after the first one.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A watch fired.
    Notification {
        /// zxid of the transaction that fired it, -1 if none did.
        zxid: Zxid,
        /// What happened.
        event: WatcherEvent<'a>,
    },
    /// The answer to a request, a ping included.
    Reply {
        /// Its header; `err` other than 0 means that no body follows.
        header: ReplyHeader,
        /// The reader of its body.
        body: Reader<'a>,
    },
}

/// Decodes the head of a frame, and the whole of a notification.
pub fn read_incoming(frame: &[u8]) -> Result<Incoming<'_>, WireError> {
    let mut body = Reader::new(frame);
    let header = ReplyHeader::read(&mut body)?;
    if header.xid == XID_NOTIFICATION {
        let event = WatcherEvent::read(&mut body)?;
        return Ok(Incoming::Notification { zxid: Zxid(header.zxid), event });
    }
    Ok(Incoming::Reply { header, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jute::GetDataRequest;

    /// Bytes of hexadecimal text; blanks are for the eye.
    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let digit = |byte: u8| (byte as char).to_digit(16).expect("hexadecimal") as u8;
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn a_connection_starts_with_the_bytes_java_sends() {
        let mut out = BytesMut::new();
        put_connect_request(
            &mut out,
            &ConnectRequest {
                time_out: 10_000,
                passwd: Some(&[0; 16]),
                read_only: true,
                ..Default::default()
            },
        );
        let expected = "0000002d 00000000 0000000000000000 00002710 0000000000000000 00000010
            00000000000000000000000000000000 01";
        assert_eq!(out[..], hex(expected));
    }

    #[test]
    fn a_granted_session_is_read_with_and_without_the_read_only_byte() {
        let body = "00000000 00002710 0100000f34a60000 00000010 f8d50337251c14fc9605f615766daf32";
        let grant = read_connect_response(&hex(body)).unwrap().unwrap();
        assert_eq!(grant.session, SessionId(0x0100_000f_34a6_0000));
        assert_eq!(grant.timeout_ms, 10_000);
        assert_eq!(grant.password[..4], [0xf8, 0xd5, 0x03, 0x37]);
        assert!(!grant.read_only);
        let read_only = read_connect_response(&hex(&format!("{body}01"))).unwrap().unwrap();
        assert!(read_only.read_only);
    }

    #[test]
    fn a_refused_session_is_none_and_a_cut_answer_an_error() {
        let refused = hex(&format!("{}00000010{}00", "00".repeat(16), "00".repeat(16)));
        assert_eq!(read_connect_response(&refused), Ok(None));
        assert!(matches!(read_connect_response(&refused[..20]), Err(WireError::Record(_))));
    }

    #[test]
    fn a_request_is_one_frame_of_header_and_record() {
        let mut out = BytesMut::new();
        put_ping(&mut out);
        put_request(
            &mut out,
            7,
            OpCode::GetData,
            &GetDataRequest { path: "/a".into(), watch: true },
        );
        let expected = "00000008 fffffffe 0000000b
            0000000f 00000007 00000004 00000002 2f61 01";
        assert_eq!(out[..], hex(expected));
    }

    #[test]
    fn frames_are_split_wherever_the_bytes_were_cut() {
        let stream = hex("00000003 010203 00000000 00000001 09");
        for cut in 0..=stream.len() {
            let mut input = BytesMut::new();
            let mut frames = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                input.extend_from_slice(part);
                while let Some(frame) = next_frame(&mut input, 3).unwrap() {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, [vec![1, 2, 3], vec![], vec![9]], "cut at {cut}");
        }
    }

    #[test]
    fn a_length_out_of_range_is_refused_before_memory_is_taken() {
        for (text, length) in [("00000004", 4), ("ffffffff", -1), ("7fffffff", i32::MAX)] {
            let mut input = BytesMut::from(&hex(text)[..]);
            let before = input.capacity();
            let refused = Err(WireError::FrameLength { length, max_bytes: 3 });
            assert_eq!(next_frame(&mut input, 3), refused);
            assert_eq!(input.capacity(), before);
        }
    }

    #[test]
    fn notifications_and_replies_are_told_apart() {
        let frame = hex("ffffffff 000000000000001e 00000000 00000001 00000003 00000004 2f6e6577");
        let Incoming::Notification { zxid, event } = read_incoming(&frame).unwrap() else {
            panic!("a notification");
        };
        assert_eq!((zxid, event.kind, event.path.as_ref()), (Zxid(0x1e), 1, "/new"));

        let frame = hex("00000007 000000000000001f ffffff9b");
        let Incoming::Reply { header, body } = read_incoming(&frame).unwrap() else {
            panic!("a reply");
        };
        assert_eq!((header.xid, header.zxid, header.err), (7, 0x1f, -101));
        assert_eq!(body.remaining(), 0);
    }
}
