//! `cargo fuzz run log_scan`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::log_scan(bytes));
