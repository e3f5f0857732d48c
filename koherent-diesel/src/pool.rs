//! `AuditedPool`: connections that know whose changes they make, from a `deadpool` pool.

use std::fmt;
use std::ops::{Deref, DerefMut};

use diesel::SqliteConnection;
use diesel_async::pooled_connection::PoolableConnection as _;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use koherent_core::Attribution;

use crate::connection::AuditedConnection;
use crate::error::Error;
use crate::task_cache::TaskCache;

type Sqlite = SyncConnectionWrapper<SqliteConnection>;

/// A connection that goes back into its pool, unless a transaction is open on it: then it is closed, so that it holds no
/// lock while it waits for the next request.
pub struct PooledConnection(Option<Object<Sqlite>>);

impl Deref for PooledConnection {
    type Target = Sqlite;

    fn deref(&self) -> &Sqlite {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Sqlite {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        // While a panic unwinds, a job may still use the connection: it cannot be asked, so it does not go back either.
        if std::thread::panicking() || connection.is_broken() {
            tracing::warn!("a connection came back with an open transaction and was closed");
            drop(Object::take(connection));
        }
    }
}

impl fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PooledConnection(..)")
    }
}

/// A pool that hands out a connection only together with an attribution.
///
/// The attribution lives as long as the [`AuditedConnection`] does: what goes back into the pool is the bare connection,
/// so no attribution reaches another request. Clones share the pool.
///
/// ```
/// # include!("doctest_setup.rs");
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, deadpool::Pool};
/// use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
/// use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
/// use koherent_diesel::AuditedPool;
/// # let directory = tempfile::tempdir()?;
/// # let file = directory.path().join("lab.db").display().to_string();
/// # {
/// #     use diesel::connection::SimpleConnection;
/// #     use diesel_migrations::MigrationHarness;
/// #     let mut connection = SqliteConnection::establish(&file)?;
/// #     connection.batch_execute(DDL)?;
/// #     connection.run_pending_migrations(koherent_diesel::sqlite::MIGRATIONS).unwrap();
/// # }
///
/// // SQLite writes one transaction at a time: each connection must be ready to wait for its turn.
/// let mut config = ManagerConfig::default();
/// config.custom_setup = Box::new(|file| {
///     let file = file.to_owned();
///     Box::pin(async move {
///         let mut connection = SyncConnectionWrapper::<SqliteConnection>::establish(&file).await?;
///         let pragmas = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;";
///         connection.batch_execute(pragmas).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
///         Ok(connection)
///     })
/// });
/// let manager = AsyncDieselConnectionManager::new_with_config(file, config);
/// let pool = AuditedPool::new(Pool::builder(manager).build()?);
///
/// let mut conn = pool.get(Attribution::system("nightly-import")).await?;
/// let liver: Sample = conn.audited_insert(samples::table, samples::name.eq("liver")).get_result().await?;
/// assert_eq!(liver.name, "liver");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AuditedPool {
    pool: Pool<Sqlite>,
    tasks: TaskCache,
}

impl AuditedPool {
    /// A pool of audited connections to the one database that `pool` is connected to.
    #[must_use]
    pub fn new(pool: Pool<Sqlite>) -> Self {
        Self {
            pool,
            tasks: TaskCache::new(),
        }
    }

    /// A connection whose changes have that attribution.
    ///
    /// # Errors
    ///
    /// [`Error::Pool`] where none can be had.
    pub async fn get(
        &self,
        attribution: Attribution,
    ) -> Result<AuditedConnection<PooledConnection>, Error> {
        let connection = self
            .pool
            .get()
            .await
            .map_err(|error| Error::Pool(Box::new(error)))?;
        let connection = PooledConnection(Some(connection));
        Ok(AuditedConnection::with_tasks(
            connection,
            attribution,
            self.tasks.clone(),
        ))
    }
}

impl fmt::Debug for AuditedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedPool")
            .field("status", &self.pool.status())
            .finish_non_exhaustive()
    }
}
