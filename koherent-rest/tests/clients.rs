//! What clients of histories ask beside lists of entries: links, one entry, counts, values, dates, pages of changes.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and has tables of its own"
)]

use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use diesel::connection::{
    InstrumentationEvent, SimpleConnection as _, set_default_instrumentation,
};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_migrations::MigrationHarness as _;
use http::{HeaderMap, Request};
use koherent_core::{Attribution, Principal};
use koherent_diesel::{Audited as _, AuditedConnection, AuditedPool, HistoryReader};
use serde_json::{Value, json};
use tower::ServiceExt as _;

koherent_diesel::audited_table! {
    samples => samples_history (id) { id -> BigInt, name -> Text, note -> Nullable<Text>, }
    label = "Sample"
}
koherent_diesel::audited_table! {
    tags => tags_history (id) { id -> BigInt, label -> Text, }
    label = "Tag"
}
koherent_diesel::audited_table! {
    sample_tags => sample_tags_history (sample_id, tag_id) { sample_id -> BigInt, tag_id -> BigInt, }
}
koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);

struct Service {
    router: Router,
    folder: tempfile::TempDir,
}

fn user(name: &str, organization: &str) -> Attribution {
    Attribution::of(
        Principal::new("https://login.example", name, "lab-ui").with_organization(organization),
    )
}

fn pool(file: String) -> AuditedPool<Pool<SyncConnectionWrapper<SqliteConnection>>> {
    let manager = AsyncDieselConnectionManager::new(file);
    AuditedPool::new(Pool::builder(manager).build().unwrap())
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.db").display().to_string();
        let mut connection = SqliteConnection::establish(&file).unwrap();
        let migrations = koherent_diesel::MIGRATIONS;
        connection.run_pending_migrations(migrations).unwrap();
        let tables = "PRAGMA journal_mode = WAL;
             CREATE TABLE samples (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT);
             CREATE TABLE tags (id INTEGER PRIMARY KEY, label TEXT NOT NULL);
             CREATE TABLE sample_tags (sample_id BIGINT NOT NULL, tag_id BIGINT NOT NULL, PRIMARY KEY (sample_id, tag_id));";
        connection.batch_execute(tables).unwrap();
        let tables = [
            samples::table::tracked(),
            tags::table::tracked(),
            sample_tags::table::tracked(),
        ];
        for ddl in [
            samples::table::history_ddl::<Sqlite>(),
            tags::table::history_ddl::<Sqlite>(),
            sample_tags::table::history_ddl::<Sqlite>(),
        ] {
            connection.batch_execute(&ddl).unwrap();
        }
        let router = koherent_rest::router(HistoryReader::new(pool(file), tables));
        Self { router, folder }
    }

    fn pool(&self) -> AuditedPool<Pool<SyncConnectionWrapper<SqliteConnection>>> {
        pool(self.folder.path().join("lab.db").display().to_string())
    }

    fn by(&self, attribution: Attribution) -> AuditedConnection<SqliteConnection> {
        let file = self.folder.path().join("lab.db").display().to_string();
        AuditedConnection::new(SqliteConnection::establish(&file).unwrap(), attribution)
    }

    /// Two samples and two tags; one sample is marked with both, and with one not any more.
    fn with_links() -> Self {
        let service = Self::start();
        let mut ann = service.by(user("ann", "bio"));
        let samples = ["liver", "heart"]
            .map(|name| samples::name.eq(name))
            .to_vec();
        ann.audited_insert(samples::table, samples)
            .execute()
            .unwrap();
        let tags = ["red", "old"].map(|label| tags::label.eq(label)).to_vec();
        ann.audited_insert(tags::table, tags).execute().unwrap();
        for tag in [1_i64, 2] {
            let link = (
                sample_tags::sample_id.eq(1_i64),
                sample_tags::tag_id.eq(tag),
            );
            ann.audited_insert(sample_tags::table, link)
                .execute()
                .unwrap();
        }
        let taken = sample_tags::table.find((1, 2));
        ann.audited_delete(taken).execute().unwrap();
        let update = ann.audited_update(samples::table.find(1), samples::name.eq("hepar"));
        update.execute().unwrap();
        service
    }

    async fn get(&self, uri: &str) -> (u16, HeaderMap, String) {
        let mut request = Request::get(uri).body(Body::empty()).unwrap();
        request.extensions_mut().insert(user("ann", "bio"));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (
            parts.status.as_u16(),
            parts.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    async fn json(&self, uri: &str) -> Value {
        let (status, _, body) = self.get(uri).await;
        assert_eq!(status, 200, "{uri}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The status and the answer of `/activity/outcome`.
    async fn outcome(&self, query: &str) -> (u16, Value) {
        let (status, _, body) = self.get(&format!("/activity/outcome?{query}")).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn items(&self, uri: &str) -> Vec<Value> {
        self.json(uri).await["items"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn links_are_said_to_be_associated_and_disassociated() {
    let service = Service::with_links();
    let links = service
        .items("/activity?table=sample_tags&order=oldest")
        .await;
    let said: Vec<_> = links.iter().map(|entry| entry["link"].clone()).collect();
    let link = |kind: &str, tag: i64| json!({ "kind": kind, "ends": [{ "table": "samples", "key": 1 }, { "table": "tags", "key": tag }] });
    assert_eq!(
        said,
        [
            link("associate", 1),
            link("associate", 2),
            link("disassociate", 2)
        ]
    );
    let others = service.items("/activity?table=samples&table=tags").await;
    assert!(others.iter().all(|entry| entry.get("link").is_none()));

    let activities = service
        .items("/activity?form=activity&table=sample_tags&kind=disassociate")
        .await;
    assert_eq!(activities.len(), 1);
    let activity = &activities[0];
    assert_eq!(
        (&activity["verb"], &activity["table"], &activity["key"]),
        (&json!("disassociate"), &json!("samples"), &json!([1]))
    );
    assert_eq!(activity["related"], json!({ "table": "tags", "key": 2 }));
    assert_eq!(activity["removed_fields"], json!({}));
}

#[tokio::test]
async fn kinds_of_links_are_alternatives_to_those_of_rows() {
    let service = Service::with_links();
    for (query, count) in [
        ("kind=associate", 2),
        ("kind=disassociate", 1),
        ("kind=associate&kind=disassociate", 3),
        ("kind=update&kind=disassociate", 2),
        // A row of a join table is a row as well.
        ("kind=create", 6),
        ("kind=associate&table=samples", 0),
    ] {
        let found = service.items(&format!("/activity?{query}")).await;
        assert_eq!(found.len(), count, "{query}");
        let counted = service.json(&format!("/activity/count?{query}")).await;
        assert_eq!(counted, json!({ "count": count }), "{query}");
    }
}

#[tokio::test]
async fn the_history_of_a_row_has_its_links_where_they_are_asked_for() {
    let service = Service::with_links();
    let of = async |query: &str| {
        let found = service.items(&format!("/activity?{query}")).await;
        let tables = found
            .iter()
            .map(|entry| entry["table"].as_str().unwrap().to_owned());
        tables.collect::<Vec<_>>()
    };
    assert_eq!(of("table=samples&key=1").await, ["samples", "samples"]);
    let with_links = [
        "samples",
        "sample_tags",
        "sample_tags",
        "sample_tags",
        "samples",
    ];
    assert_eq!(of("table=samples&key=1&links=true").await, with_links);
    assert_eq!(
        of("table=tags&key=2&links=true").await,
        ["sample_tags", "sample_tags", "tags"]
    );
    assert_eq!(of("table=samples&key=2&links=true").await, ["samples"]);
    assert_eq!(
        of("table=samples&key=1&key=2&links=true&kind=disassociate").await,
        ["sample_tags"]
    );
}

#[tokio::test]
async fn an_entry_is_found_by_its_table_and_id() {
    let service = Service::with_links();
    let listed = &service.items("/activity?table=samples&kind=update").await[0];
    let id = &listed["id"];
    assert_eq!(
        service.json(&format!("/activity/samples/{id}")).await,
        *listed
    );
    let mut ben = service.by(user("ben", "geo"));
    ben.audited_insert(tags::table, tags::label.eq("theirs"))
        .execute()
        .unwrap();
    for uri in [
        "/activity/tags/3",
        "/activity/tags/99",
        "/activity/tags/x",
        "/activity/users/1",
    ] {
        let (status, headers, body) = service.get(uri).await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (404, "application/problem+json"),
            "{uri}: {body}"
        );
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["reason"], "ENTRY_UNKNOWN", "{uri}");
    }
}

#[tokio::test]
async fn entries_are_filtered_by_values_labels_and_impersonators() {
    let service = Service::with_links();
    let mut root = service.by(user("ann", "bio").with_impersonator("root"));
    let note = samples::note.eq("stained");
    root.audited_update(samples::table.find(1), note)
        .execute()
        .unwrap();
    for (query, count) in [
        ("field=name&new=hepar", 1),
        ("field=name&new=liver", 1),
        ("field=name&old=liver", 1),
        ("field=name&old=liver&new=hepar", 1),
        ("field=name&old=hepar", 0),
        ("field=name&new=hepar&new=heart", 2),
        ("field=note&field=name&new=stained", 1),
        ("field=name&new=HEPAR", 0),
        ("impersonator=root", 1),
        ("impersonator=ann", 0),
        ("label=Sample", 4),
        ("label=Tag&label=Sample", 6),
        ("label=Nobody", 0),
    ] {
        let found = service.items(&format!("/activity?{query}")).await;
        assert_eq!(found.len(), count, "{query}");
        let counted = service
            .json(&format!("/activity/count?{query}&limit=1"))
            .await;
        assert_eq!(counted["count"], count, "{query}");
    }
}

#[tokio::test]
async fn dates_are_taken_without_offset_and_without_time() {
    let service = Service::with_links();
    let all = service.items("/activity").await.len();
    for (query, count) in [
        ("since=2020-01-01", all),
        ("since=2020-01-01T00:00", all),
        ("before=2020-01-01 00:00:00".replace(' ', "%20").as_str(), 0),
        ("before=2100-01-01&since=2020-01-01T00:00:00%2B02:00", all),
    ] {
        let found = service.items(&format!("/activity?{query}")).await;
        assert_eq!(found.len(), count, "{query}");
    }
    assert_eq!(service.items("/activity?sort=date").await.len(), all);
}

/// The address of the next page, as `Link` says it, where there is one.
fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get("link")?.to_str().unwrap();
    let (target, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(rest, "; rel=\"next\"");
    Some(format!("/activity{target}"))
}

#[tokio::test]
async fn pages_say_where_they_go_on_and_the_last_says_that_it_is() {
    let service = Service::with_links();
    for query in [
        "order=oldest",
        "table=samples&table=tags",
        "form=activity",
        "form=changes&table=samples&field=name&field=id",
        "form=changes&table=samples&sort=field&order=oldest",
        "form=changes&table=samples&sort=field",
        "form=changes&table=samples&sort=user",
        "form=changes&table=tags&sort=key&order=oldest",
    ] {
        let all = service.items(&format!("/activity?{query}&limit=200")).await;
        let (_, headers, _) = service.get(&format!("/activity?{query}&limit=200")).await;
        assert_eq!(next(&headers), None, "{query}");
        for limit in 1..=all.len() {
            let mut walked = Vec::new();
            let mut uri = Some(format!("/activity?{query}&limit={limit}"));
            while let Some(page) = uri {
                let (_, headers, body) = service.get(&page).await;
                let body: Value = serde_json::from_str(&body).unwrap();
                let items = body["items"].as_array().unwrap();
                // No page but the last is short of anything, and none is empty.
                assert!(!items.is_empty(), "{page}");
                walked.extend(items.clone());
                uri = next(&headers);
                let cursor = body["next"].as_str();
                assert_eq!(uri.is_some(), cursor.is_some(), "{page}");
                assert!(
                    uri.as_ref()
                        .is_none_or(|uri| uri.ends_with(cursor.unwrap())),
                    "{page}"
                );
            }
            assert_eq!(walked, all, "{query} by {limit}");
        }
        // What was left out at first is not left out again.
        let (_, headers, body) = service
            .get(&format!("/activity?{query}&limit=1&offset=1"))
            .await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["items"][0], all[1], "{query}");
        let (_, _, body) = service.get(&next(&headers).unwrap()).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["items"][0], all[2], "{query}");
    }
}

/// The statements that read changes of the exporter: tests of the same process make others.
static STATEMENTS: LazyLock<Arc<Mutex<Vec<String>>>> = LazyLock::new(Arc::default);

fn record() -> Option<Box<dyn diesel::connection::Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            if text.contains("k_field") && text.contains("exporter") {
                STATEMENTS.lock().unwrap().push(text);
            }
        }
    }))
}

/// In linear time and constant memory: each page goes on where the one before ended, and leaves nothing out by counting it.
#[tokio::test]
async fn an_export_of_changes_leaves_nothing_out_by_counting_it() {
    set_default_instrumentation(record).unwrap();
    let service = Service::start();
    let mut exporter = service.by(user("exporter", "bio"));
    let rows: Vec<_> = (0..1_234)
        .map(|n| samples::name.eq(format!("many {n}")))
        .collect();
    exporter
        .audited_insert(samples::table, rows)
        .execute()
        .unwrap();
    for sort in ["date", "key", "user", "field"] {
        STATEMENTS.lock().unwrap().clear();
        let uri = format!(
            "/activity?form=changes&table=samples&user=exporter&sort={sort}&format=jsonl&order=oldest"
        );
        let (status, _, body) = service.get(&uri).await;
        assert_eq!(status, 200);
        let lines: std::collections::HashSet<_> = body
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|change| {
                (
                    change["entry"]["id"].to_string(),
                    change["field"].to_string(),
                )
            })
            .collect();
        assert_eq!(
            (lines.len(), body.lines().count()),
            (2 * 1_234, 2 * 1_234),
            "{sort}"
        );
        let statements = STATEMENTS.lock().unwrap().clone();
        // 2,468 lines, 500 at a time; field by field, one more for the page in which one ends, and one for that without changes.
        assert!(
            (5..=7).contains(&statements.len()),
            "{sort}: {}",
            statements.len()
        );
        assert!(
            statements
                .iter()
                .all(|statement| !statement.contains("OFFSET")),
            "{sort}"
        );
    }
    // The harness sees an offset where there is one.
    STATEMENTS.lock().unwrap().clear();
    service
        .json("/activity?form=changes&table=samples&user=exporter&offset=3")
        .await;
    assert!(
        STATEMENTS
            .lock()
            .unwrap()
            .iter()
            .all(|statement| statement.contains("OFFSET"))
    );
    assert!(!STATEMENTS.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_was_not_known_is_looked_up_by_its_transaction() {
    let service = Service::start();
    let mut ann = service.by(user("ann", "bio"));
    ann.audited_insert(samples::table, samples::name.eq("liver"))
        .execute()
        .unwrap();
    let id = koherent_diesel::entries_of(samples::table, 1)
        .load(&mut ann)
        .unwrap()[0]
        .transaction
        .to_string();
    let (status, found) = service.outcome(&format!("transaction={id}")).await;
    assert_eq!(
        (status, found),
        (200, json!({"transaction": id, "committed": true}))
    );
    // Also where the reader shows other tables alone.
    let partial = Service {
        router: koherent_rest::router(HistoryReader::new(service.pool(), [tags::table::tracked()])),
        folder: tempfile::tempdir().unwrap(),
    };
    let (_, found) = partial.outcome(&format!("transaction={id}")).await;
    assert_eq!(found["committed"], true);
    let nobodys = "0199a1b2-0000-7000-8000-000000000000";
    let (status, found) = service.outcome(&format!("transaction={nobodys}")).await;
    assert_eq!(
        (status, found),
        (200, json!({"transaction": nobodys, "committed": false}))
    );
    for unreadable in ["", "transaction=", "transaction=7", "id=7"] {
        let (status, problem) = service.outcome(unreadable).await;
        assert_eq!(
            (status, &problem["reason"]),
            (400, &json!("TRANSACTION_UNREADABLE"))
        );
    }
}
