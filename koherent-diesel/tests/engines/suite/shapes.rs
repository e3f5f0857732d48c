//! Tables of all shapes: wide ones, generated and default columns; and how many rows and values statements take.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use koherent_diesel::{Audited, check, entries_of};

use super::count;
use super::engine::{Backend, DROP_TASKS, Database, REPLACE_KEY};
use crate::tables::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_fit_have_no_differences() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let tables = [
        samples::table::tracked(),
        places::table::tracked(),
        digests::table::tracked(),
        totals::table::tracked(),
        wide::table::tracked(),
    ];
    assert_eq!(check(&mut conn, tables).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_named() {
    use diesel_async::SimpleAsyncConnection as _;
    for (sql, expected) in [
        (
            DROP_TASKS,
            "the table `koherent_task` does not exist: run the migrations",
        ),
        (
            &samples::table::drop_history_ddl::<Backend>(),
            "the table `samples_history` does not exist",
        ),
        (
            "ALTER TABLE samples_history DROP COLUMN note",
            "the table `samples_history` lacks the column `note`",
        ),
        (
            "ALTER TABLE samples_history DROP COLUMN mass; ALTER TABLE samples_history ADD COLUMN mass TEXT",
            "the column `mass` of the table `samples_history` has the type `",
        ),
        (
            &format!("{}{REPLACE_KEY}", samples::table::unguard_ddl::<Backend>()),
            "the table `samples` has the primary key (name), not (id)",
        ),
        (
            "CREATE UNIQUE INDEX twice ON samples_history (name)",
            "the table `samples_history` has the unique index `twice`",
        ),
    ] {
        let database = Database::new().await;
        let mut conn = database.audited(ann()).await;
        conn.batch_execute(sql).await.unwrap();
        let found = check(&mut conn, [samples::table::tracked()]).await.unwrap();
        assert_eq!(found.len(), 1, "{sql}: {found:?}");
        let line = found[0].to_string();
        assert!(line.starts_with(expected), "{sql}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wide_tables() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let row = (wide::c01.eq(1), wide::c52.eq(52), wide::c57.eq(57));
    conn.audited_insert(wide::table, row)
        .execute()
        .await
        .unwrap();
    conn.audited_update(wide::table.find(1), wide::c40.eq(40))
        .execute()
        .await
        .unwrap();
    conn.audited_delete(wide::table.find(1))
        .execute()
        .await
        .unwrap();
    let entries = entries_of(wide::table, 1).load(&mut conn).await.unwrap();
    assert_eq!(kinds(&entries), "-~+");
    assert_eq!(entries[1].changes[0].field, "c40");
    assert_eq!(entries[0].changes.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_and_default_columns_are_recorded() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let gross: f64 = conn
        .audited_insert(totals::table, totals::net.eq(4.0))
        .returning(totals::gross)
        .get_result()
        .await
        .unwrap();
    assert!((gross - 5.0).abs() < f64::EPSILON);
    conn.audited_update(totals::table.find(1), totals::net.eq(8.0))
        .execute()
        .await
        .unwrap();
    let entries = entries_of(totals::table, 1).load(&mut conn).await.unwrap();
    let fields: Vec<_> = entries[0].changes.iter().map(|c| c.field).collect();
    assert_eq!(fields, ["net", "gross"]);
    let label = entries[1].changes.iter().find(|c| c.field == "label");
    assert_eq!(label.unwrap().new.as_ref().unwrap().text(), "none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_defaults_alone() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(wide::table, diesel::query_builder::DefaultValues)
        .execute()
        .await
        .unwrap();
    let entries = entries_of(wide::table, 1).load(&mut conn).await.unwrap();
    assert_eq!(kinds(&entries), "+");
}

/// More values than one statement can bind, and rows that leave out columns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_at_once() {
    const ROWS: i64 = 30_000;
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    let rows: Vec<_> = (0..ROWS)
        .map(|n| NewSample {
            name: format!("sample {n}"),
            note: (n % 3 == 0).then(|| "third".to_owned()),
            mass: Some(0.5),
        })
        .collect();
    let inserted = conn.audited_insert(samples::table, &rows).execute().await;
    assert_eq!(inserted.unwrap(), 30_000);
    let entries = count(&mut conn, "samples_history WHERE history_kind = '+'").await;
    assert_eq!(entries, ROWS);
    let names: Vec<String> = samples::table
        .select(samples::name)
        .order(samples::id)
        .limit(2)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(names, ["sample 0", "sample 1"]);
    let updated = conn
        .audited_update(samples::table, samples::note.eq("third"))
        .execute()
        .await;
    assert_eq!(updated.unwrap(), 30_000);
    let entries = count(&mut conn, "samples_history WHERE history_kind = '~'").await;
    assert_eq!(entries, ROWS / 3 * 2);
    let deleted = conn.audited_delete(samples::table).execute().await;
    assert_eq!(deleted.unwrap(), 30_000);
    assert_eq!(count(&mut conn, "samples").await, 0);
    let entries = count(&mut conn, "samples_history WHERE history_kind = '-'").await;
    assert_eq!(entries, ROWS);
    let transactions = "(SELECT DISTINCT history_transaction FROM samples_history) AS t";
    assert_eq!(count(&mut conn, transactions).await, 3);
}
