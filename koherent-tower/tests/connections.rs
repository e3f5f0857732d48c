//! Connections that are kept, over raw TCP: what an early answer leaves of a request does not spoil the next one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod raw;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;
use koherent_core::testing::test_issuer;
use koherent_tower::{AccessVerifier, DrainLayer, Presence, PrincipalLayer, ProvenanceLayer};
use raw::{Client, Outcomes, send_early};
use tokio::net::TcpListener;

/// Requests per connection: 10,000 over 8 connections in the long run.
fn requests() -> usize {
    match std::env::var("KOHERENT_EFFORT").as_deref() {
        Ok("full") => 1_250,
        _ => 24,
    }
}

/// Serves as axum does, without any limits.
async fn start(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn layered() -> Router {
    let login = test_issuer(koherent_tower::access::DEVELOPMENT_ISSUER);
    let access = AccessVerifier::development("lab", &login.jwks()).unwrap();
    let tasks = test_issuer("rekuest").verifier("lab");
    Router::new()
        .route("/", post(async |body: String| body.len().to_string()))
        .layer(ProvenanceLayer::new(tasks))
        .layer(PrincipalLayer::new(access).with_presence(Presence::Optional))
}

/// Eight connections at once.
async fn send_over_eight(address: SocketAddr, head: &'static str, status: u16) -> Outcomes {
    let senders: Vec<_> = (0..8)
        .map(|seed| tokio::spawn(send_early(address, head, status, requests(), seed)))
        .collect();
    let mut all = Outcomes::default();
    for sender in senders {
        let outcomes = sender.await.unwrap();
        all.kept += outcomes.kept;
        all.closed += outcomes.closed;
        all.broken += outcomes.broken;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_the_connection_usable() {
    let address = start(layered()).await;
    for head in [
        "POST / HTTP/1.1\r\nAuthorization: Bearer no.such.token\r\n",
        "POST / HTTP/1.1\r\nRekuest-Task: no.such.token\r\n",
    ] {
        let outcomes = send_over_eight(address, head, 401).await;
        assert_eq!((outcomes.closed, outcomes.broken), (0, 0), "{outcomes:?}");
        assert_eq!(outcomes.kept, 8 * requests());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_service_answers_early_leaves_the_connection_usable() {
    let app = Router::new()
        .route("/unread", post(async || StatusCode::CONFLICT))
        .route("/get", get(async || "hello"))
        .route(
            "/text",
            post(async |_: String| "read").layer(axum::extract::DefaultBodyLimit::max(0)),
        )
        .layer(DrainLayer::new());
    let address = start(app).await;
    for (head, status) in [
        ("POST /unread HTTP/1.1\r\n", 409),
        ("POST /get HTTP/1.1\r\n", 405),
        ("POST /nothing HTTP/1.1\r\n", 404),
        ("POST /text HTTP/1.1\r\n", 413),
    ] {
        let outcomes = send_early(address, head, status, 16, 0).await;
        assert_eq!(
            (outcomes.kept, outcomes.broken),
            (16, 0),
            "{head} {outcomes:?}"
        );
    }
}

/// The harness can tell: a service that answers without reading breaks connections.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_layer_connections_break() {
    let app = Router::new().route("/", post(async || StatusCode::UNAUTHORIZED));
    let outcomes = send_over_eight(start(app).await, "POST / HTTP/1.1\r\n", 401).await;
    assert!(outcomes.broken > 0, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_rest_is_not_read_the_answer_says_that_the_connection_closes() {
    let app = Router::new().route("/", post(async || StatusCode::CONFLICT));
    let layer = DrainLayer::new()
        .with_bytes(1000)
        .with_wait(Duration::from_millis(50));
    let address = start(app.layer(layer)).await;
    for (head, body) in [
        ("Content-Length: 1001\r\n", ""),
        ("Content-Length: 1000\r\n", "it is never sent"),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n", ""),
        (
            "Transfer-Encoding: chunked\r\n",
            &*format!("7d0\r\n{}\r\n", "x".repeat(2000)),
        ),
    ] {
        let mut client = Client::connect(address).await;
        let request = format!("POST / HTTP/1.1\r\nHost: lab\r\n{head}\r\n{body}");
        client.send(request.as_bytes()).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.closes), (409, true), "{head}");
    }
    // What fits is read, however it comes.
    let mut client = Client::connect(address).await;
    for _ in 0..3 {
        let request = "POST / HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        client.send(request.as_bytes()).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.closes), (409, false));
    }
}

/// A layer knows the bodies of servers. Of another it says that the connection closes, where one is announced.
#[tokio::test]
async fn a_refusal_of_a_body_that_nobody_knows_says_that_the_connection_closes() {
    use tower::ServiceExt as _;
    use tower_layer::Layer as _;
    let login = test_issuer(koherent_tower::access::DEVELOPMENT_ISSUER);
    let access = AccessVerifier::development("lab", &login.jwks()).unwrap();
    let layer = PrincipalLayer::new(access).with_presence(Presence::Required);
    for (header, value, closes) in [
        ("content-length", "7", true),
        ("transfer-encoding", "chunked", true),
        ("content-length", "0", false),
        ("accept", "*/*", false),
    ] {
        let service = tower::service_fn(async |_: http::Request<()>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
        });
        let request = http::Request::post("/")
            .header(header, value)
            .body(())
            .unwrap();
        let refused = layer.layer(service).oneshot(request).await.unwrap();
        assert_eq!(refused.status(), 401);
        let says = refused
            .headers()
            .get("connection")
            .is_some_and(|value| value == "close");
        assert_eq!(says, closes, "{header}: {value}");
    }
}
