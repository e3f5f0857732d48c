//! Access tokens: JSON Web Tokens (RFC 7519, RFC 9068) of an identity provider that say who is calling.
//!
//! Signatures are checked by `jsonwebtoken`, with every option set by hand. Around it stands what it leaves open: the
//! encoding is read strictly before (no duplicate members, no spare bits), keys are checked when they are loaded and
//! pinned to the issuer's algorithms, and the claims are checked afterwards against the [`Clock`](koherent_core::Clock).

mod keys;
mod verify;

pub use verify::{AccessIssuer, AccessVerifier, DEVELOPMENT_ISSUER, SetupError};
