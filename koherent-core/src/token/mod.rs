//! Provenance tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037, RFC 9864) that attest one run of work.
//!
//! A token is either unverified or verified, and each state is a type:
//!
//! ```text
//! "eyJ0eXAi…" ── UnverifiedToken::parse ──▶ UnverifiedToken     iss and kid: to find a key, and for the log
//!             └─ Verifier::verify ────────▶ VerifiedToken       claims, task, actor; only the verifier makes one
//!                                              ├─ verify_actor(&token, &principal)
//!                                              └─ verify_args(&token, json_text)
//! ```
//!
//! # What is checked, in this order
//!
//! 1. at most [`MAX_TOKEN_BYTES`];
//! 2. three segments of strict base64url, header and payload one strict JSON object each;
//! 3. `alg` is one of the configured algorithms; `none` and HMAC cannot be configured;
//! 4. no `crit`, no `b64` but true, no `typ` but text; `jwk`, `jku`, `x5u` and `x5c` are never looked at;
//! 5. `kid` is there, `iss` is a trusted issuer, and *that* issuer publishes a usable key of that `kid`;
//! 6. the signature, by `verify_strict`: no malleability, no small-order or non-canonical points;
//! 7. every claim is there and of its type; `exp`, `nbf`, `iat` against the clock; `aud` names this service;
//! 8. identifiers fit their columns, and the lineage does not contradict itself.
//!
//! The first check that fails names the [`Error`](crate::Error).
//!
//! A token that passed is remembered by its SHA-256 ([`TokenCache`]); seen again, it is checked for what changes: the dates
//! of 7, and whether the issuer's keys are still those of 5.

mod args_hash;
mod binding;
mod cache;
mod canonical;
mod claims;
mod keys;
mod skipped;
mod unverified;
mod verified;
mod verify;

pub use crate::json::JsonError;
pub use args_hash::{ARGS_HASH_ALGORITHM, UnknownArgsHash, args_hash};
pub use binding::{verify_actor, verify_args};
pub use cache::{CACHED_TOKENS, Remembered, Scheme, TokenCache, last_verdict, verdict};
pub use canonical::canonical_json;
pub use claims::{Claims, NumericDate};
pub use keys::KeySet;
pub use skipped::Skipped;
pub use unverified::{MAX_TOKEN_BYTES, UnverifiedToken};
pub use verified::VerifiedToken;
pub use verify::{Algorithm, MAX_LEEWAY, TrustedIssuer, Verifier};
