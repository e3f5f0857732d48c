//! Telling whether rows changed, without keeping them.

use std::hash::{BuildHasher, Hash, RandomState};

/// Tells whether two rows hold the same values without keeping them: 128 bits under keys that nobody knows, so that no
/// two rows can be made to look alike.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints(RandomState, RandomState);

/// What stands for the values of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64, u64);

impl Fingerprints {
    pub(crate) fn of(&self, values: &[impl Hash]) -> Fingerprint {
        Fingerprint(self.0.hash_one(values), self.1.hash_one(values))
    }
}
