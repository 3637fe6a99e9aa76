//! `cargo fuzz run zoo_cfg`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::zoo_cfg(bytes));
