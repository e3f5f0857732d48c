//! What MariaDB and MySQL have of their own.

use bigdecimal::BigDecimal;
use chrono::{NaiveDate, NaiveDateTime};
use diesel::mysql::Mysql;
use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable};
use diesel_async::SimpleAsyncConnection as _;
use koherent_diesel::{Audited, AuditedConnection, Error, Guard, check, entries_of};

use super::engine::{Conn, Database};
use crate::effort::effort;
use crate::tables::*;

koherent_diesel::audited_table! {
    use diesel::mysql::sql_types::*;

    readings => readings_history (id) {
        id -> Unsigned<Integer>,
        tiny -> TinyInt,
        small -> SmallInt,
        big -> Unsigned<BigInt>,
        amount -> Decimal,
        day -> Date,
        at -> Datetime,
        stamp -> Timestamp,
        kind -> Text,
        ratio -> Float,
    }
}

#[derive(Debug, Clone, PartialEq, Queryable, diesel::Insertable)]
#[diesel(table_name = readings)]
struct Reading {
    id: u32,
    tiny: i8,
    small: i16,
    big: u64,
    amount: BigDecimal,
    day: NaiveDate,
    at: NaiveDateTime,
    stamp: NaiveDateTime,
    kind: String,
    ratio: f32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_all_sorts_go_through() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.batch_execute(
        "CREATE TABLE readings (
             id INT UNSIGNED PRIMARY KEY, tiny TINYINT NOT NULL, small SMALLINT NOT NULL, big BIGINT UNSIGNED NOT NULL,
             amount DECIMAL(30, 12) NOT NULL, day DATE NOT NULL, at DATETIME(6) NOT NULL, stamp TIMESTAMP(6) NOT NULL,
             kind ENUM('a', 'b') NOT NULL, ratio FLOAT NOT NULL
         )",
    )
    .await
    .unwrap();
    let ddl = readings::table::history_ddl::<Mysql>();
    conn.batch_execute(&ddl).await.unwrap();
    let differences = check(&mut conn, [readings::table::tracked()]).await;
    assert_eq!(differences.unwrap(), []);
    let at = NaiveDate::from_ymd_opt(2026, 11, 21)
        .and_then(|day| day.and_hms_micro_opt(10, 40, 0, 123_456))
        .unwrap();
    let new = Reading {
        id: 4_000_000_000,
        tiny: -8,
        small: -300,
        big: 18_000_000_000_000_000_000,
        amount: "123456789012345.000000000001".parse().unwrap(),
        day: at.date(),
        at,
        stamp: at,
        kind: "a".to_owned(),
        ratio: 0.5,
    };
    let stored: Reading = conn
        .audited_insert(readings::table, &new)
        .get_result()
        .await
        .unwrap();
    assert_eq!(stored, new);
    let changes = (
        readings::kind.eq("b"),
        readings::tiny.eq(9i8),
        readings::at.eq(at + chrono::Duration::microseconds(1)),
    );
    let changed: Reading = conn
        .audited_update(readings::table.find(new.id), changes)
        .get_result()
        .await
        .unwrap();
    assert_eq!((changed.kind.as_str(), changed.tiny), ("b", 9));
    conn.audited_delete(readings::table)
        .execute()
        .await
        .unwrap();
    let entries = entries_of(readings::table, new.id)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(kinds(&entries), "-~+");
    let fields: Vec<_> = entries[1].changes.iter().map(|c| c.field).collect();
    assert_eq!(fields, ["tiny", "at", "kind"]);
    let text = |entry: usize, field: &str| {
        let change = entries[entry].changes.iter().find(|c| c.field == field);
        change.unwrap().new.as_ref().unwrap().text()
    };
    assert_eq!(text(2, "big"), "18000000000000000000");
    assert_eq!(text(2, "amount"), "123456789012345.000000000001");
    assert_eq!(text(2, "at"), "2026-11-21 10:40:00.123456");
    assert_eq!(text(2, "ratio"), "0.5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_without_transactions_are_reported() {
    let database = Database::unguarded().await;
    let mut conn = database.audited(ann()).await;
    conn.batch_execute("ALTER TABLE samples ENGINE = MyISAM")
        .await
        .unwrap();
    let found = check(&mut conn, [samples::table::tracked()]).await.unwrap();
    let [difference] = &found[..] else {
        panic!("{found:?}")
    };
    let text = difference.to_string();
    assert!(
        text.contains("is stored by MyISAM, which has no transactions"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_upserts_tell_created_from_updated() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, vec![named("a"), named("b")])
        .execute()
        .await
        .unwrap();
    let rows: Vec<_> = ["a", "b", "c", "d"]
        .map(|name| (samples::name.eq(name), samples::mass.eq(1.0)))
        .into();
    // The rows that are there are met by another unique key than the primary one.
    let upsert = diesel::insert_into(samples::table)
        .values(rows)
        .on_conflict(diesel::dsl::DuplicatedKeys)
        .do_update()
        .set(samples::mass.eq(9.0));
    conn.audited_upsert(upsert).execute().await.unwrap();
    for (name, expected) in [("a", "~+"), ("b", "~+"), ("c", "+"), ("d", "+")] {
        use diesel_async::RunQueryDsl as _;
        let find = samples::table.filter(samples::name.eq(name));
        let id: i64 = find.select(samples::id).first(&mut conn).await.unwrap();
        let entries = entries_of(samples::table, id)
            .load(&mut conn)
            .await
            .unwrap();
        assert_eq!(kinds(&entries), expected, "{name}");
    }
}

/// MySQL has no `INSERT … RETURNING`: it tells the keys that it made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_insert_returning_keys_are_those_the_server_made() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await.without_insert_returning();
    let rows: Vec<Sample> = conn
        .audited_insert(samples::table, vec![named("a"), named("b"), named("c")])
        .get_results()
        .await
        .unwrap();
    let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for row in &rows {
        let entries = entries_of(samples::table, row.id)
            .load(&mut conn)
            .await
            .unwrap();
        assert_eq!(kinds(&entries), "+");
    }
    // A key of the caller's own, after one that the server made: it must not be taken for that one.
    let own = (samples::id.eq(500), samples::name.eq("own"));
    let error = conn
        .audited_insert(samples::table, own)
        .execute()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    assert!(error.to_string().contains("AUTO_INCREMENT"), "{error}");
    let upsert = diesel::insert_into(samples::table)
        .values(samples::name.eq("a"))
        .on_conflict(diesel::dsl::DuplicatedKeys)
        .do_update()
        .set(samples::mass.eq(9.0));
    let error = conn.audited_upsert(upsert).execute().await.unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    use diesel_async::RunQueryDsl as _;
    let count: i64 = samples::table.count().get_result(&mut conn).await.unwrap();
    assert_eq!(count, 3, "nothing of what was refused is there");
}

/// Each way to begin a transaction begins one; one that only reads refuses changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_begun_as_they_are_asked_for() {
    use crate::tables::{named, samples};
    use koherent_diesel::Error;
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    for (level, shown) in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
        .into_iter()
        .enumerate()
    {
        let begun = conn.build_transaction();
        let begun = match level {
            0 => begun.read_committed(),
            1 => begun.repeatable_read(),
            _ => begun.serializable(),
        };
        let isolation: String = begun
            .run(async |conn| {
                conn.audited_insert(samples::table, named(shown))
                    .execute()
                    .await?;
                // The server looks at its transactions anew after a tenth of a second.
                tokio::time::sleep(std::time::Duration::from_millis(250)).await;
                let sql = diesel::dsl::sql::<diesel::sql_types::Text>("(SELECT trx_isolation_level FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID())");
                let isolation = diesel_async::RunQueryDsl::get_result(diesel::select(sql), conn);
                Ok::<_, Error>(isolation.await?)
            })
            .await
            .unwrap();
        assert_eq!(isolation, shown);
    }
    let error = conn
        .build_transaction()
        .read_only()
        .run(async |conn| conn.audited_delete(samples::table).execute().await)
        .await
        .unwrap_err();
    assert!(error.to_string().to_lowercase().contains("read"), "{error}");
    let kept = conn.audited_delete(samples::table).execute().await;
    assert_eq!(kept.unwrap(), 3);
}

/// `UPDATE IGNORE` runs triggers for rows that it leaves alone because their new values are taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_ignores_a_taken_value_leaves_no_entry() {
    let database = Database::guarded(&Guard::capture()).await;
    let mut conn = database.audited(ann()).await;
    for name in ["liver", "heart"] {
        conn.audited_insert(samples::table, named(name))
            .execute()
            .await
            .unwrap();
    }
    conn.batch_execute(
        "UPDATE IGNORE samples SET name = 'liver' WHERE id = 2; UPDATE IGNORE samples SET name = 'lung' WHERE id = 1",
    )
    .await
    .unwrap();
    for (id, expected) in [(2, "+"), (1, "~+")] {
        let entries = entries_of(samples::table, id)
            .load(&mut conn)
            .await
            .unwrap();
        assert_eq!(kinds(&entries), expected, "row {id}");
    }
}

/// Tables whose guards refuse, and a trigger of the application that counts deleted documents.
async fn counted(guard: &Guard) -> Database {
    let database = Database::new().await;
    let mut conn = database.connect().await;
    for ddl in [
        "CREATE TABLE docs (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, slug VARCHAR(100), n BIGINT NOT NULL); \
         CREATE TABLE tallies (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)"
            .to_owned(),
        docs::table::history_ddl::<Mysql>(),
        tallies::table::history_ddl::<Mysql>(),
        docs::table::guard_ddl::<Mysql>(guard),
        tallies::table::guard_ddl::<Mysql>(guard),
        "CREATE TRIGGER counts AFTER DELETE ON docs FOR EACH ROW UPDATE tallies SET n = n + 1 WHERE id = 1".to_owned(),
    ] {
        conn.batch_execute(&ddl).await.unwrap();
    }
    let mut conn = database.audited(ann()).await;
    let tally = (tallies::id.eq(1_i64), tallies::n.eq(0_i64));
    conn.audited_insert(tallies::table, tally)
        .execute()
        .await
        .unwrap();
    database
}

async fn insert_docs(conn: &mut AuditedConnection<Conn>, count: i64) {
    let rows = (1..=count).map(|id| (docs::id.eq(id), docs::name.eq("Liver"), docs::n.eq(0_i64)));
    let rows: Vec<_> = rows.collect();
    conn.audited_insert(docs::table, rows)
        .execute()
        .await
        .unwrap();
}

/// A guard that was not told to capture says how to tell it; the registration says whether it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_refuses_a_trigger_says_what_to_do() {
    use diesel_async::RunQueryDsl as _;
    for (guard, captures) in [
        (Guard::refuse(), false),
        (Guard::refuse().capture_triggers(), true),
    ] {
        let database = counted(&guard).await;
        let mut conn = database.audited(ann()).await;
        let registered = diesel::dsl::sql::<diesel::sql_types::Bool>(
            "(SELECT captures_triggers FROM koherent_table WHERE tracked_table = 'tallies')",
        );
        let registered: bool = diesel::select(registered)
            .get_result(&mut conn)
            .await
            .unwrap();
        assert_eq!(registered, captures);
        insert_docs(&mut conn, 2).await;
        let deleted = conn.audited_delete(docs::table).execute().await;
        if captures {
            assert_eq!(deleted.unwrap(), 2);
            continue;
        }
        let error = deleted.unwrap_err();
        assert!(matches!(error, Error::GuardRefused { .. }), "{error:?}");
        let advice = "a trigger's UPDATE of tallies refused, it would leave no history: guard it with Guard::refuse().capture_triggers()";
        assert!(error.to_string().contains(advice), "{error}");
    }
}

/// A session whose clock stands still cannot tell a statement from the next: then nothing behind a delete is part of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_stands_still_lends_no_attribution() {
    let database = counted(&Guard::refuse().capture_triggers()).await;
    let mut conn = database.audited(ann()).await;
    insert_docs(&mut conn, 2).await;
    conn.batch_execute("DROP TRIGGER counts; SET timestamp = 1796000000.25")
        .await
        .unwrap();
    conn.audited_delete(docs::table).execute().await.unwrap();
    let raw = "UPDATE tallies SET n = 100";
    let error = conn.batch_execute(raw).await.unwrap_err();
    assert!(error.to_string().contains("use audited_update"), "{error}");
}

/// The task of a statement that only a trigger writes an entry for has its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_under_which_a_trigger_alone_writes_is_known() {
    use diesel_async::RunQueryDsl as _;
    let database = counted(&Guard::refuse().capture_triggers()).await;
    let mut conn = database.audited(ann()).await;
    insert_docs(&mut conn, 1).await;
    conn.batch_execute(
        "CREATE TRIGGER touched AFTER UPDATE ON docs FOR EACH ROW UPDATE tallies SET n = n + 10 WHERE id = 1",
    )
    .await
    .unwrap();
    let mut conn = database.audited(under_task("t1")).await;
    // It changes nothing.
    let same = conn.audited_update(docs::table, docs::name.eq("Liver"));
    same.execute().await.unwrap();
    let entry = "(SELECT max(history_task) FROM tallies_history WHERE n = 10)";
    let task = "(SELECT max(task_id) FROM koherent_task)";
    for of in [entry, task] {
        let sql = diesel::dsl::sql::<diesel::sql_types::Text>(of);
        let task: String = diesel::select(sql).get_result(&mut conn).await.unwrap();
        assert_eq!(task, "t1", "{of}");
    }
    // And the row is the one that later statements of the task find.
    let other = conn.audited_update(docs::table, docs::name.eq("Heart"));
    other.execute().await.unwrap();
}

/// Changes that take several statements are one: each row is counted, under one transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_in_several_statements_are_counted_as_one() {
    use diesel_async::RunQueryDsl as _;
    // As many keys as one statement takes, and some.
    let count = effort(50, 70_000);
    let database = counted(&Guard::refuse().capture_triggers()).await;
    let mut conn = database.audited(ann()).await;
    conn.batch_execute(
        "CREATE TRIGGER touched AFTER UPDATE ON docs FOR EACH ROW UPDATE tallies SET n = n + 1 WHERE id = 1",
    )
    .await
    .unwrap();
    insert_docs(&mut conn, count).await;
    let update = conn.audited_update(docs::table, docs::name.eq("Heart"));
    update.execute().await.unwrap();
    conn.audited_delete(docs::table).execute().await.unwrap();
    let sql = "SELECT count(*) AS n FROM tallies_history WHERE history_user = 'ann' AND history_kind = '~' AND history_transaction IN \
               (SELECT history_transaction FROM docs_history WHERE history_kind <> '+')";
    let (entries, transactions) = (
        sql.to_owned(),
        sql.replace("count(*)", "count(DISTINCT history_transaction)"),
    );
    for (sql, expected) in [(entries, 2 * count), (transactions, 2)] {
        let counted: Counted = diesel::sql_query(sql).get_result(&mut conn).await.unwrap();
        assert_eq!(counted.n, expected);
    }
}

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}
