//! `GET /activity`: filters, forms, formats, pages, scopes, problems.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and has tables of its own"
)]

use axum::Router;
use axum::body::{Body, to_bytes};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_migrations::MigrationHarness as _;
use http::Request;
use koherent_core::testing::test_issuer;
use koherent_core::{Attribution, Principal};
use koherent_diesel::{Audited as _, AuditedConnection, AuditedPool, HistoryReader, HistoryScope};
use serde_json::{Value, json};
use tower::ServiceExt as _;

koherent_diesel::audited_table! {
    samples => samples_history (id) { id -> BigInt, name -> Text, note -> Nullable<Text>, mass -> Nullable<Double>, }
}
koherent_diesel::audited_table! {
    places => places_history (room, shelf) { room -> Text, shelf -> Integer, content -> Text, }
}

type LabPool = Pool<SyncConnectionWrapper<SqliteConnection>>;

struct Service {
    router: Router,
    auditors: Router,
    folder: tempfile::TempDir,
}

fn user(name: &str, organization: &str) -> Attribution {
    Attribution::of(
        Principal::new("https://login.example", name, "lab-ui").with_organization(organization),
    )
}

fn under_task(task: &str) -> Attribution {
    let issuer = test_issuer("rekuest");
    let token = issuer.task(task).actor("agent-7", "robot").mint();
    let token = issuer.verifier("lab").verify(&token).unwrap();
    let agent =
        Principal::new("https://login.example", "agent-7", "robot").with_organization("bio");
    Attribution::of(agent).with_task(&token).unwrap()
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.db").display().to_string();
        let mut connection = SqliteConnection::establish(&file).unwrap();
        connection
            .run_pending_migrations(koherent_diesel::MIGRATIONS)
            .unwrap();
        connection
            .batch_execute(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE samples (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT, mass DOUBLE);
                 CREATE TABLE places (room TEXT NOT NULL, shelf INTEGER NOT NULL, content TEXT NOT NULL,
                                      PRIMARY KEY (room, shelf));",
            )
            .unwrap();
        for ddl in [
            samples::table::history_ddl::<Sqlite>(),
            places::table::history_ddl::<Sqlite>(),
        ] {
            connection.batch_execute(&ddl).unwrap();
        }
        let manager = AsyncDieselConnectionManager::new(file);
        let pool = AuditedPool::new(LabPool::builder(manager).build().unwrap());
        let reader =
            HistoryReader::new(pool, [samples::table::tracked(), places::table::tracked()]);
        Self {
            router: koherent_rest::router(reader.clone()),
            auditors: koherent_rest::router_for(reader, |_| Ok(HistoryScope::All)),
            folder,
        }
    }

    fn by(&self, attribution: Attribution) -> AuditedConnection<SqliteConnection> {
        let file = self.folder.path().join("lab.db").display().to_string();
        AuditedConnection::new(SqliteConnection::establish(&file).unwrap(), attribution)
    }

    /// Three samples of `bio` and one of `geo`, and a place.
    fn with_story() -> Self {
        let service = Self::start();
        let mut ann = service.by(user("ann", "bio"));
        let mut agent = service.by(under_task("task-a"));
        let mut ben = service.by(user("ben", "geo"));
        let named = |name: &str| samples::name.eq(name.to_owned());
        ann.audited_insert(samples::table, vec![named("liver"), named("=heart")])
            .execute()
            .unwrap();
        ben.audited_insert(samples::table, named("basalt"))
            .reason("@geo")
            .execute()
            .unwrap();
        let changes = (samples::note.eq("stained"), samples::mass.eq(1.5));
        agent
            .audited_update(samples::table.find(1), changes)
            .execute()
            .unwrap();
        agent
            .audited_update(samples::table.find(1), samples::note.eq(None::<String>))
            .execute()
            .unwrap();
        agent
            .audited_delete(samples::table.find(2))
            .execute()
            .unwrap();
        let place = (
            places::room.eq("attic"),
            places::shelf.eq(3),
            places::content.eq("box"),
        );
        agent
            .audited_insert(places::table, place)
            .execute()
            .unwrap();
        service
    }

    async fn get_as(&self, who: Option<Attribution>, uri: &str, accept: &str) -> Answer {
        let mut request = Request::get(uri)
            .header("accept", accept)
            .body(Body::empty())
            .unwrap();
        if let Some(who) = who {
            request.extensions_mut().insert(who);
        }
        Answer::of(self.router.clone(), request).await
    }

    /// As somebody of `bio`.
    async fn get(&self, uri: &str) -> Answer {
        self.get_as(Some(user("ann", "bio")), uri, "*/*").await
    }

    async fn items(&self, uri: &str) -> Vec<Value> {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, 200, "{uri}: {}", answer.body);
        answer.json()["items"].as_array().unwrap().clone()
    }
}

struct Answer {
    status: u16,
    kind: String,
    body: String,
}

impl Answer {
    async fn of(router: Router, request: Request<Body>) -> Self {
        let response = router.oneshot(request).await.unwrap();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Self {
            status,
            kind,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

/// `kind key` of each entry.
fn lines(items: &[Value]) -> Vec<String> {
    let line = |item: &Value| {
        let key: Vec<_> = item["key"]
            .as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        format!(
            "{} {} {}",
            item["kind"].as_str().unwrap(),
            item["table"].as_str().unwrap(),
            key.join(" ")
        )
    };
    items.iter().map(line).collect()
}

#[tokio::test]
async fn entries_are_filtered_by_all_that_is_given() {
    let service = Service::with_story();
    let all = [
        "create places \"attic\" 3",
        "delete samples 2",
        "update samples 1",
        "update samples 1",
        "create samples 2",
        "create samples 1",
    ];
    assert_eq!(lines(&service.items("/activity").await), all);
    for (query, expected) in [
        ("table=places", &all[..1]),
        ("table=samples&key=1&kind=update", &all[2..4]),
        (
            "kind=delete&kind=create&table=samples",
            &["delete samples 2", "create samples 2", "create samples 1"],
        ),
        ("task=task-a&field=mass", &all[3..4]),
        ("task_tree=task-a&table=places", &all[..1]),
        (
            "root_task=task-a&user=agent-7&client=robot&agent_client=robot&issuer=rekuest&kind=delete",
            &all[1..2],
        ),
        ("key=%5B%22attic%22%2C%223%22%5D", &all[..1]),
        // As it is shown, numbers and all.
        ("key=%5B%22attic%22%2C3%5D", &all[..1]),
        ("table=places&table=places", &all[..1]),
        (
            "user=ann&order=oldest",
            &["create samples 1", "create samples 2"],
        ),
        ("user=ben", &[]),
        ("organization=geo", &[]),
        ("since=2100-01-01T00:00:00Z", &[]),
        ("before=2100-01-01T00:00:00Z&limit=1", &all[..1]),
        ("offset=1&limit=2", &all[1..3]),
        ("key=no-number", &[]),
    ] {
        assert_eq!(
            lines(&service.items(&format!("/activity?{query}")).await),
            expected,
            "{query}"
        );
    }
    let entry = &service
        .items("/activity?kind=update&limit=1&offset=1")
        .await[0];
    let change = |field: &str, new: Value| json!({"field": field, "old": null, "new": new});
    assert_eq!(
        entry["changes"],
        json!([change("note", json!("stained")), change("mass", json!(1.5))])
    );
    assert_eq!(entry["task"]["task_id"], "task-a");
    assert_eq!(
        (&entry["user"], &entry["client"], &entry["organization"]),
        (&json!("agent-7"), &json!("robot"), &json!("bio"))
    );
}

#[tokio::test]
async fn pages_lead_to_the_next() {
    let service = Service::with_story();
    let all = lines(&service.items("/activity").await);
    let mut walked = Vec::new();
    let mut uri = "/activity?limit=2".to_owned();
    loop {
        let page = service.get(&uri).await.json();
        walked.extend(lines(page["items"].as_array().unwrap()));
        match page["next"].as_str() {
            Some(next) => uri = format!("/activity?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(walked, all);
}

#[tokio::test]
async fn forms_show_the_same_in_other_ways() {
    let service = Service::with_story();
    let activities = service
        .items("/activity?form=activity&key=1&table=samples&order=oldest")
        .await;
    let verbs: Vec<_> = activities
        .iter()
        .map(|activity| activity["verb"].as_str().unwrap())
        .collect();
    assert_eq!(verbs, ["create", "update", "update"]);
    assert_eq!(
        activities[0]["added_fields"],
        json!({"id": 1, "name": "liver"})
    );
    // Fields come and go with their row; a field that gets or loses its value is changed.
    for (activity, changed) in [
        (
            &activities[1],
            json!({"mass": [null, 1.5], "note": [null, "stained"]}),
        ),
        (&activities[2], json!({"note": ["stained", null]})),
    ] {
        assert_eq!(activity["changed_fields"], changed);
        assert_eq!(activity["added_fields"], json!({}));
        assert_eq!(activity["removed_fields"], json!({}));
    }
    let gone = &service.items("/activity?form=activity&kind=delete").await[0];
    assert_eq!(gone["removed_fields"], json!({"id": 2, "name": "=heart"}));
    let changes = service.items("/activity?form=changes&table=samples&key=1&field=note&field=mass&sort=field&order=oldest").await;
    let said: Vec<_> = changes
        .iter()
        .map(|change| {
            format!(
                "{} {} {}",
                change["field"].as_str().unwrap(),
                change["old"],
                change["new"]
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "mass null 1.5",
            "note null \"stained\"",
            "note \"stained\" null"
        ]
    );
    assert_eq!(changes[0]["entry"]["user"], "agent-7");
    // The changes of the entry are those around it.
    assert!(
        changes[0]["entry"].get("changes").is_none(),
        "{}",
        changes[0]
    );
}

#[tokio::test]
async fn everything_is_streamed_as_lines() {
    let service = Service::with_story();
    let mut ann = service.by(user("ann", "bio"));
    // More than is loaded at once.
    let rows: Vec<_> = (0..1_234)
        .map(|n| samples::name.eq(format!("many {n}")))
        .collect();
    ann.audited_insert(samples::table, rows).execute().unwrap();
    for (uri, accept, kind, first) in [
        ("/activity?format=jsonl", "*/*", "application/x-ndjson", 0),
        (
            "/activity",
            "application/x-ndjson",
            "application/x-ndjson",
            0,
        ),
        (
            "/activity?form=activity&format=jsonl",
            "*/*",
            "application/x-ndjson",
            0,
        ),
        ("/activity?format=csv", "*/*", "text/csv; charset=utf-8", 1),
        (
            "/activity",
            "text/csv;q=0.9, text/html",
            "text/csv; charset=utf-8",
            1,
        ),
    ] {
        let answer = service.get_as(Some(user("ann", "bio")), uri, accept).await;
        assert_eq!((answer.status, answer.kind.as_str()), (200, kind), "{uri}");
        assert_eq!(answer.body.lines().count(), 1_240 + first, "{uri}");
    }
    let answer = service
        .get("/activity?format=jsonl&limit=777&order=oldest")
        .await;
    assert_eq!(answer.body.lines().count(), 777);
    let ids: Vec<i64> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|entry| entry["table"] == "samples")
        .map(|entry| entry["id"].as_i64().unwrap())
        .collect();
    assert!(ids.is_sorted(), "{ids:?}");
    // The name and the id of each, and those of the story.
    let answer = service
        .get("/activity?form=changes&table=samples&user=ann&format=jsonl")
        .await;
    assert_eq!(answer.body.lines().count(), 2 * (1_234 + 2));
}

/// A spreadsheet must not run what somebody called a sample.
#[tokio::test]
async fn cells_are_never_formulas() {
    let service = Service::with_story();
    let auditor =
        Request::get("/activity?form=changes&table=samples&field=name&format=csv&order=oldest");
    let answer = Answer::of(
        service.auditors.clone(),
        auditor.body(Body::empty()).unwrap(),
    )
    .await;
    let names: Vec<_> = answer
        .body
        .lines()
        .map(|line| line.split(',').nth(4).unwrap())
        .collect();
    assert_eq!(names, ["new", "liver", "'=heart", "basalt", ""]);
    assert!(answer.body.ends_with("\r\n"), "{:?}", answer.body);
    assert!(answer.body.contains(",'@geo,"), "{}", answer.body);
}

#[tokio::test]
async fn whoever_asks_sees_their_own_organization() {
    let service = Service::with_story();
    for format in ["json", "jsonl", "csv"] {
        for form in ["entries", "activity", "changes&table=samples"] {
            let uri = format!("/activity?format={format}&form={form}");
            let geo = service.get_as(Some(user("ben", "geo")), &uri, "*/*").await;
            assert!(
                geo.body.contains("basalt") && !geo.body.contains("liver"),
                "{uri}: {}",
                geo.body
            );
            let bio = service.get(&uri).await;
            assert!(
                !bio.body.contains("basalt") && bio.body.contains("liver"),
                "{uri}: {}",
                bio.body
            );
        }
    }
    let nobody = service.get_as(None, "/activity", "*/*").await;
    assert_eq!(
        (nobody.status, nobody.kind.as_str()),
        (401, "application/problem+json")
    );
    assert_eq!(nobody.json()["reason"], "NOT_SIGNED_IN");
    let without = Attribution::of(Principal::new("https://login.example", "ann", "lab-ui"));
    assert_eq!(
        service
            .get_as(Some(without), "/activity", "*/*")
            .await
            .json()["items"],
        json!([])
    );
}

#[tokio::test]
async fn problems_say_what_to_do() {
    let service = Service::with_story();
    let many = "user=ann&".repeat(201);
    for (query, reason, text) in [
        ("tabel=samples", "PARAMETER_INVALID", "tabel"),
        ("limit=many", "PARAMETER_INVALID", "limit"),
        ("since=yesterday", "PARAMETER_INVALID", "since"),
        ("kind=rename", "PARAMETER_INVALID", "rename"),
        ("form=table", "PARAMETER_INVALID", "table"),
        ("transaction=x", "PARAMETER_INVALID", "no UUID"),
        (
            "since=2026-01-01T00:00:00+02:00",
            "PARAMETER_INVALID",
            "%2B",
        ),
        ("sort=user", "FORM_INVALID", "`form=changes`"),
        ("form=activity&sort=key", "FORM_INVALID", "`form=changes`"),
        ("new=liver", "PARAMETER_INVALID", "`field`"),
        ("links=true&key=1", "PARAMETER_INVALID", "`table`"),
        ("limit=201", "PAGE_INVALID", "at most 200"),
        ("after=x", "CURSOR_INVALID", "unchanged"),
        ("offset=10001", "PAGE_INVALID", "`after`"),
        (&many, "FILTER_TOO_LONG", "there are 201"),
        (
            "table=users",
            "TABLE_UNKNOWN",
            "There are: samples, places.",
        ),
        ("field=password", "FIELD_UNKNOWN", "password"),
        ("form=changes", "FORM_INVALID", "one table"),
        ("format=jsonl&field=password", "FIELD_UNKNOWN", "password"),
    ] {
        let answer = service.get(&format!("/activity?{query}")).await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (400, "application/problem+json"),
            "{query}: {}",
            answer.body
        );
        let problem = answer.json();
        assert_eq!(
            (&problem["reason"], &problem["status"]),
            (&json!(reason), &json!(400)),
            "{query}: {problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(text),
            "{query}: {problem}"
        );
    }
    // What the database says stays in the log.
    let mut broken = service.by(user("ann", "bio")).into_inner();
    broken.batch_execute("DROP TABLE places_history").unwrap();
    let answer = service.get("/activity").await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["detail"], "The service failed.");
}

#[tokio::test]
async fn router_is_described() {
    let service = Service::start();
    let document = service.get("/activity/openapi.json").await.json();
    let parameters = document["paths"]["/activity"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let names: Vec<_> = parameters
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    for name in [
        "table",
        "key",
        "task_tree",
        "since",
        "form",
        "sort",
        "format",
        "after",
        "links",
        "impersonator",
        "label",
        "old",
        "new",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}
