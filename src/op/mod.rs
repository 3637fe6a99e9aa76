//! One file for each client operation. A write has `prep`, which checks the request against the
//! tree and what is pending and writes the transaction, and `reply`, which answers once it is
//! applied; a read has `read`.
//!
//! The order of the checks in each `prep` decides which error a client sees: it is that of
//! `PrepRequestProcessor.pRequest2Txn`.

pub mod add_watch;
pub mod check;
pub mod close_session;
pub mod create;
pub mod create_session;
pub mod delete;
pub mod delete_container;
pub mod exists;
pub mod get_acl;
pub mod get_all_children_number;
pub mod get_children;
pub mod get_data;
pub mod get_ephemerals;
pub mod multi;
pub mod multi_read;
mod prep;
mod read;
pub mod reconfig;
pub mod remove_watches;
pub mod session_upgrade;
pub mod set_acl;
pub mod set_data;
pub mod set_watches;
pub mod sync;
pub mod who_am_i;

pub use prep::{Prep, PrepLimits};
pub use read::Read;
