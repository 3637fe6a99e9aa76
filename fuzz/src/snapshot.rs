//! Snapshots: their file format, and the tree that comes of it.

use gamekeeper::persistence::{
    SnapshotFault, SnapshotSink, SnapshotTail, parse_snapshot, parse_snapshot_stream,
};
use gamekeeper::proto::{SessionId, Zxid};
use gamekeeper::tree::{SnapshotCursor, TreeLoader};
use jute::{Acl, StatPersisted};

use super::TREE;

/// Builds a tree as a restart does.
struct Load {
    loader: TreeLoader,
    nodes: usize,
}

impl Load {
    fn new() -> Self {
        Self { loader: TreeLoader::new(TREE), nodes: 0 }
    }
}

impl SnapshotSink for Load {
    fn clear(&mut self) {
        *self = Self::new();
    }

    fn session(&mut self, _id: SessionId, _timeout_ms: i32) {}

    fn acl(&mut self, number: i64, acl: Vec<Acl<'_>>) {
        self.loader.acl(number, &acl);
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_number: i64,
        stat: &StatPersisted,
    ) -> Result<(), String> {
        self.nodes += 1;
        self.loader.node(path, data, acl_number, stat).map_err(|error| error.to_string())
    }
}

/// A snapshot file parsed whole and as a stream; if its nodes make a tree, the tree is written and
/// loaded again. As checksums stop most changed files at their end, a tree is made of what came
/// before the fault too.
pub fn snapshot(bytes: &[u8]) {
    let (mut whole, mut streamed) = (Load::new(), Load::new());
    let parsed: Result<SnapshotTail, SnapshotFault> = parse_snapshot(bytes, &mut whole);
    let again = parse_snapshot_stream(&mut &bytes[..], &mut streamed);
    assert_eq!(parsed.is_ok(), again.is_ok(), "{parsed:?} {again:?}");
    assert_eq!(whole.nodes, streamed.nodes);
    let Ok(tree) = whole.loader.finish(Zxid(i64::MAX), None) else { return };
    let mut body = Vec::new();
    let mut cursor = SnapshotCursor::start(&tree, std::iter::empty(), &mut body);
    while cursor.next_chunk(&tree, 16, &mut body).expect("the tree is the same") {}
    let mut file = b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
    file.append(&mut body);
    let mut reloaded = Load::new();
    // There is no seal: everything before it is taken.
    let _ = parse_snapshot(&file, &mut reloaded);
    let reloaded = reloaded.loader.finish(Zxid(i64::MAX), None).expect("what was written loads");
    assert_eq!(reloaded.tree_digest(), tree.tree_digest());
    assert_eq!(reloaded.node_count(), tree.node_count());
}
