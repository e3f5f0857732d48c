//! Transactions that are run again, isolation levels, and batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_diesel::{Error, Retryable as _};

use super::engine::{COLLIDES, Database, REFUSE_BAD, begun, strict};
use super::{count, history_of};
use crate::tables::*;

/// Two transactions that read and then write the same row cannot both be serialized: one of them is run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_that_collide_are_run_again() {
    const WRITERS: usize = 8;
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let row = (samples::name.eq("counter"), samples::mass.eq(0.0));
    conn.audited_insert(samples::table, row)
        .execute()
        .await
        .unwrap();
    let pool = database.pool(WRITERS);
    let attempts = Arc::new(AtomicU32::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let (pool, attempts) = (pool.clone(), Arc::clone(&attempts));
            tokio::spawn(async move {
                let mut conn = pool.get(user(&format!("user-{n}"))).await?;
                let transaction = strict!(conn.transaction_with_retry().attempts(100));
                transaction
                    .run(async |conn| {
                        attempts.fetch_add(1, Ordering::Relaxed);
                        let find = samples::table.find(1).select(samples::mass);
                        let mass: Option<f64> = find.first(conn).await?;
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                        conn.audited_update(
                            samples::table.find(1),
                            samples::mass.eq(mass.unwrap() + 1.0),
                        )
                        .execute()
                        .await
                    })
                    .await
            })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap().unwrap(), 1);
    }
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(
        entries.len(),
        WRITERS + 1,
        "no entry of an attempt that was undone"
    );
    let mass = entries[0].changes[0].new.as_ref().unwrap().json().clone();
    assert_eq!(mass.as_f64(), Some(8.0), "no update was lost");
    let attempts = AtomicU32::load(&attempts, Ordering::Relaxed);
    // SQLite's write lock lets one begin after the other.
    assert_eq!(attempts > 8, COLLIDES, "{attempts} attempts");
}

/// Two transactions that take the same rows in opposite order: the database lets one of them go, and it is run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deadlocks_are_run_again() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, vec![named("a"), named("b")])
        .execute()
        .await
        .unwrap();
    let pool = database.pool(2);
    let writers: Vec<_> = [[1, 2], [2, 1]]
        .into_iter()
        .enumerate()
        .map(|(n, order)| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut conn = pool.get(user(&format!("user-{n}"))).await?;
                let transaction = begun!(conn.transaction_with_retry());
                transaction
                    .run(async |conn| {
                        for id in order {
                            let note = samples::note.eq(format!("by {n}"));
                            conn.audited_update(samples::table.find(id), note)
                                .execute()
                                .await?;
                            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                        }
                        Ok::<_, Error>(())
                    })
                    .await
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    for id in [1, 2] {
        assert_eq!(kinds(&history_of(&mut conn, id).await), "~~+");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_failures_are_not_run_again() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let attempts = AtomicU32::new(0);
    let error = conn
        .transaction_with_retry()
        .run(async |conn| {
            attempts.fetch_add(1, Ordering::Relaxed);
            conn.audited_insert(samples::table, vec![named("twice"), named("twice")])
                .execute()
                .await
        })
        .await
        .unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(AtomicU32::load(&attempts, Ordering::Relaxed), 1);
    let inserted = conn
        .transaction_with_retry()
        .run(async |conn| {
            conn.audited_insert(samples::table, named("once"))
                .execute()
                .await
        })
        .await;
    assert_eq!(inserted.unwrap(), 1);
    assert_eq!(count(&mut conn, "samples_history").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_one_transaction() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    let mut batch = conn.audited_batch();
    batch.reason("protocol 4");
    batch.insert(samples::table, vec![named("a"), named("b")]);
    batch.update(samples::table.find(1), samples::note.eq("stained"));
    batch.update(samples::table.find(1), samples::note.eq("washed"));
    batch.delete(samples::table.find(2));
    batch.delete(samples::table.find(99));
    assert_eq!(batch.len(), 5);
    assert_eq!(batch.execute().await.unwrap(), [2, 1, 1, 1, 0]);
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(kinds(&entries), "~~+");
    assert_eq!(
        entries[0].changes[0].old.as_ref().unwrap().text(),
        "stained"
    );
    let gone = history_of(&mut conn, 2).await;
    assert_eq!(kinds(&gone), "-+");
    for entry in entries.iter().chain(&gone) {
        assert_eq!(entry.transaction, entries[0].transaction);
        assert_eq!(entry.reason.as_deref(), Some("protocol 4"));
        assert_eq!(entry.task.as_ref().unwrap().task.task_id, "task-a");
    }
    let nothing = conn.audited_batch().execute().await.unwrap();
    assert!(nothing.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_batches_keep_their_order() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let mut batch = conn.audited_batch();
    batch.insert(samples::table, named("start"));
    for n in 0..600 {
        batch.update(
            samples::table.find(1),
            samples::name.eq(format!("step {n}")),
        );
    }
    let touched = batch.execute().await.unwrap();
    assert_eq!(touched, [1; 601]);
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(entries.len(), 601);
    for (n, entry) in entries.iter().rev().skip(1).enumerate() {
        let name = entry.changes[0].new.as_ref().unwrap().text();
        assert_eq!(name, format!("step {n}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_that_fails_leaves_nothing() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.batch_execute(REFUSE_BAD).await.unwrap();
    for bad in [named("bad one"), named("first")] {
        let mut batch = conn.audited_batch();
        batch.insert(samples::table, named("first"));
        batch.insert(samples::table, bad);
        batch.insert(samples::table, named("last"));
        let error = batch.execute().await.unwrap_err();
        let told = matches!(error, Error::HistoryNotWritten { .. })
            || error.reason() == "CONSTRAINT_VIOLATED";
        assert!(told, "the first failure, not what it led to: {error:?}");
    }
    assert_eq!(count(&mut conn, "samples").await, 0);
    assert_eq!(count(&mut conn, "samples_history").await, 0);
    assert_eq!(count(&mut conn, "koherent_task").await, 0);
    conn.audited_insert(samples::table, named("after"))
        .execute()
        .await
        .unwrap();
    assert_eq!(count(&mut conn, "koherent_task").await, 1);
}
