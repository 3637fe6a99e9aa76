//! Reads packets off a connection between a leader and a learner as their bytes arrive
//! (`QuorumPacket.deserialize`, the first lines of `LearnerHandler.run`).
//!
//! 1. Nothing is taken from the input before a packet is there as a whole.
//! 2. No length from outside decides how much memory is taken: what is too long is refused when its
//!    length is read, and what is not is sliced out of the input.
//!
//! Nothing marks where a packet begins, so after a bad one there is no way to go on.

use bytes::{Buf, Bytes, BytesMut};
use jute::{LearnerInfo, Reader};
use thiserror::Error;

use super::Zxid;
use super::quorum_packet::{AuthInfo, Packet, PacketType};

/// Identities a REQUEST may carry: as many as a connection may have.
pub const AUTHINFO_COUNT_MAX: usize = 1024;

/// What all of them may take, in bytes.
pub const AUTHINFO_BYTES_MAX: usize = 1 << 20;

/// Bytes in front of a packet's body: type, zxid, length of the body.
const HEAD_BYTES: usize = 4 + 8 + 4;

/// Why bytes are no packet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadPacket {
    /// A type nobody knows: most likely a stranger.
    #[error("packet type {0} is not known")]
    UnknownType(i32),
    /// A body of a negative or too large length.
    #[error("a body of {length} bytes is malformed or over the limit of {limit} bytes")]
    BodyLength {
        /// The length, as it stands there.
        length: i32,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// Identities of a negative or too large number.
    #[error("{0} identities are malformed or too many")]
    IdentityCount(i32),
    /// A scheme or id of a negative length, or one with which they are too many bytes.
    #[error("an identity's string of {0} bytes is malformed or makes them too long")]
    IdentityLength(i32),
    /// The body of a FOLLOWERINFO or OBSERVERINFO.
    #[error("a learner's introduction of {0} bytes is too short for its id")]
    LearnerInfoLength(usize),
}

impl Packet {
    /// Takes the first packet off `input`; `None` until all its bytes are there. Its body shares
    /// the input's memory. A body longer than `body_bytes_max` is refused.
    pub fn decode(input: &mut BytesMut, body_bytes_max: usize) -> Result<Option<Self>, BadPacket> {
        let mut reader = Reader::new(input);
        let Ok(code) = reader.int() else { return Ok(None) };
        let kind = PacketType::from_code(code).ok_or(BadPacket::UnknownType(code))?;
        let (Ok(zxid), Ok(length)) = (reader.long(), reader.int()) else { return Ok(None) };
        let too_long = BadPacket::BodyLength { length, limit: body_bytes_max };
        let body_bytes = bounded(length, body_bytes_max).ok_or(too_long)?;
        if reader.take(body_bytes.unwrap_or(0)).is_err() {
            return Ok(None);
        }
        let Some(authinfo) = read_authinfo(&mut reader)? else { return Ok(None) };
        let packet_bytes = reader.position();
        let mut bytes = input.split_to(packet_bytes).freeze();
        let data = body_bytes.map(|count| {
            bytes.advance(HEAD_BYTES);
            bytes.split_to(count)
        });
        Ok(Some(Self { kind, zxid: Zxid(zxid), data, authinfo }))
    }
}

/// The identities behind the body; the outer `None` until they are all there.
#[allow(clippy::type_complexity, reason = "not there yet, null, or a list")]
fn read_authinfo(reader: &mut Reader<'_>) -> Result<Option<Option<Vec<AuthInfo>>>, BadPacket> {
    let Ok(count) = reader.int() else { return Ok(None) };
    let bad_count = BadPacket::IdentityCount(count);
    let Some(count) = bounded(count, AUTHINFO_COUNT_MAX).ok_or(bad_count)? else {
        return Ok(Some(None));
    };
    let mut ids = Vec::new();
    let mut bytes_left = AUTHINFO_BYTES_MAX;
    for _ in 0..count {
        let Some(scheme) = read_string(reader, &mut bytes_left)? else { return Ok(None) };
        let Some(id) = read_string(reader, &mut bytes_left)? else { return Ok(None) };
        ids.push(AuthInfo { scheme, id });
    }
    Ok(Some(Some(ids)))
}

/// A string of at most `bytes_left`, which become fewer; null is taken for an empty one.
fn read_string(
    reader: &mut Reader<'_>,
    bytes_left: &mut usize,
) -> Result<Option<String>, BadPacket> {
    let Ok(length) = reader.int() else { return Ok(None) };
    let bytes = bounded(length, *bytes_left).ok_or(BadPacket::IdentityLength(length))?;
    let bytes = bytes.unwrap_or(0);
    *bytes_left -= bytes;
    let text = reader.take(bytes).ok();
    Ok(text.map(|text| jute::decode_text(text).into_owned()))
}

/// A length or count: `Some(None)` is null, `None` one that is refused.
fn bounded(length: i32, max: usize) -> Option<Option<usize>> {
    match length {
        -1 => Some(None),
        _ => usize::try_from(length).ok().filter(|&length| length <= max).map(Some),
    }
}

/// The body of a FOLLOWERINFO or OBSERVERINFO. Releases before 3.5 leave out the configuration's
/// version, and those before 3.4 the protocol's too: they count as 0 and 1.
pub fn decode_learner_info(body: &Bytes) -> Result<LearnerInfo, BadPacket> {
    let mut reader = Reader::new(body);
    let serverid = reader.long().map_err(|_| BadPacket::LearnerInfoLength(body.len()))?;
    let protocol_version = reader.int().unwrap_or(1);
    let config_version = reader.long().unwrap_or(0);
    Ok(LearnerInfo { serverid, protocol_version, config_version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jute::Field;
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    fn encoded(packets: &[Packet]) -> BytesMut {
        let mut bytes = BytesMut::new();
        packets.iter().for_each(|packet| packet.encode(&mut bytes));
        bytes
    }

    fn any_packet() -> impl Strategy<Value = Packet> {
        let kind = (1..20).prop_map(|code| PacketType::from_code(code).unwrap());
        let data = prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
        let id = (".{0,9}", ".{0,20}").prop_map(|(scheme, id)| AuthInfo { scheme, id });
        let authinfo = prop::option::of(prop::collection::vec(id, 0..4));
        (kind, any::<i64>(), data, authinfo).prop_map(|(kind, zxid, data, authinfo)| Packet {
            kind,
            zxid: Zxid(zxid),
            data: data.map(Bytes::from),
            authinfo,
        })
    }

    #[test]
    fn lengths_are_refused_before_their_bytes_are_there() {
        let head = |kind: i32, length: i32| {
            let head = [&kind.to_be_bytes()[..], &[0; 8], &length.to_be_bytes()].concat();
            Packet::decode(&mut BytesMut::from(&head[..]), 1000)
        };
        assert_eq!(head(3, 1000), Ok(None));
        let too_long = |length| Err(BadPacket::BodyLength { length, limit: 1000 });
        assert_eq!(head(3, 1001), too_long(1001));
        assert_eq!(head(3, -2), too_long(-2));
        assert_eq!(head(0, -1), Err(BadPacket::UnknownType(0)));
        assert_eq!(head(20, -1), Err(BadPacket::UnknownType(20)));
        let http = Packet::decode(&mut BytesMut::from(&b"GET / HTTP/1.1"[..]), 1000);
        assert_eq!(http, Err(BadPacket::UnknownType(0x4745_5420)));

        let request = |tail: &[i32]| {
            let mut bytes = [&1_i32.to_be_bytes()[..], &[0; 8], &[255; 4]].concat();
            tail.iter().for_each(|int| bytes.extend(int.to_be_bytes()));
            Packet::decode(&mut BytesMut::from(&bytes[..]), 1000)
        };
        assert_eq!(request(&[1024]), Ok(None));
        assert_eq!(request(&[1025]), Err(BadPacket::IdentityCount(1025)));
        assert_eq!(request(&[-2]), Err(BadPacket::IdentityCount(-2)));
        assert_eq!(request(&[1, 0x10_0001]), Err(BadPacket::IdentityLength(0x10_0001)));
        let nameless = request(&[1, -1, 0]).unwrap().unwrap().authinfo.unwrap();
        assert_eq!(nameless, [AuthInfo { scheme: String::new(), id: String::new() }]);
    }

    #[test]
    fn a_body_shares_the_inputs_memory() {
        let body = Bytes::from(vec![7; 100]);
        let packet = Packet::with_data(PacketType::Proposal, Zxid(5), body);
        let mut input = encoded(&[packet]);
        let place = input[HEAD_BYTES..].as_ptr();
        let data = Packet::decode(&mut input, LIMIT).unwrap().unwrap().data.unwrap();
        assert_eq!(data.as_ptr(), place);
    }

    #[test]
    fn the_introduction_of_every_release_is_read() {
        let whole = LearnerInfo { serverid: 99, protocol_version: 0x10000, config_version: 7 };
        let bytes: Bytes = whole.to_vec().into();
        assert_eq!(decode_learner_info(&bytes), Ok(whole.clone()));
        let of_3_4 = LearnerInfo { config_version: 0, ..whole.clone() };
        assert_eq!(decode_learner_info(&bytes.slice(..12)), Ok(of_3_4.clone()));
        let of_3_3 = LearnerInfo { protocol_version: 1, ..of_3_4 };
        assert_eq!(decode_learner_info(&bytes.slice(..8)), Ok(of_3_3));
        let short = decode_learner_info(&bytes.slice(..7));
        assert_eq!(short, Err(BadPacket::LearnerInfoLength(7)));
    }

    proptest! {
        #[test]
        fn packets_are_read_as_written_wherever_the_stream_is_cut(
            packets in prop::collection::vec(any_packet(), 1..6),
            pieces in prop::collection::vec(1_usize..200, 1..20))
        {
            let mut stream = encoded(&packets).freeze();
            let (mut input, mut read) = (BytesMut::new(), Vec::new());
            let mut pieces = pieces.iter().cycle();
            while !stream.is_empty() {
                let count = (*pieces.next().unwrap()).min(stream.len());
                input.extend_from_slice(&stream.split_to(count));
                let before = input.len();
                while let Some(packet) = Packet::decode(&mut input, LIMIT).unwrap() {
                    read.push(packet);
                }
                prop_assert!(input.len() <= before);
            }
            prop_assert_eq!(read, packets);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn random_bytes_are_refused_waited_for_or_packets(
            kind in 0_i32..22, random in prop::collection::vec(any::<u8>(), 0..200))
        {
            let bytes = [&kind.to_be_bytes()[..], &random].concat();
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(packet)) = Packet::decode(&mut input, 64) {
                prop_assert!(packet.data.is_none_or(|data| data.len() <= 64));
            }
        }
    }
}
