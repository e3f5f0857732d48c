//! The targets of the fuzzers. They are those of the tests: `cargo test` sends a million inputs through each.

#[path = "../../tests/src/inputs.rs"]
pub mod inputs;
