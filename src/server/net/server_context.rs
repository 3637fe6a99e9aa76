//! What all client connections share.

use std::sync::Arc;

use crate::processor::ServerState;
use crate::server::admin;
use crate::server::config::ServerConfig;
use crate::server::mailbox::Mailbox;
use crate::session::ClientCnxn;

/// Everything a connection may need.
pub struct ServerContext {
    /// Tree, watches, connections.
    pub state: Arc<ServerState>,
    /// The way to the engine.
    pub mailbox: Arc<Mailbox>,
    /// The configuration.
    pub config: Arc<ServerConfig>,
}

impl ServerContext {
    /// Longest frame of a client, in bytes.
    pub fn frame_bytes_max(&self) -> usize {
        self.config.limits.jute_max_buffer_bytes.max(0) as usize
    }

    /// Whether no more requests may be read from a connection for now: too many are with the engine, and some of
    /// them are its own (`ZooKeeperServer.shouldThrottle`).
    pub fn is_throttled(&self, cnxn: &ClientCnxn) -> bool {
        let limit = i64::from(self.config.limits.global_outstanding_limit);
        self.state.in_process() > limit && cnxn.unfinished() > 0
    }

    /// The answer to a four-letter word.
    pub fn answer_word(&self, word: [u8; 4], argument: Option<&[u8]>) -> String {
        admin::four_letter::answer(self, word, argument)
    }
}
