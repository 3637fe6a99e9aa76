//! `cargo fuzz run engine`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::engine(bytes));
