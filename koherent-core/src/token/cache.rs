//! Tokens that have been verified before: the second request of a task costs a hash, not a signature.

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::unverified::MAX_TOKEN_BYTES;
use crate::clock::Clock;
use crate::error::Error;
use crate::source::{Live, Need};

/// How many tokens a verifier remembers by default. One takes about 2 KiB.
pub const CACHED_TOKENS: usize = 8192;

/// How tokens of one kind are verified. [`verdict`] does the rest alike for all kinds: it remembers, and counts.
///
/// `koherent-tower` implements it for access tokens.
pub trait Scheme {
    /// The keys of an issuer.
    type Keys: Send + Sync + 'static;
    /// What a token says that passed every check.
    type Verified: Clone;
    /// What these tokens are called in metrics.
    const TOKEN: &'static str;

    /// What the time is.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// The tokens that were verified before.
    fn cache(&self) -> &TokenCache<Self::Verified>;

    /// The keys of the issuer at that place.
    fn keys(&self, issuer: usize) -> &Live<Self::Keys>;

    /// Makes every check, by the keys at hand; `need` becomes what to do about them.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    fn verify_anew(
        &self,
        token: &str,
        need: &mut Need,
    ) -> Result<Remembered<Self::Verified>, Error>;

    /// Makes the checks again whose outcome changes although the keys do not: dates, revocations.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    fn still_holds(&self, verified: &Self::Verified, need: &mut Need) -> Result<(), Error>;
}

/// What that scheme says of the token, by the keys at hand, and whether something must be loaded for a final answer.
///
/// # Errors
///
/// [`Error::TooLarge`], and whatever the scheme says.
pub fn verdict<S: Scheme>(scheme: &S, token: &str) -> (Result<S::Verified, Error>, Need) {
    let (answer, need) = answer(scheme, token);
    // A preliminary one is asked for again, and counted then.
    if !matches!(need, Need::First(_)) {
        answer.count::<S>();
    }
    (answer.verdict, need)
}

/// What that scheme says of the token for who waits no longer: what should be loaded first is loaded beside, if at all.
///
/// # Errors
///
/// As [`verdict`].
pub fn last_verdict<S: Scheme>(scheme: &S, token: &str) -> (Result<S::Verified, Error>, Need) {
    let (answer, need) = answer(scheme, token);
    answer.count::<S>();
    let need = match need {
        Need::First(refresh) => Need::Beside(refresh),
        need => need,
    };
    (answer.verdict, need)
}

struct Answer<V> {
    verdict: Result<V, Error>,
    remembered: bool,
}

impl<V> Answer<V> {
    fn count<S: Scheme>(&self) {
        let outcome = self
            .verdict
            .as_ref()
            .map_or_else(Error::reason, |_| "ACCEPTED");
        ::metrics::counter!("koherent_verifications_total", "token" => S::TOKEN, "outcome" => outcome)
            .increment(1);
        if self.remembered {
            ::metrics::counter!("koherent_token_cache_hits_total", "token" => S::TOKEN)
                .increment(1);
        }
    }
}

fn answer<S: Scheme>(scheme: &S, token: &str) -> (Answer<S::Verified>, Need) {
    let mut need = Need::Nothing;
    let mut remembered = false;
    let verdict = look_up_or_verify(scheme, token, &mut need, &mut remembered);
    let remembered = remembered && verdict.is_ok();
    let answer = Answer {
        verdict,
        remembered,
    };
    (answer, need)
}

fn look_up_or_verify<S: Scheme>(
    scheme: &S,
    token: &str,
    need: &mut Need,
    remembered: &mut bool,
) -> Result<S::Verified, Error> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Error::TooLarge {
            limit: MAX_TOKEN_BYTES,
        });
    }
    let digest: [u8; 32] = Sha256::digest(token).into();
    if let Some(known) = scheme.cache().get(&digest) {
        let (keys, key_need) = scheme.keys(known.issuer).look(scheme.clock(), |_| true);
        if keys.value.is_some() && keys.generation == known.generation {
            (*need, *remembered) = (key_need, true);
            scheme.still_holds(&known.value, need)?;
            return Ok(known.value);
        }
        scheme.cache().remove(&digest);
    }
    let verified = scheme.verify_anew(token, need)?;
    scheme.cache().insert(digest, verified.clone());
    Ok(verified.value)
}

/// What verified tokens said, by the SHA-256 of the token as it was received: the token itself is not kept.
///
/// Bounded; what was used least goes first. Only tokens that passed every check come into it, so that nobody but a trusted
/// issuer can fill it.
pub struct TokenCache<V> {
    tokens: Cache<[u8; 32], Remembered<V>>,
    capacity: usize,
}

/// A token that passed every check at the time.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "schemes make it")]
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
        Self {
            tokens: Cache::new(tokens),
            capacity: tokens,
        }
    }

    /// An empty cache for as many tokens as this one. For settings that change a verdict: what passed under others has not
    /// passed under these.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self::new(self.capacity)
    }

    fn get(&self, digest: &[u8; 32]) -> Option<Remembered<V>> {
        self.tokens.get(digest)
    }

    fn insert(&self, digest: [u8; 32], token: Remembered<V>) {
        self.tokens.insert(digest, token);
    }

    fn remove(&self, digest: &[u8; 32]) {
        let _: Option<_> = self.tokens.remove(digest);
    }
}

impl<V> fmt::Debug for TokenCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCache(..)")
    }
}
