//! `cargo fuzz run txn_entry`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::txn_entry(bytes));
