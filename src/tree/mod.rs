//! The data tree and what is derived from it.

mod acl_cache;
mod apply;
mod data_tree;
mod digest;
mod ephemeral_type;
mod node_store;
mod outstanding_changes;
pub mod quota;
mod quota_book;
mod snapshot_cursor;
mod snapshot_load;
mod stat;

pub use acl_cache::AclList;
pub use apply::{Applied, TreeEvent, TreeObserver};
pub use data_tree::{DataTree, NodeView, TreeOptions, ZxidDigest};
pub use digest::DIGEST_VERSION;
pub use ephemeral_type::{CONTAINER_OWNER, EphemeralRules, EphemeralType, TTL_MS_MAX, ttl_owner};
pub use outstanding_changes::{ChangeRecord, OutstandingChanges};
pub use snapshot_cursor::{SnapshotCursor, TreeReplaced};
pub use snapshot_load::{LoadError, TreeLoader};
pub(crate) use stat::new_stat;
