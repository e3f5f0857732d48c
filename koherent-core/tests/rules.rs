//! Rules of tokens that issuers change one side before the other: names of algorithms, and ways of hashing arguments.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use koherent_core::testing::test_issuer;
use koherent_core::token::UnknownArgsHash;
use koherent_core::{Error, KeySource, TrustedIssuer, Verifier, verify_args};
use serde_json::{Value, json};

fn verifier(jwks: &Value) -> Verifier {
    let keys = KeySource::inline(jwks.to_string());
    Verifier::new("lab", [TrustedIssuer::new("rekuest", keys).unwrap()]).unwrap()
}

fn keys() -> Value {
    serde_json::from_str(&test_issuer("rekuest").jwks()).unwrap()
}

/// A key set with the algorithm named so, or not at all.
fn named(algorithm: Option<&str>) -> Value {
    let mut jwks = keys();
    let key = jwks["keys"][0].as_object_mut().unwrap();
    key.remove("alg");
    if let Some(algorithm) = algorithm {
        key.insert("alg".into(), json!(algorithm));
    }
    jwks
}

/// `Ed25519` is the exact name of what `EdDSA` means for such a key (RFC 9864 §2.2).
#[test]
fn a_key_of_either_name_verifies_tokens_of_either_name() {
    let issuer = test_issuer("rekuest");
    for of_the_key in [None, Some("EdDSA"), Some("Ed25519")] {
        let verifier = verifier(&named(of_the_key));
        for name in ["EdDSA", "Ed25519"] {
            let token = issuer.task("task-a").header("alg", name).mint();
            assert!(verifier.verify(&token).is_ok(), "{of_the_key:?} {name}");
        }
        let token = issuer.task("task-a").header("alg", "Ed448").mint();
        assert_eq!(
            verifier.verify(&token).unwrap_err(),
            Error::UnsupportedAlgorithm
        );
    }
    // A key that names another algorithm stays unusable.
    let token = issuer.task("task-a").mint();
    let other = verifier(&named(Some("ES256"))).verify(&token);
    assert_eq!(other.unwrap_err(), Error::UnknownKey);
}

/// Two keys of one id that differ by the name alone: each token gets the one it names.
#[test]
fn the_key_that_names_the_algorithm_as_the_token_does_comes_first() {
    let mut jwks = named(Some("EdDSA"));
    let another = koherent_core::mint::TokenIssuer::new("rekuest", "test-1", &[77; 32]);
    let mut other: Value = serde_json::from_str(&another.jwks()).unwrap();
    other["keys"][0]["alg"] = json!("Ed25519");
    jwks["keys"]
        .as_array_mut()
        .unwrap()
        .push(other["keys"][0].clone());
    let verifier = verifier(&jwks);
    let issuer = test_issuer("rekuest");
    let token = |issuer: &koherent_core::mint::TokenIssuer, name: &str| {
        issuer.task("task-a").header("alg", name).mint()
    };
    assert!(verifier.verify(&token(&issuer, "EdDSA")).is_ok());
    assert!(verifier.verify(&token(&another, "Ed25519")).is_ok());
    assert_eq!(
        verifier.verify(&token(&issuer, "Ed25519")).unwrap_err(),
        Error::BadSignature
    );
}

#[test]
fn a_task_with_an_unknown_hash_of_its_arguments_is_believed_only_where_that_is_said() {
    let issuer = test_issuer("rekuest");
    let token = |algorithm: &str, hash: &str| {
        let token = issuer.task("task-a").claim("aha", algorithm);
        token.claim("ahs", hash).mint()
    };
    let strict = verifier(&keys());
    let keeping = verifier(&keys()).with_unknown_args_hash(UnknownArgsHash::Keep);
    let unknown = token("blake3-canonical-v2", "z9/+0=");
    let refused = strict.verify(&unknown).unwrap_err();
    assert!(
        matches!(refused, Error::InvalidClaim { claim: "aha", .. }),
        "{refused}"
    );
    let verified = keeping.verify(&unknown).unwrap();
    assert_eq!(verified.task().args_hash, "z9/+0=");
    assert_eq!(verify_args(&verified, b"{}"), Err(Error::ArgsMismatch));
    // A hash that would fit says nothing where it was made in another way.
    let known = koherent_core::token::args_hash(b"{}").unwrap();
    let verified = keeping
        .verify(&token("blake3-canonical-v2", &known))
        .unwrap();
    assert_eq!(verify_args(&verified, b"{}"), Err(Error::ArgsMismatch));
    // What no column holds, and a known hash that is none, are refused under either rule.
    for (algorithm, hash) in [
        ("", "x"),
        ("blake3", ""),
        ("blake3", "a\0b"),
        ("sha256-canonical-v1", "not hex"),
    ] {
        for verifier in [&strict, &keeping] {
            let refused = verifier.verify(&token(algorithm, hash)).unwrap_err();
            assert_eq!(refused.reason(), "INVALID_CLAIM", "{algorithm:?} {hash:?}");
        }
    }
}
