//! `last_insert_rowid()`, and the lock of a file.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, SqliteConnection};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_diesel::{AuditedConnection, Error, Retryable as _};

use super::engine::{Conn, Database};
use crate::tables::*;

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
}

async fn last(conn: &mut AuditedConnection<Conn>) -> i64 {
    let ask = diesel::sql_query("SELECT last_insert_rowid() AS id");
    ask.get_result::<Id>(conn).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_rowid_is_that_of_the_applications_row() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.batch_execute("CREATE TABLE plain (id INTEGER PRIMARY KEY)")
        .await
        .unwrap();
    // Entries have other numbers than rows.
    for name in ["a", "b", "c"] {
        conn.audited_insert(samples::table, named(name))
            .execute()
            .await
            .unwrap();
        conn.audited_update(samples::table, samples::note.eq(name))
            .execute()
            .await
            .unwrap();
    }
    assert_eq!(last(&mut conn).await, 3);
    let rows = vec![named("d"), named("e")];
    conn.audited_insert(samples::table, rows)
        .execute()
        .await
        .unwrap();
    assert_eq!(last(&mut conn).await, 5, "of several, the last");
    conn.transaction(async |conn| {
        conn.audited_insert(samples::table, named("f"))
            .execute()
            .await?;
        assert_eq!(last(conn).await, 6);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(last(&mut conn).await, 6);
    conn.batch_execute("INSERT INTO plain VALUES (77)")
        .await
        .unwrap();
    conn.audited_update(samples::table.find(1), samples::note.eq("x"))
        .execute()
        .await
        .unwrap();
    conn.audited_delete(samples::table.find(2))
        .execute()
        .await
        .unwrap();
    assert_eq!(
        last(&mut conn).await,
        77,
        "updates and deletes insert nothing of the application's"
    );
    let mut batch = conn.audited_batch();
    batch.insert(samples::table, named("g"));
    batch.update(samples::table.find(1), samples::note.eq("y"));
    batch.execute().await.unwrap();
    assert_eq!(last(&mut conn).await, 7);
}

/// What the plain `BEGIN` of Diesel does: who read before somebody else wrote is refused at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_control_a_deferred_transaction_that_reads_first_is_refused() {
    let database = Database::new().await;
    let mut other = database.audited(ann()).await;
    let mut bare = SqliteConnection::establish(&database.address()).unwrap();
    bare.batch_execute("PRAGMA busy_timeout = 60000; CREATE TABLE plain (id INTEGER PRIMARY KEY)")
        .unwrap();
    bare.batch_execute("BEGIN; SELECT * FROM plain").unwrap();
    diesel::RunQueryDsl::execute(diesel::sql_query("SELECT count(*) FROM plain"), &mut bare)
        .unwrap();
    other
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    let refused = bare
        .batch_execute("INSERT INTO plain VALUES (1)")
        .unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
}

/// Another connection of this process waits for its turn, however short its own patience with the file's lock is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_process_wait_without_a_busy_timeout() {
    let database = Database::new().await;
    let mut writers = Vec::new();
    for n in 0..8 {
        let mut conn = database.audited(user(&format!("user-{n}"))).await;
        conn.batch_execute("PRAGMA busy_timeout = 0").await.unwrap();
        writers.push(tokio::spawn(async move {
            for round in 0..5 {
                let insert = samples::name.eq(format!("{n} {round}"));
                conn.transaction(async |conn| {
                    let _: i64 = samples::table.count().get_result(conn).await?;
                    tokio::task::yield_now().await;
                    conn.audited_insert(samples::table, insert).execute().await
                })
                .await?;
            }
            Ok::<_, Error>(())
        }));
    }
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_transaction_waits_for_no_writer_and_changes_nothing() {
    let database = Database::new().await;
    let mut writer = database.audited(ann()).await;
    let mut reader = database.audited(ann()).await;
    writer
        .transaction(async |writer| {
            writer
                .audited_insert(samples::table, named("liver"))
                .execute()
                .await?;
            let seen = reader
                .build_transaction()
                .read_only()
                .run(async |conn| {
                    let refused = conn
                        .audited_insert(samples::table, named("heart"))
                        .execute()
                        .await;
                    assert!(matches!(refused, Err(Error::Diesel(_))), "{refused:?}");
                    Ok::<_, Error>(samples::table.count().get_result::<i64>(conn).await?)
                })
                .await?;
            assert_eq!(seen, 0);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    // What the transaction has said to the connection ended with it.
    reader
        .audited_insert(samples::table, named("heart"))
        .execute()
        .await
        .unwrap();
}
