//! A JWKS document.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| koherent_fuzz::inputs::key_set(input));
