//! `LAST_INSERT_ID()`, and failures in another language.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_core::ErrorCode;
use koherent_diesel::{AuditedConnection, Error};

use super::engine::{Conn, Database};
use crate::tables::*;

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
}

async fn last(conn: &mut AuditedConnection<Conn>) -> i64 {
    let ask = diesel::sql_query("SELECT CAST(LAST_INSERT_ID() AS SIGNED) AS id");
    ask.get_result::<Id>(conn).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_insert_id_is_that_of_the_applications_row() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
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
    assert_eq!(
        last(&mut conn).await,
        4,
        "of several, the first, as the server has it"
    );
    conn.transaction(async |conn| {
        conn.audited_insert(samples::table, named("f"))
            .execute()
            .await?;
        assert_eq!(last(conn).await, 6);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    conn.audited_delete(samples::table.find(2))
        .execute()
        .await
        .unwrap();
    assert_eq!(last(&mut conn).await, 6);
    let mut without = database.audited(ann()).await.without_insert_returning();
    without
        .audited_insert(samples::table, samples::name.eq("g"))
        .execute()
        .await
        .unwrap();
    assert_eq!(last(&mut without).await, 7);
}

/// The number of a failure tells what it is, whatever the language of its words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_timeout_in_german_is_busy() {
    let database = Database::new().await;
    let mut holder = database.audited(ann()).await;
    holder
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    let mut conn = database.audited(ann()).await;
    conn.batch_execute("SET lc_messages = 'de_DE', innodb_lock_wait_timeout = 1")
        .await
        .unwrap();
    holder
        .transaction(async |holder| {
            holder
                .audited_update(samples::table.find(1), samples::note.eq("held"))
                .execute()
                .await?;
            let update = conn.audited_update(samples::table.find(1), samples::note.eq("late"));
            let error = update.execute().await.unwrap_err();
            assert_eq!(
                (error.code(), error.reason()),
                (ErrorCode::Unavailable, "DATABASE_BUSY"),
                "{error:?}"
            );
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_an_administrator_ended_is_lost() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let id = diesel::sql_query("SELECT CAST(CONNECTION_ID() AS SIGNED) AS id");
    let id = id.get_result::<Id>(&mut conn).await.unwrap().id;
    let mut admin = database.connect().await;
    admin.batch_execute(&format!("KILL {id}")).await.unwrap();
    let error = conn
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (ErrorCode::Unavailable, "CONNECTION_LOST"),
        "{error:?}"
    );
}
