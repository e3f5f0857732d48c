//! What was written for the original koherent: its documents validate here and mean the same, and the README's table says in
//! which of its types something differs.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "a test fails by panicking, and is nobody's API"
)]

use std::collections::{BTreeMap, BTreeSet};

use diesel::{ExpressionMethods as _, QueryDsl as _, SqliteConnection};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, deadpool};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;
use graphql_parser::schema::{Definition, Document, Type, TypeDefinition, parse_schema};
use juniper::http::GraphQLRequest;
use juniper::{EmptyMutation, EmptySubscription, FromContext, GraphQLInputObject, ID, RootNode};
use koherent_core::testing::test_issuer;
use koherent_core::{Attribution, Principal};
use koherent_diesel::{Audited as _, AuditedPool, HistoryReader, HistoryScope};
use koherent_juniper::{
    Error, Json, OffsetPaginationInput, Provenance, ProvenanceFilter, Task, provenance,
};
use serde_json::{Value, json};

koherent_diesel::audited_table! {
    samples => samples_history (id) {
        id -> BigInt,
        name -> Text,
        mass -> Nullable<Double>,
        metadata -> Nullable<Text>,
    }
}

type Pool = deadpool::Pool<SyncConnectionWrapper<SqliteConnection>>;

struct Lab {
    provenance: Provenance,
    pool: AuditedPool<Pool>,
}

impl juniper::Context for Lab {}

impl FromContext<Lab> for Provenance {
    fn from(lab: &Lab) -> &Self {
        &lab.provenance
    }
}

#[derive(Clone, Copy)]
struct Sample(i64);

#[provenance(samples, key = self.0)]
#[juniper::graphql_object(context = Lab)]
impl Sample {
    fn id(&self) -> ID {
        ID::from(self.0.to_string())
    }

    /// A date that Juniper's own type shows and takes.
    fn created_at(since: Option<chrono::DateTime<chrono::Utc>>) -> chrono::DateTime<chrono::Utc> {
        since.unwrap_or_default()
    }
}

/// Another name for the field, beside an object that has one already.
struct Renamed(i64);

#[provenance(samples, key = self.0, field = "provenanceEntries")]
#[juniper::graphql_object(context = Lab)]
impl Renamed {
    fn metadata() -> Json {
        Json(
            json!({ "big": 9_007_199_254_740_993_i64, "list": [1, 2.5, null, true, 4_294_967_296_i64] }),
        )
    }
}

#[derive(GraphQLInputObject)]
struct SampleFilter {
    provenance: Option<ProvenanceFilter>,
}

struct Query;

#[juniper::graphql_object(context = Lab)]
impl Query {
    fn sample(id: ID) -> Option<Sample> {
        id.parse().ok().map(Sample)
    }

    fn renamed(id: ID) -> Option<Renamed> {
        id.parse().ok().map(Renamed)
    }

    async fn samples(
        context: &Lab,
        filters: Option<SampleFilter>,
        pagination: Option<OffsetPaginationInput>,
    ) -> Result<Vec<Sample>, Error> {
        let (offset, limit) = pagination.unwrap_or_default().checked(200)?;
        let mut query = samples::table
            .select(samples::id)
            .order(samples::id)
            .limit(limit.into())
            .offset(offset.into())
            .into_boxed();
        if let Some(filter) = filters.and_then(|filters| filters.provenance) {
            query = query.filter(context.provenance.changed(samples::table, &filter)?);
        }
        let mut conn = context.pool.get(Attribution::anonymous()).await?;
        let found: Vec<i64> = diesel_async::RunQueryDsl::load(query, &mut conn).await?;
        Ok(found.into_iter().map(Sample).collect())
    }

    async fn task(context: &Lab, task_id: ID) -> Result<Option<Task>, Error> {
        context.provenance.task(&task_id).await
    }

    async fn tasks(
        context: &Lab,
        pagination: Option<OffsetPaginationInput>,
    ) -> Result<Vec<Task>, Error> {
        context.provenance.tasks(None, pagination, None, None).await
    }
}

type Schema = RootNode<Query, EmptyMutation<Lab>, EmptySubscription<Lab>>;

fn schema() -> Schema {
    Schema::new(Query, EmptyMutation::new(), EmptySubscription::new())
}

struct World {
    schema: Schema,
    context: Lab,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.db");
        let manager = AsyncDieselConnectionManager::new(file.to_str().unwrap());
        let pool = Pool::builder(manager).build().unwrap();
        let mut harness = AsyncMigrationHarness::new(pool.get().await.unwrap());
        harness
            .run_pending_migrations(koherent_diesel::MIGRATIONS)
            .unwrap();
        let mut conn = pool.get().await.unwrap();
        let create = "CREATE TABLE samples (id INTEGER PRIMARY KEY, name TEXT NOT NULL, mass DOUBLE, metadata TEXT);";
        conn.batch_execute(create).await.unwrap();
        let history = samples::table::history_ddl::<diesel::sqlite::Sqlite>();
        conn.batch_execute(&history).await.unwrap();
        drop(conn);
        let pool = AuditedPool::new(pool);
        let reader = HistoryReader::new(pool.clone(), [samples::table::tracked()]);
        let provenance = Provenance::new(reader.within(HistoryScope::organization("bio")));
        Self {
            schema: schema(),
            context: Lab { provenance, pool },
            _folder: folder,
        }
    }

    async fn create(&self, who: &Attribution, name: &str) -> i64 {
        let row = (
            samples::name.eq(name),
            samples::mass.eq(3.5),
            samples::metadata.eq(r#"{"stain":["HE",1]}"#),
        );
        let mut conn = self.context.pool.get(who.clone()).await.unwrap();
        let insert = conn.audited_insert(samples::table, row);
        insert.returning(samples::id).get_result().await.unwrap()
    }

    async fn rename(&self, who: &Attribution, id: i64, name: &str) {
        let mut conn = self.context.pool.get(who.clone()).await.unwrap();
        let update = conn.audited_update(samples::table.find(id), samples::name.eq(name));
        update.execute().await.unwrap();
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let variables = serde_json::from_value(variables).unwrap();
        let request: GraphQLRequest = GraphQLRequest::new(query.to_owned(), None, Some(variables));
        let response = request.execute(&self.schema, &self.context).await;
        serde_json::to_value(&response).unwrap()
    }

    async fn data(&self, query: &str, variables: Value) -> Value {
        let mut said = self.ask(query, variables).await;
        assert!(said.get("errors").is_none(), "{query}: {said}");
        said["data"].take()
    }
}

fn user(name: &str, organization: &str) -> Attribution {
    let principal = Principal::new("https://login.example", name, "lab-ui");
    Attribution::of(principal.with_organization(organization))
}

fn under_task(task: &str) -> Attribution {
    let issuer = test_issuer("rekuest");
    let token = issuer.task(task).actor("agent-7", "robot").mint();
    let token = issuer.verifier("lab").verify(&token).unwrap();
    let agent = Principal::new("https://login.example", "agent-7", "robot");
    let agent = std::sync::Arc::new(agent.with_organization("bio"));
    Attribution::of(agent).with_task(&token).unwrap()
}

// ---- documents ----

/// As the original's README and its clients write them.
const DOCUMENTS: &[(&str, &str)] = &[
    (
        "query { sample(id: \"1\") { id provenance { kind date user { sub } task { taskId agentClientId } \
         effectiveChanges { field oldValue newValue } } } }",
        "{}",
    ),
    (
        "query ($task: String!) { samples(filters: { provenance: { taskId: $task, kind: CREATE } }) { id } }",
        r#"{"task": "task-a"}"#,
    ),
    (
        "query ($filter: ProvenanceFilter) { samples(filters: { provenance: $filter }) { id } }",
        r#"{"filter": {"AND": {"kind": "CREATE"}, "OR": null, "NOT": {"changedBy": "bob"}, "DISTINCT": true}}"#,
    ),
    (
        "query ($since: DateTime, $before: DateTime) { samples(filters: { provenance: \
         { changedSince: $since, changedBefore: $before } }) { id } }",
        r#"{"since": "2020-01-01", "before": "2100-01-01T00:00:00"}"#,
    ),
    (
        "{ samples(filters: { provenance: { changedSince: \"2020-01-01\", changedBefore: \"2100-01-01T12:00\" } }) { id } }",
        "{}",
    ),
    (
        "query ($page: OffsetPaginationInput) { tasks(pagination: $page) { id taskId parentTaskId rootTaskId \
         assigner { id sub } assignerSub callerSub agentSub agentClientId issuer tokenId argsHash argsHashAlgorithm \
         organization { id slug } createdAt } }",
        r#"{"page": {"offset": 0, "limit": 10}}"#,
    ),
    (
        "query ($id: ID!) { sample(id: $id) { provenance(pagination: { limit: 5 }) { id kind client { id clientId } \
         user { id sub } effectiveChanges { field oldValueJson newValueJson } } } }",
        r#"{"id": "1"}"#,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_the_original_validate_and_are_answered() {
    let world = World::new().await;
    world.create(&under_task("task-a"), "liver").await;
    for (document, variables) in DOCUMENTS {
        world
            .data(document, serde_json::from_str(variables).unwrap())
            .await;
    }
    // A document that neither takes.
    let said = world.ask(
        "{ samples(filters: { provenance: { taskId: 7 } }) { id } }",
        json!({}),
    );
    assert!(said.await.get("errors").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_there_and_values_are_json() {
    let world = World::new().await;
    world.create(&under_task("task-a"), "liver").await;
    let query = "{ sample(id: 1) { provenance { client { id clientId } user { id } organization { id slug } \
                 task { id taskId } effectiveChanges { field newValue newValueJson oldValueJson } } } }";
    let said = world.data(query, json!({})).await;
    let entry = &said["sample"]["provenance"][0];
    assert_eq!(entry["client"], json!({"id": "robot", "clientId": "robot"}));
    assert_eq!(entry["user"], json!({"id": "agent-7"}));
    assert_eq!(entry["organization"], json!({"id": "bio", "slug": "bio"}));
    assert_eq!(entry["task"], json!({"id": "task-a", "taskId": "task-a"}));
    let change = |field: &str, text: &str, json: Value| json!({ "field": field, "newValue": text, "newValueJson": json, "oldValueJson": null });
    assert_eq!(
        entry["effectiveChanges"],
        json!([
            change("id", "1", json!(1)),
            change("name", "liver", json!("liver")),
            change("mass", "3.5", json!(3.5)),
            change(
                "metadata",
                r#"{"stain":["HE",1]}"#,
                json!(r#"{"stain":["HE",1]}"#)
            ),
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_json_clients_would_round_come_as_text() {
    let world = World::new().await;
    let said = world
        .data("{ renamed(id: 1) { metadata } }", json!({}))
        .await;
    let expected =
        json!({ "big": "9007199254740993", "list": [1, 2.5, null, true, 4_294_967_296_f64] });
    assert_eq!(said["renamed"]["metadata"], expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_field_has_the_name_that_is_asked_for() {
    let world = World::new().await;
    world.create(&user("ann", "bio"), "liver").await;
    let query = "{ renamed(id: 1) { provenanceEntries { kind } provenanceEntriesCount } }";
    let said = world.data(query, json!({})).await;
    let expected =
        json!({ "provenanceEntries": [{ "kind": "CREATE" }], "provenanceEntriesCount": 1 });
    assert_eq!(said["renamed"], expected);
    let said = world
        .ask("{ renamed(id: 1) { provenance { kind } } }", json!({}))
        .await;
    assert!(said.get("errors").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sees_that_a_list_ends_before_its_entries_do() {
    let world = World::new().await;
    let ann = user("ann", "bio");
    world.create(&ann, "liver").await;
    for n in 0..230 {
        world.rename(&ann, 1, &format!("liver {n}")).await;
    }
    world.rename(&user("bob", "geo"), 1, "stolen").await;
    world.create(&ann, "heart").await;
    let query = "{ samples { id provenance { id } provenanceCount updates: provenanceCount(filters: { kind: UPDATE }) } }";
    let said = world.data(query, json!({})).await;
    let liver = &said["samples"][0];
    assert_eq!(liver["provenance"].as_array().unwrap().len(), 200);
    // What others did is not counted.
    assert_eq!(
        (&liver["provenanceCount"], &liver["updates"]),
        (&json!(231), &json!(230))
    );
    assert_eq!(said["samples"][1]["provenanceCount"], 1);
    let task = under_task("task-a");
    world.create(&task, "lung").await;
    world.rename(&task, 3, "lungs").await;
    let query = "{ task(taskId: \"task-a\") { changesCount creations: changesCount(filters: { kind: CREATE }) childrenCount } }";
    let said = world.data(query, json!({})).await;
    assert_eq!(
        said["task"],
        json!({ "changesCount": 2, "creations": 1, "childrenCount": 0 })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_before_and_since_include_their_moment() {
    let world = World::new().await;
    world.create(&user("ann", "bio"), "liver").await;
    let said = world
        .data("{ sample(id: 1) { provenance { date } } }", json!({}))
        .await;
    let date = &said["sample"]["provenance"][0]["date"];
    let query = "query ($date: DateTime) { sample(id: 1) { before: provenanceCount(filters: { changedBefore: $date }) \
                 since: provenanceCount(filters: { changedSince: $date }) \
                 neither: provenanceCount(filters: { NOT: { changedBefore: $date } }) } }";
    let said = world.data(query, json!({ "date": date })).await;
    assert_eq!(
        said["sample"],
        json!({ "before": 1, "since": 1, "neither": 0 })
    );
}

/// Juniper checks dates by the first type of that name: here that is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_without_offset_or_time_are_read_as_utc() {
    let world = World::new().await;
    world.create(&user("ann", "bio"), "liver").await;
    let query = "query ($date: DateTime!) { sample(id: 1) { createdAt provenanceCount(filters: { changedSince: $date }) } }";
    for (date, count) in [
        ("2020-01-01", 1),
        ("2020-01-01T00:00:00", 1),
        ("2020-01-01 00:00", 1),
        ("2100-01-01", 0),
        ("2100-01-01T00:00:00+02:00", 0),
    ] {
        let said = world.data(query, json!({ "date": date })).await;
        assert_eq!(said["sample"]["provenanceCount"], count, "{date}");
        let literal = query.replacen("query ($date: DateTime!) ", "", 1);
        let literal = literal.replace("$date", &format!("\"{date}\""));
        let said = world.data(&literal, json!({})).await;
        assert_eq!(said["sample"]["provenanceCount"], count, "{date}");
    }
    for date in ["yesterday", "2020-01-01T00:00:00 02:00", "2020-13-01"] {
        let said = world.ask(query, json!({ "date": date })).await;
        assert!(said.get("errors").is_some(), "{date}: {said}");
    }
    // The application's own positions say what they do not take, rather than taking it for something else.
    let said = world
        .ask(
            "{ sample(id: 1) { createdAt(since: \"2020-01-01\") } }",
            json!({}),
        )
        .await;
    assert!(said.get("errors").is_some(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_that_are_too_large_or_make_no_sense_are_refused() {
    let world = World::new().await;
    let query = "query ($filter: ProvenanceFilter) { sample(id: 1) { provenanceCount(filters: $filter) } samples(filters: { provenance: $filter }) { id } }";
    let mut deep = json!({ "kind": "CREATE" });
    for _ in 0..29 {
        deep = json!({ "NOT": deep });
    }
    world.data(query, json!({ "filter": deep })).await;
    let keys = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    for (filter, reason) in [
        (json!({ "NOT": deep }), "FILTER_TOO_LONG"),
        (
            json!({ "keys": keys(100), "OR": { "keys": keys(101) } }),
            "FILTER_TOO_LONG",
        ),
        (json!({ "oldValue": "x" }), "FILTER_INVALID"),
        (json!({ "AND": { "transaction": "x" } }), "FILTER_INVALID"),
        (
            json!({ "OR": { "fields": ["storage_code"] } }),
            "FIELD_UNKNOWN",
        ),
    ] {
        let said = world.ask(query, json!({ "filter": filter })).await;
        assert_eq!(
            said["errors"][0]["extensions"]["reason"], reason,
            "{filter}: {said}"
        );
    }
}

// ---- what filters mean ----

/// One entry of a row, as far as the filters below ask for it.
struct Entry {
    kind: &'static str,
    user: &'static str,
    task: Option<&'static str>,
}

/// A random filter, with members of the original.
fn random_filter(random: &mut fastrand::Rng, depth: u32) -> Value {
    let mut filter = serde_json::Map::new();
    for _ in 0..random.u32(0..3) {
        let one = |random: &mut fastrand::Rng, of: &[&str]| json!(of[random.usize(..of.len())]);
        match random.u32(..3) {
            0 => filter.insert("kind".into(), one(random, &["CREATE", "UPDATE"])),
            1 => filter.insert("changedBy".into(), one(random, &["ann", "bob", "agent-7"])),
            _ => filter.insert("taskId".into(), one(random, &["task-a", "task-b"])),
        };
    }
    for name in ["AND", "OR", "NOT"] {
        if depth > 0 && random.u32(..3) == 0 {
            filter.insert(name.into(), random_filter(random, depth - 1));
        }
    }
    Value::Object(filter)
}

/// What strawberry-django makes of a filter: `Q` objects, joined in its order, of which empty ones do not count.
enum Q {
    Leaf(String, String),
    And(Box<Q>, Box<Q>),
    Or(Box<Q>, Box<Q>),
    Not(Box<Q>),
}

impl Q {
    fn of(filter: &Value) -> Option<Self> {
        let mut all: Option<Self> = None;
        let and = |all: Option<Self>, other| match all {
            None => other,
            Some(all) => Self::And(Box::new(all), Box::new(other)),
        };
        for (name, value) in filter.as_object().unwrap() {
            match name.as_str() {
                "OR" => {}
                "AND" => all = Self::of(value).map(|q| and(all.take(), q)).or(all),
                "NOT" => {
                    all = Self::of(value)
                        .map(|q| and(all.take(), Self::Not(Box::new(q))))
                        .or(all);
                }
                name => {
                    let leaf = Self::Leaf(name.to_owned(), value.as_str().unwrap().to_owned());
                    all = Some(and(all, leaf));
                }
            }
        }
        match (all, filter.get("OR").and_then(Self::of)) {
            (Some(all), Some(or)) => Some(Self::Or(Box::new(all), Box::new(or))),
            (all, or) => all.or(or),
        }
    }

    fn leaf(name: &str, value: &str, entry: &Entry) -> bool {
        match name {
            "kind" => entry.kind == value,
            "changedBy" => entry.user == value,
            _ => entry.task == Some(value),
        }
    }

    /// As Django filters rows by their entries: one join for what is asserted, a subquery for each thing that is negated.
    fn means_row(&self, entries: &[Entry]) -> bool {
        let some = entries.iter().map(Some);
        some.chain([None]).any(|entry| self.joined(entry, entries))
    }

    fn joined(&self, entry: Option<&Entry>, entries: &[Entry]) -> bool {
        match self {
            Self::Leaf(name, value) => entry.is_some_and(|entry| Self::leaf(name, value, entry)),
            Self::And(one, other) => one.joined(entry, entries) && other.joined(entry, entries),
            Self::Or(one, other) => one.joined(entry, entries) || other.joined(entry, entries),
            Self::Not(one) => !one.negated(entries),
        }
    }

    fn negated(&self, entries: &[Entry]) -> bool {
        match self {
            Self::Leaf(name, value) => entries.iter().any(|entry| Self::leaf(name, value, entry)),
            Self::And(one, other) => one.negated(entries) && other.negated(entries),
            Self::Or(one, other) => one.negated(entries) || other.negated(entries),
            Self::Not(one) => !one.negated(entries),
        }
    }

    /// Of entries, each thing is said of the entry.
    fn means_entry(&self, entry: &Entry) -> bool {
        match self {
            Self::Leaf(name, value) => Self::leaf(name, value, entry),
            Self::And(one, other) => one.means_entry(entry) && other.means_entry(entry),
            Self::Or(one, other) => one.means_entry(entry) || other.means_entry(entry),
            Self::Not(one) => !one.means_entry(entry),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_joined_by_and_or_and_not_mean_what_they_mean_in_the_original() {
    let world = World::new().await;
    let people: [(&str, Option<&str>, Attribution); 4] = [
        ("ann", None, user("ann", "bio")),
        ("bob", None, user("bob", "bio")),
        ("agent-7", Some("task-a"), under_task("task-a")),
        ("agent-7", Some("task-b"), under_task("task-b")),
    ];
    let mut random = fastrand::Rng::with_seed(4);
    let mut rows: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
    let mut entries = 0;
    for _ in 0..14 {
        let (by, task, who) = &people[random.usize(..4)];
        let id = world.create(who, "new").await;
        rows.insert(
            id,
            vec![Entry {
                kind: "CREATE",
                user: by,
                task: *task,
            }],
        );
        for _ in 0..random.u32(..4) {
            let (by, task, who) = &people[random.usize(..4)];
            entries += 1;
            world.rename(who, id, &format!("name {entries}")).await;
            let entry = Entry {
                kind: "UPDATE",
                user: by,
                task: *task,
            };
            rows.get_mut(&id).unwrap().push(entry);
        }
    }
    // One whose history somebody else may see alone: here it has none.
    let foreign = world.create(&user("ann", "geo"), "foreign").await;
    rows.insert(foreign, Vec::new());
    let query = "query ($filter: ProvenanceFilter) { samples(filters: { provenance: $filter }) { id } \
                 all: samples { provenanceCount(filters: $filter) } }";
    let (mut some, mut all) = (0, 0);
    for _ in 0..200 {
        let filter = random_filter(&mut random, 3);
        let q = Q::of(&filter);
        let meant = rows
            .iter()
            .filter(|(_, entries)| q.as_ref().is_none_or(|q| q.means_row(entries)));
        let expected: BTreeSet<String> = meant.map(|(id, _)| id.to_string()).collect();
        let said = world.data(query, json!({ "filter": filter })).await;
        let found = said["samples"].as_array().unwrap().iter();
        let found: BTreeSet<_> = found
            .map(|sample| sample["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, expected, "{filter}");
        some += u32::from(!found.is_empty());
        all += u32::from(found.len() == rows.len());
        for (entries, said) in rows.values().zip(said["all"].as_array().unwrap()) {
            let meant = entries
                .iter()
                .filter(|entry| q.as_ref().is_none_or(|q| q.means_entry(entry)));
            assert_eq!(said["provenanceCount"], meant.count(), "{filter}");
        }
    }
    assert!(some > 100 && all < 120, "{some} {all}");
}

// ---- types ----

/// Types of the original that an application has, or that its federation has.
const OTHERS: &[&str] = &[
    "Mutation",
    "Query",
    "Sample",
    "SampleFilter",
    "StrFilterLookup",
    "Subscription",
    "_Any",
    "_Entity",
    "_Service",
];

fn text(of: &Type<'_, String>) -> String {
    of.to_string()
}

/// Each field, argument and value of a document, with its type.
fn members(document: &Document<'_, String>) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    for definition in &document.definitions {
        let Definition::TypeDefinition(definition) = definition else {
            continue;
        };
        match definition {
            TypeDefinition::Scalar(scalar) => {
                members.insert(scalar.name.clone(), "a scalar".to_owned());
            }
            TypeDefinition::Object(object) => {
                members.insert(object.name.clone(), "a type".to_owned());
                for field in &object.fields {
                    let name = format!("{}.{}", object.name, field.name);
                    for argument in &field.arguments {
                        let argument_name = format!("{name}({})", argument.name);
                        members.insert(argument_name, text(&argument.value_type));
                    }
                    members.insert(name, text(&field.field_type));
                }
            }
            TypeDefinition::InputObject(input) => {
                members.insert(input.name.clone(), "an input".to_owned());
                for field in &input.fields {
                    let name = format!("{}.{}", input.name, field.name);
                    members.insert(name, text(&field.value_type));
                }
            }
            TypeDefinition::Enum(choices) => {
                members.insert(choices.name.clone(), "an enum".to_owned());
                for choice in &choices.values {
                    members.insert(
                        format!("{}.{}", choices.name, choice.name),
                        "a value".to_owned(),
                    );
                }
            }
            TypeDefinition::Interface(_) | TypeDefinition::Union(_) => {}
        }
    }
    members
}

/// What the original has and we have not, or have otherwise, as a table.
fn differences(original: &str, ours: &str) -> String {
    let parsed = parse_schema::<String>(original).unwrap();
    let original = members(&parsed);
    let parsed = parse_schema::<String>(ours).unwrap();
    let ours = members(&parsed);
    let mut table = "| in the original | there | here |\n| --- | --- | --- |\n".to_owned();
    let mut missing: Vec<&str> = Vec::new();
    for (name, of) in &original {
        let owner = name.split(['.', '(']).next().unwrap();
        // Of the application's types, the field that we add.
        let is_ours = !OTHERS.contains(&owner) || name.starts_with("Sample.provenance");
        if !is_ours || missing.contains(&owner) {
            continue;
        }
        let here = match ours.get(name) {
            Some(here) if here == of => continue,
            Some(here) => format!("`{here}`"),
            None => "–".to_owned(),
        };
        if name == owner {
            missing.push(owner);
        }
        let there = if name == owner {
            of.clone()
        } else {
            format!("`{of}`")
        };
        table += &format!("| `{name}` | {there} | {here} |\n");
    }
    table
}

const BEGIN: &str = "<!-- differences: written by tests/original.rs -->\n";
const END: &str = "<!-- end of differences -->\n";

/// To write it anew: `KOHERENT_WRITE=1 cargo test -p koherent-juniper --test original`.
#[test]
fn the_table_of_differences_in_the_readme_is_current() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let original = std::fs::read_to_string(format!("{folder}/../tests/original/schema.graphql"));
    let original = original.unwrap();
    let table = differences(&original, &schema().as_sdl());
    let readme = format!("{folder}/README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (stands, after) = rest.split_once(END).unwrap();
    if std::env::var_os("KOHERENT_WRITE").is_some() {
        std::fs::write(&readme, format!("{before}{BEGIN}\n{table}\n{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        stands.trim(),
        table.trim(),
        "the README does not say how the types differ: KOHERENT_WRITE=1 writes it"
    );
}

#[test]
fn a_difference_is_found() {
    let there = "type A { x: Int y(z: String): Int } input F { a: String } enum E { ONE TWO } type Gone { n: Int }";
    let here = "type A { x: Int! y: Int more: Int } input F { a: ID } enum E { ONE }";
    let table = differences(there, here);
    let rows: Vec<_> = table.lines().skip(2).collect();
    assert_eq!(
        rows,
        [
            "| `A.x` | `Int` | `Int!` |",
            "| `A.y(z)` | `String` | – |",
            "| `E.TWO` | `a value` | – |",
            "| `F.a` | `String` | `ID` |",
            "| `Gone` | a type | – |",
        ]
    );
    assert_eq!(differences(there, there).lines().count(), 2);
}
