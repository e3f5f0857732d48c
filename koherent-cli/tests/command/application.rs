//! Whatever triggers an application has, and whatever it writes, `koherent reconcile` finds nothing.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, SqliteConnection};
use diesel_async::{
    AsyncConnection as _, AsyncMysqlConnection, AsyncPgConnection, SimpleAsyncConnection as _,
};
use koherent_core::Attribution;
use koherent_diesel::{AuditedConnection, Error};

use self::random::{Dialect, Write, tables, triggers};
use super::database::{Database, ENGINES};

/// The application of the model of captured entries.
#[path = "../../../koherent-diesel/tests/engines/suite/triggers/application.rs"]
mod random;

koherent_diesel::audited_table! {
    docs => docs_history (id) {
        id -> BigInt,
        name -> Text,
        slug -> Nullable<Text>,
        n -> BigInt,
    }
}

/// One transaction, on a connection that blocks or on one that is waited for.
macro_rules! transaction {
    ($conn:expr, $dialect:expr, $steps:expr, ($($async:tt)*), ($($await:tt)*)) => {
        $conn.transaction($($async)* |conn| {
            for (is_audited, write) in $steps {
                if !is_audited || matches!(write, Write::Upsert(..)) {
                    conn.batch_execute(&write.sql($dialect, "")) $($await)* ?;
                    continue;
                }
                let _ = match write.clone() {
                    Write::Insert(ids, name) => {
                        let row = |id: i64| (docs::id.eq(id), docs::name.eq(name.clone()), docs::n.eq(0_i64));
                        let rows: Vec<_> = ids.into_iter().map(row).collect();
                        conn.audited_insert(docs::table, rows).execute() $($await)* ?
                    }
                    Write::Rename(id, name) => conn.audited_update(docs::table.find(id), docs::name.eq(name)).execute() $($await)* ?,
                    Write::RenameAll(name) => conn.audited_update(docs::table, docs::name.eq(name)).execute() $($await)* ?,
                    Write::Count(id) => conn.audited_update(docs::table.find(id), docs::n.eq(docs::n + 1)).execute() $($await)* ?,
                    Write::CountAll => conn.audited_update(docs::table, docs::n.eq(docs::n + 1)).execute() $($await)* ?,
                    Write::Delete(id) => conn.audited_delete(docs::table.find(id)).execute() $($await)* ?,
                    Write::DeleteFrom(id) => conn.audited_delete(docs::table.filter(docs::id.ge(id))).execute() $($await)* ?,
                    Write::Move(id) => conn.audited_update(docs::table.find(id), docs::id.eq(docs::id + 20)).execute() $($await)* ?,
                    Write::Upsert(..) => unreachable!("it is made as SQL"),
                };
            }
            Ok::<_, Error>(())
        }) $($await)*
    };
}

/// How many histories are tried on each engine.
fn histories() -> u64 {
    match std::env::var("KOHERENT_EFFORT").as_deref() {
        Ok("full") => 100,
        _ => 3,
    }
}

#[test]
fn nothing_is_found_whatever_triggers_an_application_has() {
    for engine in ENGINES {
        let dialect = engine.pick(Dialect::Sqlite, Dialect::Postgres, Dialect::MariaDb);
        for seed in 0..histories() {
            let mut random = fastrand::Rng::with_seed(seed);
            let database = Database::new(engine);
            let ordered = begin(&database, &mut random, dialect);
            let transactions: Vec<Vec<Step>> = (0..8)
                .map(|_| {
                    let steps = 0..random.usize(1..4);
                    let step = |_| (random.bool(), Write::random(&mut random, dialect, ordered));
                    steps.map(step).collect()
                })
                .collect();
            let done = tell(&database, dialect, &transactions);
            assert!(done > 0, "{engine:?}, seed {seed}: {transactions:#?}");
            let said = database.koherent(&["reconcile", "--format", "table"]);
            assert!(
                said.code == 0 && said.out.ends_with("each is what its history says\n"),
                "{engine:?}, seed {seed}: {said:?}\n{transactions:#?}"
            );
        }
    }
}

/// Whether a write is made through its helper, and what it is.
type Step = (bool, Write);

/// The tables and triggers, guarded by what the command writes; and whether the order of a statement's rows matters.
fn begin(database: &Database, random: &mut fastrand::Rng, dialect: Dialect) -> bool {
    database.sql(&tables());
    database.sql("INSERT INTO tallies (id, n) VALUES (1, 0)");
    let (triggers, ordered) = triggers(random, dialect);
    let guards_at = random.usize(0..=triggers.len());
    for at in 0..=triggers.len() {
        if at == guards_at {
            database.audit(&["docs", "tallies", "--policy", "capture"]);
            database.koherent(&["baseline", "tallies"]).ok();
        }
        if let Some([trigger, _]) = triggers.get(at) {
            database.sql(&trigger.ddl(dialect));
        }
    }
    ordered
}

/// Runs transactions, and says how many were committed.
fn tell(database: &Database, dialect: Dialect, transactions: &[Vec<Step>]) -> usize {
    let job = Attribution::system("nightly-import");
    let url = database.url.as_str();
    if dialect == Dialect::Sqlite {
        let file = url.strip_prefix("sqlite://").unwrap();
        let mut conn =
            AuditedConnection::new(SqliteConnection::establish(file).unwrap(), job.clone());
        let run = |steps: &Vec<Step>| transaction!(conn, dialect, steps, (), ()).is_ok();
        return transactions.iter().map(run).filter(|done| *done).count();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let mut done = 0;
        if dialect == Dialect::Postgres {
            let mut conn =
                AuditedConnection::new(AsyncPgConnection::establish(url).await.unwrap(), job);
            for steps in transactions {
                let result = transaction!(conn, dialect, steps, (async), (.await));
                done += usize::from(result.is_ok());
            }
        } else {
            let mut conn =
                AuditedConnection::new(AsyncMysqlConnection::establish(url).await.unwrap(), job);
            for steps in transactions {
                let result = transaction!(conn, dialect, steps, (async), (.await));
                done += usize::from(result.is_ok());
            }
        }
        done
    })
}
