//! A flood of unknown keys: neither the key server nor the memory is filled. It is alone in its process, whose memory it
//! measures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use koherent_core::testing::test_issuer;
use koherent_core::{KeySource, TrustedIssuer, Verifier};
use koherent_tests::key_server::{KeyServer, Mood};
use koherent_tests::lab::{TASKS, altered_task_token, task_token};
use koherent_tower::{HttpFetcher, LoginChecked, ProvenanceLayer, Rejection};
use tower::ServiceExt as _;

/// A hundred thousand key ids that nobody has, through the layer and a real fetcher.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_key_ids_cannot_flood_the_key_server_or_the_memory() {
    let server = KeyServer::start(Mood::Serving(test_issuer(TASKS).jwks())).await;
    let keys = KeySource::url(server.url(), HttpFetcher::new()).unwrap();
    let keys = keys.with_interval(Duration::from_secs(60)).unwrap();
    let trusted = TrustedIssuer::new(TASKS, keys).unwrap();
    let verifier = Verifier::new("lab", [trusted]).unwrap();
    let app: Router = Router::new()
        .route("/", axum::routing::get(async || "ok"))
        .layer(ProvenanceLayer::new(verifier).without_actor_binding())
        .layer(axum::Extension(LoginChecked));
    let send = async |token: &str| {
        let request = Request::get("/")
            .header("rekuest-task", token)
            .body(Body::empty());
        app.clone().oneshot(request.unwrap()).await.unwrap()
    };
    let known = task_token("task-a");
    assert_eq!(send(&known).await.status(), 200);
    let (template, fill) = (
        altered_task_token("task-a", |token| token.header("kid", "AAAAAAAA")),
        "AAAAAAAA",
    );
    let header = {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (header, rest) = template.split_once('.').unwrap();
        let header = String::from_utf8(engine.decode(header).unwrap()).unwrap();
        move |id: &str| format!("{}.{rest}", engine.encode(header.replace(fill, id)))
    };
    let mut before = 0;
    for number in 0..100_000 {
        let response = send(&header(&format!("{number:08}"))).await;
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(
            (response.status().as_u16(), rejection.reason()),
            (401, "UNKNOWN_KEY")
        );
        if number % 1000 == 0 {
            assert_eq!(send(&known).await.status(), 200);
        }
        if number == 10_000 {
            before = resident_kib();
        }
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(server.requests() <= 3, "{}", server.requests());
    assert!(
        grown < 16 * 1024,
        "the process grew by {grown} KiB over 90,000 requests"
    );
}

/// The memory this process has, as Linux counts it; elsewhere there is no such number, and no growth is seen.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
