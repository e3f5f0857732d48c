//! SQLite, blocking and through diesel-async. Diesel's connection is the driver.

use std::cell::RefCell;

use diesel::connection::SimpleConnection as _;
use diesel::sqlite::Sqlite;
use diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, SqliteConnection};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;
use koherent_diesel::{Audited as _, AuditedConnection, Guard};
use tokio::sync::Mutex;

use crate::tables::*;
use crate::{compare, way};

/// Each commit is on disk before it is acknowledged.
const ON_DISK: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;";

/// It is not.
const NOT_FLUSHED: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 10000;";

type Async = SyncConnectionWrapper<SqliteConnection>;

pub async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.db").display().to_string();
    let mut connection = connect(&file);
    connection
        .run_pending_migrations(koherent_diesel::MIGRATIONS)
        .unwrap();
    for table in ["samples", "guarded"] {
        connection
            .batch_execute(&format!(
                "CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT, owner TEXT NOT NULL, mass DOUBLE);
                 CREATE INDEX {table}_name ON {table} (name);
                 WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
                 INSERT INTO {table} (name, owner) SELECT 'sample ' || n, 'ann' FROM n"
            ))
            .unwrap();
    }
    for ddl in [
        samples::table::history_ddl::<Sqlite>(),
        guarded::table::history_ddl::<Sqlite>(),
        guarded::table::guard_ddl::<Sqlite>(&Guard::refuse()),
    ] {
        connection.batch_execute(&ddl).unwrap();
    }
    drop(connection);
    for (pragmas, shown) in [
        (ON_DISK, "each commit on disk"),
        (NOT_FLUSHED, "commits not flushed"),
    ] {
        blocking(&file, pragmas, shown).await;
        non_blocking(&file, pragmas, shown).await;
    }
}

fn connect(file: &str) -> SqliteConnection {
    let mut connection = SqliteConnection::establish(file).unwrap();
    connection.batch_execute(ON_DISK).unwrap();
    connection
}

/// The history of some rows, as one would write it without looking whether they changed.
fn by_hand(filter: &str) -> diesel::query_builder::SqlQuery {
    diesel::sql_query(format!(
        "INSERT INTO samples_history (id, name, note, owner, mass, history_kind, history_date, history_user, history_client, \
         history_organization, history_task, history_transaction, history_reason, history_context) \
         SELECT id, name, note, owner, mass, '~', '2026-11-21 10:00:00.123456+00:00', 'agent-7', 'robot', 'bio', 'task-a', \
         '019a0000-0000-7000-8000-000000000000', NULL, '{{\"issuer\": \"https://login.example\"}}' FROM samples WHERE {filter}"
    ))
}

async fn blocking(file: &str, pragmas: &str, shown: &str) {
    use diesel::RunQueryDsl as _;
    let plain = RefCell::new(connect(file));
    let audited = RefCell::new(AuditedConnection::new(connect(file), agent()));
    plain.borrow_mut().batch_execute(pragmas).unwrap();
    audited.borrow_mut().batch_execute(pragmas).unwrap();
    let (plain, audited) = (&plain, &audited);
    let changes = |round: usize| {
        (
            samples::name.eq(format!("name {round}")),
            samples::mass.eq(round as f64),
        )
    };
    let guarded_changes = |round: usize| {
        (
            guarded::name.eq(format!("name {round}")),
            guarded::mass.eq(round as f64),
        )
    };
    compare(
        &format!("SQLite, {shown}: update one row"),
        80,
        100,
        &mut [
            way("plain Diesel", |round| async move {
                diesel::update(samples::table.find(row(round)))
                    .set(changes(round))
                    .execute(&mut *plain.borrow_mut())
                    .unwrap();
            }),
            way(
                "by hand: update, then history, plain Diesel",
                |round| async move {
                    let mut plain = plain.borrow_mut();
                    plain
                        .immediate_transaction(|plain| {
                            diesel::update(samples::table.find(row(round)))
                                .set(changes(round + 3))
                                .execute(plain)?;
                            by_hand("id = ?")
                                .bind::<diesel::sql_types::BigInt, _>(row(round))
                                .execute(plain)
                        })
                        .unwrap();
                },
            ),
            way("audited", |round| async move {
                let mut audited = audited.borrow_mut();
                audited
                    .audited_update(samples::table.find(row(round)), changes(round + 1))
                    .execute()
                    .unwrap();
            }),
            way("audited, guarded", |round| async move {
                let mut audited = audited.borrow_mut();
                audited
                    .audited_update(guarded::table.find(row(round)), guarded_changes(round + 1))
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
    compare(
        &format!("SQLite, {shown}: insert one row"),
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
            way("audited, guarded", |round| async move {
                let mut audited = audited.borrow_mut();
                audited
                    .audited_insert(
                        guarded::table,
                        (guarded_changes(round), guarded::owner.eq("ann")),
                    )
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
    compare(
        &format!("SQLite, {shown}: update 10,000 rows"),
        12,
        1,
        &mut [
            way("plain Diesel", |round| async move {
                diesel::update(samples::table.filter(samples::id.le(10_000)))
                    .set(samples::mass.eq(round as f64))
                    .execute(&mut *plain.borrow_mut())
                    .unwrap();
            }),
            way(
                "by hand: update, then history, plain Diesel",
                |round| async move {
                    let mut plain = plain.borrow_mut();
                    plain
                        .immediate_transaction(|plain| {
                            diesel::update(samples::table.filter(samples::id.le(10_000)))
                                .set(samples::mass.eq(round as f64 + 0.25))
                                .execute(plain)?;
                            by_hand("id <= 10000").execute(plain)
                        })
                        .unwrap();
                },
            ),
            way("audited", |round| async move {
                let mut audited = audited.borrow_mut();
                let some = samples::table.filter(samples::id.le(10_000));
                audited
                    .audited_update(some, samples::mass.eq(round as f64 + 0.5))
                    .execute()
                    .unwrap();
            }),
            way("audited, guarded", |round| async move {
                let mut audited = audited.borrow_mut();
                let some = guarded::table.filter(guarded::id.le(10_000));
                audited
                    .audited_update(some, guarded::mass.eq(round as f64 + 0.5))
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
    compare(
        &format!("SQLite, {shown}: insert 10,000 rows"),
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
            way("audited, guarded", |_round| async move {
                let rows: Vec<_> = (0..10_000)
                    .map(|n| (guarded_changes(n), guarded::owner.eq("ann")))
                    .collect();
                let mut audited = audited.borrow_mut();
                audited
                    .audited_insert(guarded::table, rows)
                    .execute()
                    .unwrap();
            }),
        ],
    )
    .await;
}

async fn non_blocking(file: &str, pragmas: &str, shown: &str) {
    use diesel_async::RunQueryDsl as _;
    let connect = async || {
        let mut connection = Async::establish(file).await.unwrap();
        connection.batch_execute(pragmas).await.unwrap();
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
    let guarded_changes = |round: usize| {
        (
            guarded::name.eq(format!("name {round}")),
            guarded::mass.eq(round as f64),
        )
    };
    compare(
        &format!("SQLite, async, {shown}: update one row"),
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
            way("audited, guarded", |round| async move {
                let mut audited = audited.lock().await;
                audited
                    .audited_update(guarded::table.find(row(round)), guarded_changes(round + 1))
                    .execute()
                    .await
                    .unwrap();
            }),
        ],
    )
    .await;
}
