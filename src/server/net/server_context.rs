//! What all client connections share.

use std::sync::Arc;

use super::{ConnectionThrottle, LargeRequests};
use crate::processor::ServerState;
use crate::server::admin::{AdminState, four_letter};
use crate::server::config::ServerConfig;
use crate::server::mailbox::Mailbox;
use crate::session::{ClientCnxn, CnxnId};

/// Everything a connection may need.
pub struct ServerContext {
    /// Tree, watches, connections.
    pub state: Arc<ServerState>,
    /// The way to the engine.
    pub mailbox: Arc<Mailbox>,
    /// The configuration.
    pub config: Arc<ServerConfig>,
    /// What administrators ask for.
    pub admin: AdminState,
    /// How fast sessions may be asked for.
    pub connection_throttle: ConnectionThrottle,
    /// The bytes that large requests may hold.
    pub large_requests: Arc<LargeRequests>,
}

impl ServerContext {
    /// Longest frame of a client, in bytes.
    pub fn frame_bytes_max(&self) -> usize {
        self.config.limits.jute_max_buffer_bytes.max(0) as usize
    }

    /// Whether no more requests may be read from a connection for now: too many or too large ones
    /// are with the engine, and some of them are its own (`ZooKeeperServer.shouldThrottle`).
    pub fn is_throttled(&self, cnxn: &ClientCnxn) -> bool {
        let limit = i64::from(self.config.limits.global_outstanding_limit);
        (self.state.in_process() > limit || self.large_requests.is_full()) && cnxn.unfinished() > 0
    }

    /// Bytes that must follow a four-letter word.
    pub fn word_argument_bytes(&self, word: [u8; 4]) -> usize {
        four_letter::argument_bytes(self, word)
    }

    /// The answer to a four-letter word, asked on the connection `asker`; none to close it without
    /// one. May take long.
    pub fn answer_word(&self, asker: CnxnId, word: [u8; 4], argument: &[u8]) -> Option<String> {
        four_letter::answer(self, asker, word, argument)
    }
}
