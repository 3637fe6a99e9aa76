//! Packets between a leader and its learners (`QuorumPacket`, the constants of `Leader`). On the
//! wire they follow each other without a length in front.

use bytes::{BufMut, Bytes, BytesMut};

use super::{SessionId, Xid, Zxid};

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum PacketType {
    /// A learner's client asks for something.
    Request = 1,
    /// The leader proposes a transaction.
    Proposal = 2,
    /// A learner has logged it, or has caught up with the leader.
    Ack = 3,
    /// A quorum has: apply it.
    Commit = 4,
    /// Are you there; the answer lists the sessions heard of.
    Ping = 5,
    /// Is this session alive, and is it yours now.
    Revalidate = 6,
    /// Everything before this learner's sync request is on its way.
    Sync = 7,
    /// PROPOSAL and COMMIT in one, for observers.
    Inform = 8,
    /// COMMIT of a reconfig.
    CommitAndActivate = 9,
    /// What the leader had is all sent; acknowledge once it is on disk.
    NewLeader = 10,
    /// A follower introduces itself.
    FollowerInfo = 11,
    /// The leader serves, and so may the learner.
    UpToDate = 12,
    /// The learner lacks what follows.
    Diff = 13,
    /// The learner is to cut its log here first.
    Trunc = 14,
    /// A snapshot follows.
    Snap = 15,
    /// An observer introduces itself.
    ObserverInfo = 16,
    /// The leader's epoch.
    LeaderInfo = 17,
    /// The learner promises to it.
    AckEpoch = 18,
    /// INFORM of a reconfig.
    InformAndActivate = 19,
}

impl PacketType {
    /// The type with this number on the wire.
    pub fn from_code(code: i32) -> Option<Self> {
        use PacketType::*;
        [
            Request,
            Proposal,
            Ack,
            Commit,
            Ping,
            Revalidate,
            Sync,
            Inform,
            CommitAndActivate,
            NewLeader,
            FollowerInfo,
            UpToDate,
            Diff,
            Trunc,
            Snap,
            ObserverInfo,
            LeaderInfo,
            AckEpoch,
            InformAndActivate,
        ]
        .into_iter()
        .find(|kind| *kind as i32 == code)
    }
}

/// An identity of the client behind a REQUEST: scheme and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthInfo {
    /// Scheme of the identity.
    pub scheme: String,
    /// The identity within it.
    pub id: String,
}

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub kind: PacketType,
    /// The zxid it is about.
    pub zxid: Zxid,
    /// Its body.
    pub data: Option<Bytes>,
    /// Identities of the client behind a REQUEST; none in other packets.
    pub authinfo: Option<Vec<AuthInfo>>,
}

impl Packet {
    /// A packet without a body.
    pub fn bare(kind: PacketType, zxid: Zxid) -> Self {
        Self { kind, zxid, data: None, authinfo: None }
    }

    /// A packet with one.
    pub fn with_data(kind: PacketType, zxid: Zxid, data: Bytes) -> Self {
        Self { kind, zxid, data: Some(data), authinfo: None }
    }

    /// A REQUEST: a learner's client asks for something, or the learner for it.
    pub fn request(
        session: SessionId,
        (xid, op): (Xid, i32),
        body: &[u8],
        authinfo: Option<Vec<AuthInfo>>,
    ) -> Self {
        let mut data = BytesMut::with_capacity(16 + body.len());
        data.put_i64(session.0);
        data.put_i32(xid);
        data.put_i32(op);
        data.put_slice(body);
        let data = Some(data.freeze());
        Self { kind: PacketType::Request, zxid: Zxid(-1), data, authinfo }
    }

    /// A REVALIDATE of a learner: does this session live, with this timeout in milliseconds.
    pub fn revalidate(session: SessionId, timeout_ms: i32) -> Self {
        let mut data = BytesMut::with_capacity(12);
        data.put_i64(session.0);
        data.put_i32(timeout_ms);
        Self::with_data(PacketType::Revalidate, Zxid(-1), data.freeze())
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut impl BufMut) {
        put_head(self.kind, self.zxid, out);
        put_buffer(self.data.as_deref(), out);
        match &self.authinfo {
            None => out.put_i32(-1),
            Some(ids) => {
                out.put_i32(ids.len() as i32);
                for AuthInfo { scheme, id } in ids {
                    put_buffer(Some(scheme.as_bytes()), out);
                    put_buffer(Some(id.as_bytes()), out);
                }
            }
        }
    }
}

/// Appends the bytes of a packet whose body is at hand as a slice.
pub fn put_packet(kind: PacketType, zxid: Zxid, data: Option<&[u8]>, out: &mut impl BufMut) {
    put_head(kind, zxid, out);
    put_buffer(data, out);
    out.put_i32(-1);
}

fn put_head(kind: PacketType, zxid: Zxid, out: &mut impl BufMut) {
    out.put_i32(kind as i32);
    out.put_i64(zxid.0);
}

fn put_buffer(data: Option<&[u8]>, out: &mut impl BufMut) {
    match data {
        None => out.put_i32(-1),
        Some(data) => {
            out.put_i32(data.len() as i32);
            out.put_slice(data);
        }
    }
}
