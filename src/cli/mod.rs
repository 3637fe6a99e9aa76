//! The subcommands of the `gamekeeper` binary.
