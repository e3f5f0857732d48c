//! The public keys of an identity provider (JWKS, RFC 7517 §5): RSA, P-256, P-384 and Ed25519.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use koherent_core::KeySet;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// The least bits of an RSA modulus (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// The most bits of an RSA modulus: verifying with a larger one takes too long.
const MAX_RSA_BITS: usize = 8192;

/// A key that may verify some algorithms.
pub(super) struct AccessKey {
    id: String,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl AccessKey {
    /// Whether this is the key of that id, and may be used with that algorithm.
    pub(super) fn fits(&self, id: &str, algorithm: Algorithm) -> bool {
        self.id == id && self.algorithms.contains(&algorithm)
    }
}

/// The usable keys of a JWKS document. Others are skipped and logged, one by one.
pub(super) fn read_keys(document: &str) -> Option<Vec<AccessKey>> {
    let document: Value = serde_json::from_str(document).ok()?;
    let entries = document.get("keys")?.as_array()?;
    let mut keys = Vec::with_capacity(entries.len());
    for (position, entry) in entries.iter().enumerate() {
        match read_key(entry) {
            Ok(key) => keys.push(key),
            Err(why) => tracing::warn!(position, "key skipped: {why}"),
        }
    }
    Some(keys)
}

fn read_key(entry: &Value) -> Result<AccessKey, &'static str> {
    let jwk = Jwk::deserialize(entry).map_err(|_| "it is no JSON Web Key")?;
    let id = jwk
        .common
        .key_id
        .clone()
        .filter(|id| !id.is_empty())
        .ok_or("it has no key id")?;
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return Err("it is not for signatures");
    }
    let may_verify = |ops: &Vec<KeyOperations>| ops.contains(&KeyOperations::Verify);
    if !jwk.common.key_operations.as_ref().is_none_or(may_verify) {
        return Err("it may not be used to verify");
    }
    let mut algorithms = algorithms_of(&jwk)?;
    if let Some(own) = entry.get("alg") {
        let own = own
            .as_str()
            .and_then(algorithm)
            .ok_or("it is for another algorithm")?;
        algorithms.retain(|algorithm| *algorithm == own);
        if algorithms.is_empty() {
            return Err("it is for another algorithm");
        }
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "its parameters cannot be decoded")?;
    Ok(AccessKey {
        id,
        algorithms,
        key,
    })
}

/// The algorithm of that name, if access tokens can have it. HMAC and `none` are no names here.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// Checks the key's parameters, which `jsonwebtoken` takes on trust, and says what the key can verify.
fn algorithms_of(jwk: &Jwk) -> Result<Vec<Algorithm>, &'static str> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let bits = decoded_len(&rsa.n).ok_or("its modulus is not base64url")? * 8;
            if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                return Err("its modulus has less than 2048 or more than 8192 bits");
            }
            Ok(vec![RS256, RS384, RS512, PS256, PS384, PS512])
        }
        AlgorithmParameters::EllipticCurve(point) => {
            let (bytes, algorithm) = match point.curve {
                EllipticCurve::P256 => (32, ES256),
                EllipticCurve::P384 => (48, ES384),
                _ => return Err("its curve is not P-256 or P-384"),
            };
            if [&point.x, &point.y]
                .iter()
                .any(|part| decoded_len(part) != Some(bytes))
            {
                return Err("its point has the wrong length");
            }
            Ok(vec![algorithm])
        }
        AlgorithmParameters::OctetKeyPair(point) if point.curve == EllipticCurve::Ed25519 => {
            // The rules for points are those of provenance keys: canonical, on the curve, not of small order.
            let probe = json!({"kty": "OKP", "crv": "Ed25519", "kid": "probe", "x": point.x});
            let usable = KeySet::from_jwks(&json!({ "keys": [probe] }).to_string());
            if usable.is_ok_and(|keys| !keys.is_empty()) {
                Ok(vec![EdDSA])
            } else {
                Err("its point is malformed or weak")
            }
        }
        _ => Err("its type cannot verify access tokens"),
    }
}

/// How many bytes unpadded base64url stands for, if it is that.
fn decoded_len(text: &str) -> Option<usize> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (plain && !text.is_empty() && text.len() % 4 != 1).then_some(text.len() * 3 / 4)
}
