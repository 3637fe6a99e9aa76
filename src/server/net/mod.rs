//! Client connections: accepting them, reading requests off them and sending what they are owed.

pub mod frames;
mod server_cnxn;
mod server_cnxn_factory;
mod server_context;
mod socket;

pub use server_cnxn_factory::ServerCnxnFactory;
pub use server_context::ServerContext;
