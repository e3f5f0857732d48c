//! The lab's websocket: signing in, staying signed in, and what a socket may not do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use koherent_core::testing::test_issuer;
use koherent_tests::lab::{LOGIN, Lab, access_token, task_token};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a server says: a message, or why it closes.
#[derive(Debug)]
enum Said {
    Message(Value),
    Closed(u16),
}

impl Socket {
    /// Connects, with a login in the headers that must not count.
    async fn connect(lab: &Lab) -> Self {
        let url = lab.url("/graphql").replace("http:", "ws:");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert(
            "sec-websocket-protocol",
            "graphql-transport-ws".parse().unwrap(),
        );
        let login = format!("Bearer {}", access_token("agent-7", "robot"));
        headers.insert("authorization", login.parse().unwrap());
        headers.insert("rekuest-task", task_token("task-a").parse().unwrap());
        let (socket, _) = connect_async(request).await.unwrap();
        Self(socket)
    }

    async fn say(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    async fn hear(&mut self) -> Said {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Said::Message(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Said::Closed(frame.code.into());
                }
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn sign_in(lab: &Lab, payload: Value) -> Result<Self, String> {
        let mut socket = Self::connect(lab).await;
        socket
            .say(json!({"type": "connection_init", "payload": payload}))
            .await;
        match socket.hear().await {
            Said::Message(message) if message["type"] == "connection_ack" => Ok(socket),
            other => Err(format!("{other:?}")),
        }
    }

    /// The answer to one operation.
    async fn ask(&mut self, query: &str) -> Value {
        self.say(json!({"id": "1", "type": "subscribe", "payload": {"query": query}}))
            .await;
        loop {
            match self.hear().await {
                Said::Message(message) if message["type"] == "next" => {
                    let Said::Message(end) = self.hear().await else {
                        panic!("it closed")
                    };
                    assert_eq!(end["type"], "complete");
                    return message["payload"].clone();
                }
                Said::Message(_) => {}
                closed @ Said::Closed(..) => panic!("{closed:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_comes_in_the_payload_and_reads() {
    let lab = Lab::start().await;
    lab.data(None, "mutation { createSample(name: \"heart\") { id } }")
        .await;
    let payload = json!({"token": access_token("agent-7", "robot")});
    let mut socket = Socket::sign_in(&lab, payload).await.unwrap();
    let answer = socket
        .ask("{ samples { name provenance { user { sub } } } }")
        .await;
    assert_eq!(answer["data"]["samples"][0]["name"], "heart");
    assert_eq!(
        answer["data"]["samples"][0]["provenance"][0]["user"]["sub"],
        "agent-7"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn payload_without_a_good_login_is_refused_whatever_the_headers_say() {
    let lab = Lab::start().await;
    let expired = test_issuer(LOGIN).sign(
        &json!({"alg": "EdDSA", "kid": "test-1"}),
        &json!({"iss": LOGIN, "aud": "lab", "sub": "ann", "exp": 1_700_000_000}),
    );
    for payload in [
        json!({}),
        json!(null),
        json!({"token": null}),
        json!({"token": 7}),
        json!({"token": ""}),
        json!({"token": "x.y.z"}),
        json!({"token": [access_token("agent-7", "robot")]}),
        json!({"token": format!("Bearer {}", access_token("agent-7", "robot"))}),
        json!({"token": task_token("task-a")}),
        json!({"token": expired}),
        json!({"Authorization": access_token("agent-7", "robot")}),
    ] {
        let refused = Socket::sign_in(&lab, payload.clone()).await;
        let said = refused
            .err()
            .unwrap_or_else(|| panic!("{payload} was accepted"));
        assert!(said.contains("4403"), "{payload}: {said}");
    }
    // Nothing is answered before the login.
    let mut socket = Socket::connect(&lab).await;
    let query = json!({"query": "{ samples { id } }"});
    socket
        .say(json!({"id": "1", "type": "subscribe", "payload": query}))
        .await;
    let said = socket.hear().await;
    assert!(matches!(said, Said::Closed(4401)), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mutations_over_a_socket_are_refused_and_write_nothing() {
    let lab = Lab::start().await;
    let payload = json!({"token": access_token("agent-7", "robot")});
    let mut socket = Socket::sign_in(&lab, payload).await.unwrap();
    let answer = socket
        .ask("mutation { createSample(name: \"x\") { id } }")
        .await;
    assert_eq!(
        answer["errors"][0]["extensions"]["reason"], "MUTATION_OVER_SOCKET",
        "{answer}"
    );
    let samples = lab.data(None, "{ samples { id } }").await;
    assert_eq!(samples["samples"], json!([]));
}

/// A socket lives longer than a token: what expires while it is open reads nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn login_that_expires_ends_what_the_socket_may_read() {
    use koherent_core::{Clock as _, SystemClock};
    let lab = Lab::start().await;
    let expires = SystemClock.since_epoch().as_secs() + 6;
    let token = test_issuer(LOGIN).sign(
        &json!({"alg": "EdDSA", "kid": "test-1"}),
        &json!({"iss": LOGIN, "aud": "lab", "sub": "ann", "exp": expires}),
    );
    let mut socket = Socket::sign_in(&lab, json!({ "token": token }))
        .await
        .unwrap();
    let before = socket.ask("{ samples { id } }").await;
    assert_eq!(before["data"]["samples"], json!([]));
    while SystemClock.since_epoch().as_secs() < expires {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let after = socket.ask("{ samples { id } }").await;
    assert_eq!(
        after["errors"][0]["extensions"]["reason"], "SIGNED_OUT",
        "{after}"
    );
}

/// Clients do not ping by themselves: a quiet one that has signed in stays, and one that has not does not.
#[tokio::test(flavor = "multi_thread")]
async fn quiet_socket_stays_if_somebody_signed_in() {
    let lab = Lab::start().await;
    let payload = json!({"token": access_token("agent-7", "robot")});
    let mut signed_in = Socket::sign_in(&lab, payload).await.unwrap();
    let mut nobody = Socket::connect(&lab).await;
    assert!(matches!(
        tokio::time::timeout(Duration::from_secs(60), nobody.0.next()).await,
        Ok(None | Some(Err(_)))
    ));
    tokio::time::sleep(Duration::from_secs(8)).await;
    let answer = signed_in.ask("{ samples { id } }").await;
    assert_eq!(answer["data"]["samples"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_the_limit_end_the_socket() {
    let lab = Lab::start().await;
    let mut socket = Socket::connect(&lab).await;
    let payload = json!({"token": "x".repeat(1 << 20)});
    let message = json!({"type": "connection_init", "payload": payload}).to_string();
    // It may be closed before it has taken all.
    let _ = socket.0.send(Message::text(message)).await;
    assert!(!matches!(socket.0.next().await, Some(Ok(Message::Text(_)))));
    lab.data(None, "{ samples { id } }").await;
}
