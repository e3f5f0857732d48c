//! A model of captured entries: random tables with random triggers of an application, made before and behind the guard, and random
//! statements, raw and audited. After each transaction the entries of each row replay to the row, and tables without
//! Koherent have the same rows and the same errors.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::result::Error as DieselError;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_diesel::{Audited as _, AuditedConnection, Error, Guard, Policy};

use super::application::{Write, tables, triggers};
use super::engine::{Backend, Conn, DIALECT, Database, upsert};
use crate::tables::*;

/// What was wanted and is not, with all that led to it.
pub type Violation = String;

/// The row of an entry or a table: name, slug, n.
pub type Image = (String, Option<String>, i64);

#[derive(Debug, Clone)]
struct Step {
    write: Write,
    audited: bool,
}

impl Step {
    fn random(random: &mut fastrand::Rng, policy: Policy, ordered: bool) -> Self {
        let one_raw_in = if policy == Policy::Refuse { 5 } else { 2 };
        let audited = random.u8(0..one_raw_in) > 0;
        let write = Write::random(random, DIALECT, ordered);
        Self { write, audited }
    }
}

/// The guards of both tables.
pub fn guards(policy: Policy) -> Vec<String> {
    let guard = Guard::new(policy).capture_triggers();
    vec![
        docs::table::guard_ddl::<Backend>(&guard),
        tallies::table::guard_ddl::<Backend>(&guard),
    ]
}

/// Tells one history from its begin to its end.
pub async fn history(seed: u64, policy: Policy, guards: &[String]) -> Result<(), Violation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut story = Story::begin(&mut random, guards).await;
    story.told = format!("seed {seed}, {policy:?}\n{}", story.told);
    for _ in 0..random.usize(4..9) {
        let count = match policy {
            Policy::Refuse => 1,
            _ => random.usize(1..4),
        };
        let steps: Vec<_> = (0..count)
            .map(|_| Step::random(&mut random, policy, story.ordered))
            .collect();
        let commits = random.u8(0..5) > 0;
        story.told.push_str(&format!("{steps:?} {commits}\n"));
        let done = story.transaction(&steps, commits, policy).await;
        done.map_err(|violation| format!("{violation}\n{}", story.told))?;
    }
    story.database.remove().await;
    Ok(())
}

struct Story {
    database: Database,
    conn: AuditedConnection<Conn>,
    /// Whether the order of a statement's rows matters.
    ordered: bool,
    told: String,
}

impl Story {
    async fn begin(random: &mut fastrand::Rng, guards: &[String]) -> Self {
        let database = Database::new().await;
        let mut conn = database.connect().await;
        conn.batch_execute(&tables()).await.unwrap();
        let (triggers, ordered) = triggers(random, DIALECT);
        let guards_at = random.usize(0..=triggers.len());
        let mut told = String::new();
        for at in 0..=triggers.len() {
            if at == guards_at {
                guard(&mut conn, guards).await;
                told.push_str("-- the guards\n");
            }
            for trigger in triggers.get(at).into_iter().flatten() {
                let ddl = trigger.ddl(DIALECT);
                conn.batch_execute(&ddl).await.unwrap();
                if !trigger.table.starts_with("shadow") {
                    told.push_str(&format!("{ddl}\n"));
                }
            }
        }
        let mut conn = database.audited(ann()).await;
        // The tally has a history from its begin.
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
        Self {
            database,
            conn,
            ordered,
            told,
        }
    }

    /// One transaction, and what holds behind it.
    async fn transaction(
        &mut self,
        steps: &[Step],
        commits: bool,
        policy: Policy,
    ) -> Result<(), Violation> {
        let conn = &mut self.conn;
        let (done, result) = run(conn, steps, commits).await;
        if result.as_ref().is_err_and(is_refusal) {
            let is_raw = policy == Policy::Refuse && !steps[0].audited;
            ensure(is_raw, || format!("refused: {result:?}"))?;
        } else {
            let (there, is_ok) = run_shadow(conn, steps, commits).await;
            ensure((done, result.is_ok()) == (there, is_ok), || {
                format!("{done} steps, {result:?}; without Koherent {there}, {is_ok}")
            })?;
        }
        let (here, there) = (rows(conn, "").await, rows(conn, "shadow_").await);
        ensure(here == there, || {
            format!("the rows are {here:#?}; without Koherent {there:#?}")
        })?;
        replay_docs(conn).await?;
        replay_tallies(conn).await
    }
}

async fn guard(conn: &mut Conn, guards: &[String]) {
    for ddl in [
        docs::table::history_ddl::<Backend>(),
        tallies::table::history_ddl::<Backend>(),
    ] {
        conn.batch_execute(&ddl).await.unwrap();
    }
    for ddl in guards {
        conn.batch_execute(ddl).await.unwrap();
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Makes a change through its helper.
pub async fn audited(conn: &mut AuditedConnection<Conn>, write: &Write) -> Result<usize, Error> {
    let row = |id: i64, name: &str| {
        (
            docs::id.eq(id),
            docs::name.eq(name.to_owned()),
            docs::n.eq(0_i64),
        )
    };
    let one = |id: &i64| docs::table.find(*id);
    match write {
        Write::Insert(ids, name) => {
            let rows: Vec<_> = ids.iter().map(|id| row(*id, name)).collect();
            conn.audited_insert(docs::table, rows).execute().await
        }
        Write::Rename(id, name) => {
            let changes = docs::name.eq(name.clone());
            conn.audited_update(one(id), changes).execute().await
        }
        Write::RenameAll(name) => {
            let changes = docs::name.eq(name.clone());
            conn.audited_update(docs::table, changes).execute().await
        }
        Write::Count(id) => {
            let changes = docs::n.eq(docs::n + 1);
            conn.audited_update(one(id), changes).execute().await
        }
        Write::CountAll => {
            let changes = docs::n.eq(docs::n + 1);
            conn.audited_update(docs::table, changes).execute().await
        }
        Write::Delete(id) => conn.audited_delete(one(id)).execute().await,
        Write::DeleteFrom(id) => {
            let rows = docs::table.filter(docs::id.ge(*id));
            conn.audited_delete(rows).execute().await
        }
        Write::Move(id) => {
            let changes = docs::id.eq(docs::id + 20);
            conn.audited_update(one(id), changes).execute().await
        }
        Write::Upsert(id, name) => {
            let upsert = upsert!(of docs, row(*id, name), docs::name.eq(name.clone()));
            conn.audited_upsert(upsert).execute().await
        }
    }
}

/// Runs the steps in one transaction, and says how many were done, and how it ended.
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
                    false => conn.batch_execute(&step.write.sql(DIALECT, "")).await?,
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
                conn.batch_execute(&step.write.sql(DIALECT, "shadow_"))
                    .await?;
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

pub fn is_refusal(error: &Error) -> bool {
    error
        .to_string()
        .contains("refused, it would leave no history")
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

pub async fn replay_docs(conn: &mut AuditedConnection<Conn>) -> Result<(), Violation> {
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
    replay(&entries.collect::<Vec<_>>(), &rows.collect())
}

pub async fn replay_tallies(conn: &mut AuditedConnection<Conn>) -> Result<(), Violation> {
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
    let image = |n: i64| ("tally".to_owned(), None, n);
    let entries = entries
        .into_iter()
        .map(|(id, n, kind, date)| (id, image(n), kind, date));
    let rows: Vec<(i64, i64)> = tallies::table.load(conn).await.unwrap();
    let rows = rows.into_iter().map(|(id, n)| (id, image(n)));
    replay(&entries.collect::<Vec<_>>(), &rows.collect())
}

/// The entries of each row, in their order, make the row: it is created once, every update changes it, and dates do not run
/// backwards.
pub fn replay(
    entries: &[(i64, Image, String, DateTime<Utc>)],
    rows: &BTreeMap<i64, Image>,
) -> Result<(), Violation> {
    let mut alive: BTreeMap<i64, Image> = BTreeMap::new();
    let mut dates: BTreeMap<i64, DateTime<Utc>> = BTreeMap::new();
    for (id, image, kind, date) in entries {
        let before = match kind.as_str() {
            "-" => alive.remove(id),
            _ => alive.insert(*id, image.clone()),
        };
        let told = |what: &str| format!("row {id}, {kind} {image:?} {what}: {entries:#?}");
        ensure(before.is_none() == (kind == "+"), || {
            told("is not what becomes of the row before")
        })?;
        ensure(kind != "~" || before.as_ref() != Some(image), || {
            told("changes nothing")
        })?;
        let last = dates.insert(*id, *date);
        ensure(last.is_none_or(|last| last <= *date), || {
            told("is older than the entry before")
        })?;
    }
    ensure(alive == *rows, || {
        format!("the entries replay to {alive:#?}, the rows are {rows:#?}: {entries:#?}")
    })
}
