//! Entries that a trigger swallows. MariaDB's triggers cannot: they let a row in, or fail.

use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_diesel::Error;

use super::engine::{Database, SWALLOW_BAD};
use crate::tables::*;

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_is_rolled_back_when_its_history_is_swallowed() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.batch_execute(SWALLOW_BAD).await.unwrap();
    let error = conn
        .audited_insert(samples::table, vec![named("good"), named("bad")])
        .execute()
        .await
        .unwrap_err();
    let expected = matches!(
        error,
        Error::HistoryIncomplete {
            changed: 2,
            recorded: 1,
            ..
        }
    );
    assert!(expected, "{error:?}");
    for table in ["samples", "samples_history"] {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        let counted: Counted = diesel::sql_query(sql).get_result(&mut conn).await.unwrap();
        assert_eq!(counted.n, 0);
    }
}
