//! The ports between servers, raw: packets of the quorum port, and what is said on the election
//! port. Whoever wants a broken peer writes it with these.

use std::io::{self, Read};
use std::net::SocketAddr;

use jute::{Field, LearnerInfo, QuorumPacket};

use super::Body;

/// Types of packets (the constants of `Leader`).
pub mod kind {
    #![allow(missing_docs, reason = "named as in Leader")]
    pub const REQUEST: i32 = 1;
    pub const PROPOSAL: i32 = 2;
    pub const ACK: i32 = 3;
    pub const COMMIT: i32 = 4;
    pub const PING: i32 = 5;
    pub const REVALIDATE: i32 = 6;
    pub const INFORM: i32 = 8;
    pub const NEW_LEADER: i32 = 10;
    pub const FOLLOWER_INFO: i32 = 11;
    pub const UP_TO_DATE: i32 = 12;
    pub const DIFF: i32 = 13;
    pub const TRUNC: i32 = 14;
    pub const SNAP: i32 = 15;
    pub const OBSERVER_INFO: i32 = 16;
    pub const LEADER_INFO: i32 = 17;
    pub const ACK_EPOCH: i32 = 18;
}

/// The protocol between servers since 3.4.
pub const PROTOCOL_VERSION: i32 = 0x10000;

/// The version of a first message on an election connection, with one address.
const ELECTION_VERSION: i64 = -65_536;

/// The version of a vote with a configuration, which may be empty.
const VOTE_VERSION: i32 = 2;

/// State of a server that looks for a leader.
pub const LOOKING: i32 = 0;

/// Longest packet or election message that is believed, in bytes.
const BYTES_MAX: usize = 64 << 20;

/// A packet with this body.
pub fn packet(kind: i32, zxid: i64, body: &[u8]) -> Vec<u8> {
    QuorumPacket { kind, zxid, data: Some(body), authinfo: None }.to_vec()
}

/// A packet without a body.
pub fn bare(kind: i32, zxid: i64) -> Vec<u8> {
    QuorumPacket { kind, zxid, data: None, authinfo: None }.to_vec()
}

/// How a learner introduces itself: FOLLOWERINFO or OBSERVERINFO.
pub fn introduction(kind: i32, zxid: i64, sid: i64) -> Vec<u8> {
    let info = LearnerInfo { serverid: sid, protocol_version: PROTOCOL_VERSION, config_version: 0 };
    packet(kind, zxid, &info.to_vec())
}

/// A packet that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub kind: i32,
    /// The zxid it is about.
    pub zxid: i64,
    /// Its body; none is empty here.
    pub data: Vec<u8>,
}

/// Reads the next packet, and no byte more.
pub fn read_packet(stream: &mut impl Read) -> io::Result<Packet> {
    let mut bytes = vec![0; 16];
    stream.read_exact(&mut bytes)?;
    let length = i32::from_be_bytes(*bytes[12..].first_chunk().expect("four bytes"));
    append(stream, &mut bytes, usize::try_from(length).unwrap_or(0))?;
    // Identities: only a REQUEST has some, and whoever reads one here does not ask for them.
    append(stream, &mut bytes, 4)?;
    let read = QuorumPacket::from_bytes(&bytes).map_err(io::Error::other)?;
    Ok(Packet { kind: read.kind, zxid: read.zxid, data: read.data.unwrap_or_default().to_vec() })
}

/// What stands first on an election connection: who called, and where it may be called.
pub fn election_introduction(sid: i64, address: SocketAddr) -> Vec<u8> {
    Body::new().long(ELECTION_VERSION).long(sid).text(&address.to_string()).into_bytes()
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// What the sender does.
    pub state: i32,
    /// Whom it wants to lead.
    pub leader: i64,
    /// The candidate's last transaction.
    pub zxid: i64,
    /// The round of the election.
    pub round: i64,
    /// The epoch the candidate last took part in.
    pub peer_epoch: i64,
}

impl Vote {
    /// Its message, with the length before it and no configuration.
    pub fn message(&self) -> Vec<u8> {
        let body = Body::new().int(self.state).long(self.leader).long(self.zxid);
        let body = body.long(self.round).long(self.peer_epoch).int(VOTE_VERSION).text("");
        Body::new().bytes(Some(&body.into_bytes())).into_bytes()
    }

    /// Reads the next message.
    pub fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut bytes = Vec::new();
        append(stream, &mut bytes, u32::from_be_bytes(length) as usize)?;
        let mut reader = jute::Reader::new(&bytes);
        let short = |_| io::Error::other("a vote that is too short");
        Ok(Self {
            state: reader.int().map_err(short)?,
            leader: reader.long().map_err(short)?,
            zxid: reader.long().map_err(short)?,
            round: reader.long().map_err(short)?,
            peer_epoch: reader.long().map_err(short)?,
        })
    }
}

fn append(stream: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> io::Result<()> {
    if count > BYTES_MAX {
        return Err(io::Error::other(format!("{count} bytes were announced")));
    }
    let start = bytes.len();
    bytes.resize(start + count, 0);
    stream.read_exact(&mut bytes[start..])
}
