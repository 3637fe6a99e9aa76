//! `cargo fuzz run snapshot`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::snapshot(bytes));
