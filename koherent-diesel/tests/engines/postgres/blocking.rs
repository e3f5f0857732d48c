//! The same through libpq: replies are values.

use diesel::connection::SimpleConnection as _;
use diesel::pg::Pg;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::{
    Connection as _, ExpressionMethods as _, PgConnection, QueryDsl as _, RunQueryDsl as _,
};
use diesel_migrations::MigrationHarness as _;
use koherent_diesel::{
    Audited, AuditedConnection, AuditedPool, Error, audited_update, check, entries_of,
};

use super::engine::Database;
use crate::tables::*;

async fn address() -> String {
    Database::new().await.address()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_recorded() {
    let address = address().await;
    let bare = PgConnection::establish(&address).unwrap();
    let mut conn = AuditedConnection::new(bare, under_task("task-a"));
    let tables = [samples::table::tracked(), places::table::tracked()];
    assert_eq!(check(&mut conn, tables).unwrap(), []);
    let liver: Sample = conn
        .audited_insert(samples::table, named("liver"))
        .get_result()
        .unwrap();
    conn.audited_update(&liver, samples::name.eq("heart"))
        .execute()
        .unwrap();
    let inner = conn.transaction(|conn| {
        let moved = conn.audited_update(samples::table.find(1), samples::id.eq(50));
        moved.execute()?;
        Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
    });
    assert!(inner.is_err());
    let rows: Vec<NewSample> = (0..30_000)
        .map(|n| NewSample {
            name: format!("row {n}"),
            note: Some("many".to_owned()),
            mass: Some(1.0),
        })
        .collect();
    let inserted = conn.audited_insert(samples::table, &rows).execute();
    assert_eq!(inserted.unwrap(), 30_000);
    let mut batch = conn.audited_batch();
    batch.update(samples::table.find(1), samples::note.eq("x"));
    batch.delete(samples::table.filter(samples::note.eq("many")));
    assert_eq!(batch.execute().unwrap(), [1, 30_000]);
    let entries = entries_of(samples::table, 1).load(&mut conn).unwrap();
    assert_eq!(kinds(&entries), "~~+");
    assert_eq!(entries[0].task.as_ref().unwrap().task.task_id, "task-a");
    let mut bare = conn.into_inner();
    audited_update(samples::table.find(1), samples::name.eq("lung"))
        .by(&ann())
        .execute(&mut bare)
        .unwrap();
    let name: String = samples::table
        .find(1)
        .select(samples::name)
        .first(&mut bare)
        .unwrap();
    assert_eq!(name, "lung");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_r2d2_are_audited_and_come_back_whole() {
    let address = address().await;
    let manager = ConnectionManager::<PgConnection>::new(address);
    let pool = AuditedPool::new(Pool::builder().max_size(1).build(manager).unwrap());
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut conn = pool.get(user("one")).unwrap();
        conn.transaction::<(), Error, _>(|conn| {
            conn.audited_insert(samples::table, named("lost"))
                .execute()?;
            panic!("a panic of the application's");
        })
    }));
    assert!(panics.is_err());
    let mut conn = pool.get(user("two")).unwrap();
    conn.audited_insert(samples::table, named("kept"))
        .execute()
        .unwrap();
    let count: i64 = samples::table.count().get_result(&mut conn).unwrap();
    assert_eq!(count, 1);
    let entries = entries_of(samples::table, 2).load(&mut conn).unwrap();
    assert_eq!(entries[0].user.as_ref().unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serializable_transactions_are_run_again() {
    let address = address().await;
    let connect =
        |name: &str| AuditedConnection::new(PgConnection::establish(&address).unwrap(), user(name));
    connect("ann")
        .audited_insert(
            samples::table,
            (samples::name.eq("n"), samples::mass.eq(0.0)),
        )
        .execute()
        .unwrap();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let mut conn = connect(&format!("user-{n}"));
            scope.spawn(move || {
                let transaction = conn.transaction_with_retry().attempts(1000).serializable();
                let changed = transaction.run(|conn| {
                    let find = samples::table.find(1).select(samples::mass);
                    let mass: Option<f64> = find.first(conn)?;
                    let mass = samples::mass.eq(mass.unwrap() + 1.0);
                    conn.audited_update(samples::table.find(1), mass).execute()
                });
                assert_eq!(changed.unwrap(), 1);
                let error = conn
                    .build_transaction()
                    .read_only()
                    .deferrable()
                    .serializable()
                    .run(|conn| conn.audited_delete(samples::table).execute())
                    .unwrap_err();
                assert!(error.to_string().contains("read-only"), "{error}");
            });
        }
    });
    let mut conn = connect("ann");
    let entries = entries_of(samples::table, 1).load(&mut conn).unwrap();
    assert_eq!(entries.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_migrations_and_koherents_are_run_in_one_call() {
    let address = address().await;
    let mut conn = PgConnection::establish(&address).unwrap();
    let schema: String = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
        "current_schema()::text",
    ))
    .first(&mut conn)
    .unwrap();
    conn.batch_execute(&format!(
        "DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}"
    ))
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let migrations = folder.path().join("migrations");
    for (name, sql) in [
        (
            "2026-01-01-000000_first",
            "CREATE TABLE first_table (id bigint PRIMARY KEY)",
        ),
        (
            "2027-01-01-000000_last",
            "ALTER TABLE koherent_task ADD COLUMN mine text",
        ),
    ] {
        std::fs::create_dir_all(migrations.join(name)).unwrap();
        std::fs::write(migrations.join(name).join("up.sql"), sql).unwrap();
    }
    let mine = diesel_migrations::FileBasedMigrations::from_path(&migrations).unwrap();
    let done = conn.run_pending_migrations(koherent_diesel::MIGRATIONS.and(mine));
    let done: Vec<_> = done.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(done.first().unwrap(), "20260101000000");
    assert_eq!(done.last().unwrap(), "20270101000000");
    assert!(done.is_sorted(), "{done:?}");
    assert!(done.contains(&"20261120000000".to_owned()), "{done:?}");
    let _: String = samples::table::history_ddl::<Pg>();
}
