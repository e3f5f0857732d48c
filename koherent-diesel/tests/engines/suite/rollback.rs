//! The change and its history are one transaction: neither is ever there without the other.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_core::ErrorCode;
use koherent_diesel::{AuditedConnection, Error};

use super::engine::{Conn, DROP_TASKS, Database, REFUSE_BAD, SURVIVES_FAILURES};
use super::{count, history_of};
use crate::tables::*;

async fn state(conn: &mut AuditedConnection<Conn>) -> (Vec<String>, i64) {
    let names = samples::table
        .select(samples::name)
        .order(samples::id)
        .load(conn)
        .await
        .unwrap();
    (names, count(conn, "samples_history").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_is_rolled_back_when_its_history_cannot_be_written() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    conn.batch_execute(REFUSE_BAD).await.unwrap();
    let before = state(&mut conn).await;
    let rows = [named("good"), named("bad")];
    let failed = [
        conn.audited_insert(samples::table, &rows).execute().await,
        conn.audited_update(samples::table.find(1), samples::name.eq("bad one"))
            .execute()
            .await,
        conn.audited_update(samples::table, samples::name.eq("bad two"))
            .get_results::<Sample>()
            .await
            .map(|rows| rows.len()),
    ];
    for result in failed {
        let error = result.unwrap_err();
        let expected = matches!(
            error,
            Error::HistoryNotWritten {
                table: "samples",
                ..
            }
        );
        assert!(expected, "{error:?}");
        assert_eq!(error.code(), ErrorCode::InternalError);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("history is full"), "{cause}");
    }
    assert_eq!(state(&mut conn).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_rolled_back_when_the_change_fails() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, vec![named("liver"), named("heart")])
        .execute()
        .await
        .unwrap();
    let before = state(&mut conn).await;
    let error = conn
        .audited_update(samples::table.find(1), samples::name.eq("heart"))
        .execute()
        .await
        .unwrap_err();
    let unique = matches!(
        error,
        Error::Diesel(DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation,
            _
        ))
    );
    assert!(unique, "{error:?}");
    assert_eq!(
        (error.code(), error.reason()),
        (ErrorCode::Conflict, "CONSTRAINT_VIOLATED")
    );
    let violation = error.violation().unwrap();
    let named_in =
        |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains("name"));
    assert!(
        named_in(&violation.column) || named_in(&violation.constraint),
        "{violation:?}"
    );
    let rows = vec![named("new"), named("liver")];
    conn.audited_insert(samples::table, &rows)
        .execute()
        .await
        .unwrap_err();
    assert_eq!(state(&mut conn).await, before);
    let nothing = diesel::dsl::sql::<diesel::sql_types::Text>("NULL");
    let error = conn
        .audited_update(samples::table.find(1), samples::name.eq(nothing))
        .execute()
        .await
        .unwrap_err();
    assert_eq!(error.violation().unwrap().column.as_deref(), Some("name"));
}

/// The same write with change and history as two statements loses history: the harness can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_control_two_statements_keep_the_change_without_history() {
    let database = Database::unguarded().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    conn.batch_execute(REFUSE_BAD).await.unwrap();
    let before = state(&mut conn).await;
    conn.batch_execute("UPDATE samples SET name = 'bad'")
        .await
        .unwrap();
    let history = "INSERT INTO samples_history (id, name, active, history_kind, history_date, history_transaction) \
                   SELECT id, name, active, '~', history_date, history_transaction FROM \
                   (SELECT history_date, history_transaction FROM samples_history) AS h CROSS JOIN samples";
    assert!(conn.batch_execute(history).await.is_err());
    assert_ne!(state(&mut conn).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_and_savepoints_take_history_with_them() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.transaction(async |conn| {
        conn.audited_insert(samples::table, named("liver"))
            .execute()
            .await?;
        conn.audited_update(samples::table.find(1), samples::name.eq("heart"))
            .execute()
            .await?;
        let inner = conn
            .transaction(async |conn| {
                conn.audited_delete(samples::table.find(1))
                    .execute()
                    .await?;
                Err::<(), Error>(DieselError::RollbackTransaction.into())
            })
            .await;
        assert!(inner.is_err());
        conn.transaction(async |conn| {
            conn.audited_update(samples::table.find(1), samples::note.eq("kept"))
                .execute()
                .await
        })
        .await
    })
    .await
    .unwrap();
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(kinds(&entries), "~~+");
    let first = entries[0].transaction;
    assert!(entries.iter().all(|entry| entry.transaction == first));

    let rolled_back = conn
        .transaction(async |conn| {
            conn.audited_insert(samples::table, named("kidney"))
                .execute()
                .await?;
            Err::<(), Error>(DieselError::RollbackTransaction.into())
        })
        .await;
    assert!(rolled_back.is_err());
    conn.audited_insert(samples::table, named("lung"))
        .execute()
        .await
        .unwrap();
    let (names, entries) = state(&mut conn).await;
    assert_eq!((names.len(), entries), (2, 4));
}

/// On PostgreSQL a failed statement fails its transaction, as every failed statement does there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_change_inside_a_transaction() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.batch_execute(REFUSE_BAD).await.unwrap();
    let result = conn
        .transaction(async |conn| {
            conn.audited_insert(samples::table, named("good"))
                .execute()
                .await?;
            let bad = conn
                .transaction(async |conn| {
                    conn.audited_insert(samples::table, named("bad one"))
                        .execute()
                        .await
                })
                .await;
            assert!(bad.is_err());
            let bad = conn
                .audited_insert(samples::table, named("bad two"))
                .execute()
                .await;
            if SURVIVES_FAILURES {
                assert!(bad.is_err());
                return Ok(0);
            }
            bad
        })
        .await;
    assert_eq!(result.is_ok(), SURVIVES_FAILURES);
    let rows = i64::from(SURVIVES_FAILURES);
    let (names, entries) = state(&mut conn).await;
    assert_eq!(
        (names.len(), entries),
        (usize::from(SURVIVES_FAILURES), rows)
    );
}

/// Where the database undoes more than the statement that failed, a transaction that swallows the failure must not look
/// committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swallowed_failures_are_not_committed_unseen() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let committed = conn
        .transaction(async |conn| {
            conn.audited_insert(samples::table, named("a"))
                .execute()
                .await?;
            let twice = conn
                .audited_insert(samples::table, named("a"))
                .execute()
                .await;
            assert!(twice.is_err());
            Ok::<_, Error>(())
        })
        .await;
    let kept = i64::from(SURVIVES_FAILURES);
    assert_eq!(committed.is_ok(), SURVIVES_FAILURES, "{committed:?}");
    assert_eq!(count(&mut conn, "samples").await, kept);
    assert_eq!(count(&mut conn, "samples_history").await, kept);
    // The connection is as good as before, and so is a savepoint around what fails.
    conn.transaction(async |conn| {
        conn.audited_insert(samples::table, named("b"))
            .execute()
            .await?;
        let twice = conn
            .transaction(async |conn| {
                conn.audited_insert(samples::table, named("b"))
                    .execute()
                    .await
            })
            .await;
        assert!(twice.is_err());
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(count(&mut conn, "samples_history").await, kept + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_tables_are_named_with_what_to_do() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.batch_execute(DROP_TASKS).await.unwrap();
    let error = conn
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TaskNotWritten(_)), "{error:?}");
    assert!(
        error.to_string().contains("koherent_diesel::MIGRATIONS"),
        "{error}"
    );
    assert_eq!(state(&mut conn).await, (vec![], 0));

    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.batch_execute("ALTER TABLE samples_history DROP COLUMN note")
        .await
        .unwrap();
    let error = conn
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::HistoryNotWritten { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("koherent_diesel::check"),
        "{error}"
    );
}
