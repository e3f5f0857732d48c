//! The ordered checks.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::Signature;

use super::claims::{Claims, required_text};
use super::keys::KeySet;
use super::unverified::{UnverifiedToken, as_text};
use super::verified::VerifiedToken;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Malformed, SetupError};
use crate::id::Issuer;
use crate::json::Json;

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
/// use koherent_core::{KeySet, TrustedIssuer};
/// let keys = KeySet::from_jwks(r#"{"keys": []}"#)?;
/// let rekuest = TrustedIssuer::new("rekuest", keys);
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    issuer: Issuer,
    keys: KeySet,
}

impl TrustedIssuer {
    /// Trusts tokens whose `iss` is exactly `issuer`, by these keys.
    pub fn new(issuer: impl Into<Issuer>, keys: KeySet) -> Self {
        Self {
            issuer: issuer.into(),
            keys,
        }
    }
}

/// Verifies provenance tokens for one service.
///
/// The audience and the issuers must be given; the rest has the strictest setting by default. Cloning it is cheap.
///
/// ```
/// use koherent_core::{Algorithm, KeySet, TrustedIssuer, Verifier};
/// # let jwks = koherent_core::testing::test_issuer("rekuest").jwks();
///
/// let verifier = Verifier::new("lab", [TrustedIssuer::new("rekuest", KeySet::from_jwks(&jwks)?)])?
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
    clock: Arc<dyn Clock>,
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
    /// [`SetupError::BlankAudience`], [`SetupError::NoIssuer`], [`SetupError::BlankIssuer`],
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
        if audience == ANY_AUDIENCE {
            tracing::warn!("the audience \"*\" accepts tokens that were meant for other services");
        }
        if issuers.is_empty() {
            return Err(SetupError::NoIssuer);
        }
        for (at, TrustedIssuer { issuer, .. }) in issuers.iter().enumerate() {
            if issuer.as_str().trim().is_empty() {
                return Err(SetupError::BlankIssuer);
            }
            if issuers[..at].iter().any(|other| other.issuer == *issuer) {
                return Err(SetupError::DuplicateIssuer(issuer.to_string()));
            }
        }
        Ok(Self {
            audience: audience.into(),
            issuers,
            algorithms: [Algorithm::Ed25519, Algorithm::EdDsa].into(),
            leeway: Duration::ZERO,
            clock: Arc::new(SystemClock),
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

    /// The same verifier, asking another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Verifies a token in compact form. The order of the checks is that of the [module](crate::token).
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, Error> {
        let token = UnverifiedToken::parse(token)?;
        let algorithm = self.accepted_algorithm(&token.header)?;
        if token.asks_for_extensions() {
            return Err(Error::Malformed(Malformed::Header));
        }
        let key_id = token
            .key_id()
            .filter(|id| !id.is_empty())
            .ok_or(Error::MissingKid)?;
        let issuer = self.trusted_issuer(&token.payload)?;
        let key = issuer
            .keys
            .find(key_id, algorithm.as_str())
            .ok_or(Error::UnknownKey)?;
        let signature = Signature::from_slice(&token.signature).map_err(|_| Error::BadSignature)?;
        key.key
            .verify_strict(token.signing_input.as_bytes(), &signature)
            .map_err(|_| Error::BadSignature)?;
        let claims = Claims::read(&token.payload, &issuer.issuer)?;
        self.check_time(&claims)?;
        self.check_audience(&claims)?;
        claims.check_policy()?;
        Ok(VerifiedToken {
            claims: Arc::new(claims),
        })
    }

    fn accepted_algorithm(&self, header: &Json) -> Result<Algorithm, Error> {
        let name = as_text(header.member("alg")).ok_or(Error::UnsupportedAlgorithm)?;
        let accepted = self
            .algorithms
            .iter()
            .find(|algorithm| algorithm.as_str() == name);
        accepted.copied().ok_or(Error::UnsupportedAlgorithm)
    }

    fn trusted_issuer(&self, payload: &Json) -> Result<&TrustedIssuer, Error> {
        let name = required_text(payload, "iss", "iss")?;
        self.issuers
            .iter()
            .find(|trusted| trusted.issuer == name)
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
