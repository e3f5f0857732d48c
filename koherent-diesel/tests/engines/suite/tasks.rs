//! The task's row: once, with the first change, and never for two tasks.

use std::sync::Arc;

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use koherent_core::ErrorCode;
use koherent_diesel::schema::koherent_task;
use koherent_diesel::{AuditedConnection, Error, entries_of};

use super::engine::{Conn, Database};
use super::{count, history_of};
use crate::tables::*;

async fn task_rows(conn: &mut AuditedConnection<Conn>) -> Vec<(String, String, Option<String>)> {
    let columns = (
        koherent_task::task_id,
        koherent_task::token_id,
        koherent_task::organization,
    );
    koherent_task::table
        .select(columns)
        .load(conn)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_row_comes_with_the_first_recorded_change_and_only_then() {
    let database = Database::new().await;
    let mut other = database.audited(ann()).await;
    other
        .audited_insert(samples::table, named("old"))
        .execute()
        .await
        .unwrap();
    let mut conn = database.audited(under_task("task-a")).await;
    conn.audited_delete(samples::table.find(7))
        .execute()
        .await
        .unwrap();
    // It touches a row, and records nothing: whoever believed the task written now would leave the next entry without it.
    let old: Sample = conn
        .audited_update(samples::table.find(1), samples::name.eq("old"))
        .get_result()
        .await
        .unwrap();
    assert_eq!(task_rows(&mut other).await, []);
    conn.audited_update(&old, samples::name.eq("old"))
        .execute()
        .await
        .unwrap();
    assert_eq!(task_rows(&mut other).await, []);
    for name in ["liver", "heart"] {
        conn.audited_insert(samples::table, named(name))
            .execute()
            .await
            .unwrap();
    }
    let rows = task_rows(&mut other).await;
    let expected = (
        "task-a".into(),
        "token-of-task-a".into(),
        Some("bio".into()),
    );
    assert_eq!(rows, [expected]);
    let entry = &history_of(&mut conn, 2).await[0];
    let record = entry.task.as_ref().unwrap();
    assert_eq!(record.task, **conn.attribution().task().unwrap());
    assert_eq!(record.organization.as_ref().unwrap(), "bio");
    let age = now() - record.created_at;
    assert!(age.num_seconds().abs() < 60, "the date is in UTC: {age}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_of_another_task_and_other_descriptions_are_refused() {
    let database = Database::new().await;
    let mut usual = database.audited(under_task("task-a")).await;
    usual
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    let reused = under_token("rekuest", "bio", "task-a", |token| {
        token.claim("tsk", "task-b").claim("rtk", "task-b")
    });
    let parent = under_token("rekuest", "bio", "task-a", |token| {
        token.parent("task-0", "task-0")
    });
    let caused = under_token("rekuest", "bio", "task-a", |token| {
        token.caused_by("ann", "bob")
    });
    let cases = [
        (reused, "TOKEN_REUSED", None),
        (
            under_token("other", "bio", "task-a", |token| token),
            "TASK_MISMATCH",
            Some("issuer"),
        ),
        (parent, "TASK_MISMATCH", Some("parent_task_id")),
        (caused, "TASK_MISMATCH", Some("assigner_sub")),
        (
            under_token("rekuest", "other", "task-a", |token| token),
            "TASK_MISMATCH",
            Some("organization"),
        ),
    ];
    for (attribution, reason, field) in cases {
        let mut conn = database.audited(attribution).await;
        let error = conn
            .audited_insert(samples::table, named("heart"))
            .execute()
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.reason()),
            (ErrorCode::PermissionDenied, reason),
            "{error:?}"
        );
        if let Some(field) = field {
            assert!(error.to_string().contains(field), "{error}");
        }
    }
    assert_eq!(count(&mut usual, "samples").await, 1);
    assert_eq!(count(&mut usual, "samples_history").await, 1);
    assert_eq!(task_rows(&mut usual).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_token_of_the_same_task_is_taken() {
    let database = Database::new().await;
    for token in ["first", "second"] {
        let attribution = under_token("rekuest", "bio", "task-a", |builder| {
            builder.token_id(token)
        });
        let mut conn = database.audited(attribution).await;
        conn.audited_insert(samples::table, named(token))
            .execute()
            .await
            .unwrap();
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(task_rows(&mut conn).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_learned_from_a_transaction_that_is_rolled_back() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    let rolled_back = conn
        .transaction(async |conn| {
            conn.audited_insert(samples::table, named("liver"))
                .execute()
                .await?;
            Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
        })
        .await;
    assert!(rolled_back.is_err());
    assert!(
        conn.audited_insert(samples::table, vec![named("twice"), named("twice")])
            .execute()
            .await
            .is_err()
    );
    conn.audited_insert(samples::table, named("heart"))
        .execute()
        .await
        .unwrap();
    assert_eq!(
        task_rows(&mut conn).await.len(),
        1,
        "the row had to be written still"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_first_writes_under_one_task_give_one_row_and_sixty_four_entries() {
    let database = Database::new().await;
    let pool = database.pool(16);
    let start = Arc::new(tokio::sync::Barrier::new(64));
    let writers: Vec<_> = (0..64)
        .map(|n| {
            let (pool, start) = (pool.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                let mut conn = pool.get(under_task("task-new")).await?;
                let row = named(&format!("sample {n}"));
                conn.audited_insert(samples::table, &row)
                    .get_result::<Sample>()
                    .await
            })
        })
        .collect();
    for writer in writers {
        let sample = writer.await.unwrap().unwrap();
        let mut conn = pool.get(ann()).await.unwrap();
        let entries = entries_of(samples::table, sample.id)
            .load(&mut conn)
            .await
            .unwrap();
        assert_eq!(entries[0].task.as_ref().unwrap().task.task_id, "task-new");
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(task_rows(&mut conn).await.len(), 1);
    let entries = "samples_history WHERE history_task = 'task-new'";
    assert_eq!(count(&mut conn, entries).await, 64);
}

/// Look, then insert, without anything that keeps others out between: the harness sees two rows' worth of writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_control_look_then_insert_races() {
    use diesel_async::SimpleAsyncConnection as _;
    let database = Database::new().await;
    let insert = "INSERT INTO koherent_task (task_id, root_task_id, assigner_sub, caller_sub, agent_sub, agent_client_id, \
                  issuer, token_id, args_hash, args_hash_algorithm, created_at) \
                  VALUES ('t', 't', '', '', '', '', '', 'j', '', '', '2026-01-01 00:00:00')";
    let looked = tokio::sync::Barrier::new(2);
    let write = async || {
        let mut conn = database.audited(ann()).await;
        assert_eq!(task_rows(&mut conn).await, []);
        looked.wait().await;
        conn.batch_execute(insert).await.is_ok()
    };
    let (one, other) = tokio::join!(write(), write());
    assert!(one != other, "one of the two writers fails");
}
