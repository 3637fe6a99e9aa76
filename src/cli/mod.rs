//! The subcommands of the `gamekeeper` binary.

pub mod bench;
