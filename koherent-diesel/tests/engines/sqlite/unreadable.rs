//! An entry that Koherent did not write, and cannot read, in the way of those who watch.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use futures_util::StreamExt as _;
use koherent_diesel::{Audited as _, Error, HistoryReader, LiveHistory, Watch};

use super::engine::Database;
use crate::tables::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_interrupts_and_does_not_stop_what_comes_behind_it() {
    let database = Database::new().await;
    let pool = database.pool(3);
    let reader = HistoryReader::new(pool.clone(), [samples::table::tracked()]);
    let live = LiveHistory::in_process(&pool, reader.clone());
    let mut stream = live.watch(&reader, Watch::new()).await.unwrap();
    let mut conn = pool.get(ann()).await.unwrap();
    let mut other = database.connect().await;

    let first = conn.audited_insert(samples::table, named("one"));
    first.execute().await.unwrap();
    let odd =
        "INSERT INTO samples_history (id, name, history_kind, history_date, history_transaction)
        VALUES (1, 'one', '~', 'yesterday', '00000000-0000-0000-0000-000000000000')";
    other.batch_execute(odd).await.unwrap();
    let second = conn.audited_insert(samples::table, named("two"));
    second.execute().await.unwrap();

    // What lies before it may be told before; then whoever watches is told to look.
    let until_interrupted = async {
        loop {
            match stream.next().await.unwrap() {
                Ok(entry) => assert_ne!(entry.key.to_string(), "3"),
                Err(error) => return error,
            }
        }
    };
    let patience = Duration::from_secs(20);
    let error = tokio::time::timeout(patience, until_interrupted).await;
    assert!(matches!(error.unwrap(), Error::Interrupted));

    let mut again = live.watch(&reader, Watch::new()).await.unwrap();
    let third = conn.audited_insert(samples::table, named("three"));
    third.execute().await.unwrap();
    // What was committed just before may come first.
    let mut told = Vec::new();
    while told.last().is_none_or(|key| key != "3") {
        let next = tokio::time::timeout(patience, again.next()).await;
        told.push(next.unwrap().unwrap().unwrap().key.to_string());
    }
    assert!(told == ["3"] || told == ["2", "3"], "{told:?}");
}
