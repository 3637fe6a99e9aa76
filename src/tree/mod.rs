//! The data tree and what is derived from it.
