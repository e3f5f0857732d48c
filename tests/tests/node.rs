//! The lab, driven by graphql-ws, the client that its websocket protocol comes from.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;

use koherent_tests::lab::{Lab, access_token, task_token};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn client_from_the_registry_tells_the_story() {
    let folder = std::env::var("KOHERENT_TEST_NODE").expect(
        "KOHERENT_TEST_NODE is set: run `cargo xtask test`, or keep `cargo xtask servers` running",
    );
    let lab = Lab::start().await;
    let output = tokio::process::Command::new("node")
        .current_dir(&folder)
        .arg("story.mjs")
        .arg(lab.url("/graphql"))
        .arg(access_token("agent-7", "robot"))
        .arg(task_token("task-node"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), output).await;
    let output = output.expect("it ends within a minute").unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        seen,
        json!({
            "refused": "TASK_TOKEN_MISSING",
            "renamed": "renamed",
            "watched": ["CREATE task-node", "UPDATE task-node"],
            "overSocket": ["UPDATE", "CREATE"],
            "overHttp": ["task-node", "task-node"],
            "filtered": 1,
        })
    );
}
