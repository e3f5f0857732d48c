//! What comes from outside, and what must hold for any of it: the targets of the fuzzers in `fuzz/`, which the tests run
//! too. A target panics where something does not hold.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response};
use futures_util::FutureExt as _;
use koherent_core::testing::{TestFetcher, test_issuer};
use koherent_core::token::{args_hash, canonical_json};
use koherent_core::{KeySet, KeySource, RevocationList, TrustedIssuer, Verifier};
use koherent_tower::config::{Config, Jwks};
use koherent_tower::{AccessIssuer, AccessVerifier, PrincipalLayer, ProvenanceLayer};
use serde_json::{Value, json};
use tower::{Layer as _, Service as _, service_fn};

const LOGIN: &str = "https://login.example";

/// A token that the verifiers here accept: the only one that anybody has.
pub static TASK: LazyLock<String> = LazyLock::new(|| test_issuer("rekuest").task("task-a").mint());

/// A login that the verifiers here accept: the only one that anybody has.
pub static ACCESS: LazyLock<String> = LazyLock::new(|| {
    let claims = json!({
        "iss": LOGIN, "aud": "lab", "sub": "agent-7", "client_id": "robot", "exp": 4_102_444_800_u64,
    });
    test_issuer(LOGIN).sign(&json!({"alg": "EdDSA", "kid": "test-1"}), &claims)
});

static TASKS: LazyLock<Verifier> = LazyLock::new(|| test_issuer("rekuest").verifier("lab"));

static LOGINS: LazyLock<AccessVerifier> = LazyLock::new(|| {
    let keys = KeySource::inline(test_issuer(LOGIN).jwks());
    let algorithms = ["EdDSA", "RS256", "PS256", "ES256", "ES384"];
    let login = AccessIssuer::new(LOGIN, keys, algorithms).expect("an issuer");
    AccessVerifier::new("lab", [login]).expect("a verifier")
});

/// A token: nothing is accepted but the one that was signed, and the verdict does not change.
pub fn token(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let task = TASKS.verify(text);
    assert_eq!(task.is_ok(), text == TASK.as_str());
    assert_eq!(task, TASKS.verify(text));
    let login = LOGINS.verify(text);
    assert_eq!(login.is_ok(), text == ACCESS.as_str());
    assert_eq!(login, LOGINS.verify(text));
}

/// A set of headers, one `name: value` a line: either the request is answered with a fault of its own, or it has passed
/// with the login it carries, and with the task it carries or none.
pub fn headers(input: &[u8]) {
    let mut request = Request::new(Body::empty());
    for line in input.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            request.headers_mut().append(name, value);
        }
    }
    let sent = request.headers().clone();
    let handler = service_fn(|request: Request<Body>| {
        let who = request
            .extensions()
            .get::<koherent_core::Attribution>()
            .cloned();
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(describe(
            who.as_ref(),
        )))))
    });
    let mut service = PrincipalLayer::new(LOGINS.clone())
        .layer(ProvenanceLayer::new(TASKS.clone()).layer(handler));
    let response = service
        .call(request)
        .now_or_never()
        .expect("keys are at hand");
    let Ok(response) = response;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(Body::new(response.into_body()), 1 << 16);
    let body = body
        .now_or_never()
        .expect("a body at hand")
        .expect("a body");
    let body = std::str::from_utf8(&body).expect("text");
    let logins: Vec<_> = sent.get_all("authorization").iter().collect();
    if status != 200 {
        assert!(matches!(status, 400 | 401 | 403), "{status}");
        let problem: Value = serde_json::from_str(body).expect("a problem document");
        assert_eq!(problem["status"], status);
        return;
    }
    let names = [
        "rekuest-task",
        "x-rekuest-task",
        "provenance-token",
        "x-provenance-token",
    ];
    let tasks: Vec<_> = names.iter().flat_map(|name| sent.get_all(*name)).collect();
    let (user, task) = body.split_once('/').expect("two parts");
    assert_eq!(user.is_empty(), logins.is_empty());
    assert!(user.is_empty() || user == "agent-7");
    assert_eq!(task.is_empty(), tasks.is_empty());
    assert!(task.is_empty() || (task == "task-a" && tasks.len() == 1 && tasks[0] == TASK.as_str()));
}

fn describe(who: Option<&koherent_core::Attribution>) -> String {
    let user = who.and_then(|who| who.user()).map(ToString::to_string);
    let task = who
        .and_then(|who| who.task())
        .map(|task| task.task_id.to_string());
    format!("{}/{}", user.unwrap_or_default(), task.unwrap_or_default())
}

/// A key set or a revocation list: it is read by both kinds of verifier; whatever keys it holds, the only tokens that pass
/// are those that its owner signed, which takes the owner's key in the set.
pub fn key_set(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let _ = RevocationList::new(KeySource::inline(text));
    if let Ok(keys) = KeySet::from_jwks(text) {
        assert!(keys.key_ids().all(|id| !id.is_empty()));
        assert_eq!(keys.is_empty(), keys.key_ids().count() == 0);
    }
    let holds_key_of = |issuer: &str| {
        let document: Value = serde_json::from_str(&test_issuer(issuer).jwks()).unwrap_or_default();
        document["keys"][0]["x"]
            .as_str()
            .is_some_and(|point| text.contains(point))
    };
    if let Ok(trusted) = TrustedIssuer::new("rekuest", KeySource::inline(text)) {
        let verifier = Verifier::new("lab", [trusted]).expect("a verifier");
        assert!(verifier.verify(&TASK).is_err() || holds_key_of("rekuest"));
    }
    let algorithms = ["EdDSA", "RS256", "RS512", "PS384", "ES256", "ES384"];
    let Ok(login) = AccessIssuer::new(LOGIN, KeySource::inline(text), algorithms) else {
        return;
    };
    let verifier = AccessVerifier::new("lab", [login]).expect("a verifier");
    assert!(verifier.verify(&ACCESS).is_err() || holds_key_of(LOGIN));
    // Signatures of the right length, by nobody: each key of the set is tried, under the ids that the seeds have.
    for forgery in &*FORGERIES {
        assert!(verifier.verify(forgery).is_err());
    }
}

/// Tokens that name a key of each type, and that nobody signed.
static FORGERIES: LazyLock<Vec<String>> = LazyLock::new(|| {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let claims =
        json!({"iss": LOGIN, "aud": "lab", "sub": "root", "exp": 4_102_444_800_u64}).to_string();
    let keys = [
        ("RS256", "r", 256),
        ("PS384", "r", 256),
        ("ES256", "e", 64),
        ("ES384", "f", 96),
        ("EdDSA", "o", 64),
    ];
    let forge = |(algorithm, key, length)| {
        let header = json!({"alg": algorithm, "kid": key}).to_string();
        let signature = encode(&vec![1; length]);
        format!(
            "{}.{}.{signature}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        )
    };
    keys.into_iter().map(forge).collect()
});

/// Arguments: their canonical form, where they have one, is JSON and its own canonical form, and the hash is of it.
pub fn arguments(input: &[u8]) {
    let Ok(canonical) = canonical_json(input) else {
        assert!(args_hash(input).is_err());
        return;
    };
    assert_eq!(
        canonical_json(canonical.as_bytes()).as_ref(),
        Ok(&canonical)
    );
    assert_eq!(args_hash(input), args_hash(canonical.as_bytes()));
}

/// A configuration, in any of its forms: a fault is one line.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let forms = [
        Config::from_toml(text).map(Some),
        Config::from_json(text).map(Some),
        Config::from_variables("LAB", variables),
    ];
    for form in forms {
        let built = form.and_then(|config| match config {
            Some(config) if names_no_file(&config) => {
                let nowhere = TestFetcher::serving("");
                config.access_verifier(&nowhere)?;
                config.provenance_verifier(&nowhere).map(drop)
            }
            _ => Ok(()),
        });
        if let Err(error) = built {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

/// A fuzzer must not open whatever file a text names.
fn names_no_file(config: &Config) -> bool {
    let is_file = |jwks: &Option<Jwks>| matches!(jwks, Some(Jwks::File(_)));
    !config
        .auth
        .issuers
        .iter()
        .any(|issuer| is_file(&issuer.jwks))
        && !config
            .provenance
            .issuers
            .iter()
            .any(|issuer| is_file(&issuer.jwks))
}
