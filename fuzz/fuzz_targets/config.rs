//! A configuration, as TOML, JSON and environment.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| koherent_fuzz::inputs::config(input));
