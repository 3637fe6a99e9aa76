//! `cargo fuzz run quorum_config`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::quorum_config(bytes));
