//! What triggers of an application write is in the histories: as part of the audited statement that they follow, or captured.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_diesel::{Audited as _, AuditedConnection, Error, Policy};

use self::application::{Dialect, Trigger, Write, tables};
use self::model::{audited, guards, history, is_refusal, replay, replay_docs, replay_tallies};
use super::engine;
use super::engine::{Backend, Conn, DIALECT, Database, ROLE, earlier_guards};
use crate::effort::effort;
use crate::tables::*;

pub mod application;
mod model;

/// How many histories are tried with each policy: more in the long run.
fn histories() -> u64 {
    effort(50, 1_000)
}

/// All histories, or the one that is asked for (`KOHERENT_SEED`).
async fn hold(policy: Policy) {
    let asked = std::env::var("KOHERENT_SEED").ok();
    let seeds = match asked.and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..histories(),
    };
    let guards = guards(policy);
    for seed in seeds {
        if let Err(violation) = history(seed, policy, &guards).await {
            panic!("{violation}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_replay_to_rows_whatever_triggers_an_application_has() {
    hold(Policy::Capture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggers_of_audited_statements_are_recorded_where_raw_writes_are_refused() {
    hold(Policy::Refuse).await;
}

/// The model sees what is wrong with guards of before: those that knew nothing of an application's triggers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_control_the_model_fails_with_earlier_guards() {
    let (policy, guards, wrong) = earlier_guards();
    for seed in 0..50 {
        if let Err(violation) = history(seed, policy, &guards).await {
            assert!(violation.contains(wrong), "{violation}");
            return;
        }
    }
    panic!("no history of 50 shows what is wrong");
}

/// The harness sees what it is to see: an entry behind another that the row has left.
#[test]
fn negative_control_entries_in_the_wrong_order_are_seen() {
    let date = DateTime::<Utc>::MIN_UTC;
    let image = |slug: &str| ("Heart".to_owned(), Some(slug.to_owned()), 0);
    let mut entries = vec![
        (1, image("liver"), "+".to_owned(), date),
        (1, image("heart"), "~".to_owned(), date),
        (1, image("liver"), "~".to_owned(), date),
    ];
    let rows = BTreeMap::from([(1, image("heart"))]);
    assert!(
        replay(&entries, &rows)
            .unwrap_err()
            .contains("the rows are")
    );
    entries.pop();
    assert_eq!(replay(&entries, &rows), Ok(()));
}

/// Documents and tallies, two of which are there, with guards behind or before a trigger.
async fn guarded(guards: &[String], trigger: Option<(&Trigger, bool)>) -> Database {
    let database = Database::new().await;
    let mut conn = database.connect().await;
    conn.batch_execute(&tables()).await.unwrap();
    let mut ddl = vec![
        docs::table::history_ddl::<Backend>(),
        tallies::table::history_ddl::<Backend>(),
    ];
    ddl.extend_from_slice(guards);
    if let Some((trigger, is_first)) = trigger {
        let at = if is_first { 0 } else { ddl.len() };
        ddl.insert(at, trigger.ddl(DIALECT));
    }
    for ddl in ddl {
        conn.batch_execute(&ddl).await.unwrap();
    }
    database
}

/// A trigger on the documents that writes to the tallies.
fn on_docs(event: &'static str, body: &str) -> Trigger {
    Trigger {
        name: "a_counter".to_owned(),
        table: "docs".to_owned(),
        before: false,
        event,
        per_statement: false,
        body: body.to_owned(),
    }
}

/// Kind, count, user, transaction and the captured statement of the entries of the tallies.
type Tally = (String, i64, Option<String>, Option<String>, Option<String>);

async fn tallied(conn: &mut AuditedConnection<Conn>) -> Vec<Tally> {
    use tallies_history as h;
    type Row = (
        String,
        i64,
        Option<String>,
        String,
        Option<serde_json::Value>,
    );
    let rows: Vec<Row> = h::table
        .order(h::history_id)
        .select((
            h::history_kind,
            h::n,
            h::history_user,
            diesel::dsl::sql::<diesel::sql_types::Text>("CAST(history_transaction AS CHAR(36))"),
            h::history_context,
        ))
        .load(conn)
        .await
        .unwrap();
    rows.into_iter()
        .map(|(kind, n, user, transaction, context)| {
            let captured =
                context.and_then(|context| Some(context.get("captured")?.as_str()?.to_owned()));
            (kind, n, user, Some(transaction), captured)
        })
        .collect()
}

/// Inserts, renames and deletes two documents, one statement each.
fn changes() -> [(&'static str, Write); 3] {
    [
        ("INSERT", Write::Insert(vec![1, 2], "Liver".to_owned())),
        ("UPDATE", Write::RenameAll("Heart".to_owned())),
        ("DELETE", Write::DeleteFrom(1)),
    ]
}

async fn last_transaction(conn: &mut AuditedConnection<Conn>) -> Option<String> {
    use docs_history as h;
    let last: String = h::table
        .order(h::history_id.desc())
        .select(diesel::dsl::sql::<diesel::sql_types::Text>(
            "CAST(history_transaction AS CHAR(36))",
        ))
        .first(conn)
        .await
        .unwrap();
    Some(last)
}

/// What the trigger writes, and the kind of its entry.
const WRITTEN: [(&str, &str, &str); 3] = [
    ("UPDATE", "UPDATE tallies SET n = n + 1 WHERE id = 1", "~"),
    (
        "INSERT",
        "INSERT INTO tallies (id, n) SELECT max(id) + 1, 0 FROM (SELECT id FROM tallies) AS t",
        "+",
    ),
    (
        "DELETE",
        "DELETE FROM tallies WHERE id = (SELECT i FROM (SELECT max(id) AS i FROM tallies) AS t)",
        "-",
    ),
];

/// A trigger that inserts, updates or deletes, behind an insert, an update or a delete, made before or behind the guard: its entries
/// have the user and the transaction of the audited statement, for the last of its rows too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_triggers_write_under_refuse_belongs_to_the_statement() {
    let guards = guards(Policy::Refuse);
    for event in ["INSERT", "UPDATE", "DELETE"] {
        for (written, body, kind) in WRITTEN {
            for is_first in [true, false] {
                let trigger = on_docs(event, body);
                let database = guarded(&guards, Some((&trigger, is_first))).await;
                let mut conn = database.audited(ann()).await;
                for id in [1_i64, 2, 3] {
                    let tally = (tallies::id.eq(id), tallies::n.eq(0_i64));
                    conn.audited_insert(tallies::table, tally)
                        .execute()
                        .await
                        .unwrap();
                }
                for (at, write) in changes() {
                    let before = tallied(&mut conn).await.len();
                    audited(&mut conn, &write).await.unwrap();
                    let transaction = last_transaction(&mut conn).await;
                    let entries = tallied(&mut conn).await.split_off(before);
                    let told = format!("{event}: {body}, first: {is_first}: {entries:?}");
                    if at != event {
                        assert_eq!(entries, [], "{told}");
                        continue;
                    }
                    // One for each row that is written; of one that is written twice, one may tell of both.
                    let least = if written == "UPDATE" { 1 } else { 2 };
                    assert!((least..=2).contains(&entries.len()), "{told}");
                    for (is, _, user, of, captured) in entries {
                        assert_eq!(is, kind, "{told}");
                        assert_eq!(user.as_deref(), Some("ann"), "{told}");
                        assert_eq!(of, transaction, "{told}");
                        assert_eq!(captured.as_deref(), Some(written), "{told}");
                    }
                }
            }
        }
    }
}

/// The statements behind which nothing may be left: those that are done, those that touch nothing, and one that fails.
async fn audited_statement(conn: &mut AuditedConnection<Conn>, at: usize) {
    let write = match at {
        0 => Write::Insert(vec![1, 2, 3], "Liver".to_owned()),
        1 => Write::RenameAll("Heart".to_owned()),
        2 => Write::Delete(1),
        3 => Write::DeleteFrom(90),
        4 => Write::Rename(90, "Lung".to_owned()),
        // There is one of that number.
        5 => {
            let taken = Write::Insert(vec![2], "Lung".to_owned());
            assert!(audited(conn, &taken).await.is_err());
            return;
        }
        6 => Write::Upsert(3, "Kidney".to_owned()),
        _ => Write::DeleteFrom(1),
    };
    audited(conn, &write).await.unwrap();
}

const RAW: &str = "UPDATE tallies SET n = n + 100 WHERE id = 2";

/// Raw statements behind audited ones of the same connection, in the same transaction or not, are no part of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_raw_statement_is_taken_for_a_part_of_the_audited_one_before() {
    let trigger = on_docs("DELETE", "UPDATE tallies SET n = n + 1 WHERE id = 1");
    for (policy, in_transaction) in [
        (Policy::Refuse, false),
        (Policy::Refuse, true),
        (Policy::Capture, false),
        (Policy::Capture, true),
    ] {
        let database = guarded(&guards(policy), Some((&trigger, false))).await;
        let mut conn = database.audited(ann()).await;
        for id in [1_i64, 2] {
            let tally = (tallies::id.eq(id), tallies::n.eq(0_i64));
            conn.audited_insert(tallies::table, tally)
                .execute()
                .await
                .unwrap();
        }
        for at in 0..8 {
            let told = format!("{policy:?}, in a transaction: {in_transaction}, statement {at}");
            let raw = match in_transaction {
                true => {
                    conn.transaction(async |conn| {
                        if at == 5 && DIALECT == Dialect::Postgres {
                            // What fails there fails the transaction: in a savepoint.
                            let _: Result<(), Error> = conn
                                .transaction(async |conn| {
                                    audited_statement(conn, at).await;
                                    Err(diesel::result::Error::RollbackTransaction.into())
                                })
                                .await;
                        } else {
                            audited_statement(conn, at).await;
                        }
                        conn.batch_execute(RAW).await.map_err(Error::from)
                    })
                    .await
                }
                false => {
                    audited_statement(&mut conn, at).await;
                    conn.batch_execute(RAW).await.map_err(Error::from)
                }
            };
            if policy == Policy::Refuse {
                assert!(is_refusal(&raw.unwrap_err()), "{told}");
                if in_transaction {
                    // It was rolled back with the transaction.
                    audited_statement(&mut conn, at).await;
                }
                continue;
            }
            raw.unwrap();
            let last = tallied(&mut conn).await.pop().unwrap();
            assert_eq!(last.2.as_deref(), ROLE, "{told}: {last:?}");
            assert_ne!(last.3, last_transaction(&mut conn).await, "{told}");
            assert!(last.1 >= 100, "{told}: {last:?}");
        }
    }
}

/// A connection that goes back to its pool behind a delete tells the next of nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attributions_do_not_stay_with_pooled_connections() {
    let trigger = on_docs("DELETE", "UPDATE tallies SET n = n + 1 WHERE id = 1");
    let database = guarded(&guards(Policy::Capture), Some((&trigger, false))).await;
    let pool = database.pool(1);
    let mut conn = pool.get(ann()).await.unwrap();
    for id in [1_i64, 2] {
        let tally = (tallies::id.eq(id), tallies::n.eq(0_i64));
        let insert = conn.audited_insert(tallies::table, tally);
        insert.execute().await.unwrap();
    }
    let doc = (
        docs::id.eq(1_i64),
        docs::name.eq("Liver"),
        docs::n.eq(0_i64),
    );
    let insert = conn.audited_insert(docs::table, doc);
    insert.execute().await.unwrap();
    let delete = conn.audited_delete(docs::table);
    delete.execute().await.unwrap();
    drop(conn);
    let mut conn = pool.get(user("bob")).await.unwrap();
    let raw = conn
        .build_transaction()
        .attributed()
        .run(async |conn| conn.batch_execute(RAW).await.map_err(Error::from))
        .await;
    raw.unwrap();
    drop(conn);
    let mut conn = pool.get(user("eve")).await.unwrap();
    conn.batch_execute(RAW).await.unwrap();
    let mut conn = database.audited(ann()).await;
    let entries = tallied(&mut conn).await;
    let users: Vec<_> = entries.iter().map(|entry| entry.2.as_deref()).collect();
    let ann = Some("ann");
    assert_eq!(users, [ann, ann, ann, Some("bob"), ROLE]);
}

/// A row that one trigger inserts and another deletes, within one audited statement, was never there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_comes_and_goes_within_a_statement_leaves_no_deletion_alone() {
    for policy in [Policy::Refuse, Policy::Capture] {
        let inserts = on_docs("INSERT", "INSERT INTO tallies (id, n) VALUES (7, 0)");
        let database = guarded(&guards(policy), Some((&inserts, true))).await;
        let mut conn = database.audited(ann()).await;
        let deletes = Trigger {
            name: "b_counter".to_owned(),
            ..on_docs("UPDATE", "DELETE FROM tallies WHERE id = 7")
        };
        let both = Trigger {
            name: "c_counter".to_owned(),
            before: true,
            ..on_docs("UPDATE", "INSERT INTO tallies (id, n) VALUES (7, 0)")
        };
        audited(&mut conn, &Write::Insert(vec![1], "Liver".to_owned()))
            .await
            .unwrap();
        conn.batch_execute(&deletes.ddl(DIALECT)).await.unwrap();
        audited(&mut conn, &Write::Rename(1, "Heart".to_owned()))
            .await
            .unwrap();
        conn.batch_execute(&both.ddl(DIALECT)).await.unwrap();
        audited(&mut conn, &Write::Rename(1, "Lung".to_owned()))
            .await
            .unwrap();
        replay_tallies(&mut conn).await.unwrap();
    }
}

/// The row that one statement writes twice: the last entry is the row, and the first is its creation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_a_trigger_changes_once_more_ends_as_it_is() {
    if DIALECT == Dialect::MariaDb {
        // A trigger cannot write to the table that it stands on: error 1442.
        return;
    }
    for (policy, raw) in [
        (Policy::Capture, true),
        (Policy::Capture, false),
        (Policy::Refuse, false),
    ] {
        let database = guarded(&guards(policy), None).await;
        let mut conn = database.audited(ann()).await;
        for event in ["INSERT", "UPDATE"] {
            let body = "UPDATE docs SET slug = lower(NEW.name) WHERE id = NEW.id";
            let trigger = Trigger {
                name: format!("slug_{event}"),
                ..on_docs(event, body)
            };
            conn.batch_execute(&trigger.ddl(DIALECT)).await.unwrap();
        }
        for write in [
            Write::Insert(vec![1], "Liver".to_owned()),
            Write::Rename(1, "Heart".to_owned()),
        ] {
            match raw {
                true => conn.batch_execute(&write.sql(DIALECT, "")).await.unwrap(),
                false => drop(audited(&mut conn, &write).await.unwrap()),
            }
        }
        replay_docs(&mut conn).await.unwrap();
        let slugs: Vec<(String, Option<String>)> = docs_history::table
            .order(docs_history::history_id.desc())
            .select((docs_history::history_kind, docs_history::slug))
            .limit(1)
            .load(&mut conn)
            .await
            .unwrap();
        assert_eq!(slugs, [("~".to_owned(), Some("heart".to_owned()))]);
    }
}
