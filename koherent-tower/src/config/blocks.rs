//! The two blocks, as they are written.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Whom a service trusts. The [module](crate::config) lists the keys.
///
/// ```
/// use koherent_tower::{HttpFetcher, PrincipalLayer, ProvenanceLayer};
/// use koherent_tower::config::Config;
///
/// let config = Config::from_toml(r#"
///     [auth]
///     audience = "lab"
///     [[auth.issuers]]
///     iss = "https://login.example"
///     jwks_uri = "https://login.example/jwks.json"
///     algorithms = ["RS256"]
///
///     [provenance]
///     audience = "lab"
///     [[provenance.issuers]]
///     iss = "rekuest"
///     jwks_uri = "http://127.0.0.1:9000/provenance.json"
/// "#)?;
/// let http = HttpFetcher::new();
/// let task = ProvenanceLayer::new(config.provenance_verifier(&http)?);
/// let login = PrincipalLayer::new(config.access_verifier(&http)?);
/// # Ok::<(), koherent_tower::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Who may sign in.
    pub auth: Auth,
    /// Whose tasks are believed.
    pub provenance: Provenance,
    /// What the paths in it are relative to.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Where it was read from, for errors.
    #[serde(skip)]
    pub(super) origin: Origin,
}

/// Where a configuration stands.
#[derive(Debug, Clone, Default)]
pub(super) enum Origin {
    #[default]
    Text,
    File(String),
    /// The prefix of its variables.
    Environment(String),
}

/// Who may sign in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Auth {
    /// The name by which access tokens address this service.
    pub audience: String,
    /// The identity providers.
    pub issuers: Vec<AuthIssuer>,
    /// How far clocks may disagree.
    #[serde(default)]
    pub leeway_seconds: u64,
    /// The organizations that may use the service; everybody's where there is no list.
    pub organizations: Option<Vec<String>>,
    /// The URL of the list of tokens that were taken back.
    pub revocations_uri: Option<String>,
    /// The claims that narrow a token and that the application understands.
    #[serde(default)]
    pub understood_claims: Vec<String>,
    /// The claims by which the issuers narrow a token in a way of their own.
    #[serde(default)]
    pub narrowing_claims: Vec<String>,
    /// The claim that names who acts in the principal's stead, where there is no `act`.
    pub impersonator_claim: Option<String>,
    /// The least time between two fetches of an issuer's URL, or of the revocation list.
    pub refresh_interval_seconds: Option<u64>,
    /// After which time keys are fetched again although none is missing. Revocations are, whenever the interval is over.
    pub max_key_age_seconds: Option<u64>,
    /// Whether plain http over the network is allowed.
    #[serde(default)]
    pub insecure_http: bool,
    /// How many verified tokens are remembered.
    pub cached_tokens: Option<usize>,
}

/// An identity provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthIssuer {
    /// The exact `iss` of its tokens.
    pub iss: String,
    /// Its key set: a file, or the document.
    pub jwks: Option<Jwks>,
    /// The URL of its key set.
    pub jwks_uri: Option<String>,
    /// The algorithms it signs with.
    pub algorithms: Vec<String>,
}

/// Whose tasks are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Provenance {
    /// The name by which provenance tokens address this service.
    pub audience: String,
    /// The algorithms that tokens may have.
    #[serde(default = "both_algorithms")]
    pub algorithms: Vec<String>,
    /// What to do with tokens whose arguments were hashed in a way that is not known: `refuse`, or `keep` the hash unchecked.
    #[serde(default)]
    pub unknown_args_hash: UnknownHash,
    /// The servers that hand out tasks.
    pub issuers: Vec<ProvenanceIssuer>,
    /// How far clocks may disagree.
    #[serde(default)]
    pub leeway_seconds: u64,
    /// The least time between two fetches of an issuer's URL.
    pub refresh_interval_seconds: Option<u64>,
    /// After which time keys are fetched again although none is missing.
    pub max_key_age_seconds: Option<u64>,
    /// Whether plain http over the network is allowed.
    #[serde(default)]
    pub insecure_http: bool,
    /// How many verified tokens are remembered.
    pub cached_tokens: Option<usize>,
}

/// What to do with an arguments hash that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum UnknownHash {
    /// Refuse the token.
    #[default]
    Refuse,
    /// Believe the task, and keep the hash unchecked.
    Keep,
}

impl From<UnknownHash> for koherent_core::token::UnknownArgsHash {
    fn from(rule: UnknownHash) -> Self {
        match rule {
            UnknownHash::Refuse => Self::Refuse,
            UnknownHash::Keep => Self::Keep,
        }
    }
}

/// A server that hands out tasks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProvenanceIssuer {
    /// The exact `iss` of its tokens.
    pub iss: String,
    /// Its key set: a file, or the document.
    pub jwks: Option<Jwks>,
    /// The URL of its key set.
    pub jwks_uri: Option<String>,
}

/// A key set in a configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a file, or a key set { keys = [...] }"
)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a key set stands there or elsewhere"
)]
pub enum Jwks {
    /// A file with it.
    File(PathBuf),
    /// The document itself.
    Document(Map<String, Value>),
}

fn both_algorithms() -> Vec<String> {
    vec!["Ed25519".to_owned(), "EdDSA".to_owned()]
}
