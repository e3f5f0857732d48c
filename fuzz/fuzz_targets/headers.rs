//! The headers of a request, one a line.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| koherent_fuzz::inputs::headers(input));
