//! PostgreSQL: a server somewhere.

use anyhow::{Context, Result, bail};
use diesel::ConnectionError;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, deadpool};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::future::BoxFuture;
use koherent_diesel::{AuditedPool, LiveHistory, check};

use super::{Database, expect_none, tracked, without_password};

/// The pool of bare connections.
pub type Pool = deadpool::Pool<AsyncPgConnection>;

/// The engine.
pub type Backend = diesel::pg::Pg;

/// The database that the lab looks for unless told otherwise.
pub const DEFAULT_URL: &str = "postgres://localhost/lab";

/// The SQL type of moments.
pub mod moment {
    pub use diesel::sql_types::Timestamptz as Moment;
}

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// How long a statement may take: as long as those who ask wait.
const PATIENCE: &str = "SET statement_timeout = '30s'";

/// Connections at most.
const POOL_SIZE: usize = 16;

/// What the development key of a database is named after: the database.
///
/// # Errors
///
/// Where it is the URL of another engine.
pub fn key_name(url: &str) -> Result<String> {
    let rest = ["postgres://", "postgresql://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        bail!(
            "`{}` is no PostgreSQL database: give `postgres://USER@HOST/DATABASE` with --database-url, or build the lab for \
             SQLite, `cargo run -p lab`",
            without_password(url)
        );
    };
    let place = rest.split('?').next().unwrap_or_default();
    let name = place.rsplit_once('/').map_or("", |(_, name)| name);
    if name.is_empty() {
        bail!(
            "`{}` names no database: give `postgres://USER@HOST/DATABASE` with --database-url",
            without_password(url)
        );
    }
    Ok(name.to_owned())
}

/// Connects, brings the database up to date, and checks that it has what the declared tables need.
///
/// # Errors
///
/// Where no connection can be had, or the database cannot be migrated or differs from the declarations; the message says
/// what to do.
pub async fn open(url: &str) -> Result<Database> {
    key_name(url)?;
    let shown = without_password(url);
    let connect = async || {
        AsyncPgConnection::establish(url).await.with_context(|| {
            format!("cannot connect to `{shown}`: does the server run, and the database exist? Choose another with --database-url")
        })
    };
    let migrations = koherent_diesel::MIGRATIONS.and(MIGRATIONS);
    let mut connection = koherent_diesel::migrate_async(connect().await?, migrations)
        .await
        .map_err(|error| anyhow::anyhow!(error))
        .with_context(|| format!("cannot bring the database `{shown}` up to date"))?;
    expect_none(check(&mut connection, tracked()).await, &shown)?;
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(|url| {
        Box::pin(async move {
            let mut connection = AsyncPgConnection::establish(url).await?;
            let patience = connection.batch_execute(PATIENCE).await;
            patience.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    let pool = Pool::builder(manager)
        .max_size(POOL_SIZE)
        .build()
        .context("cannot build the connection pool")?;
    let url = url.to_owned();
    let connect = move || {
        let url = url.clone();
        Box::pin(async move { AsyncPgConnection::establish(&url).await }) as BoxFuture<'static, _>
    };
    let live = |_: &_, histories| LiveHistory::listening(connect, histories);
    Ok(Database::new(AuditedPool::new(pool), live))
}
