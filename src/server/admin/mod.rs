//! What administrators ask the server, and its answers.

pub mod four_letter;
