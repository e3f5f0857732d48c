//! Access tokens: JSON Web Tokens (RFC 7519, RFC 9068) of an identity provider that say who is calling.
//!
//! `jsonwebtoken` checks signatures, and nothing else. Around it stands what it leaves open: the encoding is read strictly
//! before (no duplicate members, no spare bits), keys are checked when they are loaded and pinned to the issuer's
//! algorithms, and the claims are checked afterwards against the [`Clock`](koherent_core::Clock). A provenance token is
//! refused here, whoever signed it.

mod claims;
mod issuer;
mod keys;
mod narrowing;
mod verify;

pub use issuer::{AccessIssuer, DEVELOPMENT_ISSUER, SetupError};
pub use narrowing::NARROWING_CLAIMS;
pub use verify::AccessVerifier;
