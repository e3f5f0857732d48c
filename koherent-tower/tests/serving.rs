//! A server with limits: who says nothing, sends half of it or does not read is shown the door, and it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod raw;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::WebSocketUpgrade;
use axum::routing::{get, post};
use bytes::Bytes;
use koherent_tower::serve::{ServeLimits, Shutdown, serve};
use raw::{Client, PATIENCE};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

/// A server, and what its handlers wait for.
struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<()>,
    /// Told when `/slow` is being answered.
    reached: Arc<Notify>,
    /// Lets `/slow` answer.
    answers: Arc<Semaphore>,
}

const QUICK: ServeLimits = ServeLimits {
    connections: 100,
    head: Duration::from_millis(100),
    stall: Duration::from_millis(100),
    shutdown: Duration::from_secs(60),
};

/// Limits that no test reaches.
const PATIENT: ServeLimits = ServeLimits {
    connections: 100,
    head: Duration::from_secs(60),
    stall: Duration::from_secs(60),
    shutdown: Duration::from_secs(60),
};

async fn start(limits: ServeLimits) -> Server {
    let (reached, answers) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let slow = {
        let (reached, answers) = (Arc::clone(&reached), Arc::clone(&answers));
        async move || {
            reached.notify_one();
            answers.acquire().await.unwrap().forget();
            "at last"
        }
    };
    let endless = async || {
        let chunk = Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 65_536]));
        Body::from_stream(futures_util::stream::repeat(chunk))
    };
    // A websocket of an application that does not know of the end.
    let socket = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| while socket.recv().await.is_some() {})
    };
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/length", post(async |body: String| body.len().to_string()))
        .route("/slow", get(slow))
        .route("/endless", get(endless))
        .route("/socket", get(socket));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let ended = tokio::spawn(serve(listener, app, limits, shutdown.clone()));
    Server {
        address,
        shutdown,
        ended,
        reached,
        answers,
    }
}

impl Server {
    async fn client(&self, sent: &str) -> Client {
        let mut client = Client::connect(self.address).await;
        client.send(sent.as_bytes()).await.unwrap();
        client
    }

    /// Waits for the end.
    async fn ends(self) -> bool {
        tokio::time::timeout(PATIENCE, self.ended).await.is_ok()
    }
}

const HELLO: &str = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
const SOCKET: &str = "GET /socket HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What clients send that never send the rest.
const HALVES: [&str; 4] = [
    "",
    "GET / HTTP/1.1\r\nHost: l",
    "POST /length HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nhalf",
    "GET /endless HTTP/1.1\r\nHost: lab\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_or_half_of_it_or_does_not_read_is_ended() {
    let server = start(QUICK).await;
    for half in HALVES {
        let mut client = server.client(half).await;
        if half.contains("endless") {
            // It reads again when the server has given up, and finds the end.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert!(client.is_closed().await, "{half:?} keeps its connection");
    }
    // A connection that is kept is closed as well, when nothing more comes.
    let mut client = server.client(HELLO).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert!(client.is_closed().await);
}

/// The harness can tell: limits that are not reached end nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_within_the_limits_keeps_its_connection() {
    let server = start(PATIENT).await;
    let mut client = server.client("GET / HTTP/1.1\r\nHos").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.send(b"t: lab\r\n\r\n").await.unwrap();
    assert_eq!(client.answer().await.unwrap().body, "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_is_answered_and_the_answer_says_that_the_connection_closes() {
    let server = start(QUICK).await;
    let mut client = server.client(HALVES[2]).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.closes), (400, true), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_make_room_for_somebody_who_asks() {
    let limits = ServeLimits {
        connections: 5,
        ..PATIENT
    };
    let server = start(limits).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(server.client("").await);
    }
    let mut client = server.client(HELLO).await;
    assert_eq!(client.answer().await.unwrap().body, "hello");
    // Those who are being answered are not sent away for others.
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(
            server
                .client("GET /slow HTTP/1.1\r\nHost: lab\r\n\r\n")
                .await,
        );
        server.reached.notified().await;
    }
    for _ in 0..20 {
        silent.push(server.client("").await);
    }
    server.answers.add_permits(4);
    for mut client in slow {
        assert_eq!(client.answer().await.unwrap().body, "at last");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_finishes_what_is_under_way_and_answers_what_arrives_meanwhile() {
    let server = start(PATIENT).await;
    let mut kept = server.client(HELLO).await;
    assert!(!kept.answer().await.unwrap().closes);
    let mut slow = server
        .client("GET /slow HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    server.reached.notified().await;
    let mut half = server
        .client("POST /length HTTP/1.1\r\nHost: lab\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    server.shutdown.begin();
    for client in [&mut kept, &mut Client::connect(server.address).await] {
        client.send(HELLO.as_bytes()).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.body.as_str(), answer.closes), ("hello", true));
    }
    half.send(b"half").await.unwrap();
    let answer = half.answer().await.unwrap();
    assert_eq!((answer.body.as_str(), answer.closes), ("8", true));
    assert!(
        !server.ended.is_finished(),
        "somebody is still being answered"
    );
    server.answers.add_permits(1);
    let answer = slow.answer().await.unwrap();
    assert_eq!((answer.body.as_str(), answer.closes), ("at last", true));
    assert!(server.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_comes_within_its_limit_whatever_clients_do() {
    let server = start(ServeLimits {
        shutdown: Duration::from_millis(300),
        ..PATIENT
    })
    .await;
    let mut clients = Vec::new();
    for half in HALVES {
        clients.push(server.client(half).await);
    }
    clients.push(
        server
            .client("GET /slow HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await,
    );
    server.reached.notified().await;
    let mut socket = server.client(SOCKET).await;
    assert_eq!(socket.answer().await.unwrap().status, 101);
    server.shutdown.begin();
    assert!(server.ends().await);
    assert!(
        socket.is_closed().await,
        "a socket that knows of no end is cut"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waits_for_nothing_does_not_delay_the_end() {
    let server = start(PATIENT).await;
    let mut kept = server.client(HELLO).await;
    kept.answer().await.unwrap();
    let _silent = server.client("").await;
    server.shutdown.begin();
    // The limit is a minute, and the test is less patient.
    assert!(server.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_word_ends_at_once() {
    let server = start(PATIENT).await;
    let _slow = server
        .client("GET /slow HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    server.reached.notified().await;
    server.shutdown.begin();
    server.shutdown.end_at_once();
    assert!(server.ends().await);
}

/// A client of a refused upload of any length sees the refusal, not a reset.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_answer_of_a_connection_can_be_read() {
    let server = start(PATIENT).await;
    for _ in 0..8 {
        let mut client = Client::connect(server.address).await;
        let body = vec![b'x'; 3_000_000];
        let _ = client.send_apart("POST / HTTP/1.1\r\n", &body).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.closes), (405, true));
    }
}
