//! Test support shared by Koherent's whole-stack tests.

pub mod lab;
pub mod vectors;
