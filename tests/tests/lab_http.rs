//! The main job, over real HTTP: a verified task, an audited write, provenance read back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use diesel::connection::LoadConnection;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use koherent_tests::lab::{Lab, access_token, altered_task_token, task_token};
use serde_json::{Value, json};

async fn create(lab: &Lab, task: Option<&str>, name: &str) -> String {
    let query = format!("mutation {{ createSample(name: \"{name}\") {{ id name }} }}");
    let data = lab.data(task, &query).await;
    assert_eq!(data["createSample"]["name"], name);
    data["createSample"]["id"].as_str().unwrap().to_owned()
}

async fn rename(lab: &Lab, task: Option<&str>, id: &str, name: &str) {
    let query = format!("mutation {{ updateSample(id: {id}, name: \"{name}\") {{ name }} }}");
    assert_eq!(lab.data(task, &query).await["updateSample"]["name"], name);
}

async fn delete(lab: &Lab, task: Option<&str>, id: &str) {
    let query = format!("mutation {{ deleteSample(id: {id}) {{ id deleted }} }}");
    assert_eq!(
        lab.data(task, &query).await["deleteSample"],
        json!({"id": id, "deleted": true})
    );
}

fn column<'e>(entries: &'e [Value], pointer: &str) -> Vec<&'e Value> {
    entries
        .iter()
        .map(|entry| entry.pointer(pointer).unwrap_or(&Value::Null))
        .collect()
}

const RENAMED: &str = "/effectiveChanges";

#[tokio::test(flavor = "multi_thread")]
async fn three_changes_under_one_task_are_three_entries() {
    let lab = Lab::start().await;
    let task = task_token("task-a");
    let id = create(&lab, Some(&task), "liver").await;
    rename(&lab, Some(&task), &id, "heart").await;
    delete(&lab, Some(&task), &id).await;

    let entries = lab.provenance(&id).await;
    assert_eq!(column(&entries, "/kind"), ["DELETE", "UPDATE", "CREATE"]);
    assert_eq!(column(&entries, "/user/sub"), ["agent-7"; 3]);
    assert_eq!(column(&entries, "/client/clientId"), ["robot"; 3]);
    assert_eq!(column(&entries, "/task/taskId"), ["task-a"; 3]);
    assert_eq!(column(&entries, "/task/agentClientId"), ["robot"; 3]);
    let renamed = json!([{"field": "name", "oldValue": "liver", "newValue": "heart"}]);
    assert_eq!(entries[1].pointer(RENAMED), Some(&renamed));
    let dates = column(&entries, "/date");
    assert!(
        dates
            .windows(2)
            .all(|pair| pair[0].as_str() >= pair[1].as_str()),
        "{dates:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_under_its_own_task_or_none() {
    let lab = Lab::start().await;
    let (first, second) = (task_token("task-a"), task_token("task-b"));
    let id = create(&lab, Some(&first), "liver").await;
    rename(&lab, Some(&second), &id, "heart").await;
    rename(&lab, None, &id, "kidney").await;
    delete(&lab, Some(&first), &id).await;
    let entries = lab.provenance(&id).await;
    let expected = [
        json!("task-a"),
        Value::Null,
        json!("task-b"),
        json!("task-a"),
    ];
    assert_eq!(
        column(&entries, "/task/taskId"),
        expected.iter().collect::<Vec<_>>()
    );
    assert_eq!(entries[1]["task"], Value::Null);
    assert_eq!(entries[1]["user"]["sub"], "agent-7");
}

/// Rows in every table that a change could touch.
fn rows(lab: &Lab) -> [i64; 3] {
    let mut connection = SqliteConnection::establish(&lab.database()).unwrap();
    ["samples", "samples_history", "koherent_task"].map(|table| count(&mut connection, table))
}

fn count(connection: &mut impl LoadConnection<Backend = Sqlite>, table: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let query = diesel::sql_query(format!("SELECT count(*) AS n FROM {table}"));
    query.get_result::<Count>(connection).unwrap().n
}

/// A token of each error category: refused as GraphQL says it, and nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_of_each_category_are_refused_and_write_nothing() {
    let lab = Lab::start().await;
    create(&lab, Some(&task_token("task-a")), "liver").await;
    let before = rows(&lab);
    assert_eq!(before, [1, 1, 1]);

    let token = task_token("task-b");
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(86));
    let altered = |name: &'static str, value: Value| {
        altered_task_token("task-b", |token| token.claim(name, value))
    };
    let header = |name: &'static str, value: &'static str| {
        altered_task_token("task-b", |token| token.header(name, value))
    };
    let cases = [
        ("x".repeat(17_000), 400, "BAD_REQUEST", "TOO_LARGE"),
        (
            "not.a.token".to_owned(),
            401,
            "UNAUTHENTICATED",
            "MALFORMED",
        ),
        (header("crit", "b64"), 401, "UNAUTHENTICATED", "MALFORMED"),
        (
            header("alg", "none"),
            401,
            "UNAUTHENTICATED",
            "UNSUPPORTED_ALGORITHM",
        ),
        (header("kid", ""), 401, "UNAUTHENTICATED", "MISSING_KID"),
        (
            altered_task_token("task-b", |token| token.without("iss")),
            401,
            "UNAUTHENTICATED",
            "MISSING_CLAIM",
        ),
        (
            altered("iss", json!("somebody")),
            401,
            "UNAUTHENTICATED",
            "UNTRUSTED_ISSUER",
        ),
        (
            header("kid", "another"),
            401,
            "UNAUTHENTICATED",
            "UNKNOWN_KEY",
        ),
        (forged, 401, "UNAUTHENTICATED", "BAD_SIGNATURE"),
        (
            altered("tsk", Value::Null),
            401,
            "UNAUTHENTICATED",
            "MISSING_CLAIM",
        ),
        (
            altered("tsk", json!(7)),
            401,
            "UNAUTHENTICATED",
            "INVALID_CLAIM",
        ),
        (
            altered("exp", json!(1_700_000_001)),
            401,
            "UNAUTHENTICATED",
            "EXPIRED",
        ),
        (
            altered("nbf", json!(4_000_000_000_u64)),
            401,
            "UNAUTHENTICATED",
            "NOT_YET_VALID",
        ),
        (
            altered("aud", json!(["another-lab"])),
            401,
            "UNAUTHENTICATED",
            "WRONG_AUDIENCE",
        ),
        (
            altered("rtk", json!("task-c")),
            401,
            "UNAUTHENTICATED",
            "INVALID_CLAIM",
        ),
        (
            altered_task_token("task-b", |token| token.actor("agent-8", "robot")),
            403,
            "PERMISSION_DENIED",
            "ACTOR_MISMATCH",
        ),
    ];
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    for (task, status, code, reason) in &cases {
        let headers = [("Authorization", login.as_str()), ("Rekuest-Task", task)];
        let answer = lab
            .post(&headers, "mutation { createSample(name: \"bad\") { id } }")
            .await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (*status, "application/graphql-response+json")
        );
        // It is the task's token that is to be renewed, not the login.
        let code = match *code {
            "UNAUTHENTICATED" => "TASK_UNAUTHENTICATED",
            code => code,
        };
        assert_eq!((answer.code(), answer.reason()), (code, *reason));
        let message = answer.body["errors"][0]["message"].as_str();
        assert!(message.is_some_and(|text| !text.is_empty()));
        assert_eq!(rows(&lab), before, "{reason} wrote something");
    }
    // Valid, but the token's id belongs to another task: found when the task's row is written, inside the resolver.
    let reused = altered_task_token("task-b", |token| token.token_id("token-of-task-a"));
    let headers = [("Authorization", login.as_str()), ("Rekuest-Task", &reused)];
    let answer = lab
        .post(&headers, "mutation { createSample(name: \"bad\") { id } }")
        .await;
    let extensions = json!({"code": "PERMISSION_DENIED", "reason": "TOKEN_REUSED"});
    assert_eq!(
        answer.body["errors"][0]["extensions"], extensions,
        "{}",
        answer.body
    );
    assert_eq!(rows(&lab), before);

    // The same request with a good token writes: the harness can tell.
    create(&lab, Some(&task_token("task-b")), "good").await;
    assert_eq!(rows(&lab), [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_good_login_are_refused() {
    let lab = Lab::start().await;
    let query = "mutation { createSample(name: \"bad\") { id } }";
    let task = task_token("task-a");
    let expired = access_token("agent-7", "robot") + "x";
    let expired = format!("Bearer {expired}");
    for (headers, reason) in [
        (vec![], "TOKEN_MISSING"),
        (vec![("Rekuest-Task", task.as_str())], "TOKEN_MISSING"),
        (vec![("Authorization", expired.as_str())], "MALFORMED"),
    ] {
        let answer = lab.post(&headers, query).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (401, reason),
            "{headers:?}"
        );
    }
    assert_eq!(rows(&lab), [0, 0, 0]);
}

/// With a configuration, the development issuer is nobody.
#[tokio::test(flavor = "multi_thread")]
async fn development_tokens_are_refused_by_a_configured_lab() {
    let lab = Lab::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.db").display().to_string();
    let key = lab::trust::DevelopmentKey::open_or_create(&file).unwrap();
    let token = key.access_token("ann", "lab-ui", None, lab::trust::Validity::hours(1));
    let login = format!("Bearer {token}");
    let answer = lab
        .post(&[("Authorization", &login)], "{ samples { id } }")
        .await;
    assert_eq!((answer.status, answer.reason()), (401, "UNTRUSTED_ISSUER"));
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_cannot_be_written_fails_the_mutation_and_shows_no_detail() {
    let lab = Lab::start().await;
    let id = create(&lab, None, "liver").await;
    let mut connection = SqliteConnection::establish(&lab.database()).unwrap();
    diesel::sql_query(
        "CREATE TRIGGER full BEFORE INSERT ON samples_history BEGIN SELECT RAISE(ABORT, 'secret detail'); END",
    )
    .execute(&mut connection)
    .unwrap();
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    let query = format!("mutation {{ updateSample(id: {id}, name: \"heart\") {{ name }} }}");
    let answer = lab.post(&[("Authorization", &login)], &query).await;
    let error = &answer.body["errors"][0];
    let extensions = json!({"code": "INTERNAL_ERROR", "reason": "HISTORY_NOT_WRITTEN"});
    assert_eq!(error["extensions"], extensions, "{}", answer.body);
    assert!(
        !answer.body.to_string().contains("secret detail"),
        "{}",
        answer.body
    );
    let read = lab
        .data(None, &format!("{{ sample(id: {id}) {{ name }} }}"))
        .await;
    assert_eq!(read["sample"]["name"], "liver");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_first_writes_under_one_task_give_one_task_row() {
    let lab = std::sync::Arc::new(Lab::start().await);
    let task = task_token("task-new");
    let writers: Vec<_> = (0..64)
        .map(|n| {
            let (lab, task) = (std::sync::Arc::clone(&lab), task.clone());
            tokio::spawn(async move { create(&lab, Some(&task), &format!("sample {n}")).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(rows(&lab), [64, 64, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_sample_can_be_set_changed_and_emptied() {
    let lab = Lab::start().await;
    let query = r#"mutation { createSample(name: "liver", note: "n", owner: "ann", mass: 3.5, metadata: "{\"stain\": [\"HE\"]}")
                   { id name note owner mass metadata deleted } }"#;
    let created = &lab.data(None, query).await["createSample"];
    let metadata = json!({"stain": ["HE"]});
    let expected = json!({
        "id": "1", "name": "liver", "note": "n", "owner": "ann", "mass": 3.5, "metadata": metadata, "deleted": false,
    });
    assert_eq!(*created, expected);
    let query = "mutation { updateSample(id: \"1\", note: null, mass: null, metadata: null, reason: \"clean-up\") \
                 { name note mass metadata } }";
    let updated = &lab.data(None, query).await["updateSample"];
    assert_eq!(
        *updated,
        json!({"name": "liver", "note": null, "mass": null, "metadata": null})
    );
    let query = "{ sample(id: 1) { provenance { reason organization { slug } effectiveChanges { field newValueJson oldValueJson } } } }";
    let newest = &lab.data(None, query).await["sample"]["provenance"][0];
    assert_eq!(newest["reason"], "clean-up");
    assert_eq!(
        newest["effectiveChanges"],
        json!([
            {"field": "note", "newValueJson": null, "oldValueJson": "n"},
            {"field": "mass", "newValueJson": null, "oldValueJson": 3.5},
            {"field": "metadata", "newValueJson": null, "oldValueJson": metadata},
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_get_a_clear_answer() {
    let lab = Lab::start().await;
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    for (query, code) in [
        (
            "mutation { updateSample(id: 9, name: \"x\") { id } }",
            "NOT_FOUND",
        ),
        (
            "mutation { updateSample(id: \"abc\", name: \"x\") { id } }",
            "NOT_FOUND",
        ),
        ("mutation { updateSample(id: 9) { id } }", "BAD_REQUEST"),
        ("mutation { deleteSample(id: 9) { id } }", "NOT_FOUND"),
        (
            "mutation { createSample(name: \"\") { id } }",
            "BAD_REQUEST",
        ),
        (
            "{ samples(pagination: {limit: 201}) { id } }",
            "BAD_REQUEST",
        ),
    ] {
        let answer = lab.post(&[("Authorization", &login)], query).await;
        assert_eq!(
            answer.body["errors"][0]["extensions"]["code"], code,
            "{query}: {}",
            answer.body
        );
    }
    assert_eq!(
        lab.data(None, "{ sample(id: 9) { id } }").await["sample"],
        Value::Null
    );
    assert_eq!(rows(&lab), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_probes_answer() {
    let lab = Lab::start().await;
    for name in ["a", "b", "c"] {
        create(&lab, None, name).await;
    }
    let page = lab
        .data(
            None,
            "{ samples(pagination: {offset: 1, limit: 1}) { name } }",
        )
        .await;
    assert_eq!(page["samples"], json!([{"name": "b"}]));
    for (path, kind) in [
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/graphiql", "text/html; charset=utf-8"),
        ("/graphiql/graphiql.min.js", "text/javascript"),
        ("/graphiql/graphiql.min.css", "text/css"),
    ] {
        let response = lab.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], kind, "{path}");
    }
}

/// What the counter says, summed over the lines that have all of these labels.
async fn counted(lab: &Lab, labels: &[&str]) -> u64 {
    let text = lab.get("/metrics").await.text().await.unwrap();
    let lines = text
        .lines()
        .filter(|line| labels.iter().all(|label| line.contains(label)));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn verifications_are_counted_by_outcome() {
    let lab = Lab::start().await;
    let labels: [&[&str]; 4] = [
        &["koherent_verifications_total", "provenance", "ACCEPTED"],
        &[
            "koherent_verifications_total",
            "provenance",
            "WRONG_AUDIENCE",
        ],
        &["koherent_token_cache_hits_total", "provenance"],
        &["koherent_token_cache_hits_total", "access"],
    ];
    let mut before = [0; 4];
    for (at, labels) in labels.iter().enumerate() {
        before[at] = counted(&lab, labels).await;
    }
    let token = task_token("counted");
    for _ in 0..3 {
        lab.data(Some(&token), "{ samples { id } }").await;
    }
    let foreign = altered_task_token("counted", |token| token.audience("elsewhere"));
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    let headers = [
        ("Authorization", login.as_str()),
        ("Rekuest-Task", &foreign),
    ];
    assert_eq!(lab.post(&headers, "{ samples { id } }").await.status, 401);
    // Other tests of this process count as well.
    for ((at, labels), least) in labels.iter().enumerate().zip([3, 1, 2, 3]) {
        let more = counted(&lab, labels).await - before[at];
        assert!(more >= least, "{labels:?}: {more}");
    }
    let text = lab.get("/metrics").await.text().await.unwrap();
    assert!(
        text.contains("# HELP koherent_verifications_total"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE koherent_token_cache_hits_total counter"),
        "{text}"
    );
}
