//! `cargo fuzz run acl`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::acl(bytes));
