//! Many clients over few connections, cancelled at every moment: no attribution reaches another request, no connection
//! comes back broken, no change is there without its history.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::pooled_connection::bb8;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use koherent_core::Attribution;
use koherent_diesel::{AuditedConnection, AuditedPool, Error};

use super::engine::{CANCELLATIONS, CLIENT_WRITES, Conn, Database, POLLS};
use super::{Counted, count};
use crate::effort::effort;
use crate::tables::*;

/// Each client writes rows that carry its own name.
async fn mismatches(conn: &mut AuditedConnection<Conn>) -> i64 {
    count(
        conn,
        "samples_history WHERE history_user IS NULL OR history_user <> note",
    )
    .await
}

/// How many futures the storm cancels.
fn cancellations() -> u32 {
    effort(CANCELLATIONS / 4, CANCELLATIONS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_clients_over_four_connections_keep_their_attribution() {
    let database = Database::new().await;
    let pool = database.pool(4);
    let each = effort(CLIENT_WRITES / 20, CLIENT_WRITES) / 64;
    let clients: Vec<_> = (0..64)
        .map(|client| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for n in 0..each {
                    let name = format!("client {client} of write {n}");
                    let mut conn = pool.get(user(&name)).await?;
                    let row = (samples::name.eq(&name), samples::note.eq(&name));
                    let id: i64 = conn
                        .audited_insert(samples::table, row)
                        .returning(samples::id)
                        .get_result()
                        .await?;
                    conn.audited_update(samples::table.find(id), samples::mass.eq(1.5))
                        .execute()
                        .await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap().unwrap();
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(mismatches(&mut conn).await, 0);
    let written = i64::from(each) * 64 * 2;
    assert_eq!(count(&mut conn, "samples_history").await, written);
    let transactions = "(SELECT DISTINCT history_transaction FROM samples_history) AS t";
    assert_eq!(count(&mut conn, transactions).await, written);
}

/// The unsafe variant: the attribution is a setting of the connection, which outlives the request. The harness sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn negative_control_attribution_kept_by_connections_reaches_others() {
    let database = Database::new().await;
    let connections: Vec<_> = {
        let mut connections = Vec::new();
        for _ in 0..4 {
            let nobody = Attribution::anonymous();
            let connection = AuditedConnection::new(database.connect().await, nobody);
            connections.push(Arc::new(tokio::sync::Mutex::new((connection, ann()))));
        }
        connections
    };
    let clients: Vec<_> = (0..64)
        .map(|client| {
            let slot = Arc::clone(&connections[client % 4]);
            tokio::spawn(async move {
                let name = format!("client {client}");
                slot.lock().await.1 = user(&name);
                tokio::task::yield_now().await;
                let (conn, attribution) = &mut *slot.lock().await;
                let row = (samples::name.eq(&name), samples::note.eq(&name));
                koherent_diesel::audited_insert(samples::table, row)
                    .by(attribution)
                    .execute(conn)
                    .await
                    .unwrap();
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let mut conn = database.audited(ann()).await;
    assert_ne!(mismatches(&mut conn).await, 0);
}

/// Polls a future, each time it is woken, so many times; then drops it. Says whether it was done.
async fn cancelled_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// A row without its entry, or an entry without its row.
async fn torn(conn: &mut AuditedConnection<Conn>) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM samples s WHERE NOT EXISTS \
               (SELECT 1 FROM samples_history h WHERE h.id = s.id AND h.history_kind = '+')) + \
               (SELECT count(*) FROM samples_history h WHERE NOT EXISTS (SELECT 1 FROM samples s WHERE s.id = h.id)) + \
               (SELECT count(*) FROM samples s WHERE s.mass IS NOT NULL AND NOT EXISTS \
               (SELECT 1 FROM samples_history h WHERE h.id = s.id AND h.history_kind = '~' AND h.mass = s.mass)) + \
               (SELECT count(*) FROM samples_history) - (SELECT count(*) FROM \
               (SELECT DISTINCT id, history_kind FROM samples_history) AS d) AS n";
    let counted: Counted = diesel::sql_query(sql).get_result(conn).await.unwrap();
    counted.n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancellation_storm_breaks_no_connection_and_tears_nothing() {
    let database = Database::new().await;
    let pool = database.pool(4);
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let random = fastrand::Rng::with_seed(client);
                storm(pool, client, random).await
            })
        })
        .collect();
    let mut whole = Storm::default();
    for client in clients {
        let one = client.await.unwrap();
        whole.cancelled += one.cancelled;
        whole.inside += one.inside;
        whole.acknowledged.extend(one.acknowledged);
    }
    assert!(
        whole.cancelled > cancellations() / 4,
        "{} were cancelled",
        whole.cancelled
    );
    assert!(
        whole.inside > cancellations() / 100,
        "{} in a transaction",
        whole.inside
    );

    // Every connection of the pool works, outside of any transaction.
    let mut taken = Vec::new();
    for n in 0..4 {
        let mut conn = pool.get(user("afterwards")).await.unwrap();
        let name = format!("afterwards {n}");
        let row = (samples::name.eq(&name), samples::note.eq("afterwards"));
        conn.audited_insert(samples::table, row)
            .execute()
            .await
            .unwrap();
        taken.push(conn);
    }
    drop(taken);
    let mut conn = database.audited(ann()).await;
    assert_eq!(
        count(&mut conn, "samples WHERE note = 'afterwards'").await,
        4
    );
    assert_eq!(torn(&mut conn).await, 0);
    assert_eq!(mismatches(&mut conn).await, 0);
    // What was acknowledged is there.
    let stored: Vec<String> = samples::table
        .select(samples::name)
        .load(&mut conn)
        .await
        .unwrap();
    let stored: HashSet<_> = stored.into_iter().collect();
    assert!(!whole.acknowledged.is_empty());
    for name in &whole.acknowledged {
        assert!(stored.contains(name), "{name} was acknowledged");
    }
}

/// What a client saw.
#[derive(Debug, Default)]
struct Storm {
    cancelled: u32,
    /// Of these, with a transaction open.
    inside: u32,
    acknowledged: Vec<String>,
}

async fn storm(
    pool: AuditedPool<diesel_async::pooled_connection::deadpool::Pool<Conn>>,
    client: u64,
    mut random: fastrand::Rng,
) -> Storm {
    let mut storm = Storm::default();
    for n in 0..cancellations() / 16 {
        let name = format!("client {client} of write {n}");
        let row = (samples::name.eq(&name), samples::note.eq(&name));
        let whole = random.bool();
        let inside = AtomicBool::new(false);
        let request = async {
            let mut conn = pool.get(user(&name)).await?;
            if whole {
                conn.audited_insert(samples::table, row).execute().await?;
                return Ok(());
            }
            conn.transaction(async |conn| {
                inside.store(true, Ordering::Relaxed);
                let insert = conn.audited_insert(samples::table, row);
                let id: i64 = insert.returning(samples::id).get_result().await?;
                let find = samples::table.find(id);
                conn.audited_update(find, samples::mass.eq(2.5))
                    .execute()
                    .await?;
                Ok::<_, Error>(())
            })
            .await
        };
        match cancelled_after(random.u32(0..POLLS), request).await {
            Some(result) => {
                result.unwrap();
                storm.acknowledged.push(name);
            }
            None => {
                storm.cancelled += 1;
                storm.inside += u32::from(inside.into_inner());
            }
        }
    }
    storm
}

/// The unsafe variant: a connection with an open transaction goes to the next request. What that one writes is acknowledged,
/// and is never there. The harness sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn negative_control_connection_with_an_open_transaction_loses_what_is_acknowledged() {
    let database = Database::new().await;
    let mut reused = database.audited(ann()).await;
    let request = reused.transaction(async |conn| {
        let row = (samples::name.eq("cut"), samples::note.eq("ann"));
        conn.audited_insert(samples::table, row).execute().await?;
        std::future::pending::<Result<(), Error>>().await
    });
    let cut = tokio::time::timeout(Duration::from_secs(1), request).await;
    assert!(cut.is_err());
    let row = (samples::name.eq("acknowledged"), samples::note.eq("ann"));
    reused
        .audited_insert(samples::table, row)
        .execute()
        .await
        .unwrap();
    drop(reused);
    let mut conn = database.audited(ann()).await;
    assert_eq!(count(&mut conn, "samples").await, 0);
}

/// The unsafe variant: change and history are two statements, each its own transaction, and the request is cancelled
/// between the two. The harness sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn negative_control_two_statements_are_torn_by_a_cancellation() {
    let database = Database::unguarded().await;
    let mut conn = database.audited(ann()).await;
    let request = async {
        let mut bare = database.connect().await;
        let row = (samples::name.eq("torn"), samples::note.eq("ann"));
        diesel::insert_into(samples::table)
            .values(row)
            .execute(&mut bare)
            .await
            .unwrap();
        // Here the entry would be written.
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    let cut = tokio::time::timeout(Duration::from_secs(5), request).await;
    assert!(cut.is_err());
    assert_ne!(torn(&mut conn).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bb8_hands_out_audited_connections_and_takes_back_whole_ones() {
    let database = Database::new().await;
    let pool = bb8::Pool::builder()
        .max_size(2)
        .build(database.manager())
        .await
        .unwrap();
    let pool = AuditedPool::new(pool);
    let mut conn = pool.get(user("bea")).await.unwrap();
    let row = (samples::name.eq("a"), samples::note.eq("bea"));
    conn.audited_insert(samples::table, row)
        .execute()
        .await
        .unwrap();
    // A request that is cancelled in its transaction.
    let request = conn.transaction(async |conn| {
        let row = (samples::name.eq("lost"), samples::note.eq("bea"));
        conn.audited_insert(samples::table, row).execute().await?;
        std::future::pending::<Result<(), Error>>().await
    });
    let cut = tokio::time::timeout(Duration::from_millis(500), request).await;
    assert!(cut.is_err());
    drop(conn);
    for n in 0..4 {
        let mut conn = pool.get(user("bea")).await.unwrap();
        let name = format!("b {n}");
        let row = (samples::name.eq(&name), samples::note.eq("bea"));
        conn.audited_insert(samples::table, row)
            .execute()
            .await
            .unwrap();
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(count(&mut conn, "samples").await, 5);
    assert_eq!(mismatches(&mut conn).await, 0);
}
