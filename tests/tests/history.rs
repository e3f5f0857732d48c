//! What the lab's schema says of histories: the queries of the original koherent, filters, pages, the past, tasks, scopes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use koherent_tests::lab::{Lab, access_token, access_token_for, altered_task_token, task_token};
use serde_json::{Value, json};

fn lines(entries: &Value, fields: &[&str]) -> Vec<String> {
    let line = |entry: &Value| {
        let text = |field: &&str| match entry.pointer(field).unwrap_or(&Value::Null) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        fields.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    entries
        .as_array()
        .unwrap_or_else(|| panic!("{entries}"))
        .iter()
        .map(line)
        .collect()
}

/// Samples, changes and marks under several tasks: `task-b` was caused by `task-a`.
async fn story() -> Lab {
    let lab = Lab::start().await;
    let child = altered_task_token("task-b", |token| token.parent("task-a", "task-a"));
    for (task, query) in [
        (
            Some(task_token("task-a")),
            "createSample(name: \"liver\", mass: 1.5) { id }",
        ),
        (
            Some(task_token("task-a")),
            "createSample(name: \"heart\") { id }",
        ),
        (
            Some(child.clone()),
            "updateSample(id: 1, name: \"hepar\", reason: \"Latin\") { id }",
        ),
        (None, "tagSample(id: 1, label: \"kept\") { id }"),
        (
            None,
            "addMeasurement(sampleId: 1, kind: \"width\", value: 2.5, unit: \"mm\") { id }",
        ),
        (Some(child), "deleteSample(id: 2) { id }"),
    ] {
        lab.data(task.as_deref(), &format!("mutation {{ {query} }}"))
            .await;
    }
    lab
}

/// They stand in its README, and run as they are.
#[tokio::test(flavor = "multi_thread")]
async fn queries_of_the_original_run_unchanged() {
    let lab = story().await;
    let query = r#"{ sample(id: "1") { id provenance { kind date user { sub } task { taskId agentClientId } effectiveChanges { field oldValue newValue } } } }"#;
    let data = lab.data(None, query).await;
    let entries = &data["sample"]["provenance"];
    let fields = ["/kind", "/user/sub", "/task/taskId", "/task/agentClientId"];
    assert_eq!(
        lines(entries, &fields),
        ["UPDATE agent-7 task-b robot", "CREATE agent-7 task-a robot"]
    );
    let changes = json!([{"field": "name", "oldValue": "liver", "newValue": "hepar"}]);
    assert_eq!(entries[0]["effectiveChanges"], changes);

    let query =
        r#"{ samples(filters: { provenance: { taskId: "task-a", kind: CREATE } }) { id } }"#;
    assert_eq!(lab.data(None, query).await["samples"], json!([{"id": "1"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_an_entry_and_of_its_task_can_be_asked_for() {
    let lab = story().await;
    let query = "{ sample(id: 1) { provenance { id table key cursor kind date user { sub } client { clientId }
        organization { slug } reason transaction system impersonator correlationId captured databaseRole
        effectiveChanges { field oldValue newValue oldValueJson newValueJson }
        task { taskId parentTaskId rootTaskId assigner { sub } assignerSub callerSub agentSub agentClientId issuer tokenId
            argsHash argsHashAlgorithm organization { slug } createdAt
            parent { taskId } root { taskId children { taskId } } children { taskId } changes { table key kind } } } } }";
    let data = lab.data(None, query).await;
    let update = &data["sample"]["provenance"][0];
    assert_eq!(
        (&update["table"], &update["key"], &update["reason"]),
        (&json!("samples"), &json!("1"), &json!("Latin"))
    );
    let change = &update["effectiveChanges"][0];
    assert_eq!(
        (&change["oldValue"], &change["oldValueJson"]),
        (&json!("liver"), &json!("liver"))
    );
    let task = &update["task"];
    for (field, expected) in [
        ("taskId", "task-b"),
        ("parentTaskId", "task-a"),
        ("rootTaskId", "task-a"),
        ("assigner/sub", "ann"),
        ("assignerSub", "ann"),
        ("callerSub", "ann"),
        ("agentSub", "agent-7"),
        ("agentClientId", "robot"),
        ("issuer", "rekuest"),
        ("tokenId", "token-of-task-b"),
        ("argsHashAlgorithm", "sha256-canonical-v1"),
        ("parent/taskId", "task-a"),
        ("root/taskId", "task-a"),
        ("root/children/0/taskId", "task-b"),
    ] {
        assert_eq!(
            task.pointer(&format!("/{field}")),
            Some(&json!(expected)),
            "{field}: {task}"
        );
    }
    assert_eq!(task["children"], json!([]));
    assert_eq!(
        lines(&task["changes"], &["/kind", "/table", "/key"]),
        ["DELETE samples 2", "UPDATE samples 1"]
    );
}

/// What a sample was marked with is shown from its own side, with both ends, and page by page.
#[tokio::test(flavor = "multi_thread")]
async fn links_are_shown_as_what_was_put_together_and_taken_apart() {
    let lab = Lab::start().await;
    let token = task_token("task-a");
    let create = "mutation { createSamples(count: 2) { id } }";
    lab.data(None, create).await;
    for tag in ["tagSample", "untagSample", "tagSample"] {
        let both = format!(
            "mutation {{ a: {tag}(id: 1, label: \"fixed\") {{ id }} b: {tag}(id: 2, label: \"dry\") {{ id }} }}"
        );
        lab.data(Some(&token), &both).await;
    }
    let query =
        "{ samples { id tagHistory { kind ends { table key } entry { label task { taskId } } } } }";
    let data = lab.data(None, query).await;
    for (sample, tag) in [(0, "1"), (1, "2")] {
        let found = &data["samples"][sample]["tagHistory"];
        assert_eq!(
            lines(found, &["/kind"]),
            ["ASSOCIATE", "DISASSOCIATE", "ASSOCIATE"]
        );
        let id = (sample + 1).to_string();
        let ends = json!([{"table": "samples", "key": id}, {"table": "tags", "key": tag}]);
        assert_eq!(found[0]["ends"], ends);
        let entry = json!({"label": "Tag of a sample", "task": {"taskId": "task-a"}});
        assert_eq!(found[1]["entry"], entry);
    }
    let query = "{ samples { tagHistory(order: OLDEST_FIRST, pagination: { offset: 1, limit: 1 }, filters: { kind: DELETE }) { kind }
        other: tagHistory(filters: { kind: DELETE }) { kind entry { cursor } } } }";
    let data = lab.data(None, query).await;
    let sample = &data["samples"][0];
    assert_eq!(sample["tagHistory"], json!([]));
    assert_eq!(lines(&sample["other"], &["/kind"]), ["DISASSOCIATE"]);
    let cursor = sample["other"][0]["entry"]["cursor"].as_str().unwrap();
    let query = format!("{{ sample(id: 1) {{ tagHistory(after: \"{cursor}\") {{ kind }} }} }}");
    let data = lab.data(None, &query).await;
    assert_eq!(
        lines(&data["sample"]["tagHistory"], &["/kind"]),
        ["ASSOCIATE"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_filtered_by_what_happened_to_them() {
    let lab = story().await;
    for (filter, expected) in [
        ("taskId: \"task-a\"", json!(["1"])),
        ("taskId: \"task-b\"", json!(["1"])),
        ("taskTree: \"task-a\", kind: UPDATE", json!(["1"])),
        ("rootTaskId: \"task-a\"", json!(["1"])),
        ("taskId: \"none\"", json!([])),
        ("kind: CREATE", json!(["1"])),
        ("fields: [\"name\"], kind: UPDATE", json!(["1"])),
        ("fields: [\"mass\"], kind: UPDATE", json!([])),
        ("reason: \"Latin\"", json!(["1"])),
        (
            "changedBy: \"agent-7\", agentClientId: \"robot\", issuer: \"rekuest\"",
            json!(["1"]),
        ),
        ("changedBy: \"ann\"", json!([])),
        ("changedSince: \"2100-01-01T00:00:00Z\"", json!([])),
        ("changedBefore: \"2100-01-01T00:00:00Z\"", json!(["1"])),
        // Rows that are gone are in no table, and yet were deleted.
        ("kind: DELETE", json!(["2"])),
        ("kind: DELETE, taskId: \"task-b\"", json!(["2"])),
        ("kind: DELETE, taskId: \"task-a\"", json!([])),
        ("keys: [\"1\"]", json!(["1"])),
        ("keys: [\"x\"]", json!([])),
    ] {
        let query = format!("{{ samples(filters: {{ provenance: {{ {filter} }} }}) {{ id }} }}");
        let data = lab.data(None, &query).await;
        let ids: Vec<_> = data["samples"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sample| &sample["id"])
            .collect();
        assert_eq!(json!(ids), expected, "{filter}");
    }
    // And one's own filter beside it.
    let query = "{ samples(filters: { owner: \"nobody\", provenance: { kind: CREATE } }) { id } }";
    assert_eq!(lab.data(None, query).await["samples"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages_orders_and_cursors() {
    let lab = story().await;
    let all = lab
        .data(None, "{ changes { cursor table key kind } }")
        .await;
    let fields = ["/kind", "/table", "/key"];
    let newest_first = lines(&all["changes"], &fields);
    // What one transaction did comes at one moment, or not: the two of the mark are not told apart.
    let is_mark = |line: &String| line.contains("tags");
    let told: Vec<_> = newest_first
        .iter()
        .filter(|line| !is_mark(line))
        .map(String::as_str)
        .collect();
    assert_eq!(
        told,
        [
            "DELETE samples 2",
            "CREATE measurements 1",
            "UPDATE samples 1",
            "CREATE samples 2",
            "CREATE samples 1"
        ]
    );
    let oldest_first = lab
        .data(None, "{ changes(order: OLDEST_FIRST) { table key kind } }")
        .await;
    let mut reversed = lines(&oldest_first["changes"], &fields);
    reversed.reverse();
    assert_eq!(reversed, newest_first);
    let mut walked = Vec::new();
    let mut after = String::from("null");
    loop {
        let query = format!(
            "{{ changes(after: {after}, pagination: {{ limit: 2 }}) {{ cursor table key kind }} }}"
        );
        let page = lab.data(None, &query).await;
        let page = &page["changes"];
        walked.extend(lines(page, &fields));
        match page.as_array().unwrap().last() {
            Some(last) => after = last["cursor"].to_string(),
            None => break,
        }
    }
    assert_eq!(walked, newest_first);
    let page = lab
        .data(
            None,
            "{ changes(pagination: { offset: 1, limit: 2 }) { table key kind } }",
        )
        .await;
    assert_eq!(lines(&page["changes"], &fields), newest_first[1..3]);
    let tags = lab
        .data(None, "{ changes(tables: [\"tags\"]) { table } }")
        .await;
    assert_eq!(tags["changes"], json!([{"table": "tags"}]));

    let tasks = lab.data(None, "{ tasks { taskId } }").await;
    assert_eq!(
        tasks["tasks"],
        json!([{"taskId": "task-b"}, {"taskId": "task-a"}])
    );
    let newest = "{ tasks(pagination: { limit: 1 }) { cursor } }";
    let newest = lab.data(None, newest).await;
    let cursor = &newest["tasks"][0]["cursor"];
    let query = format!(
        "{{ tasks(after: {cursor}) {{ taskId }} task(taskId: \"task-a\") {{ children {{ taskId }} behind: children(after: {cursor}) {{ taskId }} }} }}"
    );
    let rest = lab.data(None, &query).await;
    assert_eq!(rest["tasks"], json!([{"taskId": "task-a"}]));
    let family = json!({"children": [{"taskId": "task-b"}], "behind": []});
    assert_eq!(rest["task"], family);
    let tasks = lab.data(None, "{ tasks(filters: { parentTaskId: \"task-a\" }) { taskId } task(taskId: \"none\") { taskId } }").await;
    assert_eq!(
        tasks,
        json!({"tasks": [{"taskId": "task-b"}], "task": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn past_is_shown_with_what_belonged_to_it() {
    let lab = story().await;
    let entries = lab
        .data(None, "{ changes(order: OLDEST_FIRST) { date table kind } }")
        .await;
    let date = |at: usize| entries["changes"][at]["date"].clone();
    let show = "name mass measurements { value } tags { label } provenance { kind }";
    // When the heart had just come.
    let query = format!("{{ samples(asOf: {}) {{ {show} }} }}", date(1));
    let then = lab.data(None, &query).await;
    let sample = |name: &str, mass: Value| json!({"name": name, "mass": mass, "measurements": [], "tags": [], "provenance": [{"kind": "CREATE"}]});
    assert_eq!(
        then["samples"],
        json!([sample("liver", json!(1.5)), sample("heart", Value::Null)])
    );
    let query = format!("{{ sample(id: 2, asOf: {}) {{ name deleted }} }}", date(1));
    assert_eq!(
        lab.data(None, &query).await["sample"],
        json!({"name": "heart", "deleted": false})
    );
    let query = "{ sample(id: 1, asOf: \"2000-01-01T00:00:00Z\") { name } samples(asOf: \"2000-01-01T00:00:00Z\") { id } }";
    assert_eq!(
        lab.data(None, query).await,
        json!({"sample": null, "samples": []})
    );
    // Now.
    let now = lab
        .data(None, &format!("{{ sample(id: 1) {{ {show} }} }}"))
        .await;
    let expected = json!({
        "name": "hepar", "mass": 1.5, "measurements": [{"value": 2.5}], "tags": [{"label": "kept"}],
        "provenance": [{"kind": "UPDATE"}, {"kind": "CREATE"}]
    });
    assert_eq!(now["sample"], expected);

    let blame = lab
        .data(
            None,
            "{ sample(id: 1) { blame { field value valueJson entry { kind task { taskId } } } } }",
        )
        .await;
    let blamed = lines(
        &blame["sample"]["blame"],
        &["/field", "/value", "/entry/kind", "/entry/task/taskId"],
    );
    let fields = blame["sample"]["blame"].as_array().unwrap();
    let mass = fields.iter().find(|field| field["field"] == "mass");
    assert_eq!(mass.unwrap()["valueJson"], 1.5);
    assert!(
        blamed.contains(&"name hepar UPDATE task-b".to_owned()),
        "{blamed:?}"
    );
    assert!(
        blamed.contains(&"mass 1.5 CREATE task-a".to_owned()),
        "{blamed:?}"
    );
}

/// As the original's clients ask, with a variable of the type that its schema says.
#[tokio::test(flavor = "multi_thread")]
async fn samples_are_found_by_filters_joined_with_and_or_and_not() {
    let lab = story().await;
    lab.data(None, "mutation { createSample(name: \"lung\") { id } }")
        .await;
    let all =
        "{ samples { id owner } samplesCount changes { id } changesCount tasks { id } tasksCount }";
    let all = lab.data(None, all).await;
    for (list, count) in [
        ("samples", "samplesCount"),
        ("changes", "changesCount"),
        ("tasks", "tasksCount"),
    ] {
        assert_eq!(all[list].as_array().unwrap().len(), all[count], "{list}");
    }
    let ids = |samples: &Value| -> Vec<String> {
        let samples = samples["samples"].as_array().unwrap().iter();
        samples
            .map(|sample| sample["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = ids(&all);
    let find = async |filter: &str| {
        let query =
            format!("{{ samples(filters: {filter}) {{ id }} samplesCount(filters: {filter}) }}");
        let found = lab.data(None, &query).await;
        assert_eq!(ids(&found).len(), found["samplesCount"], "{filter}");
        ids(&found)
    };
    let updated = find("{ provenance: { kind: UPDATE } }").await;
    let others: Vec<_> = all
        .iter()
        .filter(|id| !updated.contains(id))
        .cloned()
        .collect();
    assert!(!updated.is_empty());
    for (filter, expected) in [
        ("{ NOT: { provenance: { kind: UPDATE } } }", &others),
        ("{ provenance: { NOT: { kind: UPDATE } } }", &others),
        (
            "{ provenance: { kind: UPDATE, OR: { NOT: { kind: UPDATE } } } }",
            &all,
        ),
        (
            "{ OR: { provenance: { kind: UPDATE } }, owner: \"nobody\" }",
            &updated,
        ),
        (
            "{ AND: { provenance: { kind: UPDATE } }, owner: \"nobody\" }",
            &Vec::new(),
        ),
        ("{ DISTINCT: true, NOT: {}, AND: { provenance: {} } }", &all),
    ] {
        assert_eq!(&find(filter).await, expected, "{filter}");
    }
    let query =
        "query ($task: String!) { samples(filters: { provenance: { taskId: $task } }) { id } }";
    let body = json!({ "query": query, "variables": { "task": "task-b" } });
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    let answer = reqwest::Client::new()
        .post(lab.url("/graphql"))
        .header("authorization", login)
        .json(&body)
        .send()
        .await;
    let said: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(
        ids(&said["data"]),
        ids(&lab
            .data(
                None,
                "{ samples(filters: { provenance: { taskId: \"task-b\" } }) { id } }"
            )
            .await),
        "{said}"
    );
}

/// The same refusals, in the same form, wherever they come from.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_code_and_reason_and_say_what_to_do() {
    let lab = story().await;
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    let deep = format!(
        "{{ task(taskId: \"task-a\") {{ {} taskId {} }} }}",
        "root { ".repeat(9),
        "}".repeat(9)
    );
    let aliases: String = (0..31)
        .map(|n| format!("a{n}: samples {{ id }} "))
        .collect();
    for (query, status, reason, text) in [
        (
            "{ changes(pagination: { limit: 201 }) { id } }",
            200,
            "PAGE_INVALID",
            "a limit of 0 to 200",
        ),
        (
            "{ changes(pagination: { offset: -1 }) { id } }",
            200,
            "PAGE_INVALID",
            "an offset of 0 to 10000",
        ),
        (
            "{ changes(after: \"x\") { id } }",
            200,
            "CURSOR_INVALID",
            "unchanged",
        ),
        (
            "{ changes(tables: [\"users\"]) { id } }",
            200,
            "TABLE_UNKNOWN",
            "There are: samples, measurements, tags, sample_tags.",
        ),
        (
            "{ changes(filters: { fields: [\"storage_code\"] }) { id } }",
            200,
            "FIELD_UNKNOWN",
            "no audited field",
        ),
        (
            "{ changes(filters: { transaction: \"x\" }) { id } }",
            200,
            "FILTER_INVALID",
            "no UUID",
        ),
        (&deep, 400, "QUERY_TOO_DEEP", "`depth`"),
        (
            &format!("{{ {aliases} }}"),
            400,
            "TOO_MANY_ALIASES",
            "`aliases`",
        ),
        ("{ samples { id }", 400, "GRAPHQL_PARSE_FAILED", "line 1"),
        (
            "subscription { provenance { id } }",
            400,
            "SUBSCRIPTION_OVER_HTTP",
            "websocket",
        ),
        (
            "query a { samples { id } } query b { samples { id } }",
            400,
            "OPERATION_UNKNOWN",
            "operationName",
        ),
    ] {
        let answer = lab.post(&[("Authorization", &login)], query).await;
        let error = &answer.body["errors"][0];
        assert_eq!(
            (answer.status, error["extensions"]["reason"].as_str()),
            (status, Some(reason)),
            "{query}: {}",
            answer.body
        );
        assert!(
            error["message"].as_str().unwrap().contains(text),
            "{query}: {error}"
        );
        assert!(error["extensions"]["code"].is_string(), "{error}");
    }
    // Bodies that are no requests are answered as JSON as well.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let one = json!({"query": "{ __typename }"});
    let too_long = format!("{{\"query\": \"{}\"}}", "x".repeat(70_000));
    for (body, status, reason) in [
        ("{".to_owned(), 400, Some("REQUEST_INVALID")),
        ("[]".to_owned(), 400, Some("REQUEST_INVALID")),
        ("7".to_owned(), 400, Some("REQUEST_INVALID")),
        ("[".repeat(20_000), 400, Some("REQUEST_INVALID")),
        (
            json!([one, one, one, one, one, one]).to_string(),
            400,
            Some("BATCH_TOO_LONG"),
        ),
        (json!([one, one]).to_string(), 200, None),
        (too_long, 413, None),
    ] {
        let request = client
            .post(lab.url("/graphql"))
            .header("Authorization", &login);
        let answer = request
            .header("Content-Type", "application/json")
            .body(body.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.status().as_u16(),
            status,
            "{}",
            &body[..body.len().min(60)]
        );
        if let Some(reason) = reason {
            let answer: Value = answer.json().await.unwrap();
            assert_eq!(
                answer["errors"][0]["extensions"]["reason"], reason,
                "{answer}"
            );
        }
    }
}

/// Whoever acts for one organization sees the histories of that one: not the rows of another, nor that there are any.
#[tokio::test(flavor = "multi_thread")]
async fn organizations_see_their_own_histories() {
    let lab = Lab::start().await;
    let login = |organization: &str| {
        format!(
            "Bearer {}",
            access_token_for("agent-7", "robot", organization)
        )
    };
    let ask = async |organization: &str, task: Option<String>, query: &str| {
        let login = login(organization);
        let mut headers = vec![("Authorization", login.as_str())];
        headers.extend(task.as_deref().map(|task| ("Rekuest-Task", task)));
        let answer = lab.post(&headers, query).await;
        assert_eq!(answer.body["errors"], Value::Null, "{}", answer.body);
        answer.body["data"].clone()
    };
    let create = "mutation { createSample(name: \"NAME\") { id } }";
    ask(
        "bio",
        Some(task_token("task-bio")),
        &create.replace("NAME", "liver"),
    )
    .await;
    ask(
        "geo",
        Some(task_token("task-geo")),
        &create.replace("NAME", "basalt"),
    )
    .await;
    ask(
        "geo",
        Some(task_token("task-geo")),
        "mutation { updateSample(id: 1, note: \"secret of geo\") { id } }",
    )
    .await;
    ask("geo", None, "mutation { deleteSample(id: 2) { id } }").await;

    let everything = "{ changes { table key organization { slug } effectiveChanges { newValue } } tasks { taskId }
        own: task(taskId: \"task-bio\") { taskId changes { key } } other: task(taskId: \"task-geo\") { taskId changes { key } }
        sample(id: 1) { provenance { organization { slug } effectiveChanges { newValue } } blame { field entry { id } } }
        gone: sample(id: 2) { id }
        deleted: samples(filters: { provenance: { kind: DELETE } }) { id }
        touched: samples(filters: { provenance: { taskId: \"task-geo\" } }) { id } }";
    let bio = ask("bio", None, everything).await;
    assert!(!bio.to_string().contains("geo"), "{bio}");
    assert_eq!(bio["changes"].as_array().unwrap().len(), 1);
    assert_eq!((&bio["other"], &bio["gone"]), (&Value::Null, &Value::Null));
    assert_eq!((&bio["deleted"], &bio["touched"]), (&json!([]), &json!([])));
    let fields: Vec<_> = bio["sample"]["blame"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| &field["field"])
        .collect();
    assert!(!fields.contains(&&json!("note")), "{fields:?}");
    let geo = ask("geo", None, everything).await;
    assert_eq!(geo["changes"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&geo["gone"]["id"], &geo["own"]),
        (&json!("2"), &Value::Null)
    );
    // Somebody without an organization sees what was made for none.
    let nobody = lab.data(None, everything).await;
    assert_eq!(nobody["changes"], json!([]));
}

/// The schema file is what clients generate code from.
#[test]
fn schema_file_is_the_schema() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/lab/schema.graphql"
    );
    let stored = std::fs::read_to_string(file).unwrap();
    let is = lab::graphql::schema().as_sdl();
    assert!(!is.contains("```"), "examples in Rust are not for clients");
    assert!(
        stored.trim_end() == is.trim_end(),
        "the schema has changed: run `cargo run -p lab -- schema > examples/lab/schema.graphql`"
    );
}
