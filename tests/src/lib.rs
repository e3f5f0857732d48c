//! Test support shared by Koherent's whole-stack tests.

pub mod inputs;
pub mod key_server;
pub mod lab;
pub mod seeds;
pub mod vectors;

/// The README, so that its examples compile.
#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;
