//! What an attacker changes in a valid token, or borrows from somebody else: none of it is accepted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use koherent_core::mint::TokenIssuer;
use koherent_core::testing::test_issuer;
use koherent_core::{Error, KeySource, TrustedIssuer, Verifier};
use koherent_tower::{
    AccessIssuer, AccessVerifier, Attribution, PrincipalLayer, ProvenanceLayer, Rejection,
};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

const LOGIN: &str = "https://login.example";

fn login_issuer() -> TokenIssuer {
    test_issuer(LOGIN)
}

fn access_verifier(audience: &str) -> AccessVerifier {
    let keys = KeySource::inline(login_issuer().jwks());
    let login = AccessIssuer::new(LOGIN, keys, ["EdDSA"]).unwrap();
    AccessVerifier::new(audience, [login]).unwrap()
}

fn access_header() -> Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "test-1"})
}

fn access_claims(sub: &str, client: &str, audience: &str) -> Value {
    json!({
        "iss": LOGIN, "aud": audience, "sub": sub, "client_id": client, "iat": 1_700_000_000,
        "nbf": 1_700_000_000, "exp": 4_102_444_800_u64, "jti": "id-1", "org": "bio", "roles": ["staff"],
        "scope": "read", "preferred_username": sub,
    })
}

fn decode(segment: &str) -> Map<String, Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

fn encode(members: &Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Object(members.clone()).to_string())
}

/// What a claim or a header member is replaced by: each JSON type, empty, extreme, and famous tricks.
fn replacements() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1e18),
        json!(0.5),
        json!(""),
        json!(" "),
        json!("*"),
        json!("none"),
        json!("HS256"),
        json!("../../etc/passwd"),
        json!("' OR 1=1 --"),
        json!("lab\u{0}"),
        json!("x".repeat(1001)),
        json!([]),
        json!([null]),
        json!(["lab", 7]),
        json!({}),
        json!({"sub": "root"}),
    ]
}

/// Single changes of a token, the signature left as it was.
fn mutations(token: &str) -> Vec<String> {
    let mut all = Vec::new();
    // Each byte, by another of each class: letter, digit, punctuation, padding, the other alphabet, space, control, non-ASCII.
    for at in 0..token.len() {
        let own = token.as_bytes()[at];
        let rest = &token[at + 1..];
        for other in [
            "A", "z", "7", "-", "_", ".", "=", "+", "/", " ", "\n", "\0", "é", "",
        ] {
            if other.as_bytes() != [own] {
                all.push(format!("{}{other}{rest}", &token[..at]));
            }
        }
    }
    // Each place, something put in or cut off.
    for at in 0..=token.len() {
        let (before, after) = token.split_at(at);
        all.push(format!("{before}A{after}"));
        if at < token.len() {
            all.push(before.to_owned());
        }
        if at > 0 {
            all.push(after.to_owned());
        }
    }
    let segments: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = segments[..] else {
        panic!("three segments")
    };
    for (position, segment) in [header, payload].into_iter().enumerate() {
        let members = decode(segment);
        let with = |members: &Map<String, Value>| {
            let changed = encode(members);
            if position == 0 {
                format!("{changed}.{payload}.{signature}")
            } else {
                format!("{header}.{changed}.{signature}")
            }
        };
        let foreign = [
            "crit", "b64", "zip", "jwk", "jku", "x5u", "x5c", "cty", "kid", "tsk", "admin", "act",
            "nbf",
        ];
        let names = members.keys().map(String::as_str).chain(foreign);
        for name in names {
            for value in replacements() {
                let mut changed = members.clone();
                changed.insert(name.to_owned(), value);
                if changed != members {
                    all.push(with(&changed));
                }
            }
            let mut changed = members.clone();
            changed.remove(name);
            if changed != members {
                all.push(with(&changed));
            }
        }
    }
    // The segments in another order, and the same one twice.
    for order in [
        [0, 2, 1],
        [1, 0, 2],
        [2, 1, 0],
        [0, 0, 2],
        [1, 1, 2],
        [0, 1, 0],
        [0, 1, 1],
    ] {
        all.push(order.map(|at| segments[at]).join("."));
    }
    all.push(format!("{token}.{signature}"));
    all.push(format!("{header}.{payload}."));
    all.push(format!("{header}.{payload}"));
    all.push(format!("{token},{token}"));
    all.push(format!("{token}{token}"));
    all
}

/// The valid token stands in the verifier's memory all the while.
fn none_is_accepted(token: &str, verify: impl Fn(&str) -> Result<(), Error>) {
    let mutations = mutations(token);
    assert!(mutations.len() >= 400, "{}", mutations.len());
    let accepted = mutations.iter().filter(|mutation| {
        verify(token).unwrap();
        verify(mutation).is_ok()
    });
    let accepted: Vec<_> = accepted.collect();
    assert!(
        accepted.is_empty(),
        "{} of {}: {accepted:#?}",
        accepted.len(),
        mutations.len()
    );
}

#[test]
fn no_single_mutation_of_a_provenance_token_is_accepted() {
    let issuer = test_issuer("rekuest");
    let verifier = issuer.verifier("lab");
    for token in [
        issuer.task("task-a").mint(),
        issuer
            .task("task-b")
            .parent("task-a", "task-a")
            .header("alg", "EdDSA")
            .mint(),
    ] {
        none_is_accepted(&token, |token| verifier.verify(token).map(drop));
    }
}

#[test]
fn no_single_mutation_of_an_access_token_is_accepted() {
    let verifier = access_verifier("lab");
    let token = login_issuer().sign(&access_header(), &access_claims("ann", "lab-ui", "lab"));
    none_is_accepted(&token, |token| verifier.verify(token).map(drop));
}

/// Signed by the trusted issuer itself, and still not what a token may say. `fine` lists what it may.
fn none_is_accepted_although_signed(
    issuer: &TokenIssuer,
    token: &str,
    fine: impl Fn(&str, &Value) -> bool,
    verify: impl Fn(&str) -> Result<(), Error>,
) {
    let segments: Vec<&str> = token.split('.').collect();
    let (header, claims) = (decode(segments[0]), decode(segments[1]));
    let mut tried = 0;
    for (members, is_header) in [(&header, true), (&claims, false)] {
        for name in members.keys() {
            let removed = replacements().into_iter().map(Some).chain([None]);
            for value in removed {
                let key = if is_header {
                    format!("header.{name}")
                } else {
                    name.clone()
                };
                if fine(&key, value.as_ref().unwrap_or(&Value::Null)) {
                    continue;
                }
                let mut changed = members.clone();
                match &value {
                    Some(value) => _ = changed.insert(name.clone(), value.clone()),
                    None => _ = changed.remove(name),
                }
                let changed = Value::Object(changed);
                let token = if is_header {
                    issuer.sign(&changed, &Value::Object(claims.clone()))
                } else {
                    issuer.sign(&Value::Object(header.clone()), &changed)
                };
                tried += 1;
                assert!(verify(&token).is_err(), "{key} = {value:?}");
            }
        }
    }
    assert!(tried >= 100, "{tried}");
}

fn is_name(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    !text.is_empty() && text.len() <= 1000 && !text.contains('\0')
}

#[test]
fn no_wrong_claim_of_a_trusted_issuer_is_accepted() {
    let issuer = test_issuer("rekuest");
    let verifier = issuer.verifier("lab");
    let token = issuer.task("task-b").parent("task-a", "task-r").mint();
    let fine = |key: &str, value: &Value| match key {
        "sub" | "jti" | "tsk" | "ptk" | "rtk" | "rcb" => is_name(value),
        "header.typ" => value.is_string(),
        "iat" => matches!(value, Value::Number(n) if n.as_f64().unwrap() < 1.7e9),
        _ => false,
    };
    none_is_accepted_although_signed(&issuer, &token, fine_or_absent(fine), |token| {
        verifier.verify(token).map(drop)
    });

    let verifier = access_verifier("lab");
    let token = login_issuer().sign(&access_header(), &access_claims("ann", "lab-ui", "lab"));
    let fine = |key: &str, value: &Value| match key {
        "sub" => is_name(value),
        "client_id" | "org" | "preferred_username" | "jti" => {
            is_name(value) || value.is_null() || value == ""
        }
        "scope" => value.is_string() || value.is_null(),
        "roles" => value.is_null() || *value == json!([]),
        "header.typ" => value.is_string(),
        "iat" | "nbf" => value.is_null() || value.as_f64().is_some_and(|n| n < 1.7e9),
        _ => false,
    };
    none_is_accepted_although_signed(&login_issuer(), &token, fine_or_absent(fine), |token| {
        verifier.verify(token).map(drop)
    });
}

/// `typ` may be absent, which stands as null in the table: skip that one change.
fn fine_or_absent(fine: impl Fn(&str, &Value) -> bool) -> impl Fn(&str, &Value) -> bool {
    move |key, value| fine(key, value) || (key == "header.typ" && value.is_null())
}

/// A token is for the service it names. Nobody else can use it, not even who received it rightly.
#[test]
fn of_ten_services_each_accepts_its_own_tokens_alone() {
    let services: Vec<String> = (0..10).map(|number| format!("service-{number}")).collect();
    let issuer = test_issuer("rekuest");
    let mut accepted = 0;
    for own in &services {
        let (provenance, access) = (issuer.verifier(own), access_verifier(own));
        for named in &services {
            let task = issuer.task("task-a").audience(named).mint();
            let login =
                login_issuer().sign(&access_header(), &access_claims("ann", "lab-ui", named));
            let verdicts = [
                provenance.verify(&task).map(drop),
                access.verify(&login).map(drop),
            ];
            let expected = if own == named {
                Ok(())
            } else {
                Err(Error::WrongAudience)
            };
            assert_eq!(verdicts, [expected.clone(), expected], "{own} {named}");
            accepted += usize::from(own == named);
        }
    }
    assert_eq!(accepted, 10);
}

/// A hundred agents with a hundred task tokens: each may use its own, through the layers, and no other.
#[tokio::test]
async fn of_a_hundred_agents_each_acts_under_its_own_task_alone() {
    let issuer = test_issuer("rekuest");
    // Agents come in tens of one name with clients of their own, so that name and client both count.
    let actor = |number: usize| {
        (
            format!("agent-{}", number / 10),
            format!("client-{}", number % 10),
        )
    };
    let logins: Vec<String> = (0..100)
        .map(|number| {
            let (agent, client) = actor(number);
            let token =
                login_issuer().sign(&access_header(), &access_claims(&agent, &client, "lab"));
            format!("Bearer {token}")
        })
        .collect();
    let tasks: Vec<String> = (0..100)
        .map(|number| {
            let (agent, client) = actor(number);
            issuer
                .task(&format!("task-{number}"))
                .actor(&agent, &client)
                .mint()
        })
        .collect();
    let handler = async |Attribution(who): Attribution| who.task().unwrap().task_id.to_string();
    let app: Router = Router::new()
        .route("/", get(handler))
        .layer(ProvenanceLayer::new(issuer.verifier("lab")))
        .layer(PrincipalLayer::new(access_verifier("lab")));
    let mut passed = 0;
    for (client, login) in logins.iter().enumerate() {
        for (task, token) in tasks.iter().enumerate() {
            let request = Request::get("/")
                .header("authorization", login)
                .header("rekuest-task", token)
                .body(Body::empty())
                .unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            if client == task {
                assert_eq!(response.status(), 200);
                let body = axum::body::to_bytes(response.into_body(), 1000)
                    .await
                    .unwrap();
                assert_eq!(body, format!("task-{task}"));
                passed += 1;
            } else {
                assert_eq!(response.status(), 403);
                let rejection = response.extensions().get::<Rejection>().unwrap();
                assert_eq!(rejection.reason(), "ACTOR_MISMATCH");
            }
        }
    }
    assert_eq!(passed, 100);
}

/// Two issuers with a key of the same id: each key verifies its own issuer's tokens alone.
#[test]
fn no_issuer_signs_for_another() {
    let (one, two) = (test_issuer("one"), test_issuer("two"));
    let trusted = |issuer: &TokenIssuer, name: &str| {
        TrustedIssuer::new(name, KeySource::inline(issuer.jwks())).unwrap()
    };
    let both = Verifier::new("lab", [trusted(&one, "one"), trusted(&two, "two")]).unwrap();
    both.verify(&one.task("task-a").mint()).unwrap();
    both.verify(&two.task("task-a").mint()).unwrap();
    for (signer, claimed) in [(&one, "two"), (&two, "one")] {
        let token = signer.task("task-a").claim("iss", claimed).mint();
        assert_eq!(both.verify(&token), Err(Error::BadSignature));
    }
}
