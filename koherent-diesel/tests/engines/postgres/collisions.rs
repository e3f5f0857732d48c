//! Changes that others are in the way of, and connections that an administrator ends.

use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_core::ErrorCode;
use koherent_diesel::{Error, Retryable as _};

use super::engine::Database;
use crate::tables::*;

/// Runs a change of both rows against a transaction that takes them the other way round, so that the change is the one that
/// PostgreSQL gives up.
async fn deadlocked(nested: bool) -> Result<usize, Error> {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let rows = vec![named("a"), named("b")];
    conn.audited_insert(samples::table, rows).execute().await?;
    let mut other = database.audited(user("bob")).await;
    other.batch_execute("SET deadlock_timeout = '60s'").await?;
    conn.batch_execute("SET deadlock_timeout = '200ms'").await?;
    let (locked, has_locked) = tokio::sync::oneshot::channel();
    let holder = tokio::spawn(async move {
        other
            .transaction(async |other| {
                other
                    .audited_update(samples::table.find(2), samples::note.eq("bob"))
                    .execute()
                    .await?;
                locked.send(()).unwrap();
                // The change has row 1 by now, and waits for row 2.
                tokio::time::sleep(Duration::from_millis(100)).await;
                other
                    .audited_update(samples::table.find(1), samples::note.eq("bob"))
                    .execute()
                    .await
            })
            .await
    });
    has_locked.await.unwrap();
    let note = samples::note.eq("ann");
    let done = if nested {
        conn.transaction(async |conn| {
            conn.audited_update(samples::table.find(1), note)
                .execute()
                .await?;
            conn.audited_update(samples::table.find(2), note)
                .execute()
                .await
        })
        .await
    } else {
        conn.audited_update(samples::table, note).execute().await
    };
    assert_eq!(holder.await.unwrap()?, 1);
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_change_is_made_again_after_a_deadlock() {
    assert_eq!(deadlocked(false).await.unwrap(), 2);
}

/// Inside a transaction the values are the application's: it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_control_a_deadlock_inside_a_transaction_is_told() {
    let error = deadlocked(true).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(
        (error.code(), error.reason()),
        (ErrorCode::Unavailable, "DATABASE_BUSY")
    );
}

#[derive(diesel::QueryableByName)]
struct Pid {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pid: i32,
}

/// Ended before it has something to do, while it works, and while it waits in a transaction: one meaning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_an_administrator_ended_is_a_lost_connection() {
    let database = Database::new().await;
    let mut admin = database.audited(ann()).await;
    admin
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    for inside in [false, true] {
        let mut conn = database.audited(ann()).await;
        let pid = diesel::sql_query("SELECT pg_backend_pid() AS pid");
        let pid = pid.get_result::<Pid>(&mut conn).await.unwrap().pid;
        let end = format!("SELECT pg_terminate_backend({pid})");
        let error = if inside {
            let done = conn.transaction(async |conn| {
                conn.audited_update(samples::table.find(1), samples::note.eq("a"))
                    .execute()
                    .await?;
                admin.batch_execute(&end).await?;
                conn.audited_update(samples::table.find(1), samples::note.eq("b"))
                    .execute()
                    .await
            });
            done.await.unwrap_err()
        } else {
            // It waits for a row while it is ended.
            let working = admin.transaction(async |admin| {
                admin
                    .audited_update(samples::table.find(1), samples::note.eq("held"))
                    .execute()
                    .await?;
                let update = conn.audited_update(samples::table.find(1), samples::note.eq("late"));
                let ending = async {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    admin.batch_execute(&end).await
                };
                let (done, ended) = tokio::join!(update.execute(), ending);
                ended?;
                Ok::<_, Error>(done.unwrap_err())
            });
            working.await.unwrap()
        };
        match inside {
            true => assert_eq!(
                (error.code(), error.reason()),
                (ErrorCode::Unavailable, "CONNECTION_LOST"),
                "{error:?}"
            ),
            // It commits by itself, so nobody knows.
            false => assert_eq!(error.code(), ErrorCode::OutcomeUnknown, "{error:?}"),
        }
    }
}
