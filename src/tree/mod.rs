//! The data tree and what is derived from it.

pub use crate::proto::path;
