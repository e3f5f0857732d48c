//! A model of captured entries: random tables with random triggers of an application, made before and behind the guard, and random
//! statements, raw and audited. After each transaction the entries of each row replay to the row, and tables without
//! Koherent have the same rows and the same errors.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::result::Error as DieselError;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_diesel::{Audited as _, AuditedConnection, Error, Guard, Policy};

use super::engine::{APP_TRIGGERS, Backend, Conn, Database, MOVES_KEYS, app_trigger, upsert};
use crate::tables::*;

/// How many histories are tried with each policy: more in the long run.
fn histories() -> u64 {
    match std::env::var("KOHERENT_EFFORT").as_deref() {
        Ok("full") => 1_000,
        _ => 50,
    }
}

/// The row of an entry or a table: name, slug, n.
type Image = (String, Option<String>, i64);

#[derive(Debug, Clone, PartialEq)]
enum Write {
    Insert(Vec<i64>, String),
    Rename(i64, String),
    RenameAll(String),
    Count(i64),
    CountAll,
    Delete(i64),
    DeleteFrom(i64),
    Move(i64),
    Upsert(i64, String),
}

#[derive(Debug, Clone)]
struct Step {
    write: Write,
    audited: bool,
}

/// What an application's triggers do to other rows, to their own, and to another table.
fn body(random: &mut fastrand::Rng, event: &str, prefix: &str, own_table: bool) -> (u8, String) {
    let row = if event == "DELETE" { "OLD" } else { "NEW" };
    let kind = if own_table {
        random.u8(0..7)
    } else {
        random.u8(5..7)
    };
    let sql = match kind {
        0 => format!("UPDATE {prefix}docs SET slug = lower({row}.name) WHERE id = {row}.id"),
        1 => format!("UPDATE {prefix}docs SET n = n + 1 WHERE id = {row}.id + 1"),
        2 => format!("DELETE FROM {prefix}docs WHERE id = {row}.id + 3"),
        3 => format!(
            "UPDATE {prefix}docs SET name = 'renamed' WHERE id = {row}.id + 2 AND name <> 'renamed'"
        ),
        4 => format!("DELETE FROM {prefix}docs WHERE id = {row}.id AND {row}.name LIKE '%7'"),
        5 => format!("UPDATE {prefix}tallies SET n = n + 1 WHERE id = 1"),
        _ => format!(
            "INSERT INTO {prefix}tallies (id, n) SELECT {row}.id + 100, 0 FROM (SELECT 1 AS one) AS o \
             WHERE NOT EXISTS (SELECT 1 FROM {prefix}tallies WHERE id = {row}.id + 100)"
        ),
    };
    (kind, sql)
}

/// Triggers, and whether what they do depends on the order in which a statement takes its rows.
fn triggers(random: &mut fastrand::Rng) -> (Vec<[AppTrigger; 2]>, bool) {
    let mut ordered = false;
    let triggers = (0..random.usize(1..4)).map(|at| {
        let event = ["INSERT", "UPDATE", "DELETE"][random.usize(0..3)];
        let before = random.u8(0..4) == 0;
        let per_statement = APP_TRIGGERS.per_statement && random.u8(0..5) == 0;
        let seed = random.u64(..);
        let body_of = |prefix: &str| {
            let mut random = fastrand::Rng::with_seed(seed);
            match per_statement {
                true => (1, format!("UPDATE {prefix}docs SET n = n + 1 WHERE id = 2")),
                false => body(&mut random, event, prefix, APP_TRIGGERS.own_table),
            }
        };
        ordered |= before || matches!(body_of("").0, 2..=4);
        let letter = ["a", "z"][random.usize(0..2)];
        ["", "shadow_"].map(|prefix| AppTrigger {
            name: format!("{letter}_{prefix}{at}"),
            table: format!("{prefix}docs"),
            before,
            event,
            per_statement,
            body: body_of(prefix).1,
        })
    });
    let triggers = triggers.collect();
    (triggers, ordered)
}

fn step(random: &mut fastrand::Rng, ordered: bool, audited: bool) -> Step {
    let id = random.i64(1..7);
    let name = format!("N{}", random.u32(..));
    let write = match random.u8(0..14) {
        0..=2 => Write::Insert(vec![id], name),
        3 => Write::Insert(vec![id, id + 1, id + 2], name),
        4..=6 => Write::Rename(id, name),
        7 => Write::Count(id),
        8 => Write::CountAll,
        9 | 10 => Write::Delete(id),
        11 if MOVES_KEYS => Write::Move(id),
        12 => Write::Upsert(id, name),
        // What depends on the order of rows differs from one plan to another.
        _ if ordered => Write::Rename(id, name),
        11 => Write::DeleteFrom(id),
        _ => Write::RenameAll(name),
    };
    Step { write, audited }
}

fn sql(write: &Write, prefix: &str) -> String {
    let docs = format!("{prefix}docs");
    match write {
        Write::Insert(ids, name) => {
            let rows: Vec<_> = ids
                .iter()
                .map(|id| format!("({id}, '{name}', 0)"))
                .collect();
            format!(
                "INSERT INTO {docs} (id, name, n) VALUES {}",
                rows.join(", ")
            )
        }
        Write::Rename(id, name) => format!("UPDATE {docs} SET name = '{name}' WHERE id = {id}"),
        Write::RenameAll(name) => format!("UPDATE {docs} SET name = '{name}'"),
        Write::Count(id) => format!("UPDATE {docs} SET n = n + 1 WHERE id = {id}"),
        Write::CountAll => format!("UPDATE {docs} SET n = n + 1"),
        Write::Delete(id) => format!("DELETE FROM {docs} WHERE id = {id}"),
        Write::DeleteFrom(id) => format!("DELETE FROM {docs} WHERE id >= {id}"),
        Write::Move(id) => format!("UPDATE {docs} SET id = id + 20 WHERE id = {id}"),
        Write::Upsert(id, name) => (APP_TRIGGERS.upsert)(&docs, *id, name),
    }
}

async fn audited(conn: &mut AuditedConnection<Conn>, write: &Write) -> Result<usize, Error> {
    let row = |id: i64, name: &str| {
        (
            docs::id.eq(id),
            docs::name.eq(name.to_owned()),
            docs::n.eq(0_i64),
        )
    };
    match write {
        Write::Insert(ids, name) => {
            let rows: Vec<_> = ids.iter().map(|id| row(*id, name)).collect();
            conn.audited_insert(docs::table, rows).execute().await
        }
        Write::Rename(id, name) => {
            conn.audited_update(docs::table.find(*id), docs::name.eq(name.clone()))
                .execute()
                .await
        }
        Write::RenameAll(name) => {
            conn.audited_update(docs::table, docs::name.eq(name.clone()))
                .execute()
                .await
        }
        Write::Count(id) => {
            conn.audited_update(docs::table.find(*id), docs::n.eq(docs::n + 1))
                .execute()
                .await
        }
        Write::CountAll => {
            conn.audited_update(docs::table, docs::n.eq(docs::n + 1))
                .execute()
                .await
        }
        Write::Delete(id) => conn.audited_delete(docs::table.find(*id)).execute().await,
        Write::DeleteFrom(id) => {
            conn.audited_delete(docs::table.filter(docs::id.ge(*id)))
                .execute()
                .await
        }
        Write::Move(id) => {
            conn.audited_update(docs::table.find(*id), docs::id.eq(docs::id + 20))
                .execute()
                .await
        }
        Write::Upsert(id, name) => {
            conn.audited_upsert(upsert!(of docs, row(*id, name), docs::name.eq(name.clone())))
                .execute()
                .await
        }
    }
}

async fn seeded(random: &mut fastrand::Rng, policy: Policy) -> (Database, bool, String) {
    let database = Database::new().await;
    let mut conn = database.connect().await;
    for prefix in ["", "shadow_"] {
        let ddl = format!(
            "CREATE TABLE {prefix}docs (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, slug VARCHAR(100), n BIGINT NOT NULL DEFAULT 0); \
             CREATE TABLE {prefix}tallies (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);"
        );
        conn.batch_execute(&ddl).await.unwrap();
    }
    let (triggers, ordered) = triggers(random);
    let guards_at = random.usize(0..=triggers.len());
    let mut told = String::new();
    for at in 0..=triggers.len() {
        if at == guards_at {
            for ddl in [
                docs::table::history_ddl::<Backend>(),
                tallies::table::history_ddl::<Backend>(),
                docs::table::guard_ddl::<Backend>(&Guard::new(policy)),
                tallies::table::guard_ddl::<Backend>(&Guard::new(policy)),
            ] {
                conn.batch_execute(&ddl).await.unwrap();
            }
            told.push_str("-- the guards\n");
        }
        for trigger in triggers.get(at).into_iter().flatten() {
            let ddl = app_trigger(trigger);
            conn.batch_execute(&ddl).await.unwrap();
            if !trigger.table.starts_with("shadow") {
                told.push_str(&format!("{ddl}\n"));
            }
        }
    }
    // The tally has a history from its begin.
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(
        tallies::table,
        (tallies::id.eq(1_i64), tallies::n.eq(0_i64)),
    )
    .execute()
    .await
    .unwrap();
    conn.batch_execute("INSERT INTO shadow_tallies (id, n) VALUES (1, 0)")
        .await
        .unwrap();
    (database, ordered, told)
}

/// The entries of each row replay to the row.
async fn replay(conn: &mut AuditedConnection<Conn>, told: &str) {
    type Entry = (i64, String, Option<String>, i64, String, DateTime<Utc>);
    let entries: Vec<Entry> = docs_history::table
        .order(docs_history::history_id)
        .select((
            docs_history::id,
            docs_history::name,
            docs_history::slug,
            docs_history::n,
            docs_history::history_kind,
            docs_history::history_date,
        ))
        .load(conn)
        .await
        .unwrap();
    let entries = entries
        .into_iter()
        .map(|(id, name, slug, n, kind, date)| (id, (name, slug, n), kind, date));
    let rows: Vec<(i64, String, Option<String>, i64)> = docs::table.load(conn).await.unwrap();
    let rows = rows
        .into_iter()
        .map(|(id, name, slug, n)| (id, (name, slug, n)));
    equal(
        &entries.collect::<Vec<_>>(),
        &rows.collect(),
        &format!("docs\n{told}"),
    );
}

/// The same, of the other table.
async fn replay_tallies(conn: &mut AuditedConnection<Conn>, told: &str) {
    type Tally = (i64, i64, String, DateTime<Utc>);
    let entries: Vec<Tally> = tallies_history::table
        .order(tallies_history::history_id)
        .select((
            tallies_history::id,
            tallies_history::n,
            tallies_history::history_kind,
            tallies_history::history_date,
        ))
        .load(conn)
        .await
        .unwrap();
    let entries = entries
        .into_iter()
        .map(|(id, n, kind, date)| (id, (String::new(), None, n), kind, date));
    let rows: Vec<(i64, i64)> = tallies::table.load(conn).await.unwrap();
    let rows = rows
        .into_iter()
        .map(|(id, n)| (id, (String::new(), None, n)));
    equal(
        &entries.collect::<Vec<_>>(),
        &rows.collect(),
        &format!("tallies\n{told}"),
    );
}

fn equal(entries: &[(i64, Image, String, DateTime<Utc>)], rows: &BTreeMap<i64, Image>, told: &str) {
    let mut alive: BTreeMap<i64, Image> = BTreeMap::new();
    let mut dates: BTreeMap<i64, DateTime<Utc>> = BTreeMap::new();
    for (id, image, kind, date) in entries {
        let before = match kind.as_str() {
            "-" => alive.remove(id),
            _ => alive.insert(*id, image.clone()),
        };
        assert_eq!(
            before.is_none(),
            kind == "+",
            "row {id}: {entries:#?}\n{told}"
        );
        if kind == "~" {
            assert_ne!(
                before.as_ref(),
                Some(image),
                "row {id}: {entries:#?}\n{told}"
            );
        }
        let last = dates.insert(*id, *date);
        assert!(
            last.is_none_or(|last| last <= *date),
            "row {id}: {entries:#?}\n{told}"
        );
    }
    assert_eq!(&alive, rows, "{entries:#?}\n{told}");
}

async fn rows(conn: &mut AuditedConnection<Conn>, prefix: &str) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        id: i64,
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
        #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
        slug: Option<String>,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let sql = format!(
        "SELECT id, name, slug, n FROM {prefix}docs UNION ALL SELECT id, 'tally', NULL, n FROM {prefix}tallies ORDER BY name, id"
    );
    let lines: Vec<Line> = diesel::sql_query(sql).load(conn).await.unwrap();
    lines
        .iter()
        .map(|line| format!("{} {} {:?} {}", line.id, line.name, line.slug, line.n))
        .collect()
}

fn is_refusal(error: &Error) -> bool {
    error
        .to_string()
        .contains("refused, it would leave no history")
}

/// Runs the steps in one transaction, and says which were refused, and how it ended.
async fn run(
    conn: &mut AuditedConnection<Conn>,
    steps: &[Step],
    commits: bool,
) -> (usize, Result<(), Error>) {
    let mut done = 0;
    let result = conn
        .transaction(async |conn| {
            for step in steps {
                match step.audited {
                    true => drop(audited(conn, &step.write).await?),
                    false => conn.batch_execute(&sql(&step.write, "")).await?,
                }
                done += 1;
            }
            match commits {
                true => Ok(()),
                false => Err(DieselError::RollbackTransaction.into()),
            }
        })
        .await;
    (done, result)
}

async fn run_shadow(
    conn: &mut AuditedConnection<Conn>,
    steps: &[Step],
    commits: bool,
) -> (usize, bool) {
    let mut done = 0;
    let result: Result<(), DieselError> = conn
        .transaction(async |conn| {
            for step in steps {
                conn.batch_execute(&sql(&step.write, "shadow_")).await?;
                done += 1;
            }
            match commits {
                true => Ok(()),
                false => Err(DieselError::RollbackTransaction),
            }
        })
        .await;
    (done, result.is_ok())
}

async fn history(seed: u64, policy: Policy) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (database, ordered, mut told) = seeded(&mut random, policy).await;
    told = format!("seed {seed}, {policy:?}\n{told}");
    let mut conn = database.audited(ann()).await;
    for _ in 0..random.usize(4..9) {
        let refuses = policy == Policy::Refuse;
        let count = if refuses { 1 } else { random.usize(1..4) };
        let steps: Vec<_> = (0..count)
            .map(|_| {
                let audited = random.u8(0..(if refuses { 5 } else { 2 })) > 0;
                step(&mut random, ordered, audited)
            })
            .collect();
        let commits = random.u8(0..5) > 0;
        told.push_str(&format!("{steps:?} {commits}\n"));
        let (done, result) = run(&mut conn, &steps, commits).await;
        let refused = result.as_ref().is_err_and(is_refusal);
        if refused {
            assert!(refuses && !steps[0].audited, "{result:?}\n{told}");
        } else {
            let (there, is_ok) = run_shadow(&mut conn, &steps, commits).await;
            assert_eq!((done, result.is_ok()), (there, is_ok), "{result:?}\n{told}");
        }
        assert_eq!(
            rows(&mut conn, "").await,
            rows(&mut conn, "shadow_").await,
            "{told}"
        );
        replay(&mut conn, &told).await;
        replay_tallies(&mut conn, &told).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_replay_to_rows_whatever_triggers_an_application_has() {
    let seed = std::env::var("KOHERENT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    if let Some(seed) = seed {
        history(seed, Policy::Capture).await;
        return;
    }
    for seed in 0..histories() {
        history(seed, Policy::Capture).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggers_of_audited_statements_are_recorded_where_raw_writes_are_refused() {
    if !APP_TRIGGERS.recorded_under_refuse {
        return;
    }
    for seed in 0..histories() {
        history(seed, Policy::Refuse).await;
    }
}

/// The row that one statement writes twice: the last entry is the row, and the first is its creation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_a_trigger_changes_once_more_ends_as_it_is() {
    for (policy, raw) in [
        (Policy::Capture, true),
        (Policy::Capture, false),
        (Policy::Refuse, false),
    ] {
        if !APP_TRIGGERS.own_table {
            return;
        }
        let database = Database::new().await;
        let mut conn = database.audited(ann()).await;
        conn.batch_execute(
            "CREATE TABLE docs (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, slug VARCHAR(100), n BIGINT NOT NULL DEFAULT 0)",
        )
        .await
        .unwrap();
        for ddl in [
            docs::table::history_ddl::<Backend>(),
            docs::table::guard_ddl::<Backend>(&Guard::new(policy)),
        ] {
            conn.batch_execute(&ddl).await.unwrap();
        }
        for event in ["INSERT", "UPDATE"] {
            let trigger = AppTrigger {
                name: format!("slug_{event}"),
                table: "docs".to_owned(),
                before: false,
                event,
                per_statement: false,
                body: "UPDATE docs SET slug = lower(NEW.name) WHERE id = NEW.id".to_owned(),
            };
            conn.batch_execute(&app_trigger(&trigger)).await.unwrap();
        }
        for write in [
            Write::Insert(vec![1], "Liver".to_owned()),
            Write::Rename(1, "Heart".to_owned()),
        ] {
            match raw {
                true => conn.batch_execute(&sql(&write, "")).await.unwrap(),
                false => drop(audited(&mut conn, &write).await.unwrap()),
            }
        }
        replay(&mut conn, "").await;
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

/// The harness sees what it is to see: an entry behind another that the row has left.
#[test]
#[should_panic(expected = "left == right")]
fn negative_control_entries_in_the_wrong_order_are_seen() {
    let date = DateTime::<Utc>::MIN_UTC;
    let image = |slug: &str| ("Heart".to_owned(), Some(slug.to_owned()), 0);
    let entries = vec![
        (1, image("liver"), "+".to_owned(), date),
        (1, image("heart"), "~".to_owned(), date),
        (1, image("liver"), "~".to_owned(), date),
    ];
    equal(&entries, &BTreeMap::from([(1, image("heart"))]), "");
}
