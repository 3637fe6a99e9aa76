//! `cargo fuzz run jute_records`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::jute_records(bytes));
