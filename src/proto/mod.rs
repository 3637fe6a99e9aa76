//! Words of the wire: opcodes, error codes, permissions, events and the ids of things.

mod create_mode;
mod error_code;
pub mod frame;
mod ids;
pub mod java;
mod opcode;
pub mod path;
mod perms;
mod txn_entry;
mod watch_kinds;

pub use create_mode::CreateMode;
pub use error_code::ErrorCode;
pub use ids::{Millis, PASSWORD_BYTES, SessionId, XID_PING, Xid, Zxid};
pub use opcode::OpCode;
pub use perms::Perms;
pub use txn_entry::{TxnBody, TxnEntry, TxnEntryError};
pub use watch_kinds::{AddWatchMode, EventType, KEEPER_STATE_SYNC_CONNECTED, WatcherType};
