//! The ordered checks.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::Signature;

use super::args_hash::UnknownArgsHash;
use super::cache::{self, CACHED_TOKENS, Remembered, Scheme, TokenCache};
use super::claims::{Claims, required_text};
use super::keys::KeySet;
use super::unverified::{Decoded, as_text};
use super::verified::VerifiedToken;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Malformed, SetupError};
use crate::id::Issuer;
use crate::json::Json;
use crate::source::{KeySource, Live, Need};

/// The most leeway there may be for clocks that disagree.
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// The name of the signature algorithm in a token's header. Both mean Ed25519 over Curve25519: `EdDSA` is the older,
/// polymorphic name (RFC 8037 §3.1), `Ed25519` the exact one (RFC 9864 §2.2).
///
/// ```
/// use koherent_core::Algorithm;
/// assert_eq!("Ed25519".parse(), Ok(Algorithm::Ed25519));
/// assert!("none".parse::<Algorithm>().is_err());
/// assert!("HS256".parse::<Algorithm>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "no other algorithm can sign provenance tokens"
)]
pub enum Algorithm {
    /// `"alg": "Ed25519"`.
    Ed25519,
    /// `"alg": "EdDSA"`.
    EdDsa,
}

impl Algorithm {
    /// The name as it stands in a header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl std::str::FromStr for Algorithm {
    type Err = SetupError;

    fn from_str(name: &str) -> Result<Self, SetupError> {
        match name {
            "Ed25519" => Ok(Self::Ed25519),
            "EdDSA" => Ok(Self::EdDsa),
            other => Err(SetupError::UnknownAlgorithm(other.to_owned())),
        }
    }
}

/// An issuer whose tokens are believed, with its keys.
///
/// ```
/// use koherent_core::{KeySource, TrustedIssuer};
/// let rekuest = TrustedIssuer::new("rekuest", KeySource::inline(r#"{"keys": []}"#))?;
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    issuer: Issuer,
    keys: Live<KeySet>,
}

impl TrustedIssuer {
    /// Trusts tokens whose `iss` is exactly `issuer`, by the keys of that source. Keys belong to one issuer: they are never
    /// used for another's tokens.
    ///
    /// # Errors
    ///
    /// [`SetupError::BlankIssuer`], [`SetupError::PaddedIssuer`]; [`SetupError::NotAKeySet`] and
    /// [`SetupError::UnreadableFile`] where the source is inline or a file.
    pub fn new(issuer: impl Into<Issuer>, keys: KeySource) -> Result<Self, SetupError> {
        let issuer = issuer.into().checked()?;
        let of = issuer.clone();
        let read = move |text: &str| {
            let _issuer = tracing::info_span!("key_set", issuer = %of).entered();
            let keys = KeySet::from_jwks(text)?;
            if keys.is_empty() {
                tracing::warn!(
                    "no usable key: no provenance token of this issuer will be accepted"
                );
            }
            Ok(keys)
        };
        let keys = Live::new("provenance keys", issuer.as_str(), keys, read)?;
        Ok(Self { issuer, keys })
    }
}

/// Verifies provenance tokens for one service.
///
/// The audience and the issuers must be given; the rest has the strictest setting by default. Cloning it is cheap, and
/// clones share their keys and the tokens they remember.
///
/// ```
/// use koherent_core::{Algorithm, KeySource, TrustedIssuer, Verifier};
/// # let jwks = koherent_core::testing::test_issuer("rekuest").jwks();
///
/// let verifier = Verifier::new("lab", [TrustedIssuer::new("rekuest", KeySource::inline(jwks))?])?
///     .with_algorithms([Algorithm::Ed25519])?
///     .with_leeway(std::time::Duration::from_secs(5))?;
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Verifier {
    audience: Arc<str>,
    issuers: Arc<[TrustedIssuer]>,
    algorithms: Arc<[Algorithm]>,
    leeway: Duration,
    unknown_hash: UnknownArgsHash,
    clock: Arc<dyn Clock>,
    cache: Arc<TokenCache<VerifiedToken>>,
}

/// The audience that takes tokens meant for any service.
const ANY_AUDIENCE: &str = "*";

impl Verifier {
    /// A verifier for the service called `audience`, trusting these issuers.
    ///
    /// It accepts the algorithms `Ed25519` and `EdDSA`, allows no leeway, and asks the machine's clock. The audience
    /// `"*"` takes tokens meant for any service, and is warned about: a token that another service received could then
    /// be used here.
    ///
    /// # Errors
    ///
    /// [`SetupError::BlankAudience`], [`SetupError::PaddedAudience`], [`SetupError::NoIssuer`],
    /// [`SetupError::DuplicateIssuer`].
    pub fn new(
        audience: impl Into<String>,
        issuers: impl IntoIterator<Item = TrustedIssuer>,
    ) -> Result<Self, SetupError> {
        let audience = audience.into();
        let issuers: Arc<[TrustedIssuer]> = issuers.into_iter().collect();
        if audience.trim().is_empty() {
            return Err(SetupError::BlankAudience);
        }
        if audience.trim() != audience {
            return Err(SetupError::PaddedAudience(audience));
        }
        if audience == ANY_AUDIENCE {
            tracing::warn!("the audience \"*\" accepts tokens that were meant for other services");
        }
        if issuers.is_empty() {
            return Err(SetupError::NoIssuer);
        }
        for (at, TrustedIssuer { issuer, .. }) in issuers.iter().enumerate() {
            if issuers[..at].iter().any(|other| other.issuer == *issuer) {
                return Err(SetupError::DuplicateIssuer(issuer.to_string()));
            }
        }
        Ok(Self {
            audience: audience.into(),
            issuers,
            algorithms: [Algorithm::Ed25519, Algorithm::EdDsa].into(),
            leeway: Duration::ZERO,
            unknown_hash: UnknownArgsHash::Refuse,
            clock: Arc::new(SystemClock),
            cache: Arc::new(TokenCache::new(CACHED_TOKENS)),
        })
    }

    /// The same verifier, accepting only these algorithms.
    ///
    /// # Errors
    ///
    /// [`SetupError::NoAlgorithm`].
    pub fn with_algorithms(
        mut self,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Result<Self, SetupError> {
        self.algorithms = algorithms.into_iter().collect();
        self.cache = Arc::new(self.cache.renewed());
        if self.algorithms.is_empty() {
            Err(SetupError::NoAlgorithm)
        } else {
            Ok(self)
        }
    }

    /// The same verifier, forgiving clocks that disagree by that much: `exp`, `nbf` and `iat` alike.
    ///
    /// # Errors
    ///
    /// [`SetupError::TooMuchLeeway`] above [`MAX_LEEWAY`].
    pub fn with_leeway(mut self, leeway: Duration) -> Result<Self, SetupError> {
        if leeway > MAX_LEEWAY {
            return Err(SetupError::TooMuchLeeway {
                given: leeway,
                limit: MAX_LEEWAY,
            });
        }
        self.leeway = leeway;
        Ok(self)
    }

    /// The same verifier, with another rule for tokens whose arguments were hashed in a way that is not known.
    ///
    /// ```
    /// use koherent_core::token::UnknownArgsHash;
    /// # use koherent_core::{Error, verify_args};
    /// # let issuer = koherent_core::testing::test_issuer("rekuest");
    /// # let token = issuer.task("task-a").claim("aha", "sha3-canonical-v2").mint();
    /// assert!(issuer.verifier("lab").verify(&token).is_err());
    ///
    /// let verifier = issuer.verifier("lab").with_unknown_args_hash(UnknownArgsHash::Keep);
    /// let token = verifier.verify(&token)?;
    /// assert_eq!(token.task().args_hash_algorithm, "sha3-canonical-v2");
    /// assert!(verify_args(&token, b"{}").is_err(), "nobody can compare them");
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn with_unknown_args_hash(mut self, rule: UnknownArgsHash) -> Self {
        self.unknown_hash = rule;
        self.cache = Arc::new(self.cache.renewed());
        self
    }

    /// The same verifier, asking another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same verifier, remembering at most so many verified tokens; 0 verifies each anew. The default is 8192.
    ///
    /// A remembered token is still checked for what changes: its dates, and whether its issuer's keys are still those that
    /// verified it.
    #[must_use]
    pub fn with_cached_tokens(mut self, tokens: usize) -> Self {
        self.cache = Arc::new(TokenCache::new(tokens));
        self
    }

    /// Verifies a token in compact form, by the keys at hand. The order of the checks is that of the
    /// [module](crate::token).
    ///
    /// It never waits. Where an issuer's keys come from a URL, use [`Self::verify_with_refresh`], or a layer of
    /// `koherent-tower`: this one loads nothing.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, Error> {
        self.last_verdict(token).0
    }

    /// Verifies a token in compact form, and loads its issuer's keys first where that may change the answer: where none
    /// are known yet, where the token names one that is not known, or where they are old.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`]; [`Error::KeysUnavailable`] where the keys cannot be loaded.
    pub async fn verify_with_refresh(&self, token: &str) -> Result<VerifiedToken, Error> {
        // The first load may be one that somebody left behind.
        for _ in 0..2 {
            match self.verdict(token) {
                (_, Need::First(refresh)) => refresh.await,
                // Nobody is here to load beside; when the keys are older, somebody waits.
                (verdict, _) => return verdict,
            }
        }
        self.verify(token)
    }

    /// Loads the keys that come from URLs now, rather than with the first token. What cannot be loaded is logged, and tried
    /// again when a token needs it.
    ///
    /// ```
    /// # async fn start(verifier: koherent_core::Verifier) {
    /// tokio::spawn(async move { verifier.load_keys().await });
    /// # }
    /// ```
    pub async fn load_keys(&self) {
        for issuer in &*self.issuers {
            issuer.keys.load(&self.clock).await;
        }
    }

    /// Verifies a token by the keys at hand, and says whether they must be loaded for a final answer: for layers, which
    /// have a runtime to load them in.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    ///
    /// ```
    /// use koherent_core::source::Need;
    /// # let issuer = koherent_core::testing::test_issuer("rekuest");
    /// # let (verifier, token) = (issuer.verifier("lab"), issuer.task("task-a").mint());
    /// let (verdict, need) = verifier.verdict(&token);
    /// assert!(verdict.is_ok() && matches!(need, Need::Nothing));
    /// ```
    pub fn verdict(&self, token: &str) -> (Result<VerifiedToken, Error>, Need) {
        cache::verdict(self, token)
    }

    /// The verdict for who waits no longer: the need is never [`Need::First`].
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    pub fn last_verdict(&self, token: &str) -> (Result<VerifiedToken, Error>, Need) {
        cache::last_verdict(self, token)
    }

    fn accepted_algorithm(&self, header: &Json<'_>) -> Result<Algorithm, Error> {
        let name = as_text(header.member("alg")).ok_or(Error::UnsupportedAlgorithm)?;
        let accepted = self
            .algorithms
            .iter()
            .find(|algorithm| algorithm.as_str() == name);
        accepted.copied().ok_or(Error::UnsupportedAlgorithm)
    }

    fn trusted_issuer(&self, payload: &Json<'_>) -> Result<usize, Error> {
        let name = required_text(payload, "iss", "iss")?;
        self.issuers
            .iter()
            .position(|trusted| trusted.issuer == name)
            .ok_or(Error::UntrustedIssuer)
    }

    fn check_time(&self, claims: &Claims) -> Result<(), Error> {
        let now = self.clock.since_epoch().as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        if claims.expires.seconds() <= now - leeway {
            return Err(Error::Expired);
        }
        let latest_start = now + leeway;
        let starts = [Some(claims.issued), claims.not_before];
        if starts
            .into_iter()
            .flatten()
            .any(|start| start.seconds() > latest_start)
        {
            return Err(Error::NotYetValid);
        }
        Ok(())
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Error> {
        let is_for_us = *self.audience == *ANY_AUDIENCE
            || claims
                .audience
                .iter()
                .any(|audience| **audience == *self.audience);
        if is_for_us {
            Ok(())
        } else {
            Err(Error::WrongAudience)
        }
    }
}

impl Scheme for Verifier {
    type Keys = KeySet;
    type Verified = VerifiedToken;
    const TOKEN: &'static str = "provenance";

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn cache(&self) -> &TokenCache<VerifiedToken> {
        &self.cache
    }

    fn keys(&self, issuer: usize) -> &Live<KeySet> {
        &self.issuers[issuer].keys
    }

    fn verify_anew(
        &self,
        token: &str,
        need: &mut Need,
    ) -> Result<Remembered<VerifiedToken>, Error> {
        let decoded = Decoded::of(token)?;
        let token = decoded.read()?;
        let algorithm = self.accepted_algorithm(&token.header)?;
        if token.asks_for_extensions() {
            return Err(Error::Malformed(Malformed::Header));
        }
        let key_id = token
            .key_id()
            .filter(|id| !id.is_empty())
            .ok_or(Error::MissingKid)?;
        let issuer = self.trusted_issuer(&token.payload)?;
        let TrustedIssuer { issuer: name, keys } = &self.issuers[issuer];
        let find = |keys: &KeySet| keys.find(key_id, algorithm.as_str()).map(|key| key.key);
        let (keys, key_need) = keys.look(&self.clock, |keys| find(keys).is_some());
        *need = key_need;
        let key = keys.value.as_deref().and_then(find);
        let key = key.ok_or_else(|| keys.unknown_key())?;
        let signature =
            Signature::from_slice(&decoded.signature).map_err(|_| Error::BadSignature)?;
        key.verify_strict(decoded.signing_input.as_bytes(), &signature)
            .map_err(|_| Error::BadSignature)?;
        let claims = Claims::read(&token.payload, name)?;
        self.check_time(&claims)?;
        self.check_audience(&claims)?;
        claims.check_policy(self.unknown_hash)?;
        Ok(Remembered {
            value: VerifiedToken {
                claims: Arc::new(claims),
            },
            issuer,
            generation: keys.generation,
        })
    }

    fn still_holds(&self, verified: &VerifiedToken, _: &mut Need) -> Result<(), Error> {
        self.check_time(&verified.claims)
    }
}
