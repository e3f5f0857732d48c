//! Through which indexes PostgreSQL answers.

use diesel::QueryableByName;
use diesel::prelude::QueryDsl;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_core::ChangeKind;
use koherent_diesel::{HistoryFilter, changed};

use super::engine::{Backend, Conn, Database};
use crate::tables::*;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

/// 40,000 entries of 2,000 rows under 100 tasks, made at once.
async fn filled() -> (Database, koherent_diesel::AuditedConnection<Conn>) {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let entries = "INSERT INTO koherent_task SELECT 'task-' || n, NULL, 'task-' || n, 'ann', 'ann', 'agent-7', 'robot', 'rekuest',
            'token-' || n, repeat('0', 64), 'sha256-canonical-v1', NULL, now() FROM generate_series(0, 99) AS n;
         INSERT INTO samples_history (id, name, history_kind, history_date, history_task, history_transaction, history_user)
            SELECT r, 'sample', CASE e WHEN 0 THEN '+' ELSE '~' END, now() + e * interval '1 second',
                'task-' || (r + e) % 100, gen_random_uuid(), 'user-' || r % 10
            FROM generate_series(0, 19) AS e, generate_series(1, 2000) AS r";
    conn.batch_execute(entries).await.unwrap();
    // As long as a transaction of another test may see the rows as they were, no page is known to be visible to all.
    loop {
        conn.batch_execute("VACUUM ANALYZE samples_history")
            .await
            .unwrap();
        let sql = "SELECT (relallvisible >= relpages)::text AS \"QUERY PLAN\" FROM pg_class WHERE oid = 'samples_history'::regclass";
        let visible: Line = diesel::sql_query(sql).get_result(&mut conn).await.unwrap();
        if visible.line == "true" {
            return (database, conn);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Which rows a task changed, or created, is answered by the task's index: the entries themselves are not looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_task_are_found_in_its_index_alone() {
    let (_database, mut conn) = filled().await;
    let task = || HistoryFilter::new().task("task-50");
    for (filter, is_in_index) in [
        (task(), true),
        (task().kind(ChangeKind::Create), true),
        // What the index does not hold must be looked up: else this test would find nothing wrong.
        (task().reason("histology"), false),
    ] {
        let query = samples::table.filter(changed(samples::table, filter.clone()));
        let query = query.select(samples::id);
        let text = diesel::debug_query::<Backend, _>(&query).to_string();
        let text = text.split(" -- binds").next().unwrap();
        let text = text.replace("$1", "'task-50'").replace("$2", "'histology'");
        let explain = diesel::sql_query(format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {text}"));
        let lines: Vec<Line> = explain.load(&mut conn).await.unwrap();
        let plan: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
        let plan = plan.join("\n");
        let index_only = plan.contains("Index Only Scan using samples_history_task");
        assert_eq!(
            index_only && plan.contains("Heap Fetches: 0"),
            is_in_index,
            "{filter:?}:\n{plan}"
        );
    }
}
