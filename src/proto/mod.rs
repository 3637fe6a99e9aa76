//! Words of the wire: opcodes, error codes, permissions, events and the ids of things.

mod create_mode;
mod error_code;
pub mod frame;
mod host_port;
mod ids;
mod initial_message;
pub mod java;
pub mod notification;
mod opcode;
pub mod path;
mod perms;
pub mod properties;
pub mod quorum_packet;
mod quorum_packet_decode;
mod txn_entry;
mod watch_kinds;

pub use create_mode::CreateMode;
pub use error_code::ErrorCode;
pub use host_port::{HostPort, java_host};
pub use ids::{Millis, PASSWORD_BYTES, SessionId, Sid, XID_PING, Xid, Zxid};
pub use initial_message::{InitialMessage, InitialMessageError};
pub use notification::{Notification, NotificationError, ServerState};
pub use opcode::OpCode;
pub use perms::Perms;
pub use quorum_packet::{AuthInfo, Packet, PacketType};
pub use quorum_packet_decode::{
    AUTHINFO_BYTES_MAX, AUTHINFO_COUNT_MAX, BadPacket, decode_learner_info,
};
pub use txn_entry::{TxnBody, TxnEntry, TxnEntryError};
pub use watch_kinds::{AddWatchMode, EventType, KEEPER_STATE_SYNC_CONNECTED, WatcherType};
