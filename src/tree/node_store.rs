//! Where the nodes live: a slab of nodes, an index from path to slot, and the links between parent
//! and children.
//!
//! It answers to `NodeHashMapImpl` and `DataNode`, laid out for memory: a node knows its own name
//! only, its full path is the chain of its ancestors' names, and children hang in a list of slots
//! threaded through the nodes themselves. One million nodes of 100 bytes take about 250 MB.
//!
//! Invariants:
//! 1. The root is slot 0, always occupied, with the empty name.
//! 2. A node's parent is occupied as long as the node is; `child_count` is the length of the child
//!    list.
//! 3. The index holds each node once, under the hash of its full path (the root's path is empty).

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use jute::StatPersisted;

/// Slot of a node. It is reused after the node is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeIdx(u32);

impl NodeIdx {
    /// The root's slot.
    pub(crate) const ROOT: NodeIdx = NodeIdx(0);
    const NONE: NodeIdx = NodeIdx(u32::MAX);

    /// The slot's number.
    pub(crate) fn slot(self) -> usize {
        self.0 as usize
    }

    fn some(self) -> Option<NodeIdx> {
        (self != Self::NONE).then_some(self)
    }
}

/// A znode.
#[derive(Debug)]
pub(crate) struct Node {
    /// The name, then the data, in one allocation.
    blob: Box<[u8]>,
    name_len: u32,
    has_data: bool,
    /// CRC-32 of the full path and the data: the start of the node's digest.
    pub(crate) digest_prefix: u32,
    pub(crate) stat: StatPersisted,
    /// Number of its list in the ACL cache.
    pub(crate) acl: i32,
    parent: NodeIdx,
    first_child: NodeIdx,
    next_sibling: NodeIdx,
    previous_sibling: NodeIdx,
    child_count: u32,
}

impl Node {
    fn new(name: &str, data: Option<&[u8]>, acl: i32, stat: StatPersisted) -> Self {
        let (blob, name_len) = pack(name.as_bytes(), data);
        Self {
            blob,
            name_len,
            has_data: data.is_some(),
            digest_prefix: 0,
            stat,
            acl,
            parent: NodeIdx::NONE,
            first_child: NodeIdx::NONE,
            next_sibling: NodeIdx::NONE,
            previous_sibling: NodeIdx::NONE,
            child_count: 0,
        }
    }

    /// Last part of the path.
    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(self.name_bytes()).expect("a node's name was made from a str")
    }

    pub(crate) fn name_bytes(&self) -> &[u8] {
        &self.blob[..self.name_len as usize]
    }

    /// The data; null is not the same as empty.
    pub(crate) fn data(&self) -> Option<&[u8]> {
        self.has_data.then(|| &self.blob[self.name_len as usize..])
    }

    /// Bytes of data; null counts as 0.
    pub(crate) fn data_len(&self) -> usize {
        self.blob.len() - self.name_len as usize
    }

    pub(crate) fn set_data(&mut self, data: Option<&[u8]>) {
        let new = data.unwrap_or_default();
        if new.len() == self.data_len() {
            self.blob[self.name_len as usize..].copy_from_slice(new);
        } else {
            self.blob = pack(self.name_bytes(), data).0;
        }
        self.has_data = data.is_some();
    }

    /// Children it has now.
    pub(crate) fn child_count(&self) -> usize {
        self.child_count as usize
    }
}

fn pack(name: &[u8], data: Option<&[u8]>) -> (Box<[u8]>, u32) {
    let data = data.unwrap_or_default();
    let mut blob = Vec::with_capacity(name.len() + data.len());
    blob.extend_from_slice(name);
    blob.extend_from_slice(data);
    let name_len = u32::try_from(name.len()).expect("a path is bounded by jute.maxbuffer");
    (blob.into_boxed_slice(), name_len)
}

/// Slots are allocated in chunks, so that a growing tree never copies itself. A chunk of 2 MB is a
/// run of pages of its own to the allocator; of smaller ones it puts seven where eight nearly fit,
/// and the eighth's memory stays idle: 10 MB of a million nodes.
const CHUNK_SLOTS_LOG2: u32 = 14;
const CHUNK_SLOTS: usize = 1 << CHUNK_SLOTS_LOG2;

struct IndexEntry {
    hash: u32,
    node: NodeIdx,
}

impl IndexEntry {
    /// Spreads the 32 bits kept over the 64 that the table looks at: it takes the bucket from the
    /// low ones and a tag from the top.
    fn table_hash(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// All nodes.
pub(crate) struct NodeStore {
    chunks: Vec<Vec<Option<Node>>>,
    vacant: Vec<NodeIdx>,
    index: HashTable<IndexEntry>,
    hasher: RandomState,
}

impl NodeStore {
    /// A store with nothing but a root.
    pub(crate) fn new(root_data: Option<&[u8]>, acl: i32, stat: StatPersisted) -> Self {
        let mut store = Self {
            chunks: Vec::new(),
            vacant: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
        };
        let root = store.occupy(Node::new("", root_data, acl, stat));
        assert_eq!(root, NodeIdx::ROOT);
        store.insert_in_index("", root);
        store
    }

    /// Nodes, the root included.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Slots there are, occupied or not.
    pub(crate) fn slots(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK_SLOTS + last.len())
    }

    /// What is in slot number `slot`.
    pub(crate) fn slot(&self, slot: usize) -> Option<(NodeIdx, &Node)> {
        let node = self.chunks[slot >> CHUNK_SLOTS_LOG2][slot & (CHUNK_SLOTS - 1)].as_ref()?;
        Some((NodeIdx(slot as u32), node))
    }

    /// The node at this path, where "" and "/" both are the root.
    pub(crate) fn lookup(&self, path: &str) -> Option<NodeIdx> {
        let path = if path == "/" { "" } else { path };
        let hash = self.hash(path);
        let is_it = |entry: &IndexEntry| entry.hash == hash && self.has_path(entry.node, path);
        self.index.find(IndexEntry::table_hash(hash), is_it).map(|entry| entry.node)
    }

    pub(crate) fn get(&self, node: NodeIdx) -> &Node {
        let slot = node.slot();
        self.chunks[slot >> CHUNK_SLOTS_LOG2][slot & (CHUNK_SLOTS - 1)]
            .as_ref()
            .expect("the slot is occupied")
    }

    pub(crate) fn get_mut(&mut self, node: NodeIdx) -> &mut Node {
        let slot = node.slot();
        self.chunks[slot >> CHUNK_SLOTS_LOG2][slot & (CHUNK_SLOTS - 1)]
            .as_mut()
            .expect("the slot is occupied")
    }

    /// Adds a node below `parent`; `path` is its full path and not taken yet.
    pub(crate) fn insert(
        &mut self,
        parent: NodeIdx,
        path: &str,
        data: Option<&[u8]>,
        acl: i32,
        stat: StatPersisted,
    ) -> NodeIdx {
        let name = path.rsplit('/').next().unwrap_or_default();
        let node = self.occupy(Node::new(name, data, acl, stat));
        let old_first = {
            let parent_node = self.get_mut(parent);
            parent_node.child_count += 1;
            std::mem::replace(&mut parent_node.first_child, node)
        };
        if let Some(old_first) = old_first.some() {
            self.get_mut(old_first).previous_sibling = node;
        }
        let new = self.get_mut(node);
        new.parent = parent;
        new.next_sibling = old_first;
        self.insert_in_index(path, node);
        node
    }

    /// Removes a node without children; `path` is its full path.
    pub(crate) fn remove(&mut self, node: NodeIdx, path: &str) {
        assert_ne!(node, NodeIdx::ROOT, "the root is never removed");
        let hash = self.hash(path);
        let entry = self
            .index
            .find_entry(IndexEntry::table_hash(hash), |entry| entry.node == node)
            .unwrap_or_else(|_| panic!("the node at {path} is in the index"));
        entry.remove();
        let slot = node.slot();
        let removed = self.chunks[slot >> CHUNK_SLOTS_LOG2][slot & (CHUNK_SLOTS - 1)]
            .take()
            .expect("the slot is occupied");
        assert!(removed.first_child.some().is_none(), "{path} has no children");
        match removed.previous_sibling.some() {
            Some(previous) => self.get_mut(previous).next_sibling = removed.next_sibling,
            None => self.get_mut(removed.parent).first_child = removed.next_sibling,
        }
        if let Some(next) = removed.next_sibling.some() {
            self.get_mut(next).previous_sibling = removed.previous_sibling;
        }
        self.get_mut(removed.parent).child_count -= 1;
        self.vacant.push(node);
    }

    pub(crate) fn parent(&self, node: NodeIdx) -> Option<NodeIdx> {
        self.get(node).parent.some()
    }

    /// Children, the newest first.
    pub(crate) fn children(&self, node: NodeIdx) -> impl Iterator<Item = NodeIdx> + '_ {
        let mut next = self.get(node).first_child;
        std::iter::from_fn(move || {
            let child = next.some()?;
            next = self.get(child).next_sibling;
            Some(child)
        })
    }

    /// The full path, the root's being empty as in snapshots.
    pub(crate) fn path(&self, node: NodeIdx) -> String {
        let mut chain = Vec::new();
        let mut at = node;
        while let Some(parent) = self.parent(at) {
            chain.push(at);
            at = parent;
        }
        let mut path = String::new();
        for part in chain.into_iter().rev() {
            path.push('/');
            path.push_str(self.get(part).name());
        }
        path
    }

    fn has_path(&self, node: NodeIdx, path: &str) -> bool {
        let mut rest = path.as_bytes();
        let mut at = self.get(node);
        while let Some(parent) = at.parent.some() {
            let name = at.name_bytes();
            let Some(head) = rest.strip_suffix(name).and_then(|head| head.strip_suffix(b"/"))
            else {
                return false;
            };
            rest = head;
            at = self.get(parent);
        }
        rest.is_empty()
    }

    fn hash(&self, path: &str) -> u32 {
        (self.hasher.hash_one(path.as_bytes()) >> 32) as u32
    }

    fn insert_in_index(&mut self, path: &str, node: NodeIdx) {
        let hash = self.hash(path);
        self.index.insert_unique(
            IndexEntry::table_hash(hash),
            IndexEntry { hash, node },
            |entry| IndexEntry::table_hash(entry.hash),
        );
    }

    fn occupy(&mut self, node: Node) -> NodeIdx {
        if let Some(slot) = self.vacant.pop() {
            self.chunks[slot.slot() >> CHUNK_SLOTS_LOG2][slot.slot() & (CHUNK_SLOTS - 1)] =
                Some(node);
            return slot;
        }
        let slot = self.slots();
        if slot.is_multiple_of(CHUNK_SLOTS) {
            self.chunks.push(Vec::with_capacity(CHUNK_SLOTS));
        }
        let last = self.chunks.last_mut().expect("a chunk with room");
        last.push(Some(node));
        let slot = u32::try_from(slot).ok().filter(|slot| *slot != u32::MAX);
        NodeIdx(slot.expect("fewer than 2^32 nodes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> NodeStore {
        NodeStore::new(Some(b""), -1, StatPersisted::default())
    }

    fn insert(store: &mut NodeStore, path: &str) -> NodeIdx {
        let parent = store.lookup(&path[..path.rfind('/').unwrap()]).unwrap();
        store.insert(parent, path, Some(path.as_bytes()), -1, StatPersisted::default())
    }

    #[test]
    fn a_node_is_small() {
        assert!(size_of::<Option<Node>>() <= 120, "{}", size_of::<Option<Node>>());
    }

    #[test]
    fn paths_are_found_exactly() {
        let mut store = store();
        insert(&mut store, "/a");
        let b = insert(&mut store, "/a/b");
        assert_eq!(store.lookup("/a/b"), Some(b));
        assert_eq!(store.path(b), "/a/b");
        assert_eq!(store.lookup("/"), Some(NodeIdx::ROOT));
        assert_eq!(store.lookup(""), Some(NodeIdx::ROOT));
        for missing in ["/b", "/a/", "a", "/a//b", "//", "/a/b/", "a/b"] {
            assert_eq!(store.lookup(missing), None, "{missing}");
        }
    }

    #[test]
    fn removal_keeps_the_siblings_linked_and_reuses_the_slot() {
        let mut store = store();
        let nodes: Vec<_> = ["/a", "/b", "/c"].map(|path| insert(&mut store, path)).into();
        store.remove(nodes[1], "/b");
        let left: Vec<_> =
            store.children(NodeIdx::ROOT).map(|child| store.get(child).name().to_owned()).collect();
        assert_eq!(left, ["c", "a"]);
        assert_eq!(store.get(NodeIdx::ROOT).child_count(), 2);
        assert_eq!(store.lookup("/b"), None);
        assert_eq!(insert(&mut store, "/d"), nodes[1]);
        store.remove(nodes[2], "/c");
        store.remove(nodes[0], "/a");
        assert_eq!(store.children(NodeIdx::ROOT).count(), 1);
    }

    #[test]
    fn data_may_be_null_empty_or_change_its_length() {
        let mut store = store();
        let a = insert(&mut store, "/a");
        for data in [None, Some(&b""[..]), Some(b"longer than before"), Some(b"x"), None] {
            store.get_mut(a).set_data(data);
            assert_eq!(store.get(a).data(), data);
            assert_eq!(store.get(a).name(), "a");
        }
    }
}
