//! What a script's maker believes the tree to be. It only serves to make requests that meet
//! something: what they should answer, the reference says.
//!
//! Where it cannot know, it believes in fewer nodes rather than in more: a node it does not know of
//! is only met less often, one that is not there makes every request that names it fail alike.

use std::collections::{BTreeMap, VecDeque};

use crate::rng::Rng;

/// Paths that were watched last, of which later requests ask.
const WATCHED_MAX: usize = 12;

/// A node.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Version of its data.
    pub(super) version: i32,
    /// Version of its ACL.
    pub(super) aversion: i32,
    /// How many children were ever created, which is the next sequence number, as long as that is
    /// known.
    created: Option<i32>,
    /// How many there are.
    children: usize,
    /// The session that it dies with.
    owner: Option<usize>,
    /// Whether its ACL may keep somebody from changing its children.
    guarded: bool,
}

/// What is needed to foresee a create.
#[derive(Debug, Clone, Copy)]
pub(super) struct Creation {
    /// Whether its name gets a number.
    pub(super) sequential: bool,
    /// The session that an ephemeral dies with.
    pub(super) owner: Option<usize>,
    /// Whether its ACL is open to all.
    pub(super) open: bool,
    /// Whether its arguments are in order.
    pub(super) sound: bool,
    /// Whether that depends on who asks.
    pub(super) unsure: bool,
}

/// The tree, and how many transactions there were.
#[derive(Debug, Clone)]
pub(super) struct Model {
    nodes: BTreeMap<String, Node>,
    watched: VecDeque<String>,
    /// Newest zxid, about.
    pub(super) zxid: i64,
    /// Whether the server has TTL nodes.
    pub(super) ttl_nodes: bool,
    /// Whether a quota may refuse changes.
    pub(super) limited: bool,
}

/// The parent's path; the root's is the root.
fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

impl Model {
    pub(super) fn new(ttl_nodes: bool) -> Self {
        let root = Node { created: Some(1), ..Node::default() };
        Self {
            nodes: BTreeMap::from([("/".into(), root)]),
            watched: VecDeque::new(),
            zxid: 0,
            ttl_nodes,
            limited: false,
        }
    }

    /// A node's path, most likely not the root's.
    pub(super) fn any_node(&self, rng: &mut Rng) -> String {
        let at = if self.nodes.len() > 1 && !rng.per_mille(30) {
            1 + rng.below(self.nodes.len() - 1)
        } else {
            0
        };
        self.nodes.keys().nth(at).expect("an index below the length").clone()
    }

    /// A node without children, if one is soon found.
    pub(super) fn any_leaf(&self, rng: &mut Rng) -> String {
        let tries: Vec<String> = (0..8).map(|_| self.any_node(rng)).collect();
        let leaf = tries.iter().find(|path| self.nodes[*path].children == 0);
        leaf.unwrap_or(&tries[0]).clone()
    }

    /// A path that some connection has a watch on, maybe.
    pub(super) fn any_watched(&self, rng: &mut Rng) -> Option<String> {
        (!self.watched.is_empty()).then(|| self.watched[rng.below(self.watched.len())].clone())
    }

    /// Remembers a path for [`Self::any_watched`].
    pub(super) fn watch(&mut self, path: &str) {
        self.watched.push_back(path.into());
        if self.watched.len() > WATCHED_MAX {
            self.watched.pop_front();
        }
    }

    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// How many nodes it knows.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A create; tells whether it should succeed.
    pub(super) fn create(&mut self, path: &str, creation: Creation) -> bool {
        let limited = self.limited;
        let Some(above) = self.nodes.get_mut(parent(path)) else { return false };
        let usable = path.starts_with('/')
            && path.split('/').skip(1).all(|name| !["", ".", ".."].contains(&name))
            && !path.contains(|c: char| c.is_control() || c >= '\u{e000}')
            && !path.starts_with("/zookeeper");
        if !creation.sound || !usable || above.owner.is_some() {
            return false;
        }
        if above.guarded || limited || creation.unsure {
            above.created = None;
            return false;
        }
        let real = match (creation.sequential, above.created) {
            (true, Some(number)) => format!("{path}{number:010}"),
            (true, None) => return false,
            (false, _) => path.into(),
        };
        if self.nodes.contains_key(&real) {
            return false;
        }
        let above = self.nodes.get_mut(parent(path)).expect("looked up above");
        above.created = above.created.map(|number| number + 1);
        above.children += 1;
        let (owner, guarded) = (creation.owner, !creation.open);
        let node = Node { created: Some(0), owner, guarded, ..Node::default() };
        self.nodes.insert(real, node);
        true
    }

    /// A delete; tells whether it should succeed.
    pub(super) fn delete(&mut self, path: &str, version: i32) -> bool {
        let Some(node) = self.nodes.get(path) else { return false };
        if path == "/" || node.children > 0 || (version != -1 && version != node.version) {
            return false;
        }
        self.nodes.remove(path);
        let above = self.nodes.get_mut(parent(path)).expect("a node's parent is there");
        above.children -= 1;
        !above.guarded
    }

    /// A setData; tells whether it should succeed.
    pub(super) fn set_data(&mut self, path: &str, version: i32) -> bool {
        let Some(node) = self.nodes.get_mut(path) else { return false };
        let works = (version == -1 || version == node.version) && !node.guarded;
        node.version += i32::from(works);
        works
    }

    /// A setACL.
    pub(super) fn set_acl(&mut self, path: &str, version: i32, open: bool) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.guarded |= !open;
            node.aversion += i32::from(version == -1 || version == node.aversion);
        }
    }

    /// A check; tells whether it should succeed.
    pub(super) fn check(&self, path: &str, version: i32) -> bool {
        self.node(path).is_some_and(|node| version == -1 || version == node.version)
    }

    pub(super) fn close_session(&mut self, session: usize) {
        let owned = |node: &Node| node.owner == Some(session);
        let gone = self.nodes.iter().filter(|(_, node)| owned(node));
        let gone: Vec<String> = gone.map(|(path, _)| path.clone()).collect();
        gone.iter().for_each(|path| {
            self.delete(path, -1);
        });
    }
}
