//! `cargo fuzz run election_notification`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::election_notification(bytes));
