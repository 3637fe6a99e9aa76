//! `cargo fuzz run znode_path`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::znode_path(bytes));
