//! How a server introduces itself on an election connection that it has opened
//! (`QuorumCnxManager.InitialMessage`).
//!
//! 1. A first `long` of 0 or more is the id of an ancient server, and nothing follows it.
//! 2. Else it is a version; then come the id and the addresses of the sender's election port.
//! 3. Nothing is kept of an address that no one can connect to (`0.0.0.0`).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{HostPort, Sid};

/// Version of a message with one address.
const PROTOCOL_VERSION_V1: i64 = -65_536;

/// Version of a message with several addresses.
const PROTOCOL_VERSION_V2: i64 = -65_535;

/// Longest text of addresses, in bytes (`QuorumCnxManager.maxBuffer`).
const ADDRESS_BYTES_MAX: i32 = 2_048;

/// Bytes before the addresses.
const HEAD_BYTES: usize = 20;

/// Who opened a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialMessage {
    /// Its id; [`InitialMessage::OBSERVER_ID`] for one that has none.
    pub sid: Sid,
    /// Where its election port is; empty if it does not say.
    pub addresses: Vec<HostPort>,
}

/// Bytes that introduce nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitialMessageError {
    /// The version is none of those known.
    #[error("protocol version {0} is not known")]
    Version(i64),
    /// The addresses are too long, or not there.
    #[error("{0} bytes of addresses, 1 to {ADDRESS_BYTES_MAX} are allowed")]
    AddressLength(i32),
    /// An address that is none.
    #[error("{0:?} is not an address and a port")]
    Address(String),
}

impl InitialMessage {
    /// The id of an observer that has none (`QuorumPeer.OBSERVER_ID`).
    pub const OBSERVER_ID: Sid = Sid(i64::MAX);

    /// Reads a message from what has come so far and takes it off the input; none if it is not
    /// whole yet.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, InitialMessageError> {
        let Some(version) = input.first_chunk::<8>() else { return Ok(None) };
        let version = i64::from_be_bytes(*version);
        if version >= 0 {
            input.advance(8);
            return Ok(Some(Self { sid: Sid(version), addresses: Vec::new() }));
        }
        if ![PROTOCOL_VERSION_V1, PROTOCOL_VERSION_V2].contains(&version) {
            return Err(InitialMessageError::Version(version));
        }
        let Some(head) = input.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let mut head = &head[8..];
        let (sid, length) = (Sid(head.get_i64()), head.get_i32());
        if !(1..=ADDRESS_BYTES_MAX).contains(&length) {
            return Err(InitialMessageError::AddressLength(length));
        }
        let end = HEAD_BYTES + length as usize;
        let Some(text) = input.get(HEAD_BYTES..end) else { return Ok(None) };
        let addresses = parse_addresses(&String::from_utf8_lossy(text))?;
        input.advance(end);
        Ok(Some(Self { sid, addresses }))
    }

    /// Its bytes: with all addresses if `multi_address`, else with the first.
    #[must_use]
    pub fn encode(&self, multi_address: bool) -> Bytes {
        let (version, count) = match multi_address {
            true => (PROTOCOL_VERSION_V2, self.addresses.len()),
            false => (PROTOCOL_VERSION_V1, 1),
        };
        let mut text = String::new();
        for address in self.addresses.iter().take(count).map(HostPort::to_java) {
            // The peer takes the addresses that fit; each is a way to reach this server.
            if text.len() + 1 + address.len() > ADDRESS_BYTES_MAX as usize {
                break;
            }
            if !text.is_empty() {
                text.push('|');
            }
            text.push_str(&address);
        }
        let mut out = BytesMut::with_capacity(HEAD_BYTES + text.len());
        out.put_i64(version);
        out.put_i64(self.sid.0);
        out.put_i32(text.len() as i32);
        out.put_slice(text.as_bytes());
        out.freeze()
    }
}

fn parse_addresses(text: &str) -> Result<Vec<HostPort>, InitialMessageError> {
    let parts = super::java::split(text, '|').into_iter();
    let parse =
        |part: &str| HostPort::parse(part).ok_or_else(|| InitialMessageError::Address(part.into()));
    let addresses = parts.map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(addresses.into_iter().filter(|address| !address.is_wildcard()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<InitialMessage>, InitialMessageError> {
        InitialMessage::decode(&mut BytesMut::from(bytes))
    }

    fn raw(version: i64, length: i32, text: &str) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend(99i64.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn one_address_is_written_as_apache_does() {
        let addresses = vec![HostPort::new("127.0.0.1", 23999), HostPort::new("::1", 2)];
        let message = InitialMessage { sid: Sid(99), addresses };
        let bytes = message.encode(false);
        assert_eq!(bytes, raw(-65_536, 15, "127.0.0.1:23999"));
        let both = message.encode(true);
        assert_eq!(both, raw(-65_535, 35, "127.0.0.1:23999|[0:0:0:0:0:0:0:1]:2"));
        let read = decode(&both).unwrap().unwrap();
        assert_eq!(read.addresses[1], HostPort::new("0:0:0:0:0:0:0:1", 2));
        for end in 0..both.len() {
            assert_eq!(decode(&both[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_follows_a_message_is_left() {
        let mut bytes = BytesMut::from(&raw(-65_536, 3, "a:1rest")[..]);
        let read = InitialMessage::decode(&mut bytes).unwrap().unwrap();
        assert_eq!((read.sid, read.addresses), (Sid(99), vec![HostPort::new("a", 1)]));
        assert_eq!(&bytes[..], b"rest");
        let ancient = decode(&5i64.to_be_bytes()).unwrap().unwrap();
        assert_eq!(ancient, InitialMessage { sid: Sid(5), addresses: Vec::new() });
    }

    #[test]
    fn a_wildcard_is_no_address() {
        let read = decode(&raw(-65_535, 20, "0.0.0.0:1|[::]:2|b:3")).unwrap().unwrap();
        assert_eq!(read.addresses, [HostPort::new("b", 3)]);
    }

    #[test]
    fn strangers_are_refused() {
        assert_eq!(decode(&raw(-1, 3, "a:1")), Err(InitialMessageError::Version(-1)));
        for length in [0, -1, 2_049, i32::MAX] {
            let expected = Err(InitialMessageError::AddressLength(length));
            assert_eq!(decode(&raw(-65_536, length, "a:1")), expected);
        }
        for text in ["a", "a:b", "a:1|", "|a:1", "a:1:2", "[::1]:"] {
            let read = decode(&raw(-65_535, text.len() as i32, text));
            let lone = matches!(read, Ok(Some(_)));
            assert_eq!(lone, text == "a:1|", "{text}: {read:?}");
        }
        // An HTTP client.
        assert!(decode(b"GET / HTTP/1.1\r\n").unwrap().is_some_and(|m| m.sid.0 > 1 << 56));
    }
}
