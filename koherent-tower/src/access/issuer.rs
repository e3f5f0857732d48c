//! The identity providers whose access tokens are believed.

use std::fmt;

use jsonwebtoken::Algorithm;
use koherent_core::Issuer;

use super::keys::{AccessKey, algorithm, read_keys};

/// The `iss` of development tokens. No configuration can name it: only
/// [`AccessVerifier::development`](super::AccessVerifier::development) trusts it.
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
    /// The list of algorithms is empty.
    #[error(
        "no algorithm is accepted: give those that the issuer signs with, of RS256, RS384, RS512, PS256, PS384, PS512, \
         ES256, ES384 and EdDSA"
    )]
    NoAlgorithm,
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
    pub(super) issuer: Issuer,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: Vec<AccessKey>,
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

    pub(super) fn with_algorithms(
        issuer: Issuer,
        jwks: &str,
        algorithms: Vec<Algorithm>,
    ) -> Result<Self, SetupError> {
        if algorithms.is_empty() {
            return Err(SetupError::NoAlgorithm);
        }
        let keys = read_keys(jwks).ok_or_else(|| {
            koherent_core::SetupError::NotAKeySet(
                "it is not JSON, or has no list \"keys\"".to_owned(),
            )
        })?;
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
