//! How long a reader waits, and what becomes of what it does not wait for.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use koherent_diesel::{Audited as _, Error, HistoryReader, history};

use super::engine::Database;
use crate::tables::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_wait_no_longer_than_they_are_told() {
    let database = Database::new().await;
    let pool = database.pool(1);
    let mut conn = pool.get(ann()).await.unwrap();
    let rows = vec![named("one"), named("two")];
    let insert = conn.audited_insert(samples::table, &rows);
    insert.execute().await.unwrap();
    drop(conn);
    let reader = HistoryReader::new(pool.clone(), [samples::table::tracked()]);
    let hasty = reader.clone().with_timeout(Duration::from_millis(300));

    let mut other = database.connect().await;
    let lock = "BEGIN; LOCK TABLE samples_history IN ACCESS EXCLUSIVE MODE";
    other.batch_execute(lock).await.unwrap();
    let error = hasty.entries(history(samples::table)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert_eq!(error.reason(), "STATEMENT_TIMEOUT");
    assert_eq!(
        error.to_string(),
        "histories took longer to read than 300 ms: ask for less"
    );
    // The only connection is still busy with that: others are told that there is none.
    let error = hasty.entries(history(samples::table)).await.unwrap_err();
    assert_eq!(error.reason(), "NO_CONNECTION");
    other.batch_execute("COMMIT").await.unwrap();

    // And then it is there again, with nothing of the old question's in it.
    let one = history(samples::table).limit(1);
    assert_eq!(reader.entries(one).await.unwrap().len(), 1);

    // What the database itself stops is called the same.
    let mut conn = pool.get(ann()).await.unwrap();
    let stopped = "SET statement_timeout = 50; SELECT pg_sleep(5)";
    let error = Error::from(conn.batch_execute(stopped).await.unwrap_err());
    assert_eq!(error.reason(), "STATEMENT_TIMEOUT");
}
