//! A database per test, and the tables that the tests of this crate audit.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses its part, and nobody else does"
)]

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_migrations::MigrationHarness;
use koherent_core::testing::test_issuer;
use koherent_core::{Attribution, HistoryEntry, Principal};
use koherent_diesel::{AuditedConnection, entries_of};
use tempfile::TempDir;

koherent_diesel::audited_table! {
    samples => samples_history (id) {
        id -> BigInt,
        name -> Text,
        note -> Nullable<Text>,
        mass -> Nullable<Double>,
        active -> Bool,
        scan -> Nullable<Binary>,
        metadata -> Nullable<Json>,
    }
    excluded {
        storage_code -> Text,
    }
}

koherent_diesel::audited_table! {
    places => #[sql_name = "place's log"] places_history (room, shelf) {
        room -> Text,
        shelf -> Integer,
        #[sql_name = "what's there"]
        content -> Text,
    }
}

diesel::table! { unaudited (id) { id -> BigInt, name -> Text, } }

pub const DDL: &str = "
    CREATE TABLE samples (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, note TEXT, mass DOUBLE, active BOOLEAN NOT NULL DEFAULT 1,
        scan BLOB, metadata TEXT, storage_code TEXT NOT NULL DEFAULT 'secret'
    );
    CREATE TABLE samples_history (
        history_id INTEGER PRIMARY KEY AUTOINCREMENT,
        id BIGINT NOT NULL, name TEXT NOT NULL, note TEXT, mass DOUBLE, active BOOLEAN NOT NULL, scan BLOB, metadata TEXT,
        history_kind TEXT NOT NULL, history_date TEXT NOT NULL, history_user TEXT, history_client TEXT,
        history_organization TEXT, history_task TEXT, history_transaction TEXT NOT NULL, history_reason TEXT,
        history_context TEXT
    );
    CREATE INDEX samples_history_key ON samples_history (id, history_id);
    CREATE TABLE places (room TEXT NOT NULL, shelf INTEGER NOT NULL, \"what's there\" TEXT NOT NULL, PRIMARY KEY (room, shelf));
    CREATE TABLE \"place's log\" (
        history_id INTEGER PRIMARY KEY AUTOINCREMENT,
        room TEXT NOT NULL, shelf INTEGER NOT NULL, \"what's there\" TEXT NOT NULL,
        history_kind TEXT NOT NULL, history_date TEXT NOT NULL, history_user TEXT, history_client TEXT,
        history_organization TEXT, history_task TEXT, history_transaction TEXT NOT NULL, history_reason TEXT,
        history_context TEXT
    );
    CREATE TABLE unaudited (id INTEGER PRIMARY KEY, name TEXT NOT NULL);";

/// A whole row of `samples`.
#[derive(Debug, Clone, PartialEq, Queryable, Identifiable)]
#[diesel(table_name = samples)]
pub struct Sample {
    pub id: i64,
    pub name: String,
    pub note: Option<String>,
    pub mass: Option<f64>,
    pub active: bool,
    pub scan: Option<Vec<u8>>,
    pub metadata: Option<serde_json::Value>,
    pub storage_code: String,
}

#[derive(Debug, Clone, Default, Insertable)]
#[diesel(table_name = samples)]
pub struct NewSample {
    pub name: String,
    pub note: Option<String>,
    pub mass: Option<f64>,
}

#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = samples)]
pub struct SampleChanges {
    pub name: Option<String>,
    pub note: Option<Option<String>>,
}

pub fn named(name: &str) -> NewSample {
    NewSample {
        name: name.into(),
        ..NewSample::default()
    }
}

/// A file database that goes with the value.
pub struct Database {
    directory: TempDir,
}

impl Database {
    pub fn new() -> Self {
        let database = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let mut connection = database.connect();
        connection
            .batch_execute("PRAGMA journal_mode = WAL;")
            .unwrap();
        connection.batch_execute(DDL).unwrap();
        connection
            .run_pending_migrations(koherent_diesel::MIGRATIONS)
            .unwrap();
        database
    }

    pub fn file(&self) -> String {
        self.directory.path().join("test.db").display().to_string()
    }

    pub fn connect(&self) -> SqliteConnection {
        let mut connection = SqliteConnection::establish(&self.file()).unwrap();
        // Durability is not what these tests are about.
        connection
            .batch_execute("PRAGMA busy_timeout = 30000; PRAGMA synchronous = OFF;")
            .unwrap();
        connection
    }

    pub fn audited(&self, attribution: Attribution) -> AuditedConnection<SqliteConnection> {
        AuditedConnection::new(self.connect(), attribution)
    }
}

pub fn ann() -> Attribution {
    Attribution::of(
        Principal::new("https://login.example", "ann", "lab-ui").with_organization("bio"),
    )
}

/// An agent's attribution under a task of the test issuer.
pub fn under_task(task: &str) -> Attribution {
    let issuer = test_issuer("rekuest");
    let token = issuer
        .verifier("lab")
        .verify(&issuer.task(task).mint())
        .unwrap();
    let agent =
        Principal::new("https://login.example", "agent-7", "robot").with_organization("bio");
    Attribution::of(Arc::new(agent)).with_task(&token).unwrap()
}

pub fn history_of(
    connection: &mut AuditedConnection<SqliteConnection>,
    id: i64,
) -> Vec<HistoryEntry> {
    entries_of(samples::table, id).load(connection).unwrap()
}

pub fn kinds(entries: &[HistoryEntry]) -> String {
    entries.iter().map(|entry| entry.kind.code()).collect()
}

pub fn count(
    connection: &mut impl diesel::connection::LoadConnection<Backend = diesel::sqlite::Sqlite>,
    table: &str,
) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    diesel::sql_query(format!("SELECT count(*) AS n FROM {table}"))
        .get_result::<Count>(connection)
        .unwrap()
        .n
}
