//! Transactions whose outcome is asked for, writes that are sent again, clients that write the same rows, tasks that are handed
//! over.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use koherent_core::{Attribution, ErrorCode, Principal};
use koherent_diesel::{Audited as _, AuditedConnection, Error, Idempotency, Outcome, outcome};

use super::engine::{Conn, Database};
use super::{count, history_of};
use crate::effort::effort;
use crate::tables::*;

/// Each client reads both rows and then writes both, in one order, in a plain transaction. SQLite began these deferred once,
/// and refused what had read before somebody else wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_read_and_then_write_the_same_rows_are_not_refused() {
    const CLIENTS: usize = 64;
    let rounds = effort(2, 100);
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let rows = vec![named("a"), named("b")];
    conn.audited_insert(samples::table, rows)
        .execute()
        .await
        .unwrap();
    let pool = database.pool(16);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for round in 0..rounds {
                    let mut conn = pool.get(user(&format!("user-{client}"))).await?;
                    conn.transaction(async |conn| {
                        let names = samples::table.select(samples::name).order(samples::id);
                        let names: Vec<String> = names.load(conn).await?;
                        assert_eq!(names, ["a", "b"]);
                        for id in [1, 2] {
                            let note = samples::note.eq(format!("{client} {round}"));
                            conn.audited_update(samples::table.find(id), note)
                                .execute()
                                .await?;
                        }
                        Ok::<_, Error>(())
                    })
                    .await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap().unwrap();
    }
    for id in [1, 2] {
        assert_eq!(history_of(&mut conn, id).await.len(), CLIENTS * rounds + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcome_of_a_transaction_is_told_by_its_id() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, named("there"))
        .execute()
        .await
        .unwrap();
    let transaction = history_of(&mut conn, 1).await[0].transaction;
    let ask = |transaction| outcome(transaction).within([samples::table::tracked()]);
    assert_eq!(
        ask(transaction).load(&mut conn).await.unwrap(),
        Outcome::Committed
    );
    let rolled_back = conn
        .transaction(async |conn| {
            conn.audited_update(samples::table.find(1), samples::note.eq("gone"))
                .execute()
                .await?;
            Err::<(), _>(Error::TokenReused)
        })
        .await;
    assert!(rolled_back.is_err());
    let nobodys = "0199a1b2-0000-7000-8000-000000000000".parse().unwrap();
    assert_eq!(
        ask(nobodys).load(&mut conn).await.unwrap(),
        Outcome::NotCommitted
    );
}

async fn keyed(database: &Database, who: Attribution, payload: &[u8]) -> AuditedConnection<Conn> {
    let conn = database.audited(who).await;
    conn.with_idempotency(Idempotency::new(
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        payload,
    ))
}

/// One way to write: a statement alone, a transaction, one that is built, a batch.
async fn write(way: usize, conn: &mut AuditedConnection<Conn>, name: &str) -> Result<(), Error> {
    let insert = samples::name.eq(name.to_owned());
    match way {
        0 => conn
            .audited_insert(samples::table, insert)
            .execute()
            .await
            .map(drop),
        1 => {
            conn.transaction(async |conn| {
                conn.audited_insert(samples::table, insert)
                    .execute()
                    .await
                    .map(drop)
            })
            .await
        }
        2 => {
            conn.transaction_with_retry()
                .run(async |conn| {
                    conn.audited_insert(samples::table, insert)
                        .execute()
                        .await
                        .map(drop)
                })
                .await
        }
        _ => {
            let mut batch = conn.audited_batch();
            batch.insert(samples::table, insert);
            batch.execute().await.map(drop)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_write_under_its_key_changes_once() {
    let database = Database::new().await;
    for way in 0..4 {
        let name = format!("way {way}");
        let mut first = keyed(&database, user(&name), name.as_bytes()).await;
        write(way, &mut first, &name).await.unwrap();
        let mut again = keyed(&database, user(&name), name.as_bytes()).await;
        // Another name would be no violation of a constraint: the key alone keeps it out.
        let error = write(way, &mut again, &format!("{name} again"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.reason()),
            (ErrorCode::AlreadyDone, "ALREADY_DONE"),
            "{way}: {error:?}"
        );
        let ask = outcome(error.transaction().unwrap()).within([samples::table::tracked()]);
        assert_eq!(ask.load(&mut again).await.unwrap(), Outcome::Committed);
        // The connection goes on, and so does the one that was first.
        write(way, &mut again, &format!("{name} next"))
            .await
            .unwrap();
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(count(&mut conn, "samples").await, 8);
    assert_eq!(count(&mut conn, "samples_history").await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writes_under_one_key_that_race_one_is_made() {
    let database = Database::new().await;
    for way in 0..4 {
        let mut writers = Vec::new();
        for n in 0..4 {
            let mut conn = keyed(&database, user(&format!("way {way}")), b"payload").await;
            let name = format!("way {way} writer {n}");
            writers.push(tokio::spawn(
                async move { write(way, &mut conn, &name).await },
            ));
        }
        let mut done = 0;
        for writer in writers {
            match writer.await.unwrap() {
                Ok(()) => done += 1,
                Err(error) => assert_eq!(error.reason(), "ALREADY_DONE", "{error:?}"),
            }
        }
        assert_eq!(done, 1);
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(count(&mut conn, "samples").await, 4);
}

/// The same harness without a key changes as often as it is asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_control_without_a_key_a_write_that_is_sent_again_changes_twice() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    write(0, &mut conn, "first").await.unwrap();
    write(0, &mut conn, "again").await.unwrap();
    assert_eq!(count(&mut conn, "samples").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_payload_under_the_same_key_is_refused() {
    let database = Database::new().await;
    let mut first = keyed(&database, ann(), b"one").await;
    write(0, &mut first, "one").await.unwrap();
    let mut other = keyed(&database, ann(), b"two").await;
    let error = write(0, &mut other, "two").await.unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (ErrorCode::BadRequest, "IDEMPOTENCY_KEY_REUSED")
    );
    assert_eq!(count(&mut first, "samples").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_somebody_else_is_another_key() {
    let database = Database::new().await;
    for name in ["ann", "bob"] {
        let mut conn = keyed(&database, user(name), b"payload").await;
        write(1, &mut conn, name).await.unwrap();
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(count(&mut conn, "samples").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_failed_leaves_its_key_free() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    write(0, &mut conn, "taken").await.unwrap();
    for way in 0..4 {
        let name = format!("way {way}");
        let mut first = keyed(&database, user(&name), b"payload").await;
        let error = write(way, &mut first, "taken").await.unwrap_err();
        assert_eq!(error.reason(), "CONSTRAINT_VIOLATED");
        let mut again = keyed(&database, user(&name), b"payload").await;
        write(way, &mut again, &name).await.unwrap();
    }
    assert_eq!(count(&mut conn, "samples").await, 5);
}

/// The attribution of an agent of that name, under the task that everybody here has.
fn agent(name: &str) -> Attribution {
    let issuer = koherent_core::testing::test_issuer("rekuest");
    let token = issuer.task("task-a").token_id(&format!("token-of-{name}"));
    let token = issuer
        .verifier("lab")
        .verify(&token.actor(name, "robot").mint())
        .unwrap();
    let agent = Principal::new("https://login.example", name, "robot").with_organization("bio");
    Attribution::of(agent).with_task(&token).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_handed_over_to_another_agent_writes_where_that_is_said() {
    let database = Database::new().await;
    let mut first = database.audited(agent("agent-7")).await;
    write(0, &mut first, "first").await.unwrap();

    let mut second = database.audited(agent("agent-8")).await;
    let error = write(0, &mut second, "refused").await.unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (ErrorCode::PermissionDenied, "TASK_MISMATCH")
    );

    let mut second = database
        .audited(agent("agent-8"))
        .await
        .with_tasks_handed_over();
    let update = second.audited_update(samples::table.find(1), samples::note.eq("second"));
    assert_eq!(update.execute().await.unwrap(), 1);
    let entries = history_of(&mut second, 1).await;
    let agents: Vec<_> = entries
        .iter()
        .map(|entry| entry.user.clone().unwrap().to_string())
        .collect();
    assert_eq!(
        agents,
        ["agent-8", "agent-7"],
        "each entry has the agent of its token"
    );
    let tasks: Vec<_> = entries
        .iter()
        .map(|entry| entry.task.clone().unwrap().task.agent.clone())
        .collect();
    assert_eq!(
        tasks[0], "agent-7",
        "the task keeps the agent that came first"
    );
    assert_eq!(count(&mut second, "koherent_task").await, 1);

    // A pool says it for all of its connections; what is no agent still has to be the same.
    let pool = database.pool(1).with_tasks_handed_over();
    let mut third = pool.get(agent("agent-9")).await.unwrap();
    let update = third.audited_update(samples::table.find(1), samples::note.eq("third"));
    assert_eq!(update.execute().await.unwrap(), 1);
    drop(third);
    let foreign = under_token("rekuest", "bio", "task-a", |token| {
        token.token_id("another").caused_by("somebody", "else")
    });
    let mut foreign = pool.get(foreign).await.unwrap();
    let update = foreign.audited_update(samples::table.find(1), samples::note.eq("fourth"));
    assert_eq!(
        update.execute().await.unwrap_err().reason(),
        "TASK_MISMATCH"
    );
}
