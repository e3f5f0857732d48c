//! MariaDB through diesel-async: a database per test.

use diesel::mysql::Mysql;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::{
    AsyncConnection, AsyncMigrationHarness, AsyncMysqlConnection, SimpleAsyncConnection as _,
};
use diesel_migrations::MigrationHarness as _;
use koherent_core::Attribution;
use koherent_diesel::{Audited, AuditedConnection, AuditedPool, Guard, Policy};

use super::suite::triggers::application::Dialect;
use crate::tables::*;

pub type Conn = AsyncMysqlConnection;
pub type Backend = Mysql;

pub const MOVES_KEYS: bool = false;
pub const SKIPS_UNCHANGED_UPSERTS: bool = true;
/// Whether strict transactions that write the same row collide.
pub const COLLIDES: bool = true;
/// How many writes clients make, how many requests are cancelled, how many sequences are tried.
pub const CLIENT_WRITES: u32 = 100_000;
/// How many filters are asked for by somebody who may see some entries alone.
pub const SCOPED_FILTERS: usize = 5_000;
/// How often a request is woken, at most, before it is cancelled: about as often as it takes to the end.
pub const POLLS: u32 = 28;
pub const CANCELLATIONS: u32 = 10_000;
pub const SEQUENCES: u64 = 12;
/// What refusals begin with, where there is nothing else to tell them by.
pub const REFUSED: &str = "KO001: ";
/// The database role of the tests.
pub const ROLE: Option<&str> = Some("root@localhost");
/// A table that changes with `samples`.
pub const MEASUREMENTS: &str = "CREATE TABLE measurements (id BIGINT PRIMARY KEY, sample_id BIGINT NOT NULL, value DOUBLE NOT NULL, CONSTRAINT of_sample FOREIGN KEY (sample_id) REFERENCES samples (id) ON DELETE CASCADE) ENGINE = InnoDB;";
/// A table that changes with itself.
pub const NODES: &str = "CREATE TABLE nodes (id BIGINT PRIMARY KEY, parent BIGINT, label VARCHAR(50) NOT NULL, CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES nodes (id) ON DELETE CASCADE);";
/// Whether such a change runs triggers.
pub const CASCADES_RUN_TRIGGERS: bool = false;
/// Says that there is a pause, which nobody has recorded.
pub const FORGE_PAUSE: &str = "SET @koherent_operation = '0199a1b2-0000-7000-8000-000000000000'";

/// How triggers are written.
pub const DIALECT: Dialect = Dialect::MariaDb;

/// Guards of before, what they did, and a word of what is wrong with that: what a trigger wrote could only be refused.
pub fn earlier_guards() -> (Policy, Vec<String>, &'static str) {
    let guards = [
        docs::table::guard_ddl::<Backend>,
        tallies::table::guard_ddl::<Backend>,
    ];
    let guards = guards.map(|ddl| ddl(&Guard::refuse()));
    (Policy::Refuse, guards.into(), "refused: ")
}

/// Raw statements that the others have not, or have otherwise.
pub const RAW: &[Raw] = &[
    Raw {
        sql: "INSERT INTO samples (id, name) VALUES (1, 'hepar'), (9, 'new') ON DUPLICATE KEY UPDATE name = VALUES(name)",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar"), ("INSERT", "+", 9, "new")],
    },
    Raw {
        sql: "INSERT IGNORE INTO samples (id, name) VALUES (9, 'liver')",
        refused: None,
        captured: &[],
    },
    Raw {
        sql: "INSERT IGNORE INTO samples (id, name) VALUES (9, 'new'), (10, 'liver')",
        refused: Some("INSERT"),
        captured: &[("INSERT", "+", 9, "new")],
    },
    // It deletes the rows that it meets, and says so.
    Raw {
        sql: "REPLACE INTO samples (id, name) VALUES (1, 'hepar')",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver"), ("INSERT", "+", 1, "hepar")],
    },
    Raw {
        sql: "REPLACE INTO samples (id, name) VALUES (9, 'heart')",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 2, "heart"), ("INSERT", "+", 9, "heart")],
    },
    Raw {
        sql: "UPDATE samples JOIN plain ON plain.id = samples.id SET samples.name = plain.name, plain.name = 'taken'",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar")],
    },
    Raw {
        sql: "DELETE samples, plain FROM samples JOIN plain ON plain.id = samples.id",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver")],
    },
    Raw {
        sql: "DELETE FROM samples WHERE id = 1 RETURNING name",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver")],
    },
    Raw {
        sql: "UPDATE samples SET name = 'LIVER' WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "LIVER")],
    },
];

/// Loses the table of tasks.
pub const DROP_TASKS: &str = "DROP TABLE koherent_keeps_task; DROP TABLE koherent_task";
/// Whether a failed statement leaves the transaction that it was part of usable.
pub const SURVIVES_FAILURES: bool = true;

/// Makes another column the key.
pub const REPLACE_KEY: &str = "ALTER TABLE samples MODIFY id BIGINT NOT NULL, DROP PRIMARY KEY; ALTER TABLE samples ADD PRIMARY KEY (name)";

pub const REFUSE_BAD: &str = "CREATE TRIGGER refuse BEFORE INSERT ON samples_history FOR EACH ROW
                              IF NEW.name LIKE 'bad%' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'history is full'; END IF";

const DDL: &str = "
    CREATE TABLE samples (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200) NOT NULL UNIQUE, note TEXT, mass DOUBLE,
        active BOOLEAN NOT NULL DEFAULT 1, scan LONGBLOB, metadata JSON, storage_code VARCHAR(20) NOT NULL DEFAULT 'secret'
    ) ENGINE = InnoDB;
    CREATE TABLE places (
        room VARCHAR(100) NOT NULL, shelf INT NOT NULL, `what's there` TEXT NOT NULL, PRIMARY KEY (room, shelf)
    ) ENGINE = InnoDB;
    CREATE TABLE digests (digest VARBINARY(64) PRIMARY KEY, size INT NOT NULL) ENGINE = InnoDB;
    CREATE TABLE totals (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, net DOUBLE NOT NULL, gross DOUBLE GENERATED ALWAYS AS (net * 1.25) STORED,
        label VARCHAR(20) NOT NULL DEFAULT 'none'
    ) ENGINE = InnoDB;";

/// A database. It goes with the server.
pub struct Database {
    name: String,
}

impl Database {
    pub async fn new() -> Self {
        let database = Self { name: fresh_name() };
        let mut bare = AsyncMysqlConnection::establish(&server("KOHERENT_TEST_MARIADB"))
            .await
            .unwrap();
        let create = format!("CREATE DATABASE {}", database.name);
        bare.batch_execute(&create).await.unwrap();
        let mut connection = database.connect().await;
        connection.batch_execute(DDL).await.unwrap();
        let columns: String = (1..=WIDE).map(|n| format!(", c{n:02} INT")).collect();
        let wide = format!("CREATE TABLE wide (id BIGINT AUTO_INCREMENT PRIMARY KEY{columns})");
        connection.batch_execute(&wide).await.unwrap();
        let mut harness = AsyncMigrationHarness::new(connection);
        harness
            .run_pending_migrations(koherent_diesel::MIGRATIONS)
            .unwrap();
        let mut connection = database.connect().await;
        for ddl in [
            samples::table::history_ddl::<Mysql>(),
            places::table::history_ddl::<Mysql>(),
            digests::table::history_ddl::<Mysql>(),
            totals::table::history_ddl::<Mysql>(),
            wide::table::history_ddl::<Mysql>(),
            samples::table::guard_ddl::<Mysql>(&Guard::refuse()),
            places::table::guard_ddl::<Mysql>(&Guard::refuse()),
            digests::table::guard_ddl::<Mysql>(&Guard::refuse()),
            totals::table::guard_ddl::<Mysql>(&Guard::refuse()),
            wide::table::guard_ddl::<Mysql>(&Guard::refuse()),
        ] {
            connection.batch_execute(&ddl).await.unwrap();
        }
        database
    }

    pub fn address(&self) -> String {
        with_database(&server("KOHERENT_TEST_MARIADB"), &self.name)
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

    /// Makes room, where a test needs thousands: the database goes.
    pub async fn remove(self) {
        let drop = format!("DROP DATABASE {}", self.name);
        self.connect().await.batch_execute(&drop).await.unwrap();
    }

    pub async fn connect(&self) -> Conn {
        AsyncMysqlConnection::establish(&self.address())
            .await
            .unwrap()
    }

    pub async fn audited(&self, attribution: Attribution) -> AuditedConnection<Conn> {
        AuditedConnection::new(self.connect().await, attribution)
    }

    pub fn manager(&self) -> AsyncDieselConnectionManager<Conn> {
        AsyncDieselConnectionManager::new(self.address())
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

/// The socket of the server, and how to connect to that database through a port of this machine.
pub fn proxied(database: &Database) -> (String, impl AsyncFn(u16) -> Conn) {
    let address = database.address();
    let (place, options) = address.split_once('?').unwrap();
    let socket = options
        .split('&')
        .find_map(|option| option.strip_prefix("socket="));
    let socket = socket.unwrap().replace("%2F", "/");
    let place = place.to_owned();
    let connect = async move |port: u16| {
        let address = place.replace("localhost", &format!("127.0.0.1:{port}"));
        AsyncMysqlConnection::establish(&format!("{address}?prefer_socket=false"))
            .await
            .unwrap()
    };
    (socket, connect)
}

/// `INSERT … ON DUPLICATE KEY UPDATE …`.
macro_rules! upsert {
    (of $table:ident, $row:expr, $changes:expr) => {
        diesel::insert_into($table::table)
            .values($row)
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_update()
            .set($changes)
    };
    ($row:expr, $changes:expr) => {
        diesel::insert_into(samples::table)
            .values($row)
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_update()
            .set($changes)
    };
}

/// `INSERT … ON DUPLICATE KEY UPDATE id = id`.
macro_rules! leave {
    ($row:expr) => {
        diesel::insert_into(samples::table)
            .values($row)
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_nothing()
    };
}

/// A transaction in which nobody else's writes come between its own.
macro_rules! strict {
    ($transaction:expr) => {
        $transaction.serializable()
    };
}

/// A transaction that takes its locks as it goes, where the engine can.
macro_rules! begun {
    ($transaction:expr) => {
        $transaction
    };
}

pub(crate) use {begun, leave, strict, upsert};
