//! Entries as they are committed.

use std::time::Duration;

use diesel::result::Error as DieselError;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::AsyncConnection as _;
use diesel_async::pooled_connection::deadpool::Pool;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use koherent_core::HistoryEntry;
use koherent_diesel::{
    Audited as _, AuditedPool, Cursor, Error, HistoryReader, HistoryScope, Watch,
};
use std::sync::Arc;

use super::engine::{Conn, Database, live};
use crate::tables::*;

type Stream = BoxStream<'static, Result<Arc<HistoryEntry>, Error>>;

async fn told(stream: &mut Stream) -> String {
    let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    let entry = next
        .expect("an entry within 20 s")
        .expect("the stream goes on")
        .unwrap();
    format!("{}{} {}", entry.kind.code(), entry.key, entry.table)
}

/// So many samples, called by their numbers.
async fn insert(pool: &AuditedPool<Pool<Conn>>, count: i64) {
    let mut conn = pool.get(ann()).await.unwrap();
    let rows: Vec<_> = (0..count).map(|n| named(&format!("{n}"))).collect();
    let insert = conn.audited_insert(samples::table, &rows);
    insert.execute().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_told_and_nothing_else() {
    let database = Database::new().await;
    let pool = database.pool(4);
    let tables = [samples::table::tracked(), places::table::tracked()];
    let reader = HistoryReader::new(pool.clone(), tables);
    let live = live(&database, &pool, reader.clone()).await;
    let mut conn = pool.get(ann()).await.unwrap();
    let mut of_task = pool.get(under_task("task-a")).await.unwrap();

    let mut all = live.watch(&reader, Watch::new()).await.unwrap();
    let mut row = live
        .watch(&reader, Watch::new().table("samples").key("2"))
        .await
        .unwrap();
    let mut task = live
        .watch(&reader, Watch::new().task("task-a"))
        .await
        .unwrap();
    let others = reader.within(HistoryScope::organization("geo"));
    let mut nothing = live.watch(&others, Watch::new()).await.unwrap();

    let rows = vec![named("one"), named("two")];
    conn.audited_insert(samples::table, &rows)
        .execute()
        .await
        .unwrap();
    // A transaction that is rolled back, a savepoint that is, and what is committed with it.
    let failed: Result<(), Error> = conn
        .transaction(async |conn| {
            conn.audited_update(samples::table.find(1), samples::note.eq("lost"))
                .execute()
                .await?;
            Err(DieselError::RollbackTransaction.into())
        })
        .await;
    failed.unwrap_err();
    conn.transaction(async |conn| {
        conn.audited_update(samples::table.find(1), samples::note.eq("kept"))
            .execute()
            .await?;
        let lost: Result<(), Error> = conn
            .transaction(async |conn| {
                conn.audited_delete(samples::table.find(1))
                    .execute()
                    .await?;
                Err(DieselError::RollbackTransaction.into())
            })
            .await;
        lost.unwrap_err();
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    of_task
        .audited_update(samples::table.find(2), samples::note.eq("stained"))
        .execute()
        .await
        .unwrap();
    let place = (
        places::room.eq("attic"),
        places::shelf.eq(3),
        places::content.eq("box"),
    );
    of_task
        .audited_insert(places::table, place)
        .execute()
        .await
        .unwrap();

    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(told(&mut all).await);
    }
    // Of one row in their order; which row comes first, nobody says.
    said[..2].sort_unstable();
    said[2..].sort_unstable();
    assert_eq!(
        said,
        [
            "+1 samples",
            "+2 samples",
            "+attic, 3 places",
            "~1 samples",
            "~2 samples"
        ]
    );
    assert_eq!(told(&mut row).await, "+2 samples");
    let first = Cursor::of(
        &koherent_diesel::entries_of(samples::table, 2)
            .load(&mut conn)
            .await
            .unwrap()[1],
    );
    assert_eq!(told(&mut row).await, "~2 samples");
    let mut under_task = [told(&mut task).await, told(&mut task).await];
    under_task.sort_unstable();
    assert_eq!(under_task, ["+attic, 3 places", "~2 samples"]);

    // What was missed comes first, and nothing twice.
    let watch = Watch::new().table("samples").key(2).after(first);
    let mut resumed = live.watch(&reader, watch).await.unwrap();
    conn.audited_delete(samples::table.find(2))
        .execute()
        .await
        .unwrap();
    assert_eq!(told(&mut resumed).await, "~2 samples");
    assert_eq!(told(&mut resumed).await, "-2 samples");
    assert_eq!(told(&mut row).await, "-2 samples");
    let none = tokio::time::timeout(Duration::from_millis(1500), nothing.next()).await;
    assert!(none.is_err(), "{none:?}");
}

/// Many writers at once: each row's entries come in their order, and all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_a_row_come_in_their_order() {
    const ROWS: i64 = 4;
    const UPDATES: i64 = 25;
    let database = Database::new().await;
    let pool = database.pool(4);
    let reader = HistoryReader::new(pool.clone(), [samples::table::tracked()]);
    let live = live(&database, &pool, reader.clone()).await;
    let mut stream = live.watch(&reader, Watch::new()).await.unwrap();
    insert(&pool, ROWS).await;
    let writers: Vec<_> = (1..=ROWS)
        .flat_map(|row| (0..2).map(move |half| (row, half)))
        .map(|(row, half)| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for n in 0..UPDATES {
                    let mut conn = pool.get(ann()).await.unwrap();
                    let note = samples::note.eq(format!("{half} {n}"));
                    let update = conn.audited_update(samples::table.find(row), note);
                    update.execute().await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let expected = ROWS + 2 * ROWS * UPDATES;
    let mut last = std::collections::HashMap::new();
    for _ in 0..expected {
        let next = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
        let entry = next.expect("all entries come").unwrap().unwrap();
        let before = last.insert(entry.key.to_string(), entry.id).unwrap_or(0);
        assert!(before < entry.id, "{before} then {}", entry.id);
    }
}

/// More is missed than one page has; keys are written as clients write them; tables that the reader does not read are not told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_comes_page_by_page_and_once() {
    const ROWS: i64 = 1_201;
    let database = Database::new().await;
    let pool = database.pool(4);
    let tables = [samples::table::tracked(), places::table::tracked()];
    let all = HistoryReader::new(pool.clone(), tables);
    let live = live(&database, &pool, all).await;
    let reader = HistoryReader::new(pool.clone(), [samples::table::tracked()]);
    let mut conn = pool.get(ann()).await.unwrap();
    insert(&pool, ROWS).await;
    let first = koherent_diesel::entries_of(samples::table, 1);
    let first = Cursor::of(&first.load(&mut conn).await.unwrap()[0]);
    let watch = Watch::new().after(first.clone());
    let mut stream = live.watch(&reader, watch).await.unwrap();
    assert_eq!(told(&mut stream).await, "+2 samples");
    let place = (
        places::room.eq("attic"),
        places::shelf.eq(3),
        places::content.eq("box"),
    );
    conn.audited_insert(places::table, place)
        .execute()
        .await
        .unwrap();
    conn.audited_update(samples::table.find(7), samples::note.eq("new"))
        .execute()
        .await
        .unwrap();
    for row in 3..=ROWS {
        assert_eq!(told(&mut stream).await, format!("+{row} samples"));
    }
    assert_eq!(told(&mut stream).await, "~7 samples");
    let update = conn.audited_update(samples::table.find(7), samples::note.eq("newer"));
    update.execute().await.unwrap();
    assert_eq!(told(&mut stream).await, "~7 samples");

    // The place of an entry of another row, or of another table, says nothing about a row.
    let row = Watch::new().table("samples").key("007");
    let mut stream = live.watch(&reader, row.after(first)).await.unwrap();
    for expected in ["+7 samples", "~7 samples", "~7 samples"] {
        assert_eq!(told(&mut stream).await, expected);
    }
    let delete = conn.audited_delete(samples::table.find(7));
    delete.execute().await.unwrap();
    assert_eq!(told(&mut stream).await, "-7 samples");
}
