//! How a connection watches a path (`WatcherMode`, `WatchStats`).

use crate::proto::{AddWatchMode, WatcherType};

/// A set of modes. Apache keeps a table of data watches and one of child watches, with a set of
/// modes in each. A persistent watch always sits in both and a recursive one only in the data
/// table, so that one set says it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) const NONE: Modes = Modes(0);
    /// One-shot, of getData and exists.
    pub(super) const DATA: Modes = Modes(1);
    /// One-shot, of getChildren.
    pub(super) const CHILD: Modes = Modes(2);
    /// Stays, for data and children.
    pub(super) const PERSISTENT: Modes = Modes(4);
    /// Stays, for data of the node and of all below it.
    pub(super) const RECURSIVE: Modes = Modes(8);
    pub(super) const ONE_SHOT: Modes = Self::DATA.or(Self::CHILD);
    pub(super) const ALL: Modes = Modes(15);
    /// What is in Apache's table of data watches.
    pub(super) const DATA_TABLE: Modes = Self::DATA.or(Self::PERSISTENT).or(Self::RECURSIVE);
    /// What is in Apache's table of child watches.
    pub(super) const CHILD_TABLE: Modes = Self::CHILD.or(Self::PERSISTENT);

    pub(super) const fn or(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }

    pub(super) const fn and(self, other: Modes) -> Modes {
        Modes(self.0 & other.0)
    }

    pub(super) const fn without(self, other: Modes) -> Modes {
        Modes(self.0 & !other.0)
    }

    pub(super) const fn intersects(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }
}

impl From<AddWatchMode> for Modes {
    fn from(mode: AddWatchMode) -> Self {
        match mode {
            AddWatchMode::Persistent => Self::PERSISTENT,
            AddWatchMode::PersistentRecursive => Self::RECURSIVE,
        }
    }
}

/// What checkWatches and removeWatches mean by a type.
impl From<WatcherType> for Modes {
    fn from(kind: WatcherType) -> Self {
        match kind {
            WatcherType::Children => Self::CHILD,
            WatcherType::Data => Self::DATA,
            WatcherType::Persistent => Self::PERSISTENT,
            WatcherType::PersistentRecursive => Self::RECURSIVE,
            WatcherType::Any => Self::ALL,
        }
    }
}
