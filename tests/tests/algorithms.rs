//! The nine algorithms that access tokens can have: each verifies its own signatures, and is mistaken for no other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, EncodingKey};
use koherent_core::testing::test_issuer;
use koherent_core::{Error, KeySource};
use koherent_tower::{AccessIssuer, AccessVerifier};
use serde_json::{Value, json};

const LOGIN: &str = "https://login.example";

const ALL: [(&str, &str); 9] = [
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
    ("ES256", "p256"),
    ("ES384", "p384"),
    ("EdDSA", "test-1"),
];

fn jwks() -> Value {
    let ed25519: Value = serde_json::from_str(&test_issuer(LOGIN).jwks()).unwrap();
    json!({"keys": [
        {"kty": "RSA", "kid": "rsa", "n": MODULUS, "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "kid": "p256", "x": P256[0], "y": P256[1]},
        {"kty": "EC", "crv": "P-384", "kid": "p384", "x": P384[0], "y": P384[1]},
        ed25519["keys"][0],
    ]})
}

fn verifier(algorithms: &[&str]) -> AccessVerifier {
    verifier_with(&jwks(), algorithms)
}

fn verifier_with(jwks: &Value, algorithms: &[&str]) -> AccessVerifier {
    let keys = KeySource::inline(jwks.to_string());
    let login = AccessIssuer::new(LOGIN, keys, algorithms.iter().copied()).unwrap();
    AccessVerifier::new("lab", [login]).unwrap()
}

fn signing_input(header: &Value) -> String {
    let claims = json!({"iss": LOGIN, "aud": "lab", "sub": "ann", "exp": 4_102_444_800_u64});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(&claims))
}

/// A token whose header is this, signed by that algorithm whatever the header says.
fn sign(header: &Value, algorithm: &str, key: &str) -> String {
    let input = signing_input(header);
    if algorithm == "EdDSA" {
        let claims = json!({"iss": LOGIN, "aud": "lab", "sub": "ann", "exp": 4_102_444_800_u64});
        return test_issuer(LOGIN).sign(header, &claims);
    }
    let der = |text: &str| STANDARD.decode(text).unwrap();
    let key = match key {
        "rsa" => EncodingKey::from_rsa_der(&der(RSA_PRIVATE)),
        "p256" => EncodingKey::from_ec_der(&der(P256_PRIVATE)),
        "p384" => EncodingKey::from_ec_der(&der(P384_PRIVATE)),
        secret => EncodingKey::from_secret(secret.as_bytes()),
    };
    let algorithm: Algorithm = algorithm.parse().unwrap();
    let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm, &key).unwrap();
    let signature = signer.try_sign(input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header(algorithm: &str, key: &str) -> Value {
    json!({"typ": "at+jwt", "alg": algorithm, "kid": key})
}

#[test]
fn each_algorithm_verifies_its_own_signatures() {
    for (algorithm, key) in ALL {
        let token = sign(&header(algorithm, key), algorithm, key);
        let principal = verifier(&[algorithm]).verify(&token);
        assert_eq!(principal.unwrap().subject, "ann", "{algorithm}");
        for at in [0, 20, 40] {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
            bytes[at] ^= 1;
            let flipped = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            let verdict = verifier(&[algorithm]).verify(&flipped);
            assert_eq!(verdict, Err(Error::BadSignature), "{algorithm} {at}");
            bytes[at] ^= 1;
            bytes.push(0);
            let longer = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert_eq!(
                verifier(&[algorithm]).verify(&longer),
                Err(Error::BadSignature)
            );
        }
    }
}

/// What the header names, what signed, and what the issuer is pinned to: unless all three agree, it is refused.
#[test]
fn no_algorithm_passes_for_another() {
    let mut tried = 0;
    for (pinned, _) in ALL {
        let verifier = verifier(&[pinned]);
        for (named, named_key) in ALL {
            for (signed, signing_key) in ALL {
                let token = sign(&header(named, named_key), signed, signing_key);
                let verdict = verifier.verify(&token);
                let expected = if named != pinned {
                    Err(Error::UnsupportedAlgorithm)
                } else if named != signed {
                    Err(Error::BadSignature)
                } else {
                    Ok(())
                };
                assert_eq!(verdict.map(drop), expected, "{pinned} {named} {signed}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 729);
}

/// All algorithms are allowed, and a token names the key of another type.
#[test]
fn no_key_verifies_by_the_algorithm_of_another_type() {
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    let verifier = verifier(&names);
    for (algorithm, own_key) in ALL {
        for key in ["rsa", "p256", "p384", "test-1"] {
            let token = sign(&header(algorithm, key), algorithm, own_key);
            let expected = if key == own_key {
                Ok(())
            } else {
                Err(Error::UnknownKey)
            };
            assert_eq!(
                verifier.verify(&token).map(drop),
                expected,
                "{algorithm} {key}"
            );
        }
    }
}

/// A key that says what it is for is used for nothing else.
#[test]
fn key_with_an_algorithm_of_its_own_is_held_to_it() {
    let mut jwks = jwks();
    jwks["keys"][0]["alg"] = json!("RS512");
    let names = ["RS256", "RS512", "PS512"];
    let verifier = verifier_with(&jwks, &names);
    for algorithm in names {
        let token = sign(&header(algorithm, "rsa"), algorithm, "rsa");
        let expected = if algorithm == "RS512" {
            Ok(())
        } else {
            Err(Error::UnknownKey)
        };
        assert_eq!(verifier.verify(&token).map(drop), expected);
    }
}

/// The oldest trick: what is public becomes the secret of an HMAC, or no signature is asked for at all.
#[test]
fn public_keys_are_no_secrets_and_none_is_no_algorithm() {
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    let verifier = verifier(&names);
    for hmac in ["HS256", "HS384", "HS512"] {
        for secret in ["", MODULUS, P256[0], RSA_PRIVATE, &jwks().to_string()] {
            for key in ["rsa", "p256", "test-1"] {
                let token = sign(&header(hmac, key), hmac, secret);
                assert_eq!(verifier.verify(&token), Err(Error::UnsupportedAlgorithm));
            }
        }
    }
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let input = signing_input(&header(none, "rsa"));
        for signature in ["", "AAAA"] {
            assert!(verifier.verify(&format!("{input}.{signature}")).is_err());
        }
    }
    // A signature of zeros: ECDSA without range checks takes it for any message (CVE-2022-21449).
    for (algorithm, key, length) in [
        ("ES256", "p256", 64),
        ("ES384", "p384", 96),
        ("EdDSA", "test-1", 64),
    ] {
        let input = signing_input(&header(algorithm, key));
        let zeros = URL_SAFE_NO_PAD.encode(vec![0; length]);
        assert_eq!(
            verifier.verify(&format!("{input}.{zeros}")),
            Err(Error::BadSignature)
        );
    }
    // A key that the token brings along is never used.
    let brought = json!({"alg": "RS256", "kid": "rsa", "jwk": {"kty": "RSA", "n": MODULUS, "e": "AQAB", "kid": "rsa"},
        "jku": "https://attacker.example/jwks.json", "x5u": "https://attacker.example/", "x5c": ["AAAA"]});
    let token = test_issuer("attacker").sign(
        &brought,
        &json!({"iss": LOGIN, "aud": "lab", "sub": "ann", "exp": 4_102_444_800_u64}),
    );
    assert_eq!(verifier.verify(&token), Err(Error::BadSignature));
}

// Keys made for this test. They protect nothing.
const MODULUS: &str = "rGJmQIp53fkDZDmVbd8YpWbYOV5vL4uPDkXNTO-gCLyPidW0FZv0HtEqdv6gAKKppnK-CWX1ejO8uKkIS6Z1ycGIy-VR-u9y4paDTXH_oZwT8j4w9Q0_hiHLfDHIg8EQz8tMJRxu0PvW-CvRAvC9bPqem-UIbGwqwP-GrYabmy1ggGnPrJrA4dRoao5iRXFpaLrhwCfZMZbGN3fdbl3oagMSpXyx6usvHQhsW0BCZfx-WTOaVne4QurTVDicIE3tkpqB0EujfK3Uo-SCco0FwjyHWfpCk09LLu8heQILEAtvwuQk39853XMHunNyHhkBLgJet5oTLFD6csD2-0_bSQ";
const P256: [&str; 2] = [
    "kNByNKPkJbS30emUMXz4yCWeHdXyil4uOqmhc40Pg5k",
    "48dGD1_xLqhsneCYoydIW6py6STg7a0VNNV53Udhlng",
];
const P384: [&str; 2] = [
    "xPMMemSqIpH8-1Vv76PM-pyv05GYmUFNA1jTs3WotWUzdKJbybTbt_SL11vBya0p",
    "aBtjQgUAVnRfscYQ8oZob_TL8Qg53vxWdQVJ1XBQDHjKcsbWIEvOHs_dHP9SBjxJ",
];
const RSA_PRIVATE: &str = "MIIEogIBAAKCAQEArGJmQIp53fkDZDmVbd8YpWbYOV5vL4uPDkXNTO+gCLyPidW0FZv0HtEqdv6gAKKppnK+CWX1ejO8uKkIS6Z1ycGIy+VR+u9y4paDTXH/oZwT8j4w9Q0/hiHLfDHIg8EQz8tMJRxu0PvW+CvRAvC9bPqem+UIbGwqwP+GrYabmy1ggGnPrJrA4dRoao5iRXFpaLrhwCfZMZbGN3fdbl3oagMSpXyx6usvHQhsW0BCZfx+WTOaVne4QurTVDicIE3tkpqB0EujfK3Uo+SCco0FwjyHWfpCk09LLu8heQILEAtvwuQk39853XMHunNyHhkBLgJet5oTLFD6csD2+0/bSQIDAQABAoIBAFMoIphm1JQKQCMUjiuS0AJWIt9F2U/vvEJP1NIU1DfysjF1GCrGcRR+pUQC369+yGUFe/vvpePd2l+gFuLbeX2qsTFevdXVta9tmQh+gij1MEAO1TIZQngTjGQsZcR9GX2L3f8XALQqkJBmHq0S8eYE3gdpDE+1PEie21qRETZg+K7zuO5dTW7vm8KJeFOOjcqxBu1lMjhTPTydzEFW0+ZGG/l/J8q4ttQFgHtBYtBYoKW2GBhyt3rPxVsCBP7Zn6IpP6sWNc9utpPTwkGA4knNCoCAJDwDB2BiNvTB5gsjt6QYn+RxqJmGPALODgX339HOKey+4lzhBjmIecz8grsCgYEA7bMe3LsdrGQfkhwdH4nb8KaPUiYd4E+wzHuMVn1BR6mfv9IAyiSgyshlnO/2luzVmjyycTuZ/ksK7NUswdScG0FzbCGI+wyiiDea+Rb3/uA07dzQDwDaQws4tnZW469IpEpApB5GRi3JjvIcAqA+B9B8hsfZPpwtVCtlN9W5M0MCgYEAuaf2vU3vug9JsVwzzSbtDEYLVfW+IjdYEcsFjLTIzuoyEGrQY4nc0cuhf5djWsytujtsTpBZ15vu2NuVAk18vPpHcJlncaYDnSa00gC230393SXNou6ywZtDmZ/La40KTlly5cKun+hOQr5GmBBwJAm3pUdsREhmYW7TACmQ4IMCgYBEQl/me0V2L/pw9unWGLy0SuB1csS5majnz8LpQ2bvsWJSr3fSlNon4YxsmOxzQufENxH3OmpqgBpPEJidwPRjT1RaBPdVQLeb7nvudA4bfz8z32lQJaqH/jz3CNzC3Z86rqgJeTgtBxEOn7AzgNjPXauk+NcGB8tslFmowxNACQKBgHdYStu8SvuvMi8qVz5s5Hs8V7Mlatkx/JJLkUC3QlMI56/4CgfCqsnOff24Qq0u4ArUgjYqwyY/3hVXan11dFdDCEOQyZecIbyXEivhO61mxGeyEnPHv++HMLiDqU909ggRpjOep4Sx4AU1rcm43227NWuw8x8d73p4tHjpP3GjAoGALbKsjy8vjNLW4t7FnCrMEfPGJMZqln2pSQEmKTvHCGWOCLJ+yo0FipP9d3LMCNNnAsVp/iJP8XikjrgfNs+fu7n1uCh7Egq4RDVjHswDd6aqUuEgoRYkyr3+IaeOB4Ea3WrlVnZT+5n1U7Fqs0K4KTlUjKm43KBFc33Jco7q1XM=";
const P256_PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJTpY9NWVSjDh0sG6g0Tv645N5KzFUveXNQvTASHgHpChRANCAASQ0HI0o+QltLfR6ZQxfPjIJZ4d1fKKXi46qaFzjQ+DmePHRg9f8S6obJ3gmKMnSFuqcukk4O2tFTTVed1HYZZ4";
const P384_PRIVATE: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDD8yaiw+cyQ+GTQfXrVmDkGjpiaE5uOGofPUX2giFJEdMmn17I+UTLjRh+N4DqID8ehZANiAATE8wx6ZKoikfz7VW/vo8z6nK/TkZiZQU0DWNOzdai1ZTN0olvJtNu39IvXW8HJrSloG2NCBQBWdF+xxhDyhmhv9MvxCDne/FZ1BUnVcFAMeMpyxtYgS84ez90c/1IGPEk=";
