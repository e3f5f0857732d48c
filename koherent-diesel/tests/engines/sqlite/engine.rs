//! SQLite through diesel-async, in a file.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness;
use koherent_core::Attribution;
use koherent_diesel::{
    Audited, AuditedConnection, AuditedPool, Guard, HistoryReader, LiveHistory, Policy,
};

use super::suite::triggers::application::Dialect;
use crate::tables::*;

pub type Conn = SyncConnectionWrapper<SqliteConnection>;
pub type Backend = Sqlite;

/// Whether an update can change keys.
pub const MOVES_KEYS: bool = true;
/// Whether an upsert that changes nothing leaves no entry.
pub const SKIPS_UNCHANGED_UPSERTS: bool = true;
/// Whether strict transactions that write the same row collide.
pub const COLLIDES: bool = false;
/// How many writes clients make, how many requests are cancelled, how many sequences are tried.
pub const CLIENT_WRITES: u32 = 100_000;
/// How many filters are asked for by somebody who may see some entries alone.
pub const SCOPED_FILTERS: usize = 100_000;
/// How often a request is woken, at most, before it is cancelled: about as often as it takes to the end.
pub const POLLS: u32 = 9;
pub const CANCELLATIONS: u32 = 10_000;
pub const SEQUENCES: u64 = 12;
/// What refusals begin with, where there is nothing else to tell them by.
pub const REFUSED: &str = "KO001: ";
/// The database role of the tests.
pub const ROLE: Option<&str> = None;
/// A table that changes with `samples`.
pub const MEASUREMENTS: &str = "CREATE TABLE measurements (id INTEGER PRIMARY KEY, sample_id BIGINT NOT NULL REFERENCES samples (id) ON DELETE CASCADE ON UPDATE CASCADE, value DOUBLE NOT NULL);";
/// A table that changes with itself.
pub const NODES: &str = "CREATE TABLE nodes (id INTEGER PRIMARY KEY, parent BIGINT REFERENCES nodes (id) ON DELETE CASCADE, label TEXT NOT NULL);";
/// Whether such a change runs triggers.
pub const CASCADES_RUN_TRIGGERS: bool = true;
/// Says that there is a pause, which nobody has recorded.
pub const FORGE_PAUSE: &str =
    "UPDATE koherent_session SET operation = '0199a1b2-0000-7000-8000-000000000000'";

/// How triggers are written.
pub const DIALECT: Dialect = Dialect::Sqlite;

/// Guards of before, what they did, and a word of what is wrong with that: what a trigger changed in the statement's own table was
/// armed with it, and had no entry.
pub fn earlier_guards() -> (Policy, Vec<String>, &'static str) {
    let guards = include_str!("earlier_guards.sql").to_owned();
    (Policy::Capture, vec![guards], "the entries replay to")
}

/// Raw statements that the others have not, or have otherwise.
pub const RAW: &[Raw] = &[
    Raw {
        sql: "INSERT INTO samples (id, name) VALUES (1, 'hepar'), (9, 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar"), ("INSERT", "+", 9, "new")],
    },
    Raw {
        sql: "INSERT INTO samples (id, name) VALUES (1, 'hepar') ON CONFLICT DO NOTHING",
        refused: None,
        captured: &[],
    },
    Raw {
        sql: "INSERT OR IGNORE INTO samples (id, name) VALUES (9, 'liver')",
        refused: None,
        captured: &[],
    },
    // It takes the place of a row with the same key, and says so.
    Raw {
        sql: "REPLACE INTO samples (id, name) VALUES (1, 'hepar')",
        refused: Some("INSERT"),
        captured: &[("INSERT", "~", 1, "hepar")],
    },
    // It takes the place of a row with the same name.
    Raw {
        sql: "INSERT OR REPLACE INTO samples (id, name) VALUES (9, 'heart')",
        refused: Some("INSERT"),
        captured: &[("INSERT", "-", 2, "heart"), ("INSERT", "+", 9, "heart")],
    },
    // And of two rows.
    Raw {
        sql: "INSERT OR REPLACE INTO samples (id, name) VALUES (1, 'heart')",
        refused: Some("INSERT"),
        captured: &[("INSERT", "-", 2, "heart"), ("INSERT", "~", 1, "heart")],
    },
    Raw {
        sql: "UPDATE OR REPLACE samples SET name = 'heart' WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "-", 2, "heart"), ("UPDATE", "~", 1, "heart")],
    },
    Raw {
        sql: "UPDATE OR REPLACE samples SET id = 2 WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "-", 1, "liver"), ("UPDATE", "~", 2, "liver")],
    },
    Raw {
        sql: "UPDATE samples SET name = v.name FROM (SELECT 1 AS id, 'hepar' AS name) AS v WHERE samples.id = v.id",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar")],
    },
    Raw {
        sql: "WITH old AS (SELECT id FROM samples WHERE id = 1) DELETE FROM samples WHERE id IN (SELECT id FROM old)",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver")],
    },
    // `1` and `1.0` are equal, and yet not the same.
    Raw {
        sql: "UPDATE samples SET scan = '1' WHERE id = 1; UPDATE samples SET scan = x'31' WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "liver"), ("UPDATE", "~", 1, "liver")],
    },
];

/// Loses the table of tasks.
pub const DROP_TASKS: &str = "DROP TABLE koherent_task";
/// Whether a failed statement leaves the transaction that it was part of usable.
pub const SURVIVES_FAILURES: bool = true;

/// Makes another column the key.
pub const REPLACE_KEY: &str = "DROP TABLE samples; CREATE TABLE samples (id INTEGER NOT NULL, name TEXT PRIMARY KEY NOT NULL, note TEXT, mass DOUBLE, active BOOLEAN NOT NULL, scan BLOB, metadata TEXT, storage_code TEXT)";

pub const REFUSE_BAD: &str =
    "CREATE TRIGGER refuse BEFORE INSERT ON samples_history WHEN NEW.name LIKE 'bad%'
                              BEGIN SELECT RAISE(ABORT, 'history is full'); END;";
pub const SWALLOW_BAD: &str =
    "CREATE TRIGGER swallow BEFORE INSERT ON samples_history WHEN NEW.name LIKE 'bad%'
                               BEGIN SELECT RAISE(IGNORE); END;";

const DDL: &str = "
    CREATE TABLE samples (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, note TEXT, mass DOUBLE, active BOOLEAN NOT NULL DEFAULT 1,
        scan BLOB, metadata TEXT, storage_code TEXT NOT NULL DEFAULT 'secret'
    );
    CREATE TABLE places (room TEXT NOT NULL, shelf INTEGER NOT NULL, \"what's there\" TEXT NOT NULL, PRIMARY KEY (room, shelf));
    CREATE TABLE digests (digest BLOB PRIMARY KEY, size INTEGER NOT NULL);
    CREATE TABLE totals (
        id INTEGER PRIMARY KEY, net DOUBLE NOT NULL, gross DOUBLE NOT NULL GENERATED ALWAYS AS (net * 1.25) STORED,
        label TEXT NOT NULL DEFAULT 'none'
    );";

/// A file that goes with the value.
pub struct Database {
    directory: tempfile::TempDir,
}

impl Database {
    pub async fn new() -> Self {
        let database = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let mut connection = SqliteConnection::establish(&database.address()).unwrap();
        connection
            .batch_execute("PRAGMA journal_mode = WAL;")
            .unwrap();
        connection.batch_execute(DDL).unwrap();
        let columns: String = (1..=WIDE).map(|n| format!(", c{n:02} INTEGER")).collect();
        let wide = format!("CREATE TABLE wide (id INTEGER PRIMARY KEY{columns})");
        connection.batch_execute(&wide).unwrap();
        connection
            .run_pending_migrations(koherent_diesel::MIGRATIONS)
            .unwrap();
        for ddl in [
            samples::table::history_ddl::<Sqlite>(),
            places::table::history_ddl::<Sqlite>(),
            digests::table::history_ddl::<Sqlite>(),
            totals::table::history_ddl::<Sqlite>(),
            wide::table::history_ddl::<Sqlite>(),
            samples::table::guard_ddl::<Sqlite>(&Guard::refuse()),
            places::table::guard_ddl::<Sqlite>(&Guard::refuse()),
            digests::table::guard_ddl::<Sqlite>(&Guard::refuse()),
            totals::table::guard_ddl::<Sqlite>(&Guard::refuse()),
            wide::table::guard_ddl::<Sqlite>(&Guard::refuse()),
        ] {
            connection.batch_execute(&ddl).unwrap();
        }
        database
    }

    pub fn address(&self) -> String {
        self.directory.path().join("test.db").display().to_string()
    }

    /// The database, with nothing that keeps raw writes away from the samples.
    pub async fn unguarded() -> Self {
        let database = Self::new().await;
        let ddl = samples::table::unguard_ddl::<Backend>();
        database.connect().await.batch_execute(&ddl).await.unwrap();
        database
    }

    /// The database, with guards of that kind at the samples, and a table without history.
    pub async fn guarded(guard: &Guard) -> Self {
        let database = Self::unguarded().await;
        let plain = "CREATE TABLE plain (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL);";
        let ddl = format!("{plain} {}", samples::table::guard_ddl::<Backend>(guard));
        database.connect().await.batch_execute(&ddl).await.unwrap();
        database
    }

    /// Makes room, where a test needs thousands: nothing is left of its file.
    pub async fn remove(self) {
        drop(self);
    }

    pub async fn connect(&self) -> Conn {
        establish(&self.address()).await.unwrap()
    }

    pub async fn audited(&self, attribution: Attribution) -> AuditedConnection<Conn> {
        AuditedConnection::new(self.connect().await, attribution)
    }

    pub fn manager(&self) -> AsyncDieselConnectionManager<Conn> {
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(|file| Box::pin(establish(file)));
        AsyncDieselConnectionManager::new_with_config(self.address(), config)
    }

    pub fn pool(&self, size: usize) -> AuditedPool<Pool<Conn>> {
        AuditedPool::new(
            Pool::builder(self.manager())
                .max_size(size)
                .build()
                .unwrap(),
        )
    }
}

async fn establish(file: &str) -> ConnectionResult<Conn> {
    let mut connection = Conn::establish(file).await?;
    // Durability is not what these tests are about.
    let pragmas =
        "PRAGMA busy_timeout = 60000; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;";
    connection.batch_execute(pragmas).await.unwrap();
    Ok(connection)
}

/// What hands out entries as they are committed.
pub async fn live(
    _: &Database,
    pool: &AuditedPool<Pool<Conn>>,
    reader: HistoryReader,
) -> LiveHistory {
    LiveHistory::in_process(pool, reader)
}

/// `INSERT … ON CONFLICT (id) DO UPDATE SET …`.
macro_rules! upsert {
    (of $table:ident, $row:expr, $changes:expr) => {
        diesel::insert_into($table::table)
            .values($row)
            .on_conflict($table::id)
            .do_update()
            .set($changes)
    };
    ($row:expr, $changes:expr) => {
        diesel::insert_into(samples::table)
            .values($row)
            .on_conflict(samples::id)
            .do_update()
            .set($changes)
    };
}

/// `INSERT … ON CONFLICT DO NOTHING`.
macro_rules! leave {
    ($row:expr) => {
        diesel::insert_into(samples::table)
            .values($row)
            .on_conflict_do_nothing()
    };
}

/// A transaction in which nobody else's writes come between its own.
macro_rules! strict {
    ($transaction:expr) => {
        $transaction.immediate()
    };
}

/// A transaction that takes its locks as it goes, where the engine can.
macro_rules! begun {
    ($transaction:expr) => {
        $transaction.immediate()
    };
}

pub(crate) use {begun, leave, strict, upsert};
