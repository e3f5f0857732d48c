//! Nothing secret in logs, answers, errors, metrics or `Debug`: everything the service says is searched for the tokens it
//! was given.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use koherent_core::mint::TokenIssuer;
use koherent_core::testing::test_issuer;
use koherent_core::{Attribution, KeySource, Principal, UnverifiedToken};
use koherent_tests::key_server::{KeyServer, Mood};
use koherent_tests::lab::{LOGIN, Lab, TASKS, access_token, altered_task_token, task_token};
use koherent_tower::{AccessIssuer, AccessVerifier, PrincipalLayer, ProvenanceLayer};
use tracing_subscriber::fmt::MakeWriter;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Parts of a token that give it away: its signature, its claims, and what is in them but in no log line.
fn secrets(token: &str) -> Vec<String> {
    let segments = token
        .split('.')
        .skip(1)
        .filter(|segment| segment.len() >= 16);
    // A part of it would be too much as well.
    segments.map(|segment| segment[..16].to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_appear_in_nothing_that_the_service_says() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .init();
    let server = KeyServer::start(Mood::Serving(test_issuer(TASKS).jwks())).await;
    let lab = Lab::start_with(&format!(
        "[auth]\naudience = \"lab\"\n[[auth.issuers]]\niss = \"{LOGIN}\"\njwks = \"auth-jwks.json\"\n\
         algorithms = [\"EdDSA\"]\n[provenance]\naudience = \"lab\"\nrefresh_interval_seconds = 1\n\
         [[provenance.issuers]]\niss = \"{TASKS}\"\njwks_uri = \"{}?code=QUERYSECRET\"\n",
        server.url()
    ))
    .await;

    let logins = [
        access_token("agent-7", "robot"),
        access_token("agent-8", "robot"),
        TokenIssuer::new("https://stranger.example", "k", &[1; 32])
            .task("x")
            .mint(),
        TokenIssuer::new(LOGIN, "test-1", &[1; 32]).task("x").mint(),
        format!("{}x", access_token("agent-7", "robot")),
        "not-a-token-but-a-password-somebody-pasted".to_owned(),
    ];
    let mut tasks = vec![task_token("task-a")];
    let claims = [
        "iss", "aud", "sub", "act", "iat", "exp", "jti", "tsk", "rtk", "rcb", "ahs", "aha",
    ];
    for claim in claims {
        tasks.push(altered_task_token("task-a", |token| token.without(claim)));
        tasks.push(altered_task_token("task-a", |token| token.claim(claim, 7)));
        tasks.push(altered_task_token("task-a", |token| {
            token.claim(claim, "another")
        }));
    }
    for (member, value) in [
        ("alg", "HS256"),
        ("kid", "unknown"),
        ("kid", ""),
        ("crit", "x"),
        ("typ", ""),
    ] {
        tasks.push(altered_task_token("task-a", |token| {
            token.header(member, value)
        }));
    }
    tasks.push(altered_task_token("task-a", |token| token.valid(1, 2)));
    tasks.push(format!("{}.{}", task_token("task-a"), "more"));
    tasks.push(format!("{}AAAA", task_token("task-a")));
    tasks.push("x".repeat(17_000));

    let mut said = String::new();
    let mut statuses = Vec::new();
    for login in &logins {
        let header = format!("Bearer {login}");
        for task in &tasks {
            let headers = [("Authorization", header.as_str()), ("Rekuest-Task", task)];
            for query in [
                "mutation { createSample(name: \"a\") { id } }",
                "{ sample(id: ",
                "{ samples { id } }",
            ] {
                let answer = lab.post(&headers, query).await;
                statuses.push(answer.status);
                said.push_str(&answer.body.to_string());
            }
        }
    }
    server.set(Mood::Down);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let header = format!("Bearer {}", logins[0]);
    let unknown = altered_task_token("task-a", |token| token.header("kid", "unknown-2"));
    let headers = [
        ("Authorization", header.as_str()),
        ("Rekuest-Task", unknown.as_str()),
    ];
    statuses.push(lab.post(&headers, "{ samples { id } }").await.status);
    tasks.push(unknown);
    for status in [200, 400, 401, 403, 503] {
        assert!(
            statuses.contains(&status),
            "{status}: the search would miss a path"
        );
    }
    said.push_str(&lab.get("/metrics").await.text().await.unwrap());
    said.push_str(&debugged(&logins[0], &tasks[0]));

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "BAD_SIGNATURE",
        "ACTOR_MISMATCH",
        "UNTRUSTED_ISSUER",
        "TOO_LARGE",
        "not loaded",
    ] {
        assert!(logged.contains(expected), "the log does not say {expected}");
    }
    assert!(said.contains("koherent_verifications_total"));
    for token in logins.iter().chain(&tasks) {
        for secret in secrets(token) {
            assert!(
                !logged.contains(&secret),
                "in the log: {}",
                around(&logged, &secret)
            );
            assert!(
                !said.contains(&secret),
                "in an answer: {}",
                around(&said, &secret)
            );
        }
    }
    for password in ["not-a-token-but", "xxxxxxxxxxxxxxxxx", "QUERYSECRET"] {
        assert!(
            !logged.contains(password),
            "in the log: {}",
            around(&logged, password)
        );
        assert!(!said.contains(password));
    }
    // The search finds what is there.
    tracing::info!("a careless line: {}", tasks[0]);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        secrets(&tasks[0])
            .iter()
            .all(|secret| logged.contains(secret))
    );
}

/// Everything that had a token in its hands, as `Debug` shows it.
fn debugged(login: &str, task: &str) -> String {
    let issuer = test_issuer(TASKS);
    let verifier = issuer.verifier("lab");
    let token = verifier.verify(task).unwrap();
    let keys = KeySource::inline(test_issuer(LOGIN).jwks());
    let access = AccessIssuer::new(LOGIN, keys.clone(), ["EdDSA"]).unwrap();
    let access = AccessVerifier::new("lab", [access]).unwrap();
    let principal: Principal = access.verify(login).unwrap();
    let attribution = Attribution::of(principal.clone())
        .with_task(&token)
        .unwrap();
    format!(
        "{issuer:?} {verifier:?} {token:?} {keys:?} {access:?} {principal:?} {attribution:?} {:?} {:?} {:?}",
        UnverifiedToken::parse(task),
        ProvenanceLayer::new(verifier.clone()),
        PrincipalLayer::new(access.clone()),
    )
}

/// The line in which something was found.
fn around<'t>(text: &'t str, found: &str) -> &'t str {
    text.lines()
        .find(|line| line.contains(found))
        .unwrap_or_default()
}
