//! The client protocol, raw: frames of bytes over one socket, and an encoder that can write what no
//! client library would. Nothing here shares code with the server, so that a mistake of the server
//! is not made here again.

mod body;
mod connection;

pub use body::Body;
pub use connection::{Connection, Received};
