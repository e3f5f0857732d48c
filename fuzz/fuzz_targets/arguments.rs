//! The arguments of a task, as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| koherent_fuzz::inputs::arguments(input));
