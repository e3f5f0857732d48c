//! Tokens that have been verified before: the second request of a task costs a hash, not a signature.

use std::fmt;

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

/// How many tokens a verifier remembers by default. One takes about 2 KiB.
pub(crate) const CACHED_TOKENS: usize = 8192;

/// The SHA-256 of a token as it was received: the token itself is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of that token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

/// What verified tokens said: for verifiers, which must check again whatever changes with time.
///
/// Bounded; what was used least goes first. Only tokens that passed every check belong in it, so that nobody but a trusted
/// issuer can fill it.
///
/// ```
/// use koherent_core::token::{Remembered, TokenCache, TokenDigest};
///
/// let cache = TokenCache::new(1000);
/// let digest = TokenDigest::of("eyJ0eXAi…");
/// assert!(cache.get(&digest).is_none());
/// cache.insert(digest, Remembered { value: "ann", issuer: 0, generation: 1 });
/// assert_eq!(cache.get(&digest).unwrap().value, "ann");
/// ```
pub struct TokenCache<V>(Cache<TokenDigest, Remembered<V>>);

/// A token that passed every check at the time.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "verifiers make it")]
pub struct Remembered<V> {
    /// What it said.
    pub value: V,
    /// Whose it is: the issuer's place in the verifier's list.
    pub issuer: usize,
    /// The generation of the issuer's keys with which it verified. Another generation may lack its key: the token must be
    /// verified anew.
    pub generation: u64,
}

impl<V: Clone> TokenCache<V> {
    /// A cache for at most so many tokens. Zero remembers nothing.
    #[must_use]
    pub fn new(tokens: usize) -> Self {
        Self(Cache::new(tokens))
    }

    /// What that token said.
    #[must_use]
    pub fn get(&self, digest: &TokenDigest) -> Option<Remembered<V>> {
        self.0.get(digest)
    }

    /// Remembers a token that passed every check.
    pub fn insert(&self, digest: TokenDigest, token: Remembered<V>) {
        self.0.insert(digest, token);
    }

    /// Forgets a token that does not hold any more.
    pub fn remove(&self, digest: &TokenDigest) {
        let _: Option<_> = self.0.remove(digest);
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no token is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> fmt::Debug for TokenCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCache(..)")
    }
}
