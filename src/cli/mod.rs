//! The subcommands of the `gamekeeper` binary.

pub mod bench;
pub mod container;
pub mod four_letter_word;
pub mod purge;
pub mod server;
pub mod shell;
pub mod version;
