//! `cargo fuzz run quota_text`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::quota_text(bytes));
