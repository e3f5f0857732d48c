//! PostgreSQL through diesel-async: a schema per test.

use diesel::pg::Pg;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::{
    AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection as _,
};
use diesel_migrations::MigrationHarness as _;
use futures_util::future::BoxFuture;
use koherent_core::Attribution;
use koherent_diesel::{
    Audited, AuditedConnection, AuditedPool, Guard, HistoryReader, LiveHistory, Policy,
};

use super::suite::triggers::application::Dialect;
use crate::tables::*;

pub type Conn = AsyncPgConnection;
pub type Backend = Pg;

pub const MOVES_KEYS: bool = true;
pub const SKIPS_UNCHANGED_UPSERTS: bool = false;
/// Whether strict transactions that write the same row collide.
pub const COLLIDES: bool = true;
/// How many writes clients make, how many requests are cancelled, how many sequences are tried.
pub const CLIENT_WRITES: u32 = 100000;
/// How many filters are asked for by somebody who may see some entries alone.
pub const SCOPED_FILTERS: usize = 10_000;
/// How often a request is woken, at most, before it is cancelled: about as often as it takes to the end.
pub const POLLS: u32 = 16;
pub const CANCELLATIONS: u32 = 10000;
pub const SEQUENCES: u64 = 12;
/// What refusals begin with, where there is nothing else to tell them by.
pub const REFUSED: &str = "";
/// The database role of the tests.
pub const ROLE: Option<&str> = Some("koherent");
/// A table that changes with `samples`.
pub const MEASUREMENTS: &str = "CREATE TABLE measurements (id bigint PRIMARY KEY, sample_id bigint NOT NULL REFERENCES samples (id) ON DELETE CASCADE ON UPDATE CASCADE, value double precision NOT NULL);";
/// A table that changes with itself.
pub const NODES: &str = "CREATE TABLE nodes (id bigint PRIMARY KEY, parent bigint REFERENCES nodes (id) ON DELETE CASCADE, label text NOT NULL);";
/// Whether such a change runs triggers.
pub const CASCADES_RUN_TRIGGERS: bool = true;
/// Says that there is a pause, which nobody has recorded.
pub const FORGE_PAUSE: &str =
    "SELECT set_config('koherent.operation', '0199a1b2-0000-7000-8000-000000000000', true)";

/// How triggers are written.
pub const DIALECT: Dialect = Dialect::Postgres;

/// Guards of before, what they did, and a word of what is wrong with that: a trigger of the application that changed the row before
/// the guard's own did had its entry first.
pub fn earlier_guards() -> (Policy, Vec<String>, &'static str) {
    const MIGRATION: &str =
        include_str!("../../../migrations/postgres/2026-11-30-000003_koherent_capture/down.sql");
    let at = MIGRATION.find("CREATE OR REPLACE FUNCTION koherent_guard()");
    let end = MIGRATION.rfind("$$;").map(|end| end + 3);
    let function = &MIGRATION[at.expect("it is made anew")..end.expect("it ends")];
    let guards = [
        docs::table::guard_ddl::<Backend>,
        tallies::table::guard_ddl::<Backend>,
    ];
    let mut guards: Vec<_> = guards.map(|ddl| ddl(&Guard::capture())).into();
    guards.push(function.to_owned());
    (Policy::Capture, guards, "row ")
}

/// Raw statements that the others have not, or have otherwise.
pub const RAW: &[Raw] = &[
    Raw {
        sql: "INSERT INTO samples (id, name) VALUES (1, 'hepar'), (9, 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar"), ("INSERT", "+", 9, "new")],
    },
    Raw {
        sql: "INSERT INTO samples (id, name) VALUES (1, 'hepar') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar")],
    },
    Raw { sql: "INSERT INTO samples (id, name) VALUES (1, 'hepar') ON CONFLICT DO NOTHING", refused: None, captured: &[] },
    Raw {
        sql: "WITH gone AS (DELETE FROM samples WHERE id = 1 RETURNING name) INSERT INTO plain SELECT 5, name FROM gone",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver")],
    },
    Raw {
        sql: "WITH made AS (INSERT INTO samples (id, name) VALUES (8, 'made') RETURNING id) DELETE FROM samples WHERE id = 2",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 2, "heart"), ("INSERT", "+", 8, "made")],
    },
    Raw {
        sql: "MERGE INTO samples AS s USING (VALUES (1, 'hepar'), (9, 'new')) AS v (id, name) ON s.id = v.id
              WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name)",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar"), ("INSERT", "+", 9, "new")],
    },
    Raw {
        sql: "MERGE INTO samples AS s USING (VALUES (1)) AS v (id) ON s.id = v.id WHEN MATCHED THEN DELETE",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver")],
    },
    Raw {
        sql: "UPDATE samples SET name = p.name FROM (VALUES (1, 'hepar')) AS p (id, name) WHERE samples.id = p.id",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar")],
    },
    // Each to the key of the next: a key that is left and taken again was updated.
    Raw {
        sql: "ALTER TABLE samples DROP CONSTRAINT samples_pkey, ADD PRIMARY KEY (id) DEFERRABLE; UPDATE samples SET id = id + 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "-", 1, "liver"), ("UPDATE", "+", 4, "lung"), ("UPDATE", "~", 2, "liver"), ("UPDATE", "~", 3, "heart")],
    },
    Raw {
        sql: "DELETE FROM samples USING (VALUES (1)) AS v (id) WHERE samples.id = v.id",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver")],
    },
    Raw {
        sql: "TRUNCATE samples",
        refused: Some("TRUNCATE"),
        captured: &[("TRUNCATE", "-", 1, "liver"), ("TRUNCATE", "-", 2, "heart"), ("TRUNCATE", "-", 3, "lung")],
    },
    Raw {
        sql: "COPY samples (id, name) FROM PROGRAM 'printf \"8\\tcopied\\n9\\ttoo\\n\"'",
        refused: Some("INSERT"),
        captured: &[("INSERT", "+", 8, "copied"), ("INSERT", "+", 9, "too")],
    },
    Raw {
        sql: "DO $$ BEGIN UPDATE samples SET name = 'hepar' WHERE id = 1; DELETE FROM samples WHERE id = 2; END $$",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar"), ("DELETE", "-", 2, "heart")],
    },
    // A view that passes writes on.
    Raw {
        sql: "CREATE VIEW names AS SELECT id, name FROM samples; UPDATE names SET name = 'hepar' WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar")],
    },
];

/// Loses the table of tasks.
pub const DROP_TASKS: &str = "DROP TABLE koherent_task";
/// Whether a failed statement leaves the transaction that it was part of usable.
pub const SURVIVES_FAILURES: bool = false;

/// Makes another column the key.
pub const REPLACE_KEY: &str =
    "ALTER TABLE samples DROP CONSTRAINT samples_pkey; ALTER TABLE samples ADD PRIMARY KEY (name)";

pub const REFUSE_BAD: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'history is full' USING TABLE = TG_TABLE_NAME; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON samples_history FOR EACH ROW WHEN (NEW.name LIKE 'bad%') EXECUTE FUNCTION refuse();";
pub const SWALLOW_BAD: &str = "
    CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
    CREATE TRIGGER swallow BEFORE INSERT ON samples_history FOR EACH ROW WHEN (NEW.name LIKE 'bad%') EXECUTE FUNCTION swallow();";

const DDL: &str = "
    CREATE TABLE samples (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, note text, mass double precision,
        active boolean NOT NULL DEFAULT true, scan bytea, metadata json, storage_code text NOT NULL DEFAULT 'secret'
    );
    CREATE TABLE places (room text NOT NULL, shelf integer NOT NULL, \"what's there\" text NOT NULL, PRIMARY KEY (room, shelf));
    CREATE TABLE digests (digest bytea PRIMARY KEY, size integer NOT NULL);
    CREATE TABLE totals (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, net double precision NOT NULL,
        gross double precision NOT NULL GENERATED ALWAYS AS (net * 1.25) STORED, label text NOT NULL DEFAULT 'none'
    );";

/// A schema. It goes with the server.
pub struct Database {
    schema: String,
}

impl Database {
    pub async fn new() -> Self {
        let database = Self {
            schema: fresh_name(),
        };
        let mut bare = AsyncPgConnection::establish(&server("KOHERENT_TEST_POSTGRES"))
            .await
            .unwrap();
        let create = format!("CREATE SCHEMA {}", database.schema);
        bare.batch_execute(&create).await.unwrap();
        let mut connection = database.connect().await;
        connection.batch_execute(DDL).await.unwrap();
        let columns: String = (1..=WIDE).map(|n| format!(", c{n:02} integer")).collect();
        let wide = format!(
            "CREATE TABLE wide (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY{columns})"
        );
        connection.batch_execute(&wide).await.unwrap();
        let mut harness = AsyncMigrationHarness::new(connection);
        harness
            .run_pending_migrations(koherent_diesel::MIGRATIONS)
            .unwrap();
        let mut connection = database.connect().await;
        for ddl in [
            samples::table::history_ddl::<Pg>(),
            places::table::history_ddl::<Pg>(),
            digests::table::history_ddl::<Pg>(),
            totals::table::history_ddl::<Pg>(),
            wide::table::history_ddl::<Pg>(),
            samples::table::guard_ddl::<Pg>(&Guard::refuse()),
            places::table::guard_ddl::<Pg>(&Guard::refuse()),
            digests::table::guard_ddl::<Pg>(&Guard::refuse()),
            totals::table::guard_ddl::<Pg>(&Guard::refuse()),
            wide::table::guard_ddl::<Pg>(&Guard::refuse()),
        ] {
            connection.batch_execute(&ddl).await.unwrap();
        }
        database
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub fn address(&self) -> String {
        let server = server("KOHERENT_TEST_POSTGRES");
        let separator = if server.contains('?') { '&' } else { '?' };
        format!("{server}{separator}options=-csearch_path%3D{}", self.schema)
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

    /// Makes room, where a test needs thousands: its schema goes.
    pub async fn remove(self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.connect().await.batch_execute(&drop).await.unwrap();
    }

    pub async fn connect(&self) -> Conn {
        AsyncPgConnection::establish(&self.address()).await.unwrap()
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

/// What hands out entries as they are committed.
pub async fn live(
    database: &Database,
    _: &AuditedPool<Pool<Conn>>,
    reader: HistoryReader,
) -> LiveHistory {
    let mut connection = database.connect().await;
    for ddl in [
        samples::table::notify_ddl::<Pg>(),
        places::table::notify_ddl::<Pg>(),
    ] {
        connection.batch_execute(&ddl).await.unwrap();
    }
    let address = database.address();
    let connect = move || -> BoxFuture<'static, _> {
        let address = address.clone();
        Box::pin(async move { AsyncPgConnection::establish(&address).await })
    };
    LiveHistory::listening(connect, reader)
}

/// The socket of the server, and how to connect to that database through a port of this machine.
pub fn proxied(database: &Database) -> (String, impl AsyncFn(u16) -> Conn) {
    let server = server("KOHERENT_TEST_POSTGRES");
    let host = server.split('@').nth(1).unwrap().split('/').next().unwrap();
    let socket = format!("{}/.s.PGSQL.5432", host.replace("%2F", "/"));
    let address = database.address();
    let connect = async move |port: u16| {
        let address = address.replace(host_of(&address), &format!("127.0.0.1:{port}"));
        AsyncPgConnection::establish(&address).await.unwrap()
    };
    (socket, connect)
}

fn host_of(address: &str) -> &str {
    address
        .split('@')
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
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
