//! What a proxy understands of the two protocols between servers: enough to keep connections on
//! proxied addresses, and to see how a learner was synchronised.

use std::fmt;

use jute::{Field, QuorumPacket, Reader};

use crate::wire::quorum::kind;

/// Longest start of an election connection: its text is at most 2048 bytes.
const INITIAL_MESSAGE_MAX: usize = 8 + 8 + 4 + 2048;

/// The first packets of a leader to a learner are short; what is longer is something else.
const HANDSHAKE_BYTES_MAX: usize = 16 << 10;

/// How a leader brought a learner up to date (`Leader.DIFF`, `TRUNC`, `SNAP`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncKind {
    /// The transactions the learner lacked.
    Diff,
    /// The learner's log was cut; transactions may have followed.
    Trunc,
    /// The whole tree.
    Snap,
}

impl fmt::Display for SyncKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Diff => "DIFF",
            Self::Trunc => "TRUNC",
            Self::Snap => "SNAP",
        })
    }
}

/// Reads along what a leader sends to a learner until it has told how it will synchronise it.
#[derive(Debug, Default)]
pub struct SyncWatcher {
    seen: Vec<u8>,
    done: bool,
}

impl SyncWatcher {
    /// Takes the next bytes; gives the kind once, when it is known.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<SyncKind> {
        if self.done {
            return None;
        }
        self.seen.extend_from_slice(bytes);
        let mut reader = Reader::new(&self.seen);
        while let Ok(packet) = QuorumPacket::read(&mut reader) {
            let kind = match packet.kind {
                kind::DIFF => SyncKind::Diff,
                kind::TRUNC => SyncKind::Trunc,
                kind::SNAP => SyncKind::Snap,
                _ => continue,
            };
            self.done = true;
            return Some(kind);
        }
        self.done = self.seen.len() > HANDSHAKE_BYTES_MAX;
        None
    }
}

/// Replaces the sender's own election address at the start of an election connection.
///
/// Who is called by a member with a smaller id hangs up and calls back, at the address in this
/// message: without the replacement that connection would go past the proxies.
#[derive(Debug)]
pub struct AddressRewriter {
    address: String,
    held: Vec<u8>,
    done: bool,
}

impl AddressRewriter {
    /// `address` (`host:port`) is where the receiver is to call the sender.
    pub fn new(address: String) -> Self {
        Self { address, held: Vec::new(), done: false }
    }

    /// Takes the next bytes of the connection; gives those to forward now.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.done {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        let Some(version) = self.held.first_chunk().map(|b| i64::from_be_bytes(*b)) else {
            return Vec::new();
        };
        // A version of 0 or more is an ancient sender's id, with no address behind it.
        if version < 0 && self.held.len() < INITIAL_MESSAGE_MAX {
            let length = self.held.get(16..20).map(|b| b.try_into().expect("four bytes"));
            let Some(length) = length.map(i32::from_be_bytes) else { return Vec::new() };
            let end = 20 + usize::try_from(length).unwrap_or(0);
            if self.held.len() < end {
                return Vec::new();
            }
            let text = self.address.as_bytes();
            let new_length = i32::try_from(text.len()).expect("a short address");
            let replaced = [&new_length.to_be_bytes()[..], text].concat();
            self.held.splice(16..end, replaced);
        }
        self.done = true;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::quorum::bare;

    #[test]
    fn an_election_address_is_replaced_however_the_bytes_arrive() {
        let start = |address: &str| {
            let mut bytes = (-65536i64).to_be_bytes().to_vec();
            bytes.extend(3i64.to_be_bytes());
            bytes.extend((address.len() as i32).to_be_bytes());
            bytes.extend(address.as_bytes());
            bytes.extend(b"then votes");
            bytes
        };
        let sent = start("127.0.0.1:3888");
        for cut in 0..sent.len() {
            let mut rewriter = AddressRewriter::new("127.0.0.1:40001".into());
            let mut got = rewriter.feed(&sent[..cut]);
            got.extend(rewriter.feed(&sent[cut..]));
            assert_eq!(got, start("127.0.0.1:40001"), "cut at {cut}");
        }
    }

    #[test]
    fn the_kind_of_a_synchronisation_is_seen_once() {
        let sent = [kind::LEADER_INFO, kind::TRUNC, kind::DIFF].map(|kind| bare(kind, 7)).concat();
        let mut watcher = SyncWatcher::default();
        let seen: Vec<SyncKind> = sent.iter().filter_map(|b| watcher.feed(&[*b])).collect();
        assert_eq!(seen, [SyncKind::Trunc]);
    }
}
