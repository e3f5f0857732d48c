//! The identity providers whose access tokens are believed.

use jsonwebtoken::Algorithm;
use koherent_core::source::Live;
use koherent_core::{Issuer, KeySource};

use super::keys::{AccessKeys, algorithm};

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
        "the algorithm {0:?} cannot sign access tokens: give RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, \
         EdDSA or Ed25519"
    )]
    UnknownAlgorithm(String),
    /// The list of algorithms is empty.
    #[error(
        "no algorithm is accepted: give those that the issuer signs with, of RS256, RS384, RS512, PS256, PS384, PS512, \
         ES256, ES384, EdDSA and Ed25519"
    )]
    NoAlgorithm,
    /// The list of organizations is empty: nobody could use the service.
    #[error(
        "no organization may use the service: name at least one, or leave the list out to let all of them"
    )]
    NoOrganization,
    /// The name of the development issuer stands in a configuration.
    #[error(
        "the issuer \"{DEVELOPMENT_ISSUER}\" is for development tokens and cannot be configured"
    )]
    DevelopmentIssuer,
}

/// An identity provider whose access tokens are believed, with its keys and the algorithms it signs with.
///
/// ```
/// use koherent_core::KeySource;
/// use koherent_tower::AccessIssuer;
///
/// let keys = || KeySource::inline(r#"{"keys": []}"#);
/// assert!(AccessIssuer::new("https://login.example", keys(), ["RS256"]).is_ok());
/// assert!(AccessIssuer::new("https://login.example", keys(), ["none"]).is_err());
/// assert!(AccessIssuer::new("https://login.example", keys(), ["HS256"]).is_err());
/// ```
#[derive(Debug)]
pub struct AccessIssuer {
    pub(super) issuer: Issuer,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: Live<AccessKeys>,
}

impl AccessIssuer {
    /// Trusts tokens whose `iss` is exactly `issuer`, signed with one of these algorithms by a key of that source.
    ///
    /// # Errors
    ///
    /// [`SetupError`]: a blank or reserved issuer, no or unknown algorithms; a document that is no JWKS or cannot be read,
    /// where the source is inline or a file.
    pub fn new<'a>(
        issuer: impl Into<Issuer>,
        keys: KeySource,
        algorithms: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SetupError> {
        let issuer = issuer.into().checked()?;
        if issuer == DEVELOPMENT_ISSUER {
            return Err(SetupError::DevelopmentIssuer);
        }
        let algorithms = algorithms
            .into_iter()
            .map(|name| {
                algorithm(name).ok_or_else(|| SetupError::UnknownAlgorithm(name.to_owned()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::with_algorithms(issuer, keys, algorithms)
    }

    pub(super) fn with_algorithms(
        issuer: Issuer,
        keys: KeySource,
        algorithms: Vec<Algorithm>,
    ) -> Result<Self, SetupError> {
        if algorithms.is_empty() {
            return Err(SetupError::NoAlgorithm);
        }
        let (of, accepted) = (issuer.clone(), algorithms.clone());
        let read = move |document: &str| {
            let _issuer = tracing::info_span!("key_set", issuer = %of).entered();
            let keys = AccessKeys::read(document)?;
            if !keys.can_verify(&accepted) {
                tracing::warn!(
                    algorithms = ?accepted,
                    "no usable key fits the issuer's algorithms: no access token of it will be accepted"
                );
            }
            Ok(keys)
        };
        let keys = Live::new("access keys", issuer.as_str(), keys, read)?;
        Ok(Self {
            issuer,
            algorithms,
            keys,
        })
    }
}
