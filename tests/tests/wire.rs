//! What operators and clients of the lab see of its connections: kept ones, probes, pages of other origins.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../koherent-tower/tests/raw/mod.rs"]
mod raw;

use diesel::prelude::*;
use koherent_tests::lab::{Lab, access_token};
use lab::server::Settings;
use raw::{Outcomes, send_early};

/// 10,000 requests over 8 connections in the long run.
fn requests() -> usize {
    match std::env::var("KOHERENT_EFFORT").as_deref() {
        Ok("full") => 1_250,
        _ => 8,
    }
}

/// Whatever is answered before the body is read, the connection is used again, and nothing is kept of it.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_early_answers_leave_eight_connections_usable() {
    let lab = Lab::start().await;
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    let accept = "Accept: application/graphql-response+json";
    let heads = [
        (format!("POST /graphql HTTP/1.1\r\n{accept}\r\n"), 401),
        (
            "POST /graphql HTTP/1.1\r\nAuthorization: Bearer x.y.z\r\n".to_owned(),
            200,
        ),
        (
            format!(
                "POST /graphql HTTP/1.1\r\nAuthorization: {login}\r\nContent-Type: text/plain\r\n"
            ),
            415,
        ),
        (
            format!(
                "POST /graphql HTTP/1.1\r\n{accept}\r\nAuthorization: {login}\r\nRekuest-Task: x.y.z\r\n"
            ),
            401,
        ),
        ("GET /activity HTTP/1.1\r\n".to_owned(), 401),
        ("POST /nothing HTTP/1.1\r\n".to_owned(), 404),
        ("POST /healthz HTTP/1.1\r\n".to_owned(), 405),
        ("PUT /graphql HTTP/1.1\r\n".to_owned(), 405),
    ];
    let mut before = 0;
    for round in ["warm", "measured"] {
        let senders = heads
            .iter()
            .cloned()
            .enumerate()
            .map(|(seed, (head, status))| {
                let address = lab.address();
                tokio::spawn(async move {
                    (
                        head.clone(),
                        send_early(address, &head, status, requests(), seed).await,
                    )
                })
            });
        let senders: Vec<_> = senders.collect();
        for sender in senders {
            let (
                head,
                Outcomes {
                    kept,
                    closed,
                    broken,
                },
            ) = sender.await.unwrap();
            assert_eq!((kept, closed, broken), (requests(), 0, 0), "{head}");
        }
        match round {
            "warm" => before = resident_kib(),
            _ => {
                let grown = resident_kib().saturating_sub(before);
                assert!(grown < 64 * 1024, "the process grew by {grown} KiB");
            }
        }
    }
}

/// The memory this process has, as Linux counts it; elsewhere there is no such number, and no growth is seen.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A body that is too long is refused as such, whatever its length is announced to be.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_leaves_the_connection_usable() {
    let lab = Lab::start().await;
    let mut client = raw::Client::connect(lab.address()).await;
    let login = access_token("agent-7", "robot");
    let head = format!(
        "POST /graphql HTTP/1.1\r\nAuthorization: Bearer {login}\r\nContent-Type: application/json\r\n"
    );
    for body in [vec![b' '; 65_537], vec![b' '; 1_000_000]] {
        client.send_apart(&head, &body).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.closes), (413, false), "{answer:?}");
        assert!(answer.body.contains("BODY_TOO_LONG"), "{answer:?}");
    }
    client
        .send_apart(&head, br#"{"query": "{ samples { id } }"}"#)
        .await
        .unwrap();
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_asks_for_the_tables() {
    for lost in [
        "DROP TABLE tags_history",
        "ALTER TABLE samples RENAME TO specimens",
    ] {
        let lab = Lab::start().await;
        let mut connection = SqliteConnection::establish(&lab.database()).unwrap();
        diesel::sql_query(lost).execute(&mut connection).unwrap();
        let answer = lab.get("/readyz").await;
        assert_eq!(answer.status(), 503, "{lost}");
        assert_eq!(lab.get("/healthz").await.status(), 200, "it is alive");
        let said = answer.text().await.unwrap();
        assert!(
            !said.contains("tags") && !said.contains("samples"),
            "details are in the log: {said}"
        );
        // It is answered again without a look.
        assert_eq!(lab.get("/readyz").await.status(), 503);
    }
    let lab = Lab::start().await;
    assert_eq!(lab.get("/readyz").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_named_origins_may_use_the_service() {
    const PAGE: &str = "https://notebook.example";
    let ask = async |lab: &Lab, origin: &str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(reqwest::Method::OPTIONS, lab.url("/graphql"));
        let request = request
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "authorization,content-type,rekuest-task",
            );
        let response = request.send().await.unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_ascii_lowercase())
        };
        (
            header("access-control-allow-origin"),
            header("access-control-allow-headers"),
        )
    };
    let settings = Settings {
        origins: vec![PAGE.parse().unwrap()],
        ..Settings::default()
    };
    let lab = Lab::start_set(settings).await;
    let (origin, headers) = ask(&lab, PAGE).await;
    assert_eq!(origin.as_deref(), Some(PAGE));
    let headers = headers.unwrap();
    for header in ["authorization", "content-type", "rekuest-task"] {
        assert!(headers.contains(header), "{header} is not in {headers}");
    }
    assert_eq!(ask(&lab, "https://evil.example").await.0, None);
    assert_eq!(
        ask(&Lab::start().await, PAGE).await.0,
        None,
        "nobody is named"
    );
}
