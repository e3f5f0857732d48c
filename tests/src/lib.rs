//! Test support shared by Koherent's whole-stack tests.

pub mod vectors;
