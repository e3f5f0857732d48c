//! The task's row: once, with the first change, and never for two tasks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Barrier};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use koherent_core::mint::TokenBuilder;
use koherent_core::testing::test_issuer;
use koherent_core::{Attribution, ErrorCode, Principal};
use koherent_diesel::schema::koherent_task;
use koherent_diesel::{AuditedPool, Error, audited_insert, entries_of};
use support::*;

fn task_rows(connection: &mut SqliteConnection) -> Vec<(String, String, Option<String>)> {
    let columns = (
        koherent_task::task_id,
        koherent_task::token_id,
        koherent_task::organization,
    );
    koherent_task::table
        .select(columns)
        .load(connection)
        .unwrap()
}

/// The attribution of a token that differs from the usual one.
fn with_token(change: impl FnOnce(TokenBuilder<'_>) -> TokenBuilder<'_>) -> Attribution {
    from_issuer("rekuest", change)
}

fn from_issuer(
    name: &str,
    change: impl FnOnce(TokenBuilder<'_>) -> TokenBuilder<'_>,
) -> Attribution {
    let issuer = test_issuer(name);
    let token = issuer
        .verifier("lab")
        .verify(&change(issuer.task("task-a")).mint())
        .unwrap();
    let agent =
        Principal::new("https://login.example", "agent-7", "robot").with_organization("bio");
    Attribution::of(agent).with_task(&token).unwrap()
}

#[test]
fn task_row_comes_with_the_first_change_and_only_then() {
    let database = Database::new();
    let mut conn = database.audited(under_task("task-a"));
    conn.audited_delete(samples::table).execute().unwrap();
    assert_eq!(
        task_rows(&mut database.connect()),
        [],
        "nothing was changed under it"
    );
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    conn.audited_insert(samples::table, named("heart"))
        .execute()
        .unwrap();
    let rows = task_rows(&mut database.connect());
    assert_eq!(
        rows,
        [(
            "task-a".into(),
            "token-of-task-a".into(),
            Some("bio".into())
        )]
    );
    let entry = &history_of(&mut conn, 1)[0];
    let record = entry.task.as_ref().unwrap();
    assert_eq!(record.task, **conn.attribution().task().unwrap());
    assert_eq!(record.organization.as_ref().unwrap(), "bio");
}

#[test]
fn token_of_another_task_and_other_descriptions_are_refused() {
    let database = Database::new();
    let usual = with_token(|token| token);
    database
        .audited(usual)
        .audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();

    let reused = with_token(|token| token.claim("tsk", "task-b").claim("rtk", "task-b"));
    let cases = [
        (reused, "TOKEN_REUSED", None),
        (
            from_issuer("other", |token| token),
            "TASK_MISMATCH",
            Some("issuer"),
        ),
        (
            with_token(|token| token.parent("task-0", "task-0")),
            "TASK_MISMATCH",
            Some("parent_task_id"),
        ),
        (
            with_token(|token| token.caused_by("ann", "bob")),
            "TASK_MISMATCH",
            Some("assigner_sub"),
        ),
        (
            in_organization("other"),
            "TASK_MISMATCH",
            Some("organization"),
        ),
    ];
    for (attribution, reason, field) in cases {
        let mut conn = database.audited(attribution);
        let error = conn
            .audited_insert(samples::table, named("heart"))
            .execute()
            .unwrap_err();
        assert_eq!(
            (error.code(), error.reason()),
            (ErrorCode::PermissionDenied, reason)
        );
        if let Some(field) = field {
            assert!(error.to_string().contains(field), "{error}");
        }
    }
    let mut bare = database.connect();
    assert_eq!(
        (
            count(&mut bare, "samples"),
            count(&mut bare, "samples_history")
        ),
        (1, 1)
    );
    assert_eq!(task_rows(&mut bare).len(), 1);
}

fn in_organization(organization: &str) -> Attribution {
    let issuer = test_issuer("rekuest");
    let token = issuer
        .verifier("lab")
        .verify(&issuer.task("task-a").mint())
        .unwrap();
    let agent =
        Principal::new("https://login.example", "agent-7", "robot").with_organization(organization);
    Attribution::of(agent).with_task(&token).unwrap()
}

#[test]
fn new_token_of_the_same_task_is_taken() {
    let database = Database::new();
    for token in ["first", "second"] {
        let mut conn = database.audited(with_token(|builder| builder.token_id(token)));
        conn.audited_insert(samples::table, named(token))
            .execute()
            .unwrap();
    }
    assert_eq!(task_rows(&mut database.connect()).len(), 1);
}

#[test]
fn cache_does_not_learn_from_a_transaction_that_is_rolled_back() {
    let database = Database::new();
    let mut conn = database.audited(under_task("task-a"));
    let rolled_back = conn.transaction::<(), Error, _>(|conn| {
        conn.audited_insert(samples::table, named("liver"))
            .execute()?;
        Err(diesel::result::Error::RollbackTransaction.into())
    });
    assert!(rolled_back.is_err());
    conn.batch_execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON samples_history WHEN NEW.name = 'bad'
         BEGIN SELECT RAISE(ABORT, 'no'); END;",
    )
    .unwrap();
    assert!(
        conn.audited_insert(samples::table, named("bad"))
            .execute()
            .is_err()
    );
    conn.audited_insert(samples::table, named("heart"))
        .execute()
        .unwrap();
    assert_eq!(
        task_rows(&mut database.connect()).len(),
        1,
        "the row had to be written still"
    );
}

async fn pool(
    database: &Database,
    size: usize,
) -> AuditedPool<Pool<SyncConnectionWrapper<SqliteConnection>>> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(|file| {
        let file = file.to_owned();
        Box::pin(async move {
            let mut connection =
                SyncConnectionWrapper::<SqliteConnection>::establish(&file).await?;
            let pragmas = "PRAGMA busy_timeout = 60000; PRAGMA synchronous = OFF;";
            connection.batch_execute(pragmas).await.unwrap();
            Ok(connection)
        })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(database.file(), config);
    AuditedPool::new(Pool::builder(manager).max_size(size).build().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sixty_four_first_writes_under_one_task_give_one_row_and_sixty_four_entries() {
    let database = Database::new();
    let pool = pool(&database, 16).await;
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
    let mut bare = database.connect();
    assert_eq!(task_rows(&mut bare).len(), 1);
    assert_eq!(
        count(&mut bare, "samples_history WHERE history_task = 'task-new'"),
        64
    );
}

/// A request that is cancelled half-way through a transaction must not hold the write lock from inside the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connection_with_an_open_transaction_does_not_go_back_into_the_pool() {
    let database = Database::new();
    let pool = pool(&database, 4).await;
    let (began, has_begun) = tokio::sync::oneshot::channel();
    let request = {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut conn = pool.get(ann()).await.unwrap();
            conn.transaction(async |conn| {
                conn.audited_insert(samples::table, named("lost"))
                    .execute()
                    .await?;
                began.send(()).unwrap();
                std::future::pending::<Result<(), Error>>().await
            })
            .await
        })
    };
    has_begun.await.unwrap();
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());

    let mut other = database.connect();
    other.batch_execute("PRAGMA busy_timeout = 0;").unwrap();
    audited_insert(samples::table, named("kept"))
        .by(&ann())
        .execute(&mut other)
        .unwrap();
    assert_eq!(
        (
            count(&mut other, "samples"),
            count(&mut other, "samples_history")
        ),
        (1, 1)
    );
}

/// Look, then insert, without a lock between: two writers see no row and both insert. The harness can fail.
#[test]
fn negative_control_look_then_insert_races() {
    let database = Database::new();
    let looked = Barrier::new(2);
    let insert = || {
        let mut conn = database.connect();
        let found = count(&mut conn, "koherent_task");
        looked.wait();
        assert_eq!(found, 0);
        diesel::sql_query(
            "INSERT INTO koherent_task (task_id, root_task_id, assigner_sub, caller_sub, agent_sub, agent_client_id, issuer, \
             token_id, args_hash, args_hash_algorithm, created_at) VALUES ('t', 't', '', '', '', '', '', 'j', '', '', '')",
        )
        .execute(&mut conn)
        .is_ok()
    };
    let successes = std::thread::scope(|scope| {
        let writers = [scope.spawn(insert), scope.spawn(insert)];
        writers
            .into_iter()
            .filter_map(|writer| writer.join().ok())
            .filter(|ok| *ok)
            .count()
    });
    assert_eq!(successes, 1, "one of the two writers fails");
}
