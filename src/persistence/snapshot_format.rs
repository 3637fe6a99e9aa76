//! The body of a snapshot, as it stands in files and in a leader's SNAP (`SerializeUtils`,
//! `DataTree.serialize`, `ReferenceCountedACLCache.serialize`):
//!
//! ```text
//! int count, (long session, int timeout)*
//! int count, (long number, vector<ACL>)*
//! (ustring path, buffer data, long acl number, StatPersisted)*   parents before children, root ""
//! ustring "/"
//! ```

use bytes::BufMut;
use jute::{Acl, Field, StatPersisted, Ustring};
use thiserror::Error;

use crate::proto::{SessionId, Zxid};

/// "ZKSN", version 2, dbid -1.
pub(super) const SNAPSHOT_HEADER: [u8; 16] =
    [b'Z', b'K', b'S', b'N', 0, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255];

/// Behind each checksum, and what stands for a path behind the last node: ustring "/".
pub(super) const SLASH: [u8; 5] = [0, 0, 0, 1, b'/'];

/// What a leader writes behind the body of a snapshot it sends.
pub const SNAP_SIGNATURE: &str = "BenWasHere";

/// Takes what a snapshot holds, in the order of the file. It may be begun anew: a snapshot that
/// turns out to be bad is followed by [`SnapshotSink::clear`] and an older one.
pub trait SnapshotSink {
    /// Forgets everything taken so far.
    fn clear(&mut self);

    /// A global session and its timeout in milliseconds.
    fn session(&mut self, id: SessionId, timeout_ms: i32);

    /// An access control list and the number nodes refer to it by.
    fn acl(&mut self, number: i64, acl: Vec<Acl<'_>>);

    /// A node; the root's path is empty, every other node comes after its parent. `acl_number` is
    /// -1 for `world:anyone` with all permissions. An error, such as a missing parent, ends the
    /// load.
    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_number: i64,
        stat: &StatPersisted,
    ) -> Result<(), String>;
}

/// What stands behind the body of a snapshot file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotTail {
    /// Digest of the tree at a moment during or after the writing (`digest.enabled`, 3.6).
    pub digest: Option<SnapshotDigest>,
    /// zxid of the last transaction applied when the writing ended
    /// (`serializeLastProcessedZxid.enabled`, 3.9). The zxid to replay from is the file name's.
    pub last_processed: Option<Zxid>,
}

/// Digest of a tree, and when it had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// The last transaction applied at that moment; 0 if none was.
    pub zxid: Zxid,
    /// How it is computed: 2, also where there is none yet. Below 2 it stands as text in the file.
    pub version: i32,
    /// The digest.
    pub digest: i64,
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {offset}: {reason}")]
pub struct SnapshotFault {
    /// Where, in the unpacked stream.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
}

/// Appends the sessions.
pub fn put_sessions(
    out: &mut impl BufMut,
    sessions: impl ExactSizeIterator<Item = (SessionId, i32)>,
) {
    out.put_i32(sessions.len() as i32);
    for (id, timeout_ms) in sessions {
        out.put_i64(id.0);
        out.put_i32(timeout_ms);
    }
}

/// Appends the access control lists by number.
pub fn put_acls<'a>(
    out: &mut impl BufMut,
    acls: impl ExactSizeIterator<Item = (i64, &'a [Acl<'a>])>,
) {
    out.put_i32(acls.len() as i32);
    for (number, acl) in acls {
        out.put_i64(number);
        out.put_i32(acl.len() as i32);
        acl.iter().for_each(|entry| entry.write(out));
    }
}

/// Appends a node.
pub fn put_node(
    out: &mut impl BufMut,
    path: &str,
    data: Option<&[u8]>,
    acl_number: i64,
    stat: &StatPersisted,
) {
    Ustring::from(path).write(out);
    data.write(out);
    out.put_i64(acl_number);
    stat.write(out);
}

/// Appends what stands behind the last node.
pub fn put_end_of_nodes(out: &mut impl BufMut) {
    out.put_slice(&SLASH);
}

/// Appends what a leader sends behind the end of the nodes.
pub fn put_leaders_end(out: &mut impl BufMut) {
    Ustring::from(SNAP_SIGNATURE).write(out);
}
