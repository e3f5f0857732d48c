//! What reading histories costs, on PostgreSQL, for a million entries and for ten million: `cargo xtask bench`.
//!
//! The entries are made set-based: ten thousand rows (or a hundred thousand) with a hundred entries each, a thousand tasks, ten
//! organizations, three months. Times are those of whole calls through diesel-async, on one connection and on eight.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark, whose output is its purpose"
)]

use std::time::Instant;

use diesel::pg::Pg;
use diesel::{QueryDsl as _, QueryableByName};
use diesel_async::{
    AsyncConnection as _, AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl,
    SimpleAsyncConnection as _,
};
use diesel_migrations::MigrationHarness as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use koherent_core::ChangeKind;
use koherent_diesel::{
    Audited as _, Cursor, HistoryFilter, HistoryOrder, changed, entries_of, entries_of_each,
    history,
};

koherent_diesel::audited_table! {
    samples => samples_history (id) {
        id -> BigInt,
        name -> Text,
        note -> Nullable<Text>,
        owner -> Text,
        mass -> Nullable<Double>,
    }
}

/// Entries of each row.
const EACH: i64 = 100;

/// Calls of each kind.
const CALLS: i64 = 400;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test --all-targets` runs this too; it has nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let server = std::env::var("KOHERENT_TEST_POSTGRES")
        .expect("KOHERENT_TEST_POSTGRES is set: run `cargo xtask bench`");
    println!(
        "| entries | what | p50, 1 client | p99 | p50, 8 clients | p99 |\n| --- | --- | --- | --- | --- | --- |"
    );
    for entries in [1_000_000, 10_000_000] {
        let address = make(&server, entries).await;
        measure(&address, entries).await;
    }
}

/// A database with so many entries.
async fn make(server: &str, entries: i64) -> String {
    let name = format!("history_{}_{entries}", std::process::id());
    let mut admin = AsyncPgConnection::establish(server).await.unwrap();
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (place, options) = match server.split_once('?') {
        Some((place, options)) => (place, format!("?{options}")),
        None => (server, String::new()),
    };
    let address = format!("{}/{name}{options}", place.rsplit_once('/').unwrap().0);
    let connection = AsyncPgConnection::establish(&address).await.unwrap();
    AsyncMigrationHarness::new(connection)
        .run_pending_migrations(koherent_diesel::MIGRATIONS)
        .unwrap();
    let mut conn = AsyncPgConnection::establish(&address).await.unwrap();
    let rows = entries / EACH;
    conn.batch_execute(&format!(
        "SET synchronous_commit = off;
         CREATE TABLE samples (id bigint PRIMARY KEY, name text NOT NULL, note text, owner text NOT NULL, mass double precision);
         INSERT INTO samples SELECT n, 'sample ' || n, 'note', 'ann', n FROM generate_series(1, {rows}) AS n;
         INSERT INTO koherent_task SELECT 'task-' || n, NULL, 'task-' || n, 'ann', 'ann', 'agent-' || n % 50, 'robot',
             'rekuest', 'token-' || n, repeat('0', 64), 'sha256-canonical-v1', 'lab-' || n % 10, now()
             FROM generate_series(0, 999) AS n"
    ))
    .await
    .unwrap();
    // The table first, then the entries, then what finds them.
    let ddl = samples::table::history_ddl::<Pg>();
    let (table, rest) = ddl.split_once(";\nCREATE INDEX").unwrap();
    conn.batch_execute(table).await.unwrap();
    // Entries of one moment lie together, as they do where they come one by one; each row has one per round.
    conn.batch_execute(&format!(
        "INSERT INTO samples_history (id, name, note, owner, mass, history_kind, history_date, history_user, history_client,
             history_organization, history_task, history_transaction)
         SELECT r, 'sample ' || r, 'note ' || e, 'ann', e, CASE e WHEN 0 THEN '+' ELSE '~' END,
             timestamptz '2026-01-01' + (e * {rows} + r) * (interval '90 days' / {entries}), 'user-' || r % 100, 'lab-ui',
             'lab-' || r % 10, CASE WHEN r % 2 = 0 THEN 'task-' || (e * {rows} + r - 1) * 1000 / {entries} END,
             gen_random_uuid()
         FROM generate_series(0::bigint, {EACH} - 1) AS e, generate_series(1::bigint, {rows}) AS r ORDER BY e, r"
    ))
    .await
    .unwrap();
    conn.batch_execute(&format!("CREATE INDEX{rest}"))
        .await
        .unwrap();
    conn.batch_execute("VACUUM ANALYZE samples_history")
        .await
        .unwrap();
    conn.batch_execute("VACUUM ANALYZE samples").await.unwrap();
    conn.batch_execute("VACUUM ANALYZE koherent_task")
        .await
        .unwrap();
    address
}

async fn measure(address: &str, entries: i64) {
    let rows = entries / EACH;
    let row = move |n: i64| n * 7_919 % rows + 1;
    let task = |n: i64| HistoryFilter::new().task(format!("task-{}", n * 37 % 1000));
    let organization = |n: i64| HistoryFilter::new().organization(format!("lab-{}", n % 10));
    /// What is asked, and how many entries or rows are found.
    macro_rules! measure {
        ($($what:literal: |$conn:ident, $n:ident| $asked:expr;)+) => {
            $(
                both(address, entries, $what, move |$conn, $n| {
                    let asked = $asked;
                    async move { asked.load($conn).await.unwrap().len() }.boxed()
                })
                .await;
            )+
        };
    }
    let page = || history(samples::table).limit(50);
    let samples_changed = |filter| {
        let query = samples::table.filter(changed(samples::table, filter));
        query.select(samples::id).order(samples::id).limit(50)
    };
    let mut conn = AsyncPgConnection::establish(address).await.unwrap();
    let far = behind(&mut conn, 1_800).await;
    measure! {
        "50-row page of a row": |conn, n| entries_of(samples::table, row(n)).limit(50);
        "50-row page of a task": |conn, n| page().filter(task(n));
        "50-row page of an organization": |conn, n| page().filter(organization(n));
        "the same, of a month": |conn, n| {
            let since = "2026-02-01T00:00:00Z".parse().unwrap();
            let before = "2026-03-01T00:00:00Z".parse().unwrap();
            page().filter(organization(n).since(since).before(before))
        };
        "page 1 of everything": |conn, _n| page();
        "page 1,800 of everything": |conn, _n| page().after(far.clone());
        "50 rows × 20 entries with changes": |conn, n| {
            let keys: Vec<_> = (0..50).map(|k| row(n * 50 + k)).collect();
            entries_of_each(samples::table, keys).limit(20)
        };
    }
    both(
        address,
        entries,
        "samples changed under a task",
        move |conn, n| {
            let ids = RunQueryDsl::load::<i64>(samples_changed(task(n)), conn);
            async move { ids.await.unwrap().len() }.boxed()
        },
    )
    .await;
    both(
        address,
        entries,
        "samples created under a task",
        move |conn, n| {
            let created = HistoryFilter::new()
                .task(format!("task-{}", n % 50))
                .kind(ChangeKind::Create);
            let ids = RunQueryDsl::load::<i64>(samples_changed(created), conn);
            async move { ids.await.unwrap().len() }.boxed()
        },
    )
    .await;
    println!("\nSamples changed under a task, {entries} entries, as PostgreSQL plans it:\n");
    for line in plan(&mut conn).await {
        println!("    {line}");
    }
    println!();
}

/// The place behind so many pages of 50.
async fn behind(conn: &mut AsyncPgConnection, pages: u32) -> Cursor {
    let query = history(samples::table).order(HistoryOrder::NewestFirst);
    let last = query
        .offset((pages - 1) * 50 - 1)
        .limit(1)
        .load(conn)
        .await
        .unwrap();
    Cursor::of(&last[0])
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

async fn plan(conn: &mut AsyncPgConnection) -> Vec<String> {
    let filter = HistoryFilter::new().task("task-500");
    let query = samples::table
        .filter(changed(samples::table, filter))
        .select(samples::id);
    let query = query.order(samples::id).limit(50);
    let text = diesel::debug_query::<Pg, _>(&query).to_string();
    let text = text
        .split(" -- binds")
        .next()
        .unwrap()
        .replace("$1", "'task-500'")
        .replace("$2", "50");
    let explain = diesel::sql_query(format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {text}"));
    let lines: Vec<Line> = explain.load(conn).await.unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

/// Times calls on one connection, and on eight at once.
async fn both(
    address: &str,
    entries: i64,
    what: &str,
    call: impl for<'c> Fn(&'c mut AsyncPgConnection, i64) -> BoxFuture<'c, usize>
    + Send
    + Sync
    + Clone
    + 'static,
) {
    let mut shown = Vec::new();
    for clients in [1, 8] {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let (address, call) = (address.to_owned(), call.clone());
                tokio::spawn(async move {
                    let mut conn = AsyncPgConnection::establish(&address).await.unwrap();
                    let mut times = Vec::new();
                    for n in 0..CALLS + 20 {
                        let begun = Instant::now();
                        call(&mut conn, client * 1_000 + n).await;
                        // The first prepare statements and fill caches.
                        if n >= 20 {
                            times.push(begun.elapsed().as_secs_f64() * 1e3);
                        }
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await.unwrap());
        }
        times.sort_by(f64::total_cmp);
        for part in [0.5, 0.99] {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a place in a short list"
            )]
            let at = (times.len() as f64 * part) as usize;
            shown.push(format!("{:.2} ms", times[at.min(times.len() - 1)]));
        }
    }
    println!("| {entries} | {what} | {} |", shown.join(" | "));
}
