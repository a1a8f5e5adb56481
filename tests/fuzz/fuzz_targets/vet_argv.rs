//! Fuzzes the vetting of argument vectors, as the executor does it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mantlet_fuzz::targets::vet_argv(bytes));
