//! SQLite, blocking and through diesel-async. Diesel's connection is the driver.

use std::cell::RefCell;

use diesel::connection::SimpleConnection as _;
use diesel::sqlite::Sqlite;
use diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, SqliteConnection};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;
use koherent_diesel::{Audited as _, AuditedConnection};
use tokio::sync::Mutex;

use crate::tables::*;
use crate::{compare, way};

const PRAGMAS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000;";

type Async = SyncConnectionWrapper<SqliteConnection>;

pub async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.db").display().to_string();
    let mut connection = connect(&file);
    connection
        .batch_execute(
            "CREATE TABLE samples (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT, owner TEXT NOT NULL, mass DOUBLE)",
        )
        .unwrap();
    connection
        .batch_execute(&samples::table::history_ddl::<Sqlite>())
        .unwrap();
    connection
        .batch_execute(&format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
             INSERT INTO samples (name, owner) SELECT 'sample ' || n, 'ann' FROM n"
        ))
        .unwrap();
    connection
        .run_pending_migrations(koherent_diesel::MIGRATIONS)
        .unwrap();
    drop(connection);
    blocking(&file).await;
    non_blocking(&file).await;
}

fn connect(file: &str) -> SqliteConnection {
    let mut connection = SqliteConnection::establish(file).unwrap();
    connection.batch_execute(PRAGMAS).unwrap();
    connection
}

async fn blocking(file: &str) {
    use diesel::RunQueryDsl as _;
    let plain = RefCell::new(connect(file));
    let audited = RefCell::new(AuditedConnection::new(connect(file), agent()));
    let (plain, audited) = (&plain, &audited);
    let changes = |round: usize| {
        (
            samples::name.eq(format!("name {round}")),
            samples::mass.eq(round as f64),
        )
    };
    compare(
        "SQLite: update one row",
        80,
        100,
        &mut [
            way("plain Diesel", |round| async move {
                diesel::update(samples::table.find(row(round)))
                    .set(changes(round))
                    .execute(&mut *plain.borrow_mut())
                    .unwrap();
            }),
            way("audited", |round| async move {
                let mut audited = audited.borrow_mut();
                audited
                    .audited_update(samples::table.find(row(round)), changes(round + 1))
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
    compare(
        "SQLite: insert one row",
        80,
        100,
        &mut [
            way("plain Diesel", |round| async move {
                diesel::insert_into(samples::table)
                    .values((changes(round), samples::owner.eq("ann")))
                    .execute(&mut *plain.borrow_mut())
                    .unwrap();
            }),
            way("audited", |round| async move {
                let mut audited = audited.borrow_mut();
                audited
                    .audited_insert(samples::table, (changes(round), samples::owner.eq("ann")))
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
    compare(
        "SQLite: update 10,000 rows",
        12,
        1,
        &mut [
            way("plain Diesel", |round| async move {
                diesel::update(samples::table.filter(samples::id.le(10_000)))
                    .set(samples::mass.eq(round as f64))
                    .execute(&mut *plain.borrow_mut())
                    .unwrap();
            }),
            way("audited", |round| async move {
                let mut audited = audited.borrow_mut();
                let some = samples::table.filter(samples::id.le(10_000));
                audited
                    .audited_update(some, samples::mass.eq(round as f64 + 0.5))
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
    compare(
        "SQLite: insert 10,000 rows",
        8,
        1,
        &mut [
            way("plain Diesel", |_round| async move {
                let rows: Vec<_> = (0..10_000)
                    .map(|n| (changes(n), samples::owner.eq("ann")))
                    .collect();
                diesel::insert_into(samples::table)
                    .values(rows)
                    .execute(&mut *plain.borrow_mut())
                    .unwrap();
            }),
            way("audited", |_round| async move {
                let rows: Vec<_> = (0..10_000)
                    .map(|n| (changes(n), samples::owner.eq("ann")))
                    .collect();
                let mut audited = audited.borrow_mut();
                audited
                    .audited_insert(samples::table, rows)
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
}

async fn non_blocking(file: &str) {
    use diesel_async::RunQueryDsl as _;
    let connect = async || {
        let mut connection = Async::establish(file).await.unwrap();
        connection.batch_execute(PRAGMAS).await.unwrap();
        connection
    };
    let plain = Mutex::new(connect().await);
    let audited = Mutex::new(AuditedConnection::new(connect().await, agent()));
    let (plain, audited) = (&plain, &audited);
    let changes = |round: usize| {
        (
            samples::name.eq(format!("name {round}")),
            samples::mass.eq(round as f64),
        )
    };
    compare(
        "SQLite, async: update one row",
        80,
        100,
        &mut [
            way("plain Diesel", |round| async move {
                diesel::update(samples::table.find(row(round)))
                    .set(changes(round))
                    .execute(&mut *plain.lock().await)
                    .await
                    .unwrap();
            }),
            way("audited", |round| async move {
                let mut audited = audited.lock().await;
                audited
                    .audited_update(samples::table.find(row(round)), changes(round + 1))
                    .execute()
                    .await
                    .unwrap();
            }),
        ],
    )
    .await;
}
