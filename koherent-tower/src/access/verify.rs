//! The checks of an access token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, Validation};
use koherent_core::token::MAX_LEEWAY;
use koherent_core::{
    ClientId, Clock, Error, Issuer, Malformed, Principal, Subject, SystemClock, UnverifiedToken,
};
use serde_json::{Map, Value};

use super::keys::{AccessKey, algorithm, read_keys};

/// The `iss` of development tokens. No configuration can name it: only [`AccessVerifier::development`] trusts it.
pub const DEVELOPMENT_ISSUER: &str = "koherent-development";

/// Why an access verifier cannot be built. It happens at start and is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// What is wrong with audience, issuers or key set alike for both kinds of token.
    #[error(transparent)]
    Common(#[from] koherent_core::SetupError),
    /// An algorithm that access tokens cannot have; HMAC and `none` are among them.
    #[error(
        "the algorithm {0:?} cannot sign access tokens: give RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or \
         EdDSA"
    )]
    UnknownAlgorithm(String),
    /// The name of the development issuer stands in a configuration.
    #[error(
        "the issuer \"{DEVELOPMENT_ISSUER}\" is for development tokens and cannot be configured"
    )]
    DevelopmentIssuer,
}

/// An identity provider whose access tokens are believed, with its keys and the algorithms it signs with.
///
/// ```
/// use koherent_tower::AccessIssuer;
///
/// let jwks = r#"{"keys": []}"#;
/// assert!(AccessIssuer::new("https://login.example", jwks, ["RS256"]).is_ok());
/// assert!(AccessIssuer::new("https://login.example", jwks, ["none"]).is_err());
/// assert!(AccessIssuer::new("https://login.example", jwks, ["HS256"]).is_err());
/// ```
pub struct AccessIssuer {
    issuer: Issuer,
    algorithms: Vec<Algorithm>,
    keys: Vec<AccessKey>,
}

impl AccessIssuer {
    /// Trusts tokens whose `iss` is exactly `issuer`, signed with one of these algorithms by a key of this JWKS.
    ///
    /// # Errors
    ///
    /// [`SetupError`]: a blank or reserved issuer, a document that is no JWKS, no or unknown algorithms.
    pub fn new<'a>(
        issuer: impl Into<Issuer>,
        jwks: &str,
        algorithms: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SetupError> {
        let issuer = issuer.into();
        if issuer.as_str().trim().is_empty() {
            return Err(koherent_core::SetupError::BlankIssuer.into());
        }
        if issuer == DEVELOPMENT_ISSUER {
            return Err(SetupError::DevelopmentIssuer);
        }
        let algorithms = algorithms
            .into_iter()
            .map(|name| {
                algorithm(name).ok_or_else(|| SetupError::UnknownAlgorithm(name.to_owned()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::with_algorithms(issuer, jwks, algorithms)
    }

    fn with_algorithms(
        issuer: Issuer,
        jwks: &str,
        algorithms: Vec<Algorithm>,
    ) -> Result<Self, SetupError> {
        if algorithms.is_empty() {
            return Err(koherent_core::SetupError::NoAlgorithm.into());
        }
        let keys = read_keys(jwks).ok_or(koherent_core::SetupError::NotAKeySet(
            "it is not JSON, or has no list \"keys\"",
        ))?;
        Ok(Self {
            issuer,
            algorithms,
            keys,
        })
    }
}

impl fmt::Debug for AccessIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessIssuer")
            .field("issuer", &self.issuer)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

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
        if issuers.is_empty() {
            return Err(Common::NoIssuer.into());
        }
        for (at, AccessIssuer { issuer, .. }) in issuers.iter().enumerate() {
            if issuers[..at].iter().any(|other| other.issuer == *issuer) {
                return Err(Common::DuplicateIssuer(issuer.to_string()).into());
            }
        }
        // Two crypto features of jsonwebtoken in one build leave it without a default, and it panics at the first
        // token. Whoever installed one before us has decided already.
        let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
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
                    given_seconds: leeway.as_secs(),
                    limit_seconds: MAX_LEEWAY.as_secs(),
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
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::UnsupportedAlgorithm)?;
        if unverified.asks_for_extensions() {
            return Err(Error::Malformed(Malformed::Header));
        }
        let key_id = unverified
            .key_id()
            .filter(|id| !id.is_empty())
            .ok_or(Error::MissingKid)?;
        let name = unverified
            .issuer()
            .ok_or(Error::MissingClaim { claim: "iss" })?;
        let issuer = self.issuers.iter().find(|known| known.issuer == name);
        let issuer = issuer.ok_or(Error::UntrustedIssuer)?;
        if !issuer.algorithms.contains(&header.alg) {
            return Err(Error::UnsupportedAlgorithm);
        }
        let key = issuer.keys.iter().find(|key| key.fits(key_id, header.alg));
        let key = key.ok_or(Error::UnknownKey)?;
        let claims: Map<String, Value> =
            jsonwebtoken::decode(token, &key.key, &signature_only(header.alg))
                .map_err(|_| Error::BadSignature)?
                .claims;
        self.principal(issuer.issuer.clone(), &Claims(&claims))
    }

    fn principal(&self, issuer: Issuer, claims: &Claims<'_>) -> Result<Principal, Error> {
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
        if self.audience != "*" && !audience.contains(&self.audience.as_str()) {
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

/// What `jsonwebtoken` may decide: the signature, by this one algorithm. The claims are checked by us, who have a clock
/// and tell a claim of the wrong type from a missing one.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.leeway = 0;
    validation.reject_tokens_expiring_in_less_than = 0;
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.aud = None;
    validation.iss = None;
    validation.sub = None;
    validation.algorithms = vec![algorithm];
    validation
}

/// The claims of a token whose signature holds.
struct Claims<'c>(&'c Map<String, Value>);

impl<'c> Claims<'c> {
    fn get(&self, claim: &str) -> Option<&'c Value> {
        self.0.get(claim).filter(|value| !value.is_null())
    }

    fn text(&self, claim: &'static str) -> Result<Option<&'c str>, Error> {
        let Some(value) = self.get(claim) else {
            return Ok(None);
        };
        match value.as_str() {
            Some("") => Err(invalid(claim, "empty")),
            Some(text) if text.chars().count() > 1000 => {
                Err(invalid(claim, "longer than 1000 characters"))
            }
            Some(text) if text.contains('\0') => Err(invalid(claim, "it contains a NUL")),
            Some(text) => Ok(Some(text)),
            None => Err(invalid(claim, "not a string")),
        }
    }

    fn required_text(&self, claim: &'static str) -> Result<&'c str, Error> {
        self.text(claim)?.ok_or(Error::MissingClaim { claim })
    }

    fn date(&self, claim: &'static str) -> Result<Option<f64>, Error> {
        let date = |value: &Value| value.as_f64().ok_or(invalid(claim, "not a number"));
        self.get(claim).map(date).transpose()
    }

    fn audience(&self) -> Result<Vec<&'c str>, Error> {
        let not_text = || invalid("aud", "neither a string nor a list of strings");
        match self
            .get("aud")
            .ok_or(Error::MissingClaim { claim: "aud" })?
        {
            Value::String(one) => Ok(vec![one]),
            Value::Array(many) => many
                .iter()
                .map(|item| item.as_str().ok_or_else(not_text))
                .collect(),
            _ => Err(not_text()),
        }
    }

    fn texts(&self, claim: &'static str) -> Result<Vec<String>, Error> {
        let not_texts = || invalid(claim, "not a list of strings");
        match self.get(claim) {
            None => Ok(Vec::new()),
            Some(Value::Array(many)) => many
                .iter()
                .map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(not_texts))
                .collect(),
            Some(_) => Err(not_texts()),
        }
    }

    /// Scopes are one string, parted by spaces (RFC 8693 §4.2).
    fn scopes(&self) -> Result<Vec<String>, Error> {
        match self.get("scope") {
            None => Ok(Vec::new()),
            Some(Value::String(scopes)) => Ok(scopes
                .split_ascii_whitespace()
                .map(ToOwned::to_owned)
                .collect()),
            Some(_) => Err(invalid("scope", "not a string")),
        }
    }
}

const fn invalid(claim: &'static str, problem: &'static str) -> Error {
    Error::InvalidClaim { claim, problem }
}
