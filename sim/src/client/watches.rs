//! The watches of a client, as its library keeps them, and the events it got.

use std::collections::BTreeMap;

use gamekeeper::proto::{EventType, Zxid};
use jute::Ustring;

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The transaction, or -1 if it was found out later.
    pub zxid: Zxid,
    /// What happened.
    pub kind: EventType,
    /// To which node.
    pub path: String,
}

/// The watches. Each path has the zxid up to which it is known that nothing was to be told, or that
/// all was.
#[derive(Debug, Clone, Default)]
pub struct ArmedWatches {
    /// One-shot, of a node that was there.
    pub data: BTreeMap<String, Zxid>,
    /// One-shot, of a node that was not.
    pub exist: BTreeMap<String, Zxid>,
    /// One-shot, of a node's children.
    pub child: BTreeMap<String, Zxid>,
    /// Of a node and its children, for good.
    pub persistent: BTreeMap<String, Zxid>,
    /// Of a node and all below it, for good.
    pub recursive: BTreeMap<String, Zxid>,
    /// Events that came and are not yet held against what was to be told.
    pub events: Vec<Event>,
}

impl ArmedWatches {
    /// The paths of each kind.
    pub fn paths(&self) -> [Vec<Ustring<'_>>; 5] {
        let kinds = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        kinds.map(|watches| watches.keys().map(|path| path.as_str().into()).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.paths().iter().all(Vec::is_empty)
    }

    /// Takes an event in: the one-shot watches that it belongs to are gone. False if it belongs to
    /// none at all.
    pub fn take(&mut self, event: Event) -> bool {
        use EventType::*;
        let path = &event.path;
        let of_node = matches!(event.kind, NodeCreated | NodeDeleted | NodeDataChanged);
        let of_children = matches!(event.kind, NodeChildrenChanged | NodeDeleted);
        let mut is_known = self.persistent.contains_key(path);
        if of_node {
            is_known |= self.data.remove(path).is_some();
            is_known |= self.exist.remove(path).is_some();
            is_known |= self.recursive.keys().any(|root| is_below(path, root));
        }
        if of_children {
            is_known |= self.child.remove(path).is_some();
        }
        if event.zxid > Zxid::ZERO {
            self.events.push(event);
        }
        is_known
    }
}

/// Whether a path is this one or below it.
pub fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
