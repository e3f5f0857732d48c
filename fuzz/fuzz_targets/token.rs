//! A token, as provenance token and as access token.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| koherent_fuzz::inputs::token(input));
