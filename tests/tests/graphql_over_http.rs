//! GraphQL over HTTP, as its specification says: media types, statuses, and errors with codes, refusals of the layers included.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use koherent_tests::lab::{Lab, access_token, task_token};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

const GRAPHQL: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn kind(&self) -> &str {
        self.headers["content-type"].to_str().unwrap()
    }

    fn extensions(&self) -> &Value {
        &self.body["errors"][0]["extensions"]
    }
}

/// Posts a body as somebody who is signed in, unless a header says otherwise.
async fn post(lab: &Lab, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(lab.url(path)).body(body.to_owned());
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    for (name, value) in [("Authorization", login.as_str()), ("Content-Type", JSON)] {
        if !headers.iter().any(|(own, _)| *own == name) {
            request = request.header(name, value);
        }
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.json().await.unwrap(),
    }
}

const GOOD: &str = r#"{"query": "{ samples { id } }"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_layers_are_answers_of_graphql_by_accept() {
    let lab = Lab::start().await;
    let forged = format!("Bearer {}x", access_token("agent-7", "robot"));
    let another =
        koherent_tests::lab::altered_task_token("task-a", |token| token.actor("agent-8", "robot"));
    for (header, value, status, code, reason) in [
        (
            "Authorization",
            forged.as_str(),
            401,
            "UNAUTHENTICATED",
            "MALFORMED",
        ),
        ("Authorization", "", 401, "UNAUTHENTICATED", "TOKEN_MISSING"),
        (
            "Rekuest-Task",
            "no.such.token",
            401,
            "TASK_UNAUTHENTICATED",
            "MALFORMED",
        ),
        (
            "Rekuest-Task",
            another.as_str(),
            403,
            "PERMISSION_DENIED",
            "ACTOR_MISMATCH",
        ),
        (
            "Authorization",
            "Basic eA==",
            400,
            "BAD_REQUEST",
            "HEADER_UNREADABLE",
        ),
    ] {
        for (accepted, kind, said) in [
            (GRAPHQL, GRAPHQL, status),
            (
                "application/graphql-response+json, application/json;q=0.9",
                GRAPHQL,
                status,
            ),
            (JSON, JSON, 200),
            ("*/*", JSON, 200),
        ] {
            let headers = [(header, value), ("Accept", accepted)];
            let answer = post(&lab, "/graphql", &headers, GOOD).await;
            assert_eq!(
                (answer.status, answer.kind()),
                (said, kind),
                "{reason} as {accepted}"
            );
            assert_eq!(
                *answer.extensions(),
                json!({"code": code, "reason": reason})
            );
            assert!(answer.body["errors"][0]["message"].is_string());
            assert!(answer.body.get("data").is_none());
            assert_eq!(answer.headers.contains_key("www-authenticate"), said == 401);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_those_of_the_specification() {
    let lab = Lab::start().await;
    let long = format!(
        r#"{{"query": "{{ samples {{ id }} }} # {}"}}"#,
        "x".repeat(70_000)
    );
    // What is sent, the status by both media types, and the reason.
    let cases = [
        (GOOD, 200, 200, ""),
        (
            r#"{"query": "{ samples { id } }", "variables": null, "operationName": null, "extensions": null}"#,
            200,
            200,
            "",
        ),
        (
            r#"{"query": "mutation { deleteSample(id: 99) { id } }"}"#,
            200,
            200,
            "ROW_NOT_FOUND",
        ),
        (
            r#"{"query": "{ samples { nothing } }"}"#,
            400,
            200,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            r#"{"query": "query q($x: Int!) { samples(pagination: {limit: $x}) { id } }"}"#,
            400,
            200,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            r#"{"query": "{ samples"}"#,
            400,
            200,
            "GRAPHQL_PARSE_FAILED",
        ),
        (
            r#"{"query": "query a { samples { id } } query b { samples { id } }"}"#,
            400,
            200,
            "OPERATION_UNKNOWN",
        ),
        (
            r#"{"query": "subscription { provenance(table: \"samples\") { id } }"}"#,
            400,
            200,
            "SUBSCRIPTION_OVER_HTTP",
        ),
        ("{", 400, 400, "REQUEST_INVALID"),
        ("[]", 400, 400, "REQUEST_INVALID"),
        ("null", 400, 400, "REQUEST_INVALID"),
        (
            r#"{"quarry": "{ samples { id } }"}"#,
            400,
            400,
            "REQUEST_INVALID",
        ),
        (r#"{"query": 7}"#, 400, 400, "REQUEST_INVALID"),
        (long.as_str(), 413, 413, "BODY_TOO_LONG"),
    ];
    for (body, graphql, json, reason) in cases {
        for (accepted, status) in [(GRAPHQL, graphql), (JSON, json)] {
            let answer = post(&lab, "/graphql", &[("Accept", accepted)], body).await;
            let found = answer.extensions()["reason"].as_str().unwrap_or_default();
            let shown = body.get(..80).unwrap_or(body);
            assert_eq!(
                (answer.status, found),
                (status, reason),
                "{shown} as {accepted}"
            );
            assert_eq!(answer.kind(), accepted);
            if !reason.is_empty() {
                assert!(answer.extensions()["code"].is_string());
            }
        }
    }
    // The other name of the endpoint is no redirect, which clients follow with a GET.
    assert_eq!(post(&lab, "/graphql/", &[], GOOD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_json_by_their_own_word_are_refused() {
    let lab = Lab::start().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/graphql",
        "",
    ] {
        let answer = post(&lab, "/graphql", &[("Content-Type", kind)], GOOD).await;
        assert_eq!(answer.status, 415, "{kind}");
        assert_eq!(answer.extensions()["reason"], "MEDIA_TYPE_UNSUPPORTED");
        assert_eq!(answer.headers["accept"], JSON);
    }
    let kind = "application/json; charset=utf-8";
    assert_eq!(
        post(&lab, "/graphql", &[("Content-Type", kind)], GOOD)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_whose_variables_are_no_object_does_not_run() {
    let lab = Lab::start().await;
    let query = r#"mutation m($name: String = "by default") { createSample(name: $name) { id } }"#;
    let wrong = [
        json!("{\"name\": \"x\"}"),
        json!(["x"]),
        json!(7),
        json!(false),
        json!(""),
    ];
    let mut bodies = Vec::new();
    for value in wrong {
        for member in ["variables", "extensions"] {
            bodies.push(json!({ "query": query, member: value }));
        }
    }
    for name in [json!(7), json!(["m"]), json!({})] {
        bodies.push(json!({ "query": query, "operationName": name }));
    }
    for body in bodies {
        for accepted in [GRAPHQL, JSON] {
            for sent in [body.clone(), json!([{ "query": query }, body])] {
                let answer =
                    post(&lab, "/graphql", &[("Accept", accepted)], &sent.to_string()).await;
                assert_eq!(answer.status, 400, "{sent}");
                assert_eq!(answer.extensions()["reason"], "REQUEST_INVALID", "{sent}");
            }
        }
    }
    let none = lab.data(None, "{ samples { id } }").await;
    assert_eq!(none["samples"], json!([]), "nothing was created");
    // The harness can tell: with an object it runs.
    let body = json!({ "query": query, "variables": {} }).to_string();
    assert_eq!(post(&lab, "/graphql", &[], &body).await.status, 200);
    let one = lab
        .data(Some(&task_token("task-a")), "{ samples { name } }")
        .await;
    assert_eq!(one["samples"], json!([{"name": "by default"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_only_looks_is_told_how_to_ask() {
    let lab = Lab::start().await;
    for path in ["/graphql", "/graphql/"] {
        let answer = lab.get(path).await;
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(answer.headers()["allow"], "POST");
        let body: Value = answer.json().await.unwrap();
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.contains("POST") && message.contains("graphql-transport-ws"),
            "{message}"
        );
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let browser = client
            .get(lab.url(path))
            .header("Accept", "text/html,*/*;q=0.8");
        let shown = browser.send().await.unwrap();
        assert_eq!(
            (shown.status().as_u16(), shown.url().path()),
            (200, "/graphiql")
        );
    }
    let start = lab.get("/").await;
    assert_eq!(start.status(), 200);
    let start = start.text().await.unwrap();
    for place in ["/graphiql", "/graphql", "/activity", "/readyz"] {
        assert!(start.contains(place), "{place} is not in {start}");
    }
}
