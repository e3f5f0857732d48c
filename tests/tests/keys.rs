//! The lab with keys by URL and file: outages, and rotation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use koherent_core::mint::TokenIssuer;
use koherent_core::testing::test_issuer;
use koherent_tests::key_server::{KeyServer, Mood};
use koherent_tests::lab::{LOGIN, Lab, TASKS, access_token, task_token};
use serde_json::{Value, json};

/// A lab whose tasks' keys are at that URL, fetched at most once in `interval` seconds.
async fn lab(tasks: &KeyServer, interval: u64) -> Lab {
    Lab::start_with(&format!(
        "[auth]\naudience = \"lab\"\n[[auth.issuers]]\niss = \"{LOGIN}\"\njwks = \"auth-jwks.json\"\n\
         algorithms = [\"EdDSA\"]\n[provenance]\naudience = \"lab\"\nrefresh_interval_seconds = {interval}\n\
         [[provenance.issuers]]\niss = \"{TASKS}\"\njwks_uri = \"{}\"\n",
        tasks.url()
    ))
    .await
}

/// Reads under that task; status and reason.
async fn ask(lab: &Lab, task: &str) -> (u16, String) {
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    let headers = [("Authorization", login.as_str()), ("Rekuest-Task", task)];
    let answer = lab.post(&headers, "{ samples { id } }").await;
    (answer.status, answer.reason().to_owned())
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

/// The document with these keys of the task server.
fn jwks(keys: &[&TokenIssuer]) -> String {
    let keys = keys.iter().map(|issuer| {
        let document: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        document["keys"][0].clone()
    });
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

fn key(id: &str) -> TokenIssuer {
    TokenIssuer::new(TASKS, id, &[id.len() as u8; 32])
}

async fn interval_is_over() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_of_a_key_server_stop_nobody_whose_key_is_known() {
    let garbage = Mood::Serving("<html>It works!</html>".to_owned());
    let moods = [
        Mood::Down,
        Mood::Hanging,
        Mood::Dripping,
        Mood::Status(500),
        Mood::Status(302),
        garbage,
        Mood::Flooding,
    ];
    let outages = moods.map(|mood| tokio::spawn(outage(mood)));
    for outage in outages {
        outage.await.unwrap();
    }
}

async fn outage(mood: Mood) {
    let (old, new) = (test_issuer(TASKS), key("new"));
    let server = KeyServer::start(Mood::Serving(old.jwks())).await;
    let lab = lab(&server, 1).await;
    let known = task_token("task-a");
    let unknown = new.task("task-b").mint();
    assert_eq!(ask(&lab, &known).await, accepted());
    assert_eq!(ask(&lab, &unknown).await, refused(401, "UNKNOWN_KEY"));

    server.set(mood.clone());
    interval_is_over().await;
    let asked = server.requests();
    let waiting = ask(&lab, &unknown);
    let meanwhile = async {
        for _ in 0..20 {
            assert_eq!(ask(&lab, &known).await, accepted(), "{mood:?}");
        }
    };
    let (answer, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!(answer, refused(503, "KEYS_UNAVAILABLE"), "{mood:?}");
    assert_eq!(ask(&lab, &known).await, accepted(), "{mood:?}");
    assert!(server.requests() > asked, "{mood:?}: it was asked");

    server.set(Mood::Serving(jwks(&[&old, &new])));
    interval_is_over().await;
    assert_eq!(ask(&lab, &unknown).await, accepted(), "{mood:?}");
    assert_eq!(ask(&lab, &known).await, accepted(), "{mood:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lab_starts_without_its_key_server_and_serves_once_it_is_there() {
    let server = KeyServer::start(Mood::Down).await;
    let lab = lab(&server, 1).await;
    assert_eq!(
        ask(&lab, &task_token("task-a")).await,
        refused(503, "KEYS_UNAVAILABLE")
    );
    assert_eq!(lab.get("/healthz").await.status(), 200);
    server.set(Mood::Serving(test_issuer(TASKS).jwks()));
    interval_is_over().await;
    assert_eq!(ask(&lab, &task_token("task-a")).await, accepted());
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_over_http_refuses_nobody_falsely_and_the_removed_key_in_the_end() {
    let (old, new) = (key("old"), key("newer"));
    let server = KeyServer::start(Mood::Serving(jwks(&[&old]))).await;
    let lab = lab(&server, 1).await;
    let remembered = old.task("task-a").mint();
    assert_eq!(ask(&lab, &remembered).await, accepted());
    server.set(Mood::Serving(jwks(&[&old, &new])));
    interval_is_over().await;
    for number in 0..50 {
        for issuer in [&old, &new] {
            let token = issuer.task(&format!("task-{number}")).mint();
            assert_eq!(ask(&lab, &token).await, accepted());
        }
        assert_eq!(ask(&lab, &remembered).await, accepted());
    }
    server.set(Mood::Serving(jwks(&[&new])));
    interval_is_over().await;
    // A key that nobody has makes the lab look; from then on the removed one is gone, remembered or not.
    let unknown = key("unknown").task("task-a").mint();
    assert_eq!(ask(&lab, &unknown).await, refused(401, "UNKNOWN_KEY"));
    assert_eq!(ask(&lab, &remembered).await, refused(401, "UNKNOWN_KEY"));
    assert_eq!(ask(&lab, &new.task("task-1").mint()).await, accepted());
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_key_file_is_read_again() {
    let lab = Lab::start().await;
    assert_eq!(ask(&lab, &task_token("task-a")).await, accepted());
    let file = lab.folder().join("rekuest-jwks.json");
    std::fs::write(file, jwks(&[&key("new")])).unwrap();
    interval_is_over().await;
    assert_eq!(
        ask(&lab, &task_token("task-a")).await,
        refused(401, "UNKNOWN_KEY")
    );
    assert_eq!(
        ask(&lab, &key("new").task("task-a").mint()).await,
        accepted()
    );
}
