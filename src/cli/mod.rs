//! The subcommands of the `gamekeeper` binary.

pub mod four_letter_word;
