//! Connections of clients, and between leader and learners: accepting them, reading off them, and
//! sending what they are owed.

mod client_port;
mod connection_throttle;
mod large_requests;
mod learner_cnxn_acceptor;
mod learner_cnxn_factory;
mod learner_connector;
mod learner_reader;
mod learner_socket;
mod learner_sync_sender;
mod listener;
pub mod opening;
mod quorum_cnx_manager;
mod server_cnxn;
mod server_cnxn_factory;
mod server_context;
mod socket;

pub use client_port::ClientPort;
pub use connection_throttle::ConnectionThrottle;
pub use large_requests::LargeRequests;
pub use learner_cnxn_factory::{LearnerCnxnFactory, LearnerCnxnOptions, LearnerEvent, ReadReceipt};
pub use learner_sync_sender::{HistoryDirs, LearnerHistory, plan as history_plan};
pub use quorum_cnx_manager::{
    ElectionAddresses, ElectionEvent, QuorumCnxHandle, QuorumCnxManager, QuorumCnxOptions,
    election_addresses,
};
pub use server_context::ServerContext;
