//! The types stand in a schema with another scalar, another context and a user type of one's own.
#![cfg(feature = "socket")]
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "a test fails by panicking, and is nobody's API"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use derive_more::with_trait::{Display, From, TryInto};
use diesel::prelude::*;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, deadpool};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;
use juniper::{EmptyMutation, EmptySubscription, FromContext, ID, RootNode, ScalarValue};
use koherent_core::{Attribution, Principal};
use koherent_diesel::{Audited as _, AuditedPool, HistoryReader};
use koherent_juniper::socket::SocketSchema;
use koherent_juniper::{Error, Limits, Provenance, ProvenanceUser, UserId, answer, provenance};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

koherent_diesel::audited_table! {
    samples => samples_history (id) { id -> BigInt, name -> Text, }
    label = "Sample"
}

/// A scalar that knows long numbers.
#[derive(Clone, Debug, Deserialize, Display, From, PartialEq, ScalarValue, Serialize, TryInto)]
#[serde(untagged)]
pub enum Scalar {
    #[value(to_int, to_float)]
    Int(i32),
    Long(i64),
    #[value(to_float)]
    Float(f64),
    #[value(as_str, to_string)]
    Text(String),
    #[value(to_bool)]
    Bool(bool),
}

type Pool = deadpool::Pool<SyncConnectionWrapper<SqliteConnection>>;

pub struct Context {
    provenance: Provenance,
    asked: AtomicU32,
}

impl juniper::Context for Context {}

impl FromContext<Context> for Provenance {
    fn from(context: &Context) -> &Self {
        &context.provenance
    }
}

/// Somebody, as this application knows them.
#[derive(Debug, Clone, juniper::GraphQLObject)]
pub struct Person {
    sub: String,
    display_name: String,
}

impl ProvenanceUser<Context> for Person {
    async fn load(context: &Context, ids: Vec<UserId>) -> Result<HashMap<UserId, Self>, Error> {
        context.asked.fetch_add(1, Ordering::Relaxed);
        let person = |id: UserId| {
            let sub = id.sub.to_string();
            let display_name = format!("Dr. {sub}");
            (id, Self { sub, display_name })
        };
        let known = ids.into_iter().filter(|id| id.sub.as_str() != "nobody");
        Ok(known.map(person).collect())
    }
}

/// Other names in scope must not matter to what the macros write.
#[allow(dead_code, reason = "it is in the way")]
type Result<T, E = Error> = core::result::Result<T, E>;

koherent_juniper::provenance_types!(context = Context, user = Person);

struct Sample(i64);

#[provenance(samples, key = self.0, entry = ProvenanceEntry)]
#[juniper::graphql_object(context = Context)]
impl Sample {
    fn id(&self) -> ID {
        ID::from(self.0.to_string())
    }

    async fn blame(&self, context: &Context) -> Result<Vec<FieldBlame>> {
        context.provenance.blame(samples::table, self.0).await
    }
}

struct Query;

#[juniper::graphql_object(context = Context)]
impl Query {
    fn samples() -> Vec<Sample> {
        (1..=3).map(Sample).collect()
    }
}

type Schema = RootNode<Query, EmptyMutation<Context>, EmptySubscription<Context>, Scalar>;

/// A socket takes it too.
fn can_be_served<T: SocketSchema>(schema: T) -> T {
    schema
}

async fn pool(file: &std::path::Path) -> AuditedPool<Pool> {
    let manager = AsyncDieselConnectionManager::new(file.to_str().unwrap());
    let pool = Pool::builder(manager).build().unwrap();
    let mut harness = AsyncMigrationHarness::new(pool.get().await.unwrap());
    harness
        .run_pending_migrations(koherent_diesel::MIGRATIONS)
        .unwrap();
    let mut conn = pool.get().await.unwrap();
    let create = "CREATE TABLE samples (id INTEGER PRIMARY KEY, name TEXT NOT NULL);";
    conn.batch_execute(create).await.unwrap();
    let history = samples::table::history_ddl::<diesel::sqlite::Sqlite>();
    conn.batch_execute(&history).await.unwrap();
    AuditedPool::new(pool)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_stand_in_schemas_with_another_scalar_and_users() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder.path().join("lab.db")).await;
    for name in ["ann", "nobody", "ann"] {
        let who = Attribution::of(Principal::new("https://login.example", name, "lab-ui"));
        let mut conn = pool.get(who).await.unwrap();
        let sample = samples::name.eq(name);
        conn.audited_insert(samples::table, sample)
            .execute()
            .await
            .unwrap();
    }
    let reader = HistoryReader::new(pool, [samples::table::tracked()]);
    let context = Context {
        provenance: Provenance::new(reader).with_entry_limit(12),
        asked: AtomicU32::new(0),
    };
    let schema: Schema = can_be_served(RootNode::new_with_scalar_value(
        Query,
        EmptyMutation::new(),
        EmptySubscription::new(),
    ));
    let ask = async |query: &str| -> Value {
        let body = json!({ "query": query }).to_string();
        let answered = answer(&schema, &context, &Limits::default(), body.as_bytes()).await;
        serde_json::from_str(answered.body()).unwrap()
    };
    let said = ask(
        "{ samples { id provenance(pagination: { limit: 2 }) { label kind user { displayName } effectiveChanges { newValue } } } }",
    )
    .await;
    let entry = |name: &str, user: Value| {
        let changes = json!([{ "newValue": name }]);
        json!([{ "label": "Sample", "kind": "CREATE", "user": user, "effectiveChanges": changes }])
    };
    let ann = || json!({ "displayName": "Dr. ann" });
    let mut found = said["data"]["samples"].clone();
    for sample in found.as_array_mut().unwrap() {
        for change in sample["provenance"][0]["effectiveChanges"]
            .as_array_mut()
            .unwrap()
        {
            assert!(change["newValue"].is_string());
        }
        let changes = &mut sample["provenance"][0]["effectiveChanges"];
        changes.as_array_mut().unwrap().remove(0);
    }
    assert_eq!(
        found,
        json!([
            { "id": "1", "provenance": entry("ann", ann()) },
            { "id": "2", "provenance": entry("nobody", Value::Null) },
            { "id": "3", "provenance": entry("ann", ann()) },
        ]),
        "{said}"
    );
    assert_eq!(context.asked.load(Ordering::Relaxed), 1);

    // Three entries have been shown; three rows have two fields each, with their blame.
    let said = ask("{ samples { blame { field entry { user { sub } } } } }").await;
    assert_eq!(said["errors"], Value::Null, "{said}");
    // Nine; and again the same are more than twelve.
    let said = ask("{ samples { blame { field } } }").await;
    assert_eq!(
        said["errors"][0]["extensions"]["reason"], "ANSWER_TOO_LONG",
        "{said}"
    );
    let bad = "{ samples { provenance(filters: { transaction: \"x\" }) { kind } other: provenance(pagination: { limit: 0 }) { kind } } }";
    let said = ask(bad).await;
    assert_eq!(
        said["errors"][0]["extensions"]["reason"], "FILTER_INVALID",
        "{said}"
    );
}
