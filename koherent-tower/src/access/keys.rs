//! The public keys of an identity provider (JWKS, RFC 7517 §5): RSA, P-256, P-384 and Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use koherent_core::token::Skipped;
use koherent_core::{KeySet, SetupError};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// The least bits of an RSA modulus (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// The most bits of an RSA modulus that the verifier takes.
const MAX_RSA_BITS: usize = 4096;

/// The most keys that a set is searched for.
const MAX_KEYS: usize = 1000;

/// A key that may verify some algorithms.
pub(super) struct AccessKey {
    id: String,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl AccessKey {
    /// What checks signatures of that algorithm by this key.
    pub(super) fn verifier(&self, algorithm: Algorithm) -> Option<Box<dyn JwtVerifier>> {
        // Named, not the process-wide default: two crypto features in one build leave none, and it panics.
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &self.key).ok()
    }

    /// Whether a token could mean either key.
    fn overlaps(&self, other: &Self) -> bool {
        self.id == other.id
            && self
                .algorithms
                .iter()
                .any(|algorithm| other.algorithms.contains(algorithm))
    }
}

/// The usable keys of an identity provider.
pub struct AccessKeys(Vec<AccessKey>);

impl AccessKeys {
    /// Reads a JWKS document. Unusable keys are skipped and logged, one by one.
    pub(super) fn read(document: &str) -> Result<Self, SetupError> {
        let no_key_set = |why: &str| SetupError::NotAKeySet(why.to_owned());
        let document: Value =
            serde_json::from_str(document).map_err(|_| no_key_set("it is not JSON"))?;
        let entries = document.get("keys").and_then(Value::as_array);
        let entries = entries.ok_or_else(|| no_key_set("it has no list \"keys\""))?;
        let mut keys: Vec<AccessKey> = Vec::new();
        let mut skipped = Skipped::default();
        for (position, entry) in entries.iter().enumerate() {
            match read_key(entry) {
                Ok(key) if keys.iter().any(|known| known.overlaps(&key)) => {
                    skipped.log(position, Some(&key.id), "another key has its id");
                }
                Ok(_) if keys.len() == MAX_KEYS => {
                    skipped.log(position, None, "there are too many keys");
                }
                Ok(key) => keys.push(key),
                Err(why) => skipped.log(position, entry.get("kid").and_then(Value::as_str), why),
            }
        }
        skipped.log_rest();
        Ok(Self(keys))
    }

    /// The key of that id that may be used with that algorithm.
    pub(super) fn find(&self, id: &str, algorithm: Algorithm) -> Option<&AccessKey> {
        self.0
            .iter()
            .find(|key| key.id == id && key.algorithms.contains(&algorithm))
    }

    /// Whether some key fits one of these algorithms.
    pub(super) fn can_verify(&self, algorithms: &[Algorithm]) -> bool {
        let fits = |key: &AccessKey| key.algorithms.iter().any(|own| algorithms.contains(own));
        self.0.iter().any(fits)
    }
}

impl std::fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.0.iter().map(|key| &key.id);
        f.debug_list().entries(ids).finish()
    }
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
    let key = AccessKey {
        id,
        algorithms,
        key,
    };
    if key
        .algorithms
        .iter()
        .any(|algorithm| key.verifier(*algorithm).is_none())
    {
        return Err("its point is not on its curve, or its parameters fit no verifier");
    }
    Ok(key)
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
        // Two names of the same, for keys of the curve Ed25519, which are the only ones here (RFC 9864 §2.2).
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// Checks the key's parameters, which `jsonwebtoken` takes on trust, and says what the key can verify.
fn algorithms_of(jwk: &Jwk) -> Result<Vec<Algorithm>, &'static str> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            check_rsa(&rsa.n, &rsa.e)?;
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

/// The modulus must be large enough to resist factoring, and the exponent odd and at least 3 (RFC 8017 §3.1).
fn check_rsa(modulus: &str, exponent: &str) -> Result<(), &'static str> {
    let modulus = URL_SAFE_NO_PAD
        .decode(modulus)
        .map_err(|_| "its modulus is not base64url")?;
    let exponent = URL_SAFE_NO_PAD
        .decode(exponent)
        .map_err(|_| "its exponent is not base64url")?;
    // RFC 7518 §6.3.1.1: no leading zero bytes, behind which a small modulus could look large.
    let leading = modulus.first().copied().filter(|byte| *byte != 0);
    let leading = leading.ok_or("its modulus has a leading zero byte")?;
    let bits = modulus.len() * 8 - leading.leading_zeros() as usize;
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err("its modulus has less than 2048 or more than 4096 bits");
    }
    let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    if !odd || exponent.len() > 4 || exponent == [1] || exponent.first() == Some(&0) {
        return Err("its exponent is not odd, at least 3 and at most 4 bytes");
    }
    Ok(())
}

/// How many bytes a text stands for, if it is unpadded base64url.
fn decoded_len(text: &str) -> Option<usize> {
    URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| bytes.len())
}
