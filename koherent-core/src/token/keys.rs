//! Key sets: the public keys of one issuer (JWKS, RFC 7517 §5; Ed25519 keys, RFC 8037 §2).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;

use super::skipped::Skipped;
use super::unverified::as_text;
use crate::error::SetupError;
use crate::json::{Duplicates, Json, parse};

/// How deep a key set may nest; real ones nest three levels.
const MAX_DEPTH: usize = 16;

/// The most keys that a set is searched for.
const MAX_KEYS: usize = 1000;

/// The usable Ed25519 keys of one issuer, by key id.
///
/// Keys that cannot verify provenance tokens (RSA, EC, encryption keys, weak or malformed ones) are skipped and logged,
/// one by one: they do not spoil the set.
///
/// ```
/// use koherent_core::KeySet;
///
/// let keys = KeySet::from_jwks(
///     r#"{"keys": [
///         {"kty": "OKP", "crv": "Ed25519", "kid": "2026-a", "x": "VMeb76kS4b_Hpy89zdK8wmxnGz20GbcgU4P2TSBgHRE"},
///         {"kty": "OKP", "crv": "Ed25519", "kid": "weak", "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
///     ]}"#,
/// )?;
/// assert_eq!(keys.key_ids().collect::<Vec<_>>(), ["2026-a"]);
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[derive(Clone)]
pub struct KeySet(Arc<[Key]>);

pub(super) struct Key {
    id: Box<str>,
    algorithm: Option<Box<str>>,
    pub(super) key: VerifyingKey,
}

impl KeySet {
    /// Reads a JWKS document.
    ///
    /// A set without any usable key is not an error here: the issuer may publish one later. [`Self::is_empty`] tells.
    ///
    /// # Errors
    ///
    /// [`SetupError::NotAKeySet`] where the text is not JSON or has no list `keys`.
    pub fn from_jwks(text: &str) -> Result<Self, SetupError> {
        let document = parse(text.as_bytes(), MAX_DEPTH, Duplicates::LastWins)
            .map_err(|error| SetupError::NotAKeySet(error.to_string()))?;
        let Some(Json::Array(entries)) = document.member("keys") else {
            return Err(SetupError::NotAKeySet("it has no list \"keys\"".to_owned()));
        };
        let mut keys: Vec<Key> = Vec::new();
        if entries.iter().any(|entry| entry.member("d").is_some()) {
            tracing::warn!("a key set holds a private key: publish the public half only");
        }
        let mut skipped = Skipped::default();
        for (position, entry) in entries.iter().enumerate() {
            match Key::read(entry) {
                Ok(key) if keys.iter().any(|known| known.overlaps(&key)) => {
                    skipped.log(position, Some(&key.id), "another key has its id");
                }
                Ok(_) if keys.len() == MAX_KEYS => {
                    skipped.log(position, None, "there are too many keys");
                }
                Ok(key) => keys.push(key),
                Err(why) => skipped.log(position, as_text(entry.member("kid")), why),
            }
        }
        skipped.log_rest();
        Ok(Self(keys.into()))
    }

    /// The ids of the usable keys, in the order of the document.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| &*key.id)
    }

    /// Whether there is no usable key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of that id: one that names the algorithm as the token does, else one that names it otherwise. `EdDSA` and
    /// `Ed25519` are two names of the same algorithm for a key of the curve Ed25519 (RFC 9864 §2.2), and issuers change one
    /// side before the other.
    pub(super) fn find(&self, id: &str, algorithm: &str) -> Option<&Key> {
        let of_id = || self.0.iter().filter(|key| *key.id == *id);
        let is_named = |key: &&Key| key.algorithm.as_deref().is_none_or(|own| own == algorithm);
        of_id().find(is_named).or_else(|| of_id().next())
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.key_ids()).finish()
    }
}

impl Key {
    fn read(entry: &Json<'_>) -> Result<Self, &'static str> {
        let text = |name| match entry.member(name) {
            Some(Json::String(text)) => Some(&**text),
            _ => None,
        };
        if text("kty") != Some("OKP") || text("crv") != Some("Ed25519") {
            return Err("it is no Ed25519 key");
        }
        let id = text("kid")
            .filter(|id| !id.is_empty())
            .ok_or("it has no key id")?;
        if !matches!(text("use"), None | Some("sig")) || entry.member("use").is_some_and(not_text) {
            return Err("it is not for signatures");
        }
        if !may_verify(entry.member("key_ops")) {
            return Err("it may not be used to verify");
        }
        if entry.member("alg").is_some_and(not_text) {
            return Err("its algorithm is no string");
        }
        let algorithm = text("alg");
        if !matches!(algorithm, None | Some("Ed25519" | "EdDSA")) {
            return Err("it is for another algorithm");
        }
        let point = text("x").ok_or("it has no public point `x`")?;
        let key = verifying_key(point)?;
        Ok(Self {
            id: id.into(),
            algorithm: algorithm.map(Into::into),
            key,
        })
    }

    /// Whether a token could mean either key. The first one counts then.
    fn overlaps(&self, other: &Self) -> bool {
        let algorithms = self.algorithm.as_deref().zip(other.algorithm.as_deref());
        self.id == other.id && algorithms.is_none_or(|(own, other)| own == other)
    }
}

const fn not_text(value: &Json<'_>) -> bool {
    !matches!(value, Json::String(_))
}

fn may_verify(key_ops: Option<&Json<'_>>) -> bool {
    match key_ops {
        None => true,
        Some(Json::Array(ops)) => ops.contains(&Json::String("verify".into())),
        Some(_) => false,
    }
}

fn verifying_key(point: &str) -> Result<VerifyingKey, &'static str> {
    let bytes = URL_SAFE_NO_PAD
        .decode(point)
        .map_err(|_| "its point is not base64url")?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| "its point has not 32 bytes")?;
    if !is_canonical(&bytes) {
        return Err("its point is not canonical");
    }
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "its point is not on the curve")?;
    if key.is_weak() {
        Err("its point is of small order: anybody could sign")
    } else {
        Ok(key)
    }
}

/// Whether the encoded y is below p = 2^255 - 19 (RFC 8032 §5.1.3). The decoder reduces it silently.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let top_is_full = bytes[31] & 0x7f == 0x7f && bytes[1..31].iter().all(|byte| *byte == 0xff);
    !(top_is_full && bytes[0] >= 0xed)
}
