//! The database file: opened, migrated and checked at start; then a pool of audited connections.

use anyhow::{Context, Result, bail};
use diesel::{Connection, SqliteConnection};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use koherent_diesel::{Audited, AuditedPool, Difference, check};

use crate::schema::samples;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// A commit is on disk before it is acknowledged, readers never wait for the writer, and writers wait for each other.
const PRAGMAS: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                       PRAGMA foreign_keys = ON;";

/// Connections at most: SQLite writes one transaction at a time, the others read.
const POOL_SIZE: usize = 8;

/// The file that a database URL means: `sqlite://FILE` or a plain path.
///
/// # Errors
///
/// Where it is the URL of another database.
pub fn file_of(url: &str) -> Result<&str> {
    let file = url.strip_prefix("sqlite://").unwrap_or(url);
    if file.contains("://") || file.starts_with("sqlite:") {
        bail!("`{url}` is no SQLite database: give `sqlite://FILE` or a path with --database-url");
    }
    if file.is_empty() || file == ":memory:" {
        bail!("`{url}` names no file: give `sqlite://FILE` or a path with --database-url");
    }
    Ok(file)
}

/// Opens the file, brings it up to date, and checks that it has what the declared tables need.
///
/// # Errors
///
/// Where it cannot be opened, migrated, or differs from the declarations; the message says what to do.
pub fn open(url: &str) -> Result<AuditedPool> {
    let file = file_of(url)?.to_owned();
    let mut connection = SqliteConnection::establish(&file).with_context(|| {
        format!("cannot open the database `{file}`: is its folder there and writable? Choose another with --database-url")
    })?;
    migrate(&mut connection)
        .with_context(|| format!("cannot bring the database `{file}` up to date"))?;
    let differences = check(&mut connection, [samples::table::tracked()])
        .with_context(|| format!("cannot check the database `{file}`"))?;
    if !differences.is_empty() {
        let lines: Vec<_> = differences.iter().map(Difference::to_string).collect();
        bail!(
            "the database `{file}` does not fit this lab: {}",
            lines.join("; ")
        );
    }
    Ok(AuditedPool::new(pool(file)?))
}

fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    use diesel::connection::SimpleConnection as _;
    connection.batch_execute(PRAGMAS)?;
    for migrations in [koherent_diesel::sqlite::MIGRATIONS, MIGRATIONS] {
        connection
            .run_pending_migrations(migrations)
            .map_err(|error| anyhow::anyhow!(error))?;
    }
    Ok(())
}

fn pool(file: String) -> Result<Pool<SyncConnectionWrapper<SqliteConnection>>> {
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
