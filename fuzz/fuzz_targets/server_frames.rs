//! `cargo fuzz run server_frames`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::server_frames(bytes));
