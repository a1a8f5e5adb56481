//! Fuzzes the decoding of frames, as both sides do it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mantlet_fuzz::targets::frame(bytes));
