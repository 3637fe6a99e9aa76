//! Client connections: accepting them, reading requests off them and sending what they are owed.

mod connection_throttle;
mod large_requests;
pub mod opening;
mod server_cnxn;
mod server_cnxn_factory;
mod server_context;
mod socket;

pub use connection_throttle::ConnectionThrottle;
pub use large_requests::LargeRequests;
pub use server_cnxn_factory::ServerCnxnFactory;
pub use server_context::ServerContext;
