//! The tree's digest (`DigestCalculator`, `AdHash`): the wrapping sum of one CRC-32 for each node.
//!
//! A node's CRC runs over its path, its data and 60 bytes of status. The part over path and data is
//! kept with the node, so that a change of status alone, such as every creation makes on the
//! parent, hashes 60 bytes only.

use crc32fast::Hasher;
use jute::StatPersisted;

/// How digests are computed; a digest of another version is not compared.
pub const DIGEST_VERSION: i32 = 2;

/// Whether a node counts: below /zookeeper servers keep what is theirs alone, such as quota
/// statistics.
pub(crate) fn counts(path: &str) -> bool {
    !path.starts_with("/zookeeper/")
}

/// First part of a node's digest, over path and data. The root's path is empty.
pub(crate) fn prefix(path: &str, data: Option<&[u8]>) -> u32 {
    let path = if path == "/" { "" } else { path };
    let mut hasher = Hasher::new();
    hasher.update(path.as_bytes());
    hasher.update(data.unwrap_or_default());
    hasher.finalize()
}

/// A node's digest, from its first part and its status.
pub(crate) fn of_node(prefix: u32, stat: &StatPersisted) -> u64 {
    let mut bytes = [0; 60];
    let longs = [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime];
    for (chunk, value) in bytes.chunks_exact_mut(8).zip(longs) {
        chunk.copy_from_slice(&value.to_be_bytes());
    }
    let ints = [stat.version, stat.cversion, stat.aversion];
    for (chunk, value) in bytes[40..52].chunks_exact_mut(4).zip(ints) {
        chunk.copy_from_slice(&value.to_be_bytes());
    }
    bytes[52..].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let mut hasher = Hasher::new_with_initial(prefix);
    hasher.update(&bytes);
    u64::from(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_tree_has_zookeepers_digest() {
        let zero = StatPersisted::default();
        let root = of_node(prefix("/", Some(b"")), &zero);
        let zookeeper = of_node(prefix("/zookeeper", Some(b"")), &zero);
        assert_eq!((root, zookeeper), (0x0412_8908, 0x4db4_4d58));
    }
}
