//! `cargo fuzz run client_frames`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::client_frames(bytes));
