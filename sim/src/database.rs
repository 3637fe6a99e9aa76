//! An empty database, and one on its way to a learner.

use gamekeeper::persistence::put_leaders_end;
use gamekeeper::processor::ZkDatabase;
use gamekeeper::proto::Zxid;
use gamekeeper::tree::{DataTree, SnapshotCursor, TreeOptions, TreeReplaced};

/// How every tree of a simulation is made.
pub fn tree_options() -> TreeOptions {
    TreeOptions::default()
}

/// The database every server starts with.
pub fn empty() -> ZkDatabase {
    ZkDatabase { tree: DataTree::new(tree_options()), sessions: Default::default() }
}

/// A snapshot that is sent to a learner while transactions are applied.
pub struct Walk {
    cursor: SnapshotCursor,
    body: Vec<u8>,
}

impl Walk {
    /// Begins one.
    pub fn begin(database: &ZkDatabase) -> Self {
        let mut body = Vec::new();
        let mut sessions: Vec<_> =
            database.sessions.iter().map(|(&session, &timeout)| (session, timeout)).collect();
        sessions.sort_unstable();
        let cursor = SnapshotCursor::start(&database.tree, sessions.into_iter(), &mut body);
        Self { cursor, body }
    }

    /// The transaction it begins at.
    pub fn zxid(&self) -> Zxid {
        self.cursor.zxid()
    }

    /// Looks at some more slots of the tree; false once that was the end.
    ///
    /// # Errors
    /// The database was replaced by another meanwhile.
    pub fn go_on(&mut self, database: &ZkDatabase, slots: usize) -> Result<bool, TreeReplaced> {
        self.cursor.next_chunk(&database.tree, slots, &mut self.body)
    }

    /// What is written so far.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// The end of one.
    pub fn leaders_end() -> Vec<u8> {
        let mut end = Vec::new();
        put_leaders_end(&mut end);
        end
    }
}
