//! The id of a client connection.

use std::fmt;

/// A client connection of this server process; never used twice. A session outlives its
/// connections, and watches belong to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CnxnId(pub u64);

impl fmt::Display for CnxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
