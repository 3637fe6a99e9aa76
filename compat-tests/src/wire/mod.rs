//! The protocols, raw: the client's, frames of bytes over one socket; the servers', [`quorum`]; an
//! encoder that can write what no library would. Nothing here shares code with the server, so that
//! a mistake of the server is not made here again.

mod body;
mod connection;
pub mod quorum;

pub use body::Body;
pub use connection::{Connection, Received};
