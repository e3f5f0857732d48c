//! Layers whose keys come from a URL: who waits for them, who does not, and what is answered when they cannot be had.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::{Request, header};
use koherent_core::mint::TokenIssuer;
use koherent_core::source::FetchError;
use koherent_core::testing::{TestClock, TestFetcher, test_issuer};
use koherent_core::{KeySource, RevocationList, TrustedIssuer, Verifier};
use koherent_tower::{
    AccessIssuer, AccessVerifier, Attribution, PrincipalLayer, ProvenanceLayer, Rejection,
};
use serde_json::json;
use tower::ServiceExt as _;

const NOW: u64 = 1_790_000_000;
const LOGIN: &str = "https://login.example";

struct Service {
    clock: Arc<TestClock>,
    logins: TestFetcher,
    tasks: TestFetcher,
    revocations: TestFetcher,
    calls: Arc<AtomicUsize>,
    access: AccessVerifier,
    app: Router,
}

fn url(fetcher: &TestFetcher) -> KeySource {
    KeySource::url("https://keys.example/", fetcher.clone()).unwrap()
}

fn login_issuer() -> TokenIssuer {
    TokenIssuer::new(LOGIN, "k1", &[3; 32])
}

impl Service {
    fn start() -> Self {
        let clock = Arc::new(TestClock::at(NOW));
        let logins = TestFetcher::serving(login_issuer().jwks());
        let tasks = TestFetcher::serving(test_issuer("rekuest").jwks());
        let revocations = TestFetcher::serving("[]");
        let login = AccessIssuer::new(LOGIN, url(&logins), ["EdDSA"]).unwrap();
        let access = AccessVerifier::new("lab", [login])
            .unwrap()
            .with_revocations(RevocationList::new(url(&revocations)).unwrap())
            .with_clock(clock.clone());
        let rekuest = TrustedIssuer::new("rekuest", url(&tasks)).unwrap();
        let provenance = Verifier::new("lab", [rekuest])
            .unwrap()
            .with_clock(clock.clone());
        let calls = Arc::new(AtomicUsize::new(0));
        let app = Router::new()
            .route("/", get(handler))
            .layer(Extension(Arc::clone(&calls)))
            .layer(ProvenanceLayer::new(provenance))
            .layer(PrincipalLayer::new(access.clone()));
        Self {
            clock,
            logins,
            tasks,
            revocations,
            calls,
            access,
            app,
        }
    }

    fn request(login: &str, task: &str) -> Request<Body> {
        Request::get("/")
            .header("authorization", format!("Bearer {login}"))
            .header("rekuest-task", task)
            .body(Body::empty())
            .unwrap()
    }

    /// Status, and the reason of a refusal.
    async fn ask(&self, login: &str, task: &str) -> (u16, &'static str) {
        let request = Self::request(login, task);
        let response = self.app.clone().oneshot(request).await.unwrap();
        let reason = response.extensions().get::<Rejection>();
        let reason = reason.map_or("", Rejection::reason);
        let status = response.status().as_u16();
        let try_later = response.headers().contains_key(header::RETRY_AFTER);
        assert_eq!(try_later, status == 503 || reason == "UNKNOWN_KEY");
        (status, reason)
    }

    fn fetches(&self) -> [usize; 3] {
        [&self.logins, &self.tasks, &self.revocations].map(TestFetcher::fetches)
    }
}

async fn handler(Extension(calls): Extension<Arc<AtomicUsize>>, who: Attribution) -> String {
    calls.fetch_add(1, Ordering::SeqCst);
    let current = koherent_tower::current().unwrap();
    assert_eq!(current.user(), who.0.user());
    who.0.task().unwrap().task_id.to_string()
}

fn login(id: &str) -> String {
    let claims = json!({
        "iss": LOGIN, "aud": "lab", "sub": "agent-7", "client_id": "robot", "exp": NOW + 100_000, "jti": id,
    });
    login_issuer().sign(&json!({"alg": "EdDSA", "kid": "k1"}), &claims)
}

fn task() -> String {
    test_issuer("rekuest").task("task-a").mint()
}

#[tokio::test]
async fn first_request_waits_for_keys_and_revocations_and_reaches_the_handler() {
    let service = Service::start();
    assert_eq!(service.ask(&login("1"), &task()).await, (200, ""));
    assert_eq!(service.fetches(), [1, 1, 1]);
    for _ in 0..100 {
        assert_eq!(service.ask(&login("1"), &task()).await, (200, ""));
    }
    assert_eq!(service.fetches(), [1, 1, 1]);
    assert_eq!(service.calls.load(Ordering::SeqCst), 101);
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_503_and_nothing_reaches_the_handler() {
    for (nth, reason) in [
        (0, "KEYS_UNAVAILABLE"),
        (1, "KEYS_UNAVAILABLE"),
        (2, "REVOCATIONS_UNAVAILABLE"),
    ] {
        let service = Service::start();
        let failing = [&service.logins, &service.tasks, &service.revocations][nth];
        failing.fail(FetchError::Status(500));
        assert_eq!(service.ask(&login("1"), &task()).await, (503, reason));
        assert_eq!(service.calls.load(Ordering::SeqCst), 0);
    }
}

/// The client hangs up; the keys come anyway, and the next one has them at once.
#[tokio::test]
async fn load_goes_on_without_the_request_that_began_it() {
    let service = Service::start();
    service.logins.hang(true);
    let (login, task) = (login("1"), task());
    let waiting = service.ask(&login, &task);
    let given_up = tokio::time::timeout(Duration::from_millis(20), waiting).await;
    assert!(given_up.is_err());
    assert_eq!(service.logins.fetches(), 1);
    service.logins.hang(false);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // Nobody has asked again, and the keys are there: this one waits for nothing, and would wait for ever if it did.
    service.logins.hang(true);
    assert!(
        service
            .access
            .verify(&login)
            .is_err_and(|error| error.reason() != "KEYS_UNAVAILABLE")
    );
    assert_eq!(service.ask(&login, &task).await, (200, ""));
    assert_eq!(service.logins.fetches(), 1);
}

/// A hanging key server holds up those whose key is unknown, and nobody else.
#[tokio::test]
async fn known_keys_pass_while_unknown_ones_wait() {
    let service = Service::start();
    assert_eq!(service.ask(&login("1"), &task()).await, (200, ""));
    service.tasks.hang(true);
    service.clock.advance(Duration::from_secs(10));
    let unknown = test_issuer("rekuest")
        .task("task-a")
        .header("kid", "new")
        .mint();
    let request = Service::request(&login("1"), &unknown);
    let waiting = tokio::spawn(service.app.clone().oneshot(request));
    while service.tasks.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        assert_eq!(service.ask(&login("1"), &task()).await, (200, ""));
    }
    assert!(!waiting.is_finished());
    service.tasks.hang(false);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 401);
}

/// Keys are published before they are used, and withdrawn after they were: no request is refused meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_refuses_nobody_falsely() {
    let service = Arc::new(Service::start());
    let key = |name: &'static str| TokenIssuer::new("rekuest", name, &[name.len() as u8; 32]);
    let jwks = |names: &[&'static str]| {
        let keys = names.iter().map(|name| {
            let document: serde_json::Value = serde_json::from_str(&key(name).jwks()).unwrap();
            document["keys"][0].clone()
        });
        json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
    };
    let mint =
        move |name: &'static str, number: usize| key(name).task(&format!("task-{number}")).mint();
    service.tasks.serve(jwks(&["old"]));
    let load = |name: &'static str, requests: usize, expected: (u16, &'static str)| {
        let workers = (0..8).map(|worker| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                let login = login("1");
                for number in 0..requests {
                    // Half of them were seen before, half were not.
                    let token = mint(
                        name,
                        if number % 2 == 0 {
                            0
                        } else {
                            worker * 1000 + number
                        },
                    );
                    assert_eq!(
                        service.ask(&login, &token).await,
                        expected,
                        "{name} {number}"
                    );
                }
            })
        });
        let workers: Vec<_> = workers.collect();
        async {
            for worker in workers {
                worker.await.unwrap();
            }
        }
    };
    load("old", 20, (200, "")).await;
    service.tasks.serve(jwks(&["old", "newer"]));
    service.clock.advance(Duration::from_secs(10));
    tokio::join!(load("old", 20, (200, "")), load("newer", 20, (200, "")));
    service.tasks.serve(jwks(&["newer"]));
    service.clock.advance(Duration::from_secs(120));
    tokio::join!(
        load("old", 20, (401, "UNKNOWN_KEY")),
        load("newer", 20, (200, ""))
    );
    assert_eq!(service.tasks.fetches(), 3);
}

/// A token that was accepted a moment ago, and is remembered, is refused once it is on the list.
#[tokio::test]
async fn revoked_tokens_are_refused_although_they_are_remembered() {
    let service = Service::start();
    assert_eq!(service.ask(&login("lost"), &task()).await, (200, ""));
    service.revocations.serve(r#"{"revoked": ["lost"]}"#);
    assert_eq!(service.ask(&login("lost"), &task()).await, (200, ""));
    service.clock.advance(Duration::from_secs(20));
    assert_eq!(service.ask(&login("lost"), &task()).await, (401, "REVOKED"));
    assert_eq!(service.ask(&login("kept"), &task()).await, (200, ""));
    // The list cannot be had: the old one counts.
    service.revocations.fail(FetchError::TimedOut);
    service.clock.advance(Duration::from_secs(3600));
    assert_eq!(service.ask(&login("lost"), &task()).await, (401, "REVOKED"));
    assert_eq!(service.ask(&login("kept"), &task()).await, (200, ""));
    let nameless = login_issuer().sign(
        &json!({"alg": "EdDSA", "kid": "k1"}),
        &json!({"iss": LOGIN, "aud": "lab", "sub": "agent-7", "client_id": "robot", "exp": NOW + 100_000}),
    );
    assert_eq!(
        service.ask(&nameless, &task()).await,
        (401, "MISSING_CLAIM")
    );
}

/// One failed load of the list, a quiet hour, and the keys are due in the same request: the list is loaded all the same.
#[tokio::test]
async fn revocations_are_loaded_again_after_a_failure_whatever_the_keys_need() {
    let service = Service::start();
    assert_eq!(service.ask(&login("lost"), &task()).await, (200, ""));
    service.revocations.fail(FetchError::TimedOut);
    service.clock.advance(Duration::from_secs(10));
    assert_eq!(service.ask(&login("lost"), &task()).await, (200, ""));
    tokio::task::yield_now().await;
    assert_eq!(service.revocations.fetches(), 2);
    service.revocations.serve(r#"["lost"]"#);
    service.clock.advance(Duration::from_secs(3600));
    assert_eq!(service.ask(&login("lost"), &task()).await, (401, "REVOKED"));
}

/// An outage of the whole identity provider, and so little traffic that everything is due in each request.
#[tokio::test]
async fn everything_is_loaded_again_when_an_outage_is_over() {
    let service = Service::start();
    assert_eq!(service.ask(&login("lost"), &task()).await, (200, ""));
    for fetcher in [&service.logins, &service.tasks, &service.revocations] {
        fetcher.fail(FetchError::Status(503));
    }
    for _ in 0..20 {
        service.clock.advance(Duration::from_secs(15));
        assert_eq!(service.ask(&login("lost"), &task()).await, (200, ""));
        tokio::task::yield_now().await;
    }
    service.logins.serve(login_issuer().jwks());
    service.tasks.serve(test_issuer("rekuest").jwks());
    service.revocations.serve(r#"["lost"]"#);
    let before = service.fetches();
    service.clock.advance(Duration::from_secs(15));
    service.ask(&login("lost"), &task()).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let after = service.fetches();
    assert!(
        before
            .iter()
            .zip(after)
            .all(|(before, after)| after == before + 1),
        "{before:?} {after:?}"
    );
    assert_eq!(service.ask(&login("lost"), &task()).await, (401, "REVOKED"));
}

/// `Retry-After` says when keys are loaded again, not before and not much later.
#[tokio::test]
async fn retry_after_is_the_rest_of_the_interval() {
    let service = Service::start();
    let unknown = test_issuer("rekuest")
        .task("task-a")
        .header("kid", "new")
        .mint();
    service.tasks.fail(FetchError::Status(500));
    for (passed, expected) in [(0, "10"), (4, "6"), (5, "1")] {
        service.clock.advance(Duration::from_secs(passed));
        let request = Service::request(&login("1"), &unknown);
        let response = service.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], expected);
    }
    service.tasks.serve(test_issuer("rekuest").jwks());
    service.clock.advance(Duration::from_secs(2));
    let request = Service::request(&login("1"), &unknown);
    let response = service.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()[header::RETRY_AFTER], "10");
    assert_eq!(service.tasks.fetches(), 2);
}
