//! Whom a service trusts, as configuration: one type for TOML, JSON and the environment.
//!
//! ```toml
//! [auth]                                  # who may sign in
//! audience = "lab"
//! [[auth.issuers]]
//! iss = "https://login.example"
//! jwks_uri = "https://login.example/jwks.json"
//! algorithms = ["RS256"]
//!
//! [provenance]                            # whose tasks are believed
//! audience = "lab"
//! [[provenance.issuers]]
//! iss = "rekuest"
//! jwks = "rekuest-jwks.json"              # a file beside the configuration
//! ```
//!
//! | key | in | meaning | default |
//! | --- | --- | --- | --- |
//! | `audience` | both | the name by which tokens address this service; `"*"` takes tokens for any, and is warned about | required |
//! | `issuers` | both | `iss`, its keys, and in `auth` its `algorithms` | at least one |
//! | `jwks` | issuer | a file (read again when it changes), or the key set itself: `{ keys = [...] }` | one of these two |
//! | `jwks_uri` | issuer | a URL: https, or http to this very machine | |
//! | `algorithms` | issuer of `auth` | of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (or Ed25519, the same) | required |
//! | `algorithms` | `provenance` | of Ed25519, EdDSA | both |
//! | `leeway_seconds` | both | how far clocks may disagree, 0 to 60 | 0 |
//! | `organizations` | `auth` | who may use the service (`org`) | everybody |
//! | `revocations_uri` | `auth` | tokens that were taken back: `{"revoked": ["jti", …]}` | none |
//! | `understood_claims` | `auth` | claims that narrow a token and that the application holds to (`Principal::narrowed_by`); a token with another of them is refused: [`NARROWING_CLAIMS`](crate::access::NARROWING_CLAIMS), `collabs` among them | none |
//! | `narrowing_claims` | `auth` | further claims by which the issuers narrow tokens | none |
//! | `impersonator_claim` | `auth` | the claim that names who acts in the principal's stead, where there is no `act` | none |
//! | `unknown_args_hash` | `provenance` | `"keep"` believes tasks whose arguments were hashed in an unknown way (`aha`), and keeps the hash unchecked | `"refuse"` |
//! | `refresh_interval_seconds` | both | the least time between two fetches of an issuer's URL, and of the revocations, 1 to 3600 | 10 |
//! | `max_key_age_seconds` | both | after which time keys are fetched again although none is missing; at twice that, before the request that asks; from the interval to 86400 | 60, or the interval |
//! | `insecure_http` | both | `true` allows plain http over the network: whoever stands between can make any token pass | `false` |
//! | `cached_tokens` | both | how many verified tokens are remembered; 0 verifies each anew | 8192 |
//!
//! In the environment, two underscores go one level down, numbers count issuers, and lists are separated by commas:
//!
//! ```sh
//! LAB_AUTH__AUDIENCE=lab
//! LAB_AUTH__ISSUERS__0__ISS=https://login.example
//! LAB_AUTH__ISSUERS__0__JWKS_URI=https://login.example/jwks.json
//! LAB_AUTH__ISSUERS__0__ALGORITHMS=RS256,ES256
//! LAB_PROVENANCE__AUDIENCE=lab
//! LAB_PROVENANCE__ISSUERS__0__ISS=rekuest
//! LAB_PROVENANCE__ISSUERS__0__JWKS=/etc/lab/rekuest-jwks.json
//! ```
//!
//! A whole block can stand in one variable, as JSON: `LAB_AUTH={"audience": …}`. What is not understood is an error that names
//! the key, never ignored.

mod blocks;
mod environment;
mod error;
mod read;
mod verifiers;

pub use blocks::{Auth, AuthIssuer, Config, Jwks, Provenance, ProvenanceIssuer, UnknownHash};
pub use error::ConfigError;
