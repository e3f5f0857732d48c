//! Access tokens: each refusal made by altering one thing in a valid token.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use koherent_core::mint::TokenIssuer;
use koherent_core::testing::TestClock;
use koherent_core::{Error, KeySource, Principal};
use koherent_tower::{AccessIssuer, AccessVerifier};
use serde_json::{Value, json};

const NOW: u64 = 1_790_000_000;

fn issuer() -> TokenIssuer {
    TokenIssuer::new("https://login.example", "k1", &[3; 32])
}

fn verifier(jwks: &str, algorithms: &[&str]) -> AccessVerifier {
    let keys = KeySource::inline(jwks);
    let trusted =
        AccessIssuer::new("https://login.example", keys, algorithms.iter().copied()).unwrap();
    AccessVerifier::new("lab", [trusted])
        .unwrap()
        .with_clock(Arc::new(TestClock::at(NOW)))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example", "aud": ["lab", "other"], "sub": "ann", "client_id": "lab-ui",
        "exp": NOW + 60, "nbf": NOW, "iat": NOW, "org": "bio", "roles": ["staff"], "scope": "read write",
        "preferred_username": "Ann",
    })
}

fn header() -> Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "k1"})
}

fn with(mut document: Value, member: &str, value: Value) -> Value {
    document[member] = value;
    document
}

fn without(mut document: Value, member: &str) -> Value {
    document.as_object_mut().unwrap().remove(member);
    document
}

fn verify(header: &Value, claims: &Value) -> Result<Principal, Error> {
    verifier(&issuer().jwks(), &["EdDSA"]).verify(&issuer().sign(header, claims))
}

#[test]
fn valid_token_says_who_it_is() {
    let ann = verify(&header(), &claims()).unwrap();
    assert_eq!(ann.subject, "ann");
    assert_eq!(ann.client.as_ref().unwrap(), "lab-ui");
    assert_eq!(ann.organization.as_ref().unwrap(), "bio");
    assert!(ann.has_role("staff") && ann.has_scope("write") && !ann.has_scope("admin"));
    assert_eq!(ann.username.as_deref(), Some("Ann"));
    let bare = json!({"iss": "https://login.example", "aud": "lab", "sub": "ann", "exp": NOW + 1});
    assert_eq!(verify(&header(), &bare).unwrap().client, None);
}

#[test]
fn each_altered_claim_is_refused_for_its_reason() {
    for (claims, reason) in [
        (without(claims(), "exp"), "MISSING_CLAIM"),
        (without(claims(), "aud"), "MISSING_CLAIM"),
        (without(claims(), "iss"), "MISSING_CLAIM"),
        (without(claims(), "sub"), "MISSING_CLAIM"),
        (with(claims(), "sub", json!(7)), "INVALID_CLAIM"),
        (with(claims(), "sub", json!("")), "INVALID_CLAIM"),
        (with(claims(), "exp", json!("4102444800")), "INVALID_CLAIM"),
        (with(claims(), "exp", json!(true)), "INVALID_CLAIM"),
        (with(claims(), "aud", json!({"lab": 1})), "INVALID_CLAIM"),
        (with(claims(), "aud", json!(["lab", 1])), "INVALID_CLAIM"),
        (with(claims(), "roles", json!("staff")), "INVALID_CLAIM"),
        (with(claims(), "scope", json!(["read"])), "INVALID_CLAIM"),
        (
            with(claims(), "client_id", json!(["lab-ui"])),
            "INVALID_CLAIM",
        ),
        (with(claims(), "sub", json!(["ann"])), "INVALID_CLAIM"),
        (with(claims(), "exp", json!([1])), "INVALID_CLAIM"),
        (with(claims(), "nbf", json!({"a": 1})), "INVALID_CLAIM"),
        (with(claims(), "exp", json!(1e300)), "INVALID_CLAIM"),
        (with(claims(), "iss", json!(7)), "INVALID_CLAIM"),
        (with(claims(), "tsk", json!("task-a")), "INVALID_CLAIM"),
        (with(claims(), "exp", json!(NOW)), "EXPIRED"),
        (with(claims(), "nbf", json!(NOW + 1)), "NOT_YET_VALID"),
        (with(claims(), "iat", json!(NOW + 1)), "NOT_YET_VALID"),
        (with(claims(), "aud", json!("Lab")), "WRONG_AUDIENCE"),
        (with(claims(), "aud", json!([])), "WRONG_AUDIENCE"),
        (with(claims(), "aud", json!("*")), "WRONG_AUDIENCE"),
        (
            with(claims(), "iss", json!("https://login.example/")),
            "UNTRUSTED_ISSUER",
        ),
        (
            with(claims(), "iss", json!("koherent-development")),
            "UNTRUSTED_ISSUER",
        ),
    ] {
        assert_eq!(
            verify(&header(), &claims).unwrap_err().reason(),
            reason,
            "{claims}"
        );
    }
}

#[test]
fn each_altered_header_is_refused_for_its_reason() {
    for (header, reason) in [
        (without(header(), "alg"), "UNSUPPORTED_ALGORITHM"),
        (
            with(header(), "alg", json!("none")),
            "UNSUPPORTED_ALGORITHM",
        ),
        (
            with(header(), "alg", json!("HS256")),
            "UNSUPPORTED_ALGORITHM",
        ),
        (
            with(header(), "alg", json!("RS256")),
            "UNSUPPORTED_ALGORITHM",
        ),
        (
            with(header(), "alg", json!({"EdDSA": null})),
            "UNSUPPORTED_ALGORITHM",
        ),
        (with(header(), "crit", json!("x")), "MALFORMED"),
        (with(header(), "crit", json!([])), "MALFORMED"),
        (with(header(), "crit", json!(null)), "MALFORMED"),
        (with(header(), "b64", json!(false)), "MALFORMED"),
        (without(header(), "kid"), "MISSING_KID"),
        (with(header(), "kid", json!("")), "MISSING_KID"),
        (with(header(), "kid", json!("K1")), "UNKNOWN_KEY"),
    ] {
        assert_eq!(
            verify(&header, &claims()).unwrap_err().reason(),
            reason,
            "{header}"
        );
    }
}

/// Members that a verifier does not know say nothing (RFC 7515 §4), and optional claims can be empty.
#[test]
fn unknown_header_members_and_empty_optional_claims_are_ignored() {
    for header in [
        with(header(), "jku", json!(5)),
        with(header(), "x5c", json!("abc")),
    ] {
        assert!(verify(&header, &claims()).is_ok(), "{header}");
    }
    let empty = with(
        with(claims(), "org", json!("")),
        "preferred_username",
        json!(""),
    );
    assert_eq!(verify(&header(), &empty).unwrap().organization, None);
}

#[test]
fn signatures_of_others_are_refused() {
    let verifier = verifier(&issuer().jwks(), &["EdDSA"]);
    let forger = TokenIssuer::new("https://login.example", "k1", &[4; 32]);
    let forged = forger.sign(&header(), &claims());
    assert_eq!(verifier.verify(&forged), Err(Error::BadSignature));
    let genuine = issuer().sign(&header(), &claims());
    assert!(verifier.verify(&genuine).is_ok());
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let flipped = format!("{signed}.{other}{}", &signature[1..]);
    assert_eq!(verifier.verify(&flipped), Err(Error::BadSignature));
    assert!(verifier.verify(&genuine[..genuine.len() - 1]).is_err());
    assert!(verifier.verify(&format!("{genuine} ")).is_err());
}

/// Keys of other types and broken ones stand beside the good one; none panics, none spoils the set.
#[test]
fn bad_keys_are_skipped() {
    let mut jwks: Value = serde_json::from_str(&issuer().jwks()).unwrap();
    let keys = jwks["keys"].as_array_mut().unwrap();
    let point = keys[0]["x"].clone();
    // 64 bytes that count, behind 192 that do not: it would be factored in hours.
    let padded = [[0; 192].as_slice(), &[255; 64]].concat();
    let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    keys.extend([
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "weak", "x": weak}),
        json!({"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AAAA"}),
        json!({"kty": "RSA", "kid": "small", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": "AA", "y": "AA"}),
        json!({"kty": "oct", "kid": "secret", "k": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "encryption", "use": "enc", "x": point}),
        json!({"kty": "RSA", "kid": "huge", "n": base64(&[255; 1024]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "padded", "n": base64(&padded), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "even", "n": base64(&[255; 256]), "e": "Ag"}),
        json!({"kty": "EC", "crv": "P-256", "kid": "off-curve", "x": base64(&[1; 32]), "y": base64(&[1; 32])}),
        json!("no key"),
        json!(null),
    ]);
    let verifier = verifier(&jwks.to_string(), &["EdDSA", "RS256", "ES256"]);
    assert!(
        verifier
            .verify(&issuer().sign(&header(), &claims()))
            .is_ok()
    );
    for kid in [
        "short",
        "weak",
        "x",
        "small",
        "ec",
        "secret",
        "encryption",
        "huge",
        "padded",
        "even",
        "off-curve",
    ] {
        for alg in ["EdDSA", "RS256", "ES256"] {
            let header = with(with(header(), "kid", json!(kid)), "alg", json!(alg));
            let error = verifier
                .verify(&issuer().sign(&header, &claims()))
                .unwrap_err();
            assert_eq!(error, Error::UnknownKey, "{kid} {alg}");
        }
    }
}

#[test]
fn settings_that_cannot_be_meant_are_refused_at_start() {
    let keys = || KeySource::inline(issuer().jwks());
    let login = || AccessIssuer::new("a", keys(), ["EdDSA"]).unwrap();
    assert!(AccessIssuer::new(" ", keys(), ["EdDSA"]).is_err());
    assert!(AccessIssuer::new("a ", keys(), ["EdDSA"]).is_err());
    assert!(AccessIssuer::new("koherent-development", keys(), ["EdDSA"]).is_err());
    assert!(AccessIssuer::new("a", KeySource::inline("{}"), ["EdDSA"]).is_err());
    assert!(AccessIssuer::new("a", KeySource::file("/no/such/file"), ["EdDSA"]).is_err());
    assert!(AccessIssuer::new("a", keys(), []).is_err());
    assert!(AccessIssuer::new("a", keys(), ["HS256"]).is_err());
    assert!(AccessVerifier::new(" ", [login()]).is_err());
    assert!(AccessVerifier::new("lab", []).is_err());
    assert!(AccessVerifier::new("lab", [login(), login()]).is_err());
    let verifier = || AccessVerifier::new("lab", [login()]).unwrap();
    assert!(verifier().with_organizations([""; 0]).is_err());
    assert!(verifier().with_leeway(Duration::from_secs(61)).is_err());
}

fn trusting(alter: impl Fn(AccessVerifier) -> AccessVerifier) -> AccessVerifier {
    alter(verifier(&issuer().jwks(), &["EdDSA"]))
}

#[test]
fn only_members_of_the_listed_organizations_may_use_the_service() {
    let members = trusting(|verifier| verifier.with_organizations(["bio", "chem"]).unwrap());
    for (organization, expected) in [
        (json!("bio"), Ok(())),
        (json!("chem"), Ok(())),
        (json!("Bio"), Err(Error::OrganizationNotAllowed)),
        (json!("bio "), Err(Error::OrganizationNotAllowed)),
        (json!("physics"), Err(Error::OrganizationNotAllowed)),
        (json!(""), Err(Error::OrganizationNotAllowed)),
        (json!(null), Err(Error::OrganizationNotAllowed)),
    ] {
        let token = issuer().sign(&header(), &with(claims(), "org", organization));
        assert_eq!(members.verify(&token).map(drop), expected);
        // Everybody's verifier, and its memory, are another matter.
        let everybody = trusting(|verifier| verifier);
        everybody.verify(&token).unwrap();
        let stricter = everybody
            .clone()
            .with_organizations(["bio", "chem"])
            .unwrap();
        assert_eq!(stricter.verify(&token).map(drop), expected);
    }
    let none = issuer().sign(&header(), &without(claims(), "org"));
    assert_eq!(members.verify(&none), Err(Error::OrganizationNotAllowed));
}

/// The verdict to the second, seen before or not, and when the clock steps back.
#[test]
fn dates_count_to_the_second_seen_before_or_not() {
    let token = issuer().sign(&header(), &claims());
    for leeway in [0, 60] {
        let (first, last) = (NOW - leeway, NOW + 60 + leeway);
        for (moment, expected) in [
            (first - 1, Err(Error::NotYetValid)),
            (first, Ok(())),
            (last - 1, Ok(())),
            (last, Err(Error::Expired)),
            (last + 1, Err(Error::Expired)),
        ] {
            let clock = Arc::new(TestClock::at(NOW));
            let seen = trusting(|verifier| {
                let leeway = Duration::from_secs(leeway);
                verifier
                    .with_leeway(leeway)
                    .unwrap()
                    .with_clock(clock.clone())
            });
            seen.verify(&token).unwrap();
            if moment < NOW {
                clock.set_back(Duration::from_secs(NOW - moment));
            } else {
                clock.advance(Duration::from_secs(moment - NOW));
            }
            assert_eq!(seen.verify(&token).map(drop), expected, "{leeway} {moment}");
            let anew = seen.with_cached_tokens(0);
            assert_eq!(anew.verify(&token).map(drop), expected, "{leeway} {moment}");
        }
    }
    let clock = Arc::new(TestClock::at(NOW));
    let verifier = trusting(|verifier| verifier.with_clock(clock.clone()));
    verifier.verify(&token).unwrap();
    clock.set_back(Duration::from_secs(3600));
    assert_eq!(verifier.verify(&token), Err(Error::NotYetValid));
}

#[test]
fn a_token_that_is_narrowed_by_what_nobody_understands_is_refused() {
    let refused = |verifier: &AccessVerifier, claim: &str, value: Value| {
        let token = issuer().sign(&header(), &with(claims(), claim, value));
        let verdict = verifier.verify(&token);
        // Remembered or not, the answer is the same.
        assert_eq!(verdict, verifier.verify(&token));
        verdict
            .map(|who| who.narrowed_by)
            .map_err(|error| (error.code().as_str(), error.reason()))
    };
    let unsupported = Err(("PERMISSION_DENIED", "SCOPED_TOKEN_UNSUPPORTED"));
    let plain = trusting(|verifier| verifier);
    for (claim, value) in [
        ("collabs", json!(["sample-7"])),
        ("collabs", json!([])),
        ("collabs", json!("sample-7")),
        (
            "authorization_details",
            json!([{"type": "sample", "actions": ["read"]}]),
        ),
        (
            "cnf",
            json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        ),
        (
            "cnf",
            json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        ),
        ("at_use_nbr", json!(1)),
        ("cdniip", json!("192.0.2.0/24")),
    ] {
        assert_eq!(
            refused(&plain, claim, value.clone()),
            unsupported,
            "{claim}: {value}"
        );
        // Whoever understands another one understands nothing of this.
        let other = trusting(|verifier| verifier.with_understood_claims(["shared_with"]));
        assert_eq!(refused(&other, claim, value.clone()), unsupported);
        let understanding = trusting(|verifier| verifier.with_understood_claims([claim]));
        let narrowed_by = refused(&understanding, claim, value.clone()).unwrap();
        assert_eq!(Value::Object(narrowed_by), json!({ claim: value }));
    }
    // What says more of the principal is ignored, as is what is not there.
    for (claim, value) in [
        ("collabs", Value::Null),
        ("groups", json!(["staff"])),
        ("may_act", json!({"sub": "robot-7"})),
        ("scope", json!("read")),
    ] {
        assert_eq!(
            refused(&plain, claim, value),
            Ok(serde_json::Map::new()),
            "{claim}"
        );
    }
    let own = trusting(|verifier| verifier.with_narrowing_claims(["shared_with"]));
    assert_eq!(refused(&own, "shared_with", json!("bob")), unsupported);
    assert_eq!(
        refused(&own, "collabs", json!([])),
        unsupported,
        "the others still count"
    );
}

#[test]
fn who_acts_in_the_principals_stead_is_told_by_act_or_by_the_named_claim() {
    let impersonator = |verifier: &AccessVerifier, claim: &str, value: Value| {
        let token = issuer().sign(&header(), &with(claims(), claim, value));
        let who = verifier.verify(&token).map_err(|error| error.reason())?;
        Ok::<_, &str>(who.impersonator.map(|who| who.to_string()))
    };
    let plain = trusting(|verifier| verifier);
    let named = trusting(|verifier| verifier.with_impersonator_claim("impersonator"));
    let nested = json!({"sub": "admin", "act": {"sub": "before"}});
    for verifier in [&plain, &named] {
        assert_eq!(
            impersonator(verifier, "act", nested.clone()),
            Ok(Some("admin".into()))
        );
        let client = json!({"client_id": "support-desk"});
        assert_eq!(
            impersonator(verifier, "act", client),
            Ok(Some("support-desk".into()))
        );
        assert_eq!(impersonator(verifier, "act", Value::Null), Ok(None));
        for nobody in [
            json!("admin"),
            json!({}),
            json!({"sub": 7}),
            json!({"sub": ""}),
            json!([]),
        ] {
            assert_eq!(impersonator(verifier, "act", nobody), Err("INVALID_CLAIM"));
        }
    }
    for value in [
        json!("admin"),
        json!({"id": "admin", "username": "Ada"}),
        json!({"sub": "admin"}),
    ] {
        assert_eq!(
            impersonator(&named, "impersonator", value.clone()),
            Ok(Some("admin".into()))
        );
        assert_eq!(impersonator(&plain, "impersonator", value), Ok(None));
    }
    assert_eq!(
        impersonator(&named, "impersonator", json!(7)),
        Err("INVALID_CLAIM")
    );
}

/// `Ed25519` is the exact name of what `EdDSA` means for such a key (RFC 9864 §2.2).
#[test]
fn both_names_of_ed25519_mean_the_same_key() {
    let token = |name: &str| issuer().sign(&with(header(), "alg", json!(name)), &claims());
    for of_the_key in [None, Some("EdDSA"), Some("Ed25519")] {
        let mut jwks: Value = serde_json::from_str(&issuer().jwks()).unwrap();
        let key = jwks["keys"][0].as_object_mut().unwrap();
        key.remove("alg");
        if let Some(name) = of_the_key {
            key.insert("alg".into(), json!(name));
        }
        for of_the_issuer in ["EdDSA", "Ed25519"] {
            let verifier = verifier(&jwks.to_string(), &[of_the_issuer]);
            for name in ["EdDSA", "Ed25519"] {
                let verdict = verifier.verify(&token(name));
                assert!(
                    verdict.is_ok(),
                    "{of_the_key:?} {of_the_issuer} {name}: {verdict:?}"
                );
            }
            for name in ["Ed448", "ed25519", "ES256"] {
                let verdict = verifier.verify(&token(name));
                assert_eq!(verdict, Err(Error::UnsupportedAlgorithm), "{name}");
            }
        }
    }
}
