//! What people do in the lab, over HTTP, on the engine that it is built for: samples, measurements and tags, each with its
//! provenance.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A lab that is stopped when the value goes, with a database of its own.
struct Lab {
    server: Child,
    address: String,
    database: String,
    folder: tempfile::TempDir,
    http: reqwest::Client,
    access: String,
    task: String,
}

fn command(folder: &Path, database: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command
        .current_dir(folder)
        .env_clear()
        .env("RUST_LOG", "error")
        .args(["--database-url", database])
        .stdin(Stdio::null());
    command
}

#[cfg(feature = "sqlite")]
async fn new_database() -> String {
    std::future::ready("story.db".to_owned()).await
}

#[cfg(not(feature = "sqlite"))]
async fn new_database() -> String {
    use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("KOHERENT_TEST_POSTGRES")
        .expect("KOHERENT_TEST_POSTGRES is set: run `cargo xtask test`");
    let mut admin = AsyncPgConnection::establish(&server).await.unwrap();
    let name = format!(
        "lab_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (place, options) = server
        .split_once('?')
        .map_or((&*server, String::new()), |(place, options)| {
            (place, format!("?{options}"))
        });
    let (host, _) = place.rsplit_once('/').unwrap();
    format!("{host}/{name}{options}")
}

impl Lab {
    async fn start() -> Self {
        let database = new_database().await;
        let folder = tempfile::tempdir().unwrap();
        let mut server = command(folder.path(), &database)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(server.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        // What it says later must not block it.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let address = line
            .split("http://")
            .nth(1)
            .unwrap_or_else(|| panic!("{line:?}"));
        let address = address.split('/').next().unwrap().to_owned();
        let mint = |arguments: &[&str]| {
            let output = command(folder.path(), &database)
                .arg("token")
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let access = mint(&["access"]);
        let task = mint(&["task", "story"]);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            server,
            address,
            database,
            folder,
            http,
            access,
            task,
        }
    }

    async fn post(&self, query: &str) -> Value {
        let request = self
            .http
            .post(format!("http://{}/graphql", self.address))
            .bearer_auth(&self.access)
            .header("Rekuest-Task", &self.task)
            .json(&json!({ "query": query }));
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn data(&self, query: &str) -> Value {
        let mut body = self.post(query).await;
        assert_eq!(body["errors"], Value::Null, "{body}");
        body["data"].take()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_measured_and_tagged_and_all_of_it_has_its_provenance() {
    let lab = Lab::start().await;
    let created = lab
        .data(r#"mutation { createSamples(inputs: [{name: "liver", mass: 3.5, metadata: "{\"stain\": \"HE\"}"}, {name: "heart", owner: "bob"}]) { id name owner } }"#)
        .await;
    let [liver, heart] = &created["createSamples"].as_array().unwrap()[..] else {
        panic!("{created}")
    };
    assert_eq!(
        (&liver["owner"], &heart["owner"]),
        (&json!("ann"), &json!("bob"))
    );
    let id = liver["id"].as_str().unwrap();

    let measured = lab
        .data(&format!(
            r#"mutation {{ addMeasurement(sampleId: "{id}", kind: "thickness", value: 4.5, unit: "µm") {{
                value unit provenance {{ kind task {{ taskId }} effectiveChanges {{ field newValue }} }} }} }}"#
        ))
        .await;
    let measured = &measured["addMeasurement"];
    assert_eq!(
        (&measured["value"], &measured["unit"]),
        (&json!(4.5), &json!("µm"))
    );
    assert_eq!(measured["provenance"][0]["kind"], "CREATE");
    assert_eq!(measured["provenance"][0]["task"]["taskId"], "story");

    for label in ["stained", "urgent", "stained"] {
        lab.data(&format!(
            r#"mutation {{ tagSample(id: "{id}", label: "{label}") {{ id }} }}"#
        ))
        .await;
    }
    let other = heart["id"].as_str().unwrap();
    lab.data(&format!(
        r#"mutation {{ tagSample(id: "{other}", label: "urgent") {{ id }} }}"#
    ))
    .await;
    lab.data(&format!(
        r#"mutation {{ untagSample(id: "{id}", label: "urgent") {{ id }} }}"#
    ))
    .await;
    let shown = lab
        .data(&format!(
            r#"{{ sample(id: "{id}") {{ metadata tags {{ label provenance {{ kind }} }} measurements {{ kind }}
                provenance {{ kind user {{ sub }} }} }} }}"#
        ))
        .await;
    let sample = &shown["sample"];
    assert_eq!(
        sample["tags"],
        json!([{"label": "stained", "provenance": [{"kind": "CREATE"}]}])
    );
    assert_eq!(sample["measurements"], json!([{"kind": "thickness"}]));
    assert_eq!(
        sample["provenance"],
        json!([{"kind": "CREATE", "user": {"sub": "ann"}}])
    );
    assert_eq!(sample["metadata"], json!({"stain": "HE"}));

    let gone = lab
        .data(&format!(
            r#"mutation {{ deleteSample(id: "{id}", reason: "broken") {{ deleted tags {{ label }} measurements {{ kind }}
                provenance {{ kind reason transaction }} }} }}"#
        ))
        .await;
    let gone = &gone["deleteSample"];
    assert_eq!(gone["deleted"], true);
    assert_eq!(
        (&gone["tags"], &gone["measurements"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(gone["provenance"][0]["reason"], "broken");
    let nobody = lab
        .post(&format!(
            r#"mutation {{ tagSample(id: "{id}", label: "late") {{ id }} }}"#
        ))
        .await;
    assert_eq!(nobody["errors"][0]["extensions"]["code"], "NOT_FOUND");
    let kept = lab
        .data(&format!(
            r#"{{ sample(id: "{other}") {{ tags {{ label }} }} }}"#
        ))
        .await;
    assert_eq!(kept["sample"]["tags"], json!([{"label": "urgent"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_samples_are_created_at_once_and_too_many_are_refused() {
    let lab = Lab::start().await;
    let created = lab
        .data("mutation { createSamples(count: 10000) { name } }")
        .await;
    let names = created["createSamples"].as_array().unwrap();
    assert_eq!(
        (names.len(), &names[9999]["name"]),
        (10_000, &json!("sample 10000"))
    );
    for (arguments, reason) in [
        ("count: 10001", "TOO_MANY_SAMPLES"),
        ("count: 2147483647", "TOO_MANY_SAMPLES"),
        ("count: -1", "TOO_MANY_SAMPLES"),
        ("count: 1, inputs: []", "COUNT_OR_INPUTS"),
    ] {
        let refused = lab
            .post(&format!(
                "mutation {{ createSamples({arguments}) {{ id }} }}"
            ))
            .await;
        assert_eq!(
            refused["errors"][0]["extensions"]["reason"], reason,
            "{refused}"
        );
    }
    let none = lab
        .data("mutation { createSamples(inputs: []) { id } }")
        .await;
    assert_eq!(none["createSamples"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_its_story() {
    let lab = Lab::start().await;
    let output = command(lab.folder.path(), &lab.database)
        .args(["--listen", &lab.address, "demo"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("DELETE by robot-7"), "{said}");
}

/// Runs SQL past the lab; says what the database says where it fails.
#[cfg(feature = "sqlite")]
async fn raw(lab: &Lab, sql: &str) -> Result<(), String> {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let file = lab.folder.path().join(&lab.database);
    let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let pragmas = "PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000";
    connection.batch_execute(pragmas).unwrap();
    let done = connection.batch_execute(sql);
    std::future::ready(done.map_err(|error| error.to_string())).await
}

#[cfg(not(feature = "sqlite"))]
async fn raw(lab: &Lab, sql: &str) -> Result<(), String> {
    use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
    let mut connection = AsyncPgConnection::establish(&lab.database).await.unwrap();
    let done = connection.batch_execute(sql).await;
    done.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_past_the_audit() {
    let lab = Lab::start().await;
    let created = lab
        .data(r#"mutation { createSamples(inputs: [{name: "liver"}]) { id } }"#)
        .await;
    let id = created["createSamples"][0]["id"].as_str().unwrap();
    lab.data(&format!(
        r#"mutation {{ tagSample(id: "{id}", label: "HE") {{ id }} }}"#
    ))
    .await;
    for (sql, refused) in [
        (
            "UPDATE samples SET note = 'raw'",
            "UPDATE of samples refused, it would leave no history: use audited_update",
        ),
        (
            "DELETE FROM sample_tags",
            "DELETE of sample_tags refused, it would leave no history: use audited_delete",
        ),
        (
            "INSERT INTO tags (label) VALUES ('raw')",
            "INSERT of tags refused, it would leave no history: use audited_insert",
        ),
        (
            "UPDATE samples_history SET history_user = 'nobody'",
            "UPDATE of samples_history refused: rows are only added here",
        ),
        (
            "DELETE FROM koherent_task",
            "DELETE of koherent_task refused: rows are only added here",
        ),
    ] {
        let said = raw(&lab, sql).await.unwrap_err();
        assert!(said.contains(refused), "{sql}: {said}");
    }
    let sample = lab
        .data(&format!(
            r#"{{ sample(id: "{id}") {{ note provenance {{ kind }} }} }}"#
        ))
        .await;
    assert_eq!(
        sample["sample"],
        json!({"note": null, "provenance": [{"kind": "CREATE"}]})
    );
}

/// How many rounds there are: more in the long run.
fn effort(little: usize, full: usize) -> usize {
    match std::env::var("KOHERENT_EFFORT").as_deref() {
        Ok("full") => full,
        _ => little,
    }
}

/// Every mutation, by many clients at once, some on samples of their own and some on those of all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_of_every_mutation_are_not_refused() {
    const CLIENTS: usize = 64;
    let rounds = effort(1, 40);
    let lab = std::sync::Arc::new(Lab::start().await);
    let shared = lab
        .data(r#"mutation { createSamples(count: 2) { id } }"#)
        .await;
    let shared = std::sync::Arc::new(shared["createSamples"].clone());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (lab, shared) = (lab.clone(), shared.clone());
            tokio::spawn(async move {
                for round in 0..rounds {
                    let name = format!("{client}-{round}");
                    let all = shared[client % 2]["id"].as_str().unwrap();
                    let made = lab.data(&format!(r#"mutation {{ createSample(name: "{name}") {{ id }} }}"#)).await;
                    let own = made["createSample"]["id"].as_str().unwrap().to_owned();
                    for id in [&own, all] {
                        lab.data(&format!(r#"mutation {{
                            a: addMeasurement(sampleId: "{id}", kind: "k", value: 1.5, unit: "µm") {{ value }}
                            b: tagSample(id: "{id}", label: "label {}") {{ id }}
                            c: updateSample(id: "{id}", note: "{name}") {{ id }}
                            d: untagSample(id: "{id}", label: "label {}") {{ id }}
                        }}"#, client % 4, (client + 1) % 4)).await;
                    }
                    lab.data(&format!(r#"mutation {{ deleteSample(id: "{own}") {{ id }} }}"#)).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_again_with_its_key_changes_once() {
    let lab = Lab::start().await;
    let send = async |key: &str, name: &str| {
        let query = format!(
            r#"mutation {{ a: createSample(name: "{name}") {{ id }} b: createSample(name: "{name} too") {{ id }} }}"#
        );
        let request = lab
            .http
            .post(format!("http://{}/graphql", lab.address))
            .bearer_auth(&lab.access)
            .header("Idempotency-Key", key)
            .json(&json!({ "query": query }));
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let first = send("\"8e03978e\"", "liver").await;
    assert_eq!(first["errors"], Value::Null, "{first}");
    let again = send("\"8e03978e\"", "liver").await;
    let error = &again["errors"][0]["extensions"];
    assert_eq!(error["code"], "ALREADY_DONE", "{again}");
    let transaction = error["transaction"].as_str().unwrap();
    let asked = lab
        .data(&format!(
            r#"{{ transactionCommitted(id: "{transaction}") }}"#
        ))
        .await;
    assert_eq!(asked["transactionCommitted"], true);
    let asked = lab
        .data(r#"{ transactionCommitted(id: "0199a1b2-0000-7000-8000-000000000000") }"#)
        .await;
    assert_eq!(asked["transactionCommitted"], false);
    let other = send("\"8e03978e\"", "heart").await;
    assert_eq!(
        other["errors"][0]["extensions"]["reason"], "IDEMPOTENCY_KEY_REUSED",
        "{other}"
    );
    let unreadable = send("\"8e0", "heart").await;
    assert_eq!(
        unreadable["errors"][0]["extensions"]["reason"], "IDEMPOTENCY_KEY_UNREADABLE",
        "{unreadable}"
    );
    let samples = lab.data("{ samples { name } }").await;
    assert_eq!(samples["samples"].as_array().unwrap().len(), 2, "{samples}");
}

/// A lab that is killed among its answers: whoever was not answered sends again, and each sample is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_lab_did_not_answer_is_sent_again_and_changes_once() {
    for round in 0..effort(2, 40) {
        let lab = Lab::start().await;
        let send = async |address: &str, n: usize| {
            let query = format!(r#"mutation {{ createSample(name: "s{n}") {{ id }} }}"#);
            let request = lab
                .http
                .post(format!("http://{address}/graphql"))
                .bearer_auth(&lab.access)
                .header("Idempotency-Key", format!("key-{n}"))
                .json(&json!({ "query": query }));
            let answer = request.send().await.ok()?;
            answer.json::<Value>().await.ok()
        };
        let pid = lab.server.id().to_string();
        let killing = async {
            tokio::time::sleep(std::time::Duration::from_millis(20 + 7 * round as u64)).await;
            assert!(
                Command::new("kill")
                    .args(["-9", &pid])
                    .status()
                    .unwrap()
                    .success()
            );
        };
        let sending = async {
            let mut answered = Vec::new();
            for n in 0..40 {
                answered.push(
                    send(&lab.address, n)
                        .await
                        .is_some_and(|answer| answer["errors"].is_null()),
                );
            }
            answered
        };
        let (answered, ()) = tokio::join!(sending, killing);
        let mut server = command(lab.folder.path(), &lab.database)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split("http://")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        for (n, answered) in answered.into_iter().enumerate() {
            let again = send(&address, n).await.unwrap();
            let is_done = again["errors"][0]["extensions"]["code"] == "ALREADY_DONE";
            assert!(
                is_done || (again["errors"].is_null() && !answered),
                "{n}: {again}"
            );
        }
        let query = json!({ "query": "{ samples(pagination: {limit: 100}) { name } }" });
        let request = lab
            .http
            .post(format!("http://{address}/graphql"))
            .bearer_auth(&lab.access)
            .json(&query);
        let samples: Value = request.send().await.unwrap().json().await.unwrap();
        let _ = server.kill();
        let _ = server.wait();
        let mut names: Vec<_> = samples["data"]["samples"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sample| sample["name"].to_string())
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(
            (
                names.len(),
                samples["data"]["samples"].as_array().unwrap().len()
            ),
            (40, 40)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labs_that_start_at_once_on_an_empty_database_all_serve() {
    for _ in 0..effort(2, 20) {
        let folder = tempfile::tempdir().unwrap();
        let database = new_database().await;
        let mut labs: Vec<_> = (0..3)
            .map(|_| {
                command(folder.path(), &database)
                    .args(["--listen", "127.0.0.1:0"])
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let lines: Vec<_> = labs
            .iter_mut()
            .map(|lab| {
                let mut line = String::new();
                BufReader::new(lab.stdout.as_mut().unwrap())
                    .read_line(&mut line)
                    .unwrap();
                line
            })
            .collect();
        for lab in &mut labs {
            let _ = lab.kill();
            let _ = lab.wait();
        }
        assert!(
            lines.iter().all(|line| line.contains("http://")),
            "{lines:?}"
        );
    }
}
