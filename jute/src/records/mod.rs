//! Every record of `zookeeper.jute`, in one module for each of its modules.

mod data;
mod persistence;
mod proto;
mod quorum;
mod txn;

pub use data::*;
pub use persistence::*;
pub use proto::*;
pub use quorum::*;
pub use txn::*;

/// The declaration of every record, for the test that holds them against the documented formats.
pub fn declarations() -> Vec<String> {
    [
        data::declarations(),
        proto::declarations(),
        quorum::declarations(),
        persistence::declarations(),
        txn::declarations(),
    ]
    .concat()
}
