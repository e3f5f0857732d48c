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
use koherent_diesel::{Audited, AuditedConnection, AuditedPool};

use crate::tables::*;

pub type Conn = SyncConnectionWrapper<SqliteConnection>;
pub type Backend = Sqlite;

/// Whether an update can change keys.
pub const MOVES_KEYS: bool = true;
/// Whether an upsert that changes nothing leaves no entry.
pub const SKIPS_UNCHANGED_UPSERTS: bool = true;
/// Whether a failed statement leaves the transaction that it was part of usable.
/// Whether strict transactions that write the same row collide.
pub const COLLIDES: bool = false;
/// How many writes clients make, how many requests are cancelled, how many sequences are tried.
pub const CLIENT_WRITES: u32 = 100_000;
/// How often a request is woken, at most, before it is cancelled: about as often as it takes to the end.
pub const POLLS: u32 = 9;
pub const CANCELLATIONS: u32 = 10_000;
pub const SEQUENCES: u64 = 12;
/// Loses the table of tasks.
pub const DROP_TASKS: &str = "DROP TABLE koherent_task";
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
            samples::table::guard_ddl::<Sqlite>(&koherent_diesel::Guard::refuse()),
            places::table::guard_ddl::<Sqlite>(&koherent_diesel::Guard::refuse()),
            digests::table::guard_ddl::<Sqlite>(&koherent_diesel::Guard::refuse()),
            totals::table::guard_ddl::<Sqlite>(&koherent_diesel::Guard::refuse()),
            wide::table::guard_ddl::<Sqlite>(&koherent_diesel::Guard::refuse()),
        ] {
            connection.batch_execute(&ddl).unwrap();
        }
        database
    }

    fn address(&self) -> String {
        self.directory.path().join("test.db").display().to_string()
    }

    /// The database, with nothing that keeps raw writes away from the samples.
    pub async fn unguarded() -> Self {
        let database = Self::new().await;
        let ddl = samples::table::unguard_ddl::<Backend>();
        database.connect().await.batch_execute(&ddl).await.unwrap();
        database
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

/// `INSERT … ON CONFLICT (id) DO UPDATE SET …`.
macro_rules! upsert {
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
