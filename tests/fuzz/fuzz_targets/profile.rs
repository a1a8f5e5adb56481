//! Fuzzes the loading of profiles.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mantlet_fuzz::targets::profile(bytes));
