//! The lab, driven by clients in Python: rath and rekuest-next, which are the original's, and gql.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;

use axum::http::StatusCode;
use koherent_tests::lab::{Lab, access_token, access_token_until, altered_task_token, task_token};
use serde_json::{Value, json};

/// Runs a script, and returns what it saw.
async fn run(script: &str, arguments: &[&str]) -> Value {
    let folder = std::env::var("KOHERENT_TEST_PYTHON").expect(
        "KOHERENT_TEST_PYTHON is set: run `cargo xtask test`, or keep `cargo xtask servers` running",
    );
    let output = tokio::process::Command::new(format!("{folder}/venv/bin/python"))
        .current_dir(&folder)
        .arg(script)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), output).await;
    let output = output.expect("it ends within a minute").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn refresh(url: &str) -> Value {
    let access = access_token("agent-7", "robot");
    let expired = access_token_until("agent-7", "robot", 1_700_000_600);
    let foreign = altered_task_token("task-rath", |token| token.actor("agent-8", "robot"));
    let arguments = [
        url,
        &expired,
        &access,
        &task_token("task-rath"),
        "no.such.token",
        &foreign,
    ];
    run("refresh.py", &arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn login_is_refreshed_once_and_the_entry_has_the_task_of_the_context() {
    let lab = Lab::start().await;
    let seen = refresh(&lab.url("/graphql")).await;
    let error = |code: &str, reason: &str| json!({"error": "GraphQLException", "extensions": [{"code": code, "reason": reason}], "refreshed": 0});
    assert_eq!(seen["expired"]["refreshed"], 1, "{seen}");
    assert_eq!(
        seen["taskRefused"],
        error("TASK_UNAUTHENTICATED", "MALFORMED")
    );
    assert_eq!(
        seen["notAllowed"],
        error("PERMISSION_DENIED", "ACTOR_MISMATCH")
    );
    assert_eq!(seen["loginRefused"]["error"], "AuthenticationError");
    let id = seen["expired"]["data"]["createSample"]["id"]
        .as_str()
        .unwrap();
    let entries = lab.provenance(id).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["task"]["taskId"], "task-rath");
    let samples = lab.data(None, "{ samples { id } }").await;
    assert_eq!(samples["samples"], json!([{ "id": id }]), "done once");
}

/// The control: the client does not understand a refusal that is no answer of GraphQL.
#[tokio::test(flavor = "multi_thread")]
async fn problem_document_refreshes_no_login() {
    let problem = (
        StatusCode::UNAUTHORIZED,
        [("content-type", "application/problem+json")],
        r#"{"status": 401}"#,
    );
    let app = axum::Router::new().fallback(move || async move { problem });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let seen = refresh(&url).await;
    assert_eq!(seen["expired"]["refreshed"], 0, "{seen}");
    assert!(seen["expired"]["error"].is_string(), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gql_tells_the_story_over_http_and_over_a_websocket() {
    let lab = Lab::start().await;
    let access = access_token("agent-7", "robot");
    let arguments = [
        &lab.url("/graphql"),
        &*access,
        &task_token("task-gql"),
        "no.such.token",
    ];
    let seen = run("gql_client.py", &arguments).await;
    let refused = json!([{"code": "TASK_UNAUTHENTICATED", "reason": "MALFORMED"}]);
    assert_eq!(
        seen,
        json!({
            "http": {"createSample": {"id": "1"}},
            "refused": refused,
            "socket": {
                "refused": refused,
                "created": {"createSample": {"id": "2"}},
                "watched": {"provenance": {"kind": "CREATE", "task": {"taskId": "task-gql"}}},
            },
        })
    );
}
