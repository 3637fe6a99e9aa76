//! `cargo fuzz run election_initial`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gamekeeper_fuzz::election_initial(bytes));
