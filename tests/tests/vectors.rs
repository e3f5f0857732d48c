//! All conformance vectors, against the public API, category by category; none is skipped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use koherent_core::token::{args_hash, canonical_json};
use koherent_core::{Error, Principal, VerifiedToken, Verifier, verify_actor, verify_args};
use koherent_tests::vectors::{Vectors, Verdict, read};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct TokenCase {
    #[serde(flatten)]
    verdict: Verdict,
    token: String,
    config: Option<String>,
    auth: Option<Auth>,
    args: Option<String>,
    headers: Option<Value>,
    claims: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Auth {
    sub: String,
    client_id: String,
    iss: String,
}

impl Auth {
    fn principal(&self) -> Principal {
        Principal::new(
            self.iss.as_str(),
            self.sub.as_str(),
            self.client_id.as_str(),
        )
    }
}

/// Verifies as a service does: the token, then the actor and the arguments where the case has them.
fn verify(verifier: &Verifier, case: &TokenCase) -> Result<VerifiedToken, Error> {
    let token = verifier.verify(&case.token)?;
    if let Some(auth) = &case.auth {
        verify_actor(&token, &auth.principal())?;
    }
    if let Some(args) = &case.args {
        verify_args(&token, args.as_bytes())?;
    }
    Ok(token)
}

fn answer(result: &Result<VerifiedToken, Error>) -> String {
    result.as_ref().map_or_else(
        |error| error.reason().to_lowercase(),
        |_| "accept".to_owned(),
    )
}

/// The claims in the normal form of the vectors.
fn claims(token: &VerifiedToken) -> Value {
    let (claims, task) = (token.claims(), token.task());
    json!({
        "iss": task.issuer.as_str(), "sub": task.caller.as_str(),
        "iat": claims.issued.seconds(), "exp": claims.expires.seconds(),
        "jti": task.token_id.as_str(), "tsk": task.task_id.as_str(),
        "ptk": task.parent_task_id.as_ref().map(|id| id.as_str()), "rtk": task.root_task_id.as_str(),
        "rcb": task.assigner.as_str(), "ahs": task.args_hash, "aha": task.args_hash_algorithm,
        "aud": claims.audience, "is_root": task.is_root(),
        "act": {"sub": task.agent.as_str(), "cid": task.agent_client_id.as_str(),
                "iss": claims.actor_issuer.as_ref().map(|iss| iss.as_str())},
    })
}

/// The same document with every number a double, so that 1 and 1.0 compare equal.
fn with_doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(with_doubles).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), with_doubles(value)))
            .collect(),
        other => other.clone(),
    }
}

fn check_tokens(file: &str, least_cases: usize, all_categories: &[&str]) {
    let vectors: Vectors<TokenCase> = read(file);
    let default = vectors.config.as_ref().expect("a config").verifier();
    let alternatives: BTreeMap<_, _> = vectors
        .alt_configs
        .iter()
        .map(|(name, config)| (name, config.verifier()))
        .collect();
    let mut complaints = Vec::new();
    let mut categories = BTreeSet::new();
    for case in &vectors.cases {
        assert!(
            case.headers.is_none(),
            "{}: no case carries headers of its own",
            case.verdict.name
        );
        let verifier = case
            .config
            .as_ref()
            .map_or(&default, |name| &alternatives[name]);
        let result = verify(verifier, case);
        complaints.extend(case.verdict.complaint(&answer(&result)));
        if let (Ok(token), Some(expected)) = (&result, &case.claims) {
            let actual = claims(token);
            if with_doubles(&actual) != with_doubles(expected) {
                complaints.push(format!(
                    "{}: claims {actual}, not {expected}",
                    case.verdict.name
                ));
            }
        }
        categories.insert(case.verdict.expect.as_str());
    }
    assert!(vectors.cases.len() >= least_cases, "the file lost cases");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert_eq!(categories.into_iter().collect::<Vec<_>>(), all_categories);
}

#[test]
fn tokens_are_accepted_or_refused_as_the_vectors_say() {
    let categories = [
        "accept",
        "actor_mismatch",
        "args_mismatch",
        "bad_signature",
        "expired",
        "invalid_claim",
        "malformed",
        "missing_claim",
        "missing_kid",
        "not_yet_valid",
        "too_large",
        "unknown_key",
        "unsupported_algorithm",
        "untrusted_issuer",
        "wrong_audience",
    ];
    check_tokens("tokens.json", 391, &categories);
}

#[test]
fn tokens_of_the_python_issuer_are_accepted() {
    check_tokens("interop.json", 25, &["accept"]);
}

#[derive(Debug, Deserialize)]
struct ActorCase {
    #[serde(flatten)]
    verdict: Verdict,
    act: Value,
    auth: Auth,
}

/// Empty identifiers are refused when the token is verified, before any binding; so these cases are signed too.
#[test]
fn actors_are_bound_as_the_vectors_say() {
    let vectors: Vectors<ActorCase> = read("actor_binding.json");
    let issuer = koherent_core::testing::test_issuer("rekuest");
    let verifier = issuer.verifier("lab");
    let mut complaints = Vec::new();
    for case in &vectors.cases {
        let token = issuer.task("task-a").claim("act", case.act.clone()).mint();
        let bound = verifier
            .verify(&token)
            .and_then(|token| verify_actor(&token, &case.auth.principal()));
        let answer = if bound.is_ok() { "ok" } else { "mismatch" };
        complaints.extend(case.verdict.complaint(answer));
        if case.act.get("sub") != Some(&json!("")) && case.act.get("cid") != Some(&json!("")) {
            let expected = matches!(bound, Ok(()) | Err(Error::ActorMismatch))
                || case.act.to_string().contains("\\u0000");
            assert!(
                expected,
                "{}: refused before the binding: {bound:?}",
                case.verdict.name
            );
        }
    }
    assert!(vectors.cases.len() >= 43, "the file lost cases");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[derive(Debug, Deserialize)]
struct JsonCase {
    #[serde(flatten)]
    verdict: Verdict,
    input: Option<String>,
    input_hex: Option<String>,
    canonical: Option<String>,
    canonical_hex: Option<String>,
    sha256: Option<String>,
    error: Option<String>,
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .map(|c| c.to_digit(16).expect("a hex digit"))
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("a byte"))
        .collect()
}

fn error_name(error: koherent_core::token::JsonError) -> &'static str {
    use koherent_core::token::JsonError;
    match error {
        JsonError::Syntax => "parse",
        JsonError::NotUtf8 => "not_utf8",
        JsonError::NonFinite => "non_finite",
        JsonError::LoneSurrogate => "lone_surrogate",
        JsonError::TooDeep => "too_deep",
        JsonError::IntTooLong => "int_too_long",
        other => panic!("unexpected: {other}"),
    }
}

#[test]
fn canonical_json_is_cpythons_byte_for_byte() {
    let vectors: Vectors<JsonCase> = read("canonical_json.json");
    let mut complaints = Vec::new();
    for case in &vectors.cases {
        let name = &case.verdict.name;
        let input = match (&case.input, &case.input_hex) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(hex)) => from_hex(hex),
            (None, None) => panic!("{name} has no input"),
        };
        let result = canonical_json(&input);
        let answer = if result.is_ok() { "ok" } else { "error" };
        complaints.extend(case.verdict.complaint(answer));
        match result {
            Ok(canonical) if case.verdict.expect == "ok" => {
                assert_eq!(Some(&canonical), case.canonical.as_ref(), "{name}");
                assert_eq!(
                    canonical.as_bytes(),
                    from_hex(case.canonical_hex.as_ref().unwrap())
                );
                assert_eq!(args_hash(&input).ok(), case.sha256, "{name}");
            }
            Err(error) if case.verdict.expect == "error" => {
                assert_eq!(Some(error_name(error)), case.error.as_deref(), "{name}");
            }
            _ => {}
        }
    }
    assert!(vectors.cases.len() >= 407, "the file lost cases");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The published RSA and EC keys sign tokens of the provenance shape: as access tokens their signatures hold, and they are
/// refused for what they are.
#[test]
fn rsa_and_ec_signatures_hold_and_provenance_tokens_are_no_access_tokens() {
    use koherent_tower::{AccessIssuer, AccessVerifier};
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/tokens.json");
    let text = std::fs::read_to_string(file).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let issuer = &document["alt_configs"]["mixed_jwks"]["issuers"][0];
    let jwks = issuer["jwks"].to_string();
    let trusted = AccessIssuer::new(
        issuer["iss"].as_str().unwrap(),
        koherent_core::KeySource::inline(jwks),
        ["RS256", "ES256"],
    );
    let verifier = AccessVerifier::new("mikro", [trusted.unwrap()]).unwrap();
    for name in ["rs256-issuers-own-rsa-key", "es256-issuers-own-ec-key"] {
        let cases = document["cases"].as_array().unwrap().iter();
        let mut found = cases.filter(|case| case["name"].as_str().unwrap().ends_with(name));
        let token = found.next().unwrap()["token"].as_str().unwrap();
        let refused = verifier.verify(token);
        assert!(
            matches!(refused, Err(Error::InvalidClaim { claim: "tsk", .. })),
            "{refused:?}"
        );
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let flipped = format!("{signed}.{other}{}", &signature[1..]);
        assert_eq!(verifier.verify(&flipped), Err(Error::BadSignature));
    }
}
