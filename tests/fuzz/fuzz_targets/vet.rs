//! Fuzzes the vetting of calls, as the broker does it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mantlet_fuzz::targets::vet(bytes));
