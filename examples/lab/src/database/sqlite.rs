//! SQLite: one file.

use anyhow::{Context, Result, bail};
use diesel::{Connection, SqliteConnection};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, deadpool};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use koherent_diesel::{AuditedPool, LiveHistory, check};

use super::{Database, expect_none, tracked, without_password};

/// The pool of bare connections.
pub type Pool = deadpool::Pool<SyncConnectionWrapper<SqliteConnection>>;

/// The engine.
pub type Backend = diesel::sqlite::Sqlite;

/// The file that the lab makes unless told otherwise.
pub const DEFAULT_URL: &str = "lab.db";

/// The SQL type of moments.
pub mod moment {
    pub use diesel::sql_types::TimestamptzSqlite as Moment;
}

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// A commit is on disk before it is acknowledged, readers never wait for the writer, and writers wait for each other.
const PRAGMAS: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                       PRAGMA foreign_keys = ON;";

/// Connections at most: SQLite writes one transaction at a time, the others read.
const POOL_SIZE: usize = 8;

/// What the development key of a database is named after: its file.
///
/// # Errors
///
/// Where it is the URL of another database.
pub fn key_name(url: &str) -> Result<String> {
    if url.starts_with("postgres") && url.contains("://") {
        bail!(
            "this lab is built for SQLite: give `sqlite://FILE` or a path with --database-url, or build it for PostgreSQL, \
             `cargo run -p lab --no-default-features --features postgres`"
        );
    }
    let file = url.strip_prefix("sqlite://").unwrap_or(url);
    if file.contains("://") || file.starts_with("sqlite:") {
        bail!(
            "`{}` is no SQLite database: give `sqlite://FILE` or a path with --database-url",
            without_password(url)
        );
    }
    if file.is_empty() || file == ":memory:" {
        bail!("`{url}` names no file: give `sqlite://FILE` or a path with --database-url");
    }
    Ok(file.to_owned())
}

/// Opens the file, brings it up to date, and checks that it has what the declared tables need.
///
/// # Errors
///
/// Where it cannot be opened, migrated, or differs from the declarations; the message says what to do.
pub async fn open(url: &str) -> Result<Database> {
    let file = key_name(url)?;
    let mut connection = SqliteConnection::establish(&file).with_context(|| {
        format!("cannot open the database `{file}`: is its folder there and writable? Choose another with --database-url")
    })?;
    migrate(&mut connection)
        .with_context(|| format!("cannot bring the database `{file}` up to date"))?;
    expect_none(check(&mut connection, tracked()), &file)?;
    let pool = AuditedPool::new(pool(file)?);
    Ok(Database::new(pool, LiveHistory::in_process))
}

fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    use diesel::connection::SimpleConnection as _;
    connection.batch_execute(PRAGMAS)?;
    koherent_diesel::migrate(connection, koherent_diesel::MIGRATIONS.and(MIGRATIONS))
        .map_err(|error| anyhow::anyhow!(error))?;
    Ok(())
}

fn pool(file: String) -> Result<Pool> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(|file| {
        let file = file.to_owned();
        Box::pin(async move {
            let mut connection =
                SyncConnectionWrapper::<SqliteConnection>::establish(&file).await?;
            connection
                .batch_execute(PRAGMAS)
                .await
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(file, config);
    Pool::builder(manager)
        .max_size(POOL_SIZE)
        .build()
        .context("cannot build the connection pool")
}
