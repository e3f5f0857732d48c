//! The same calls through diesel-async.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use diesel::prelude::*;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, RunQueryDsl};
use koherent_core::HistoryEntry;
use koherent_diesel::{Audited, AuditedConnection, Error, audited_update, check, entries_of};
use support::*;

type Sqlite = SyncConnectionWrapper<SqliteConnection>;

async fn connect(database: &Database) -> AuditedConnection<Sqlite> {
    AuditedConnection::new(Sqlite::establish(&database.file()).await.unwrap(), ann())
}

async fn history(conn: &mut AuditedConnection<Sqlite>, id: i64) -> Vec<HistoryEntry> {
    entries_of(samples::table, id).load(conn).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_recorded_and_reads_go_through() {
    let database = Database::new();
    let mut conn = connect(&database).await;
    let local = named("liver");
    let liver: Sample = conn
        .audited_insert(samples::table, &local)
        .get_result()
        .await
        .unwrap();
    let name = String::from("heart");
    conn.audited_update(&liver, samples::name.eq(&name))
        .execute()
        .await
        .unwrap();
    let read: String = samples::table
        .select(samples::name)
        .first(&mut conn)
        .await
        .unwrap();
    assert_eq!(read, name);
    conn.audited_delete(samples::table.find(liver.id))
        .get_results::<Sample>()
        .await
        .unwrap();
    assert_eq!(kinds(&history(&mut conn, 1).await), "-~+");
    assert_eq!(
        check(&mut conn, [samples::table::tracked()]).await.unwrap(),
        []
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_group_and_roll_back() {
    let database = Database::new();
    let mut conn = connect(&database).await;
    conn.transaction(async |conn| {
        conn.audited_insert(samples::table, named("liver"))
            .execute()
            .await?;
        conn.audited_update(samples::table.find(1), samples::name.eq("heart"))
            .execute()
            .await
    })
    .await
    .unwrap();
    let entries = history(&mut conn, 1).await;
    assert_eq!(kinds(&entries), "~+");
    assert_eq!(entries[0].transaction, entries[1].transaction);

    let rolled_back = conn
        .transaction(async |conn| {
            conn.audited_delete(samples::table).execute().await?;
            Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
        })
        .await;
    assert!(rolled_back.is_err());
    assert_eq!(kinds(&history(&mut conn, 1).await), "~+");
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_connection_takes_an_explicit_attribution() {
    let database = Database::new();
    let mut conn = connect(&database).await;
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    let mut bare = conn.into_inner();
    let changes = samples::name.eq("heart");
    audited_update(samples::table.find(1), changes)
        .by(&under_task("task-a"))
        .execute(&mut bare)
        .await
        .unwrap();
    let entries = entries_of(samples::table, 1).load(&mut bare).await.unwrap();
    assert_eq!(entries[0].user.as_ref().unwrap(), "agent-7");
    assert_eq!(entries[1].user.as_ref().unwrap(), "ann");
}
