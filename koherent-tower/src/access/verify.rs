//! The checks of an access token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use koherent_core::token::MAX_LEEWAY;
use koherent_core::{
    ClientId, Clock, Error, Issuer, Malformed, Principal, Subject, SystemClock, UnverifiedToken,
};
use serde_json::{Map, Value};

use super::claims::{Claims, invalid};
use super::issuer::{AccessIssuer, DEVELOPMENT_ISSUER, SetupError};
use super::keys::{AccessKey, algorithm};

/// Verifies access tokens for one service.
///
/// ```
/// use koherent_core::Error;
/// use koherent_tower::{AccessIssuer, AccessVerifier};
///
/// let login = AccessIssuer::new("https://login.example", r#"{"keys": []}"#, ["RS256"])?;
/// let verifier = AccessVerifier::new("lab", [login])?;
/// assert!(matches!(verifier.verify("not a token"), Err(Error::Malformed(_))));
/// # Ok::<(), koherent_tower::access::SetupError>(())
/// ```
#[derive(Debug)]
pub struct AccessVerifier {
    audience: String,
    issuers: Vec<AccessIssuer>,
    leeway: Duration,
    clock: Arc<dyn Clock>,
}

impl AccessVerifier {
    /// A verifier for the service called `audience`, trusting these issuers.
    ///
    /// The audience `"*"` takes tokens meant for any service, and is warned about: a service that received a user's token
    /// could then use it here.
    ///
    /// # Errors
    ///
    /// [`SetupError`]: a blank audience, no issuer, or one given twice.
    pub fn new(
        audience: impl Into<String>,
        issuers: impl IntoIterator<Item = AccessIssuer>,
    ) -> Result<Self, SetupError> {
        use koherent_core::SetupError as Common;
        let (audience, issuers) = (audience.into(), Vec::from_iter(issuers));
        if audience.trim().is_empty() {
            return Err(Common::BlankAudience.into());
        }
        if audience == ANY_AUDIENCE {
            tracing::warn!(
                "the audience \"*\" accepts access tokens that were meant for other services"
            );
        }
        if issuers.is_empty() {
            return Err(Common::NoIssuer.into());
        }
        for (at, AccessIssuer { issuer, .. }) in issuers.iter().enumerate() {
            if issuers[..at].iter().any(|other| other.issuer == *issuer) {
                return Err(Common::DuplicateIssuer(issuer.to_string()).into());
            }
        }
        let clock = Arc::new(SystemClock);
        Ok(Self {
            audience,
            issuers,
            leeway: Duration::ZERO,
            clock,
        })
    }

    /// A verifier that trusts tokens of [`DEVELOPMENT_ISSUER`], signed with a key that lies on the developer's disk.
    ///
    /// Never for production: whoever can read that key is anybody. It says so in the log.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], and where `jwks` is no key set.
    pub fn development(audience: impl Into<String>, jwks: &str) -> Result<Self, SetupError> {
        tracing::warn!(
            "development tokens are accepted: whoever has the development key is anybody"
        );
        let issuer = Issuer::from(DEVELOPMENT_ISSUER);
        Self::new(
            audience,
            [AccessIssuer::with_algorithms(
                issuer,
                jwks,
                vec![Algorithm::EdDSA],
            )?],
        )
    }

    /// The same verifier, forgiving clocks that disagree by that much.
    ///
    /// # Errors
    ///
    /// [`koherent_core::SetupError::TooMuchLeeway`] above [`MAX_LEEWAY`].
    pub fn with_leeway(mut self, leeway: Duration) -> Result<Self, SetupError> {
        if leeway > MAX_LEEWAY {
            return Err(SetupError::Common(
                koherent_core::SetupError::TooMuchLeeway {
                    given: leeway,
                    limit: MAX_LEEWAY,
                },
            ));
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

    /// Verifies an access token and says who it is.
    ///
    /// `exp`, `aud`, `iss` and `sub` are required (RFC 9068 §2.2); `nbf` and `iat` count where they are given;
    /// `client_id`, `org`, `roles`, `scope` and `preferred_username` are taken over.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    pub fn verify(&self, token: &str) -> Result<Principal, Error> {
        let unverified = UnverifiedToken::parse(token)?;
        let (header, payload) = (object(token, 0)?, object(token, 1)?);
        let name = header.get("alg").and_then(Value::as_str);
        let algorithm = name
            .and_then(algorithm)
            .ok_or(Error::UnsupportedAlgorithm)?;
        if unverified.asks_for_extensions() {
            return Err(Error::Malformed(Malformed::Header));
        }
        let key_id = unverified
            .key_id()
            .filter(|id| !id.is_empty())
            .ok_or(Error::MissingKid)?;
        let claims = Claims(&payload);
        let issuer = claims.required_text("iss")?;
        let issuer = self.issuers.iter().find(|known| known.issuer == issuer);
        let issuer = issuer.ok_or(Error::UntrustedIssuer)?;
        if !issuer.algorithms.contains(&algorithm) {
            return Err(Error::UnsupportedAlgorithm);
        }
        let key = issuer.keys.iter().find(|key| key.fits(key_id, algorithm));
        verify_signature(token, key.ok_or(Error::UnknownKey)?, algorithm)?;
        self.principal(issuer.issuer.clone(), &claims)
    }

    fn principal(&self, issuer: Issuer, claims: &Claims<'_>) -> Result<Principal, Error> {
        // RFC 8725 §3.12: no token of one kind may pass as one of the other.
        if claims.has("tsk") {
            return Err(invalid("tsk", "a provenance token is no access token"));
        }
        let subject = claims.required_text("sub")?;
        let expires = claims
            .date("exp")?
            .ok_or(Error::MissingClaim { claim: "exp" })?;
        let starts = [claims.date("nbf")?, claims.date("iat")?];
        let audience = claims.audience()?;
        let now = self.clock.since_epoch().as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        if expires <= now - leeway {
            return Err(Error::Expired);
        }
        if starts
            .into_iter()
            .flatten()
            .any(|start| start > now + leeway)
        {
            return Err(Error::NotYetValid);
        }
        if self.audience != ANY_AUDIENCE && !audience.contains(&self.audience.as_str()) {
            return Err(Error::WrongAudience);
        }
        Ok(Principal {
            client: claims.text("client_id")?.map(ClientId::from),
            organization: claims.text("org")?.map(Into::into),
            roles: claims.texts("roles")?,
            scopes: claims.scopes()?,
            username: claims.text("preferred_username")?.map(ToOwned::to_owned),
            ..Principal::without_client(issuer, Subject::from(subject))
        })
    }
}

/// The audience that takes tokens meant for any service.
const ANY_AUDIENCE: &str = "*";

/// A segment of a token that has been read strictly before.
fn object(token: &str, segment: usize) -> Result<Map<String, Value>, Error> {
    let segment = token.split('.').nth(segment).unwrap_or_default();
    let malformed = |_| Error::Malformed(Malformed::NotAnObject);
    let bytes = URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Error::Malformed(Malformed::Base64))?;
    serde_json::from_slice(&bytes).map_err(malformed)
}

/// Lets `jsonwebtoken` check the signature, and nothing else: what it does with headers and claims depends on options and
/// on types it expects.
fn verify_signature(token: &str, key: &AccessKey, algorithm: Algorithm) -> Result<(), Error> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Error::BadSignature)?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Error::BadSignature)?;
    let verifier = key.verifier(algorithm).ok_or(Error::BadSignature)?;
    verifier
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| Error::BadSignature)
}
