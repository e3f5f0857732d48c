//! `AuditedPool`: connections that know whose changes they make, from a pool of the application's choice.

#[cfg(feature = "bb8")]
mod bb8;
#[cfg(feature = "deadpool")]
mod deadpool;
#[cfg(any(feature = "deadpool", feature = "bb8"))]
mod live;
#[cfg(any(feature = "deadpool", feature = "bb8"))]
mod pooled;
#[cfg(feature = "r2d2")]
mod r2d2;
#[cfg(any(feature = "deadpool", feature = "bb8"))]
mod reader;

use std::fmt;

use koherent_core::Attribution;

#[cfg(any(feature = "deadpool", feature = "bb8"))]
pub use self::live::{LiveHistory, Watch};
#[cfg(any(feature = "deadpool", feature = "bb8"))]
pub use self::pooled::PooledConnection;
#[cfg(any(feature = "deadpool", feature = "bb8"))]
pub use self::reader::HistoryReader;
use crate::connection::AuditedConnection;
use crate::driver::Driver;
use crate::error::Error;
use crate::remembered::Remembered;

/// A pool that [`AuditedPool`] can stand on. Sealed: it is implemented for
///
/// | feature | pool | `get` answers |
/// | --- | --- | --- |
/// | `deadpool` | `diesel_async::pooled_connection::deadpool::Pool` | a future |
/// | `bb8` | `diesel_async::pooled_connection::bb8::Pool` | a future |
/// | `r2d2` | `diesel::r2d2::Pool` | a value |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no pool that `AuditedPool` knows",
    note = "use `deadpool::Pool` (feature `deadpool`) or `bb8::Pool` (feature `bb8`) of \
            `diesel_async::pooled_connection`, or `diesel::r2d2::Pool` (feature `r2d2`)"
)]
pub trait ConnectionPool: sealed::Sealed {
    /// What it hands out.
    type Connection: Driver;

    /// What `get` answers: the value itself, or a future of it.
    type Reply<'p, T>
    where
        T: 'p,
        Self: 'p;

    /// Hands out a connection, and lets `audit` make it an audited one.
    #[doc(hidden)]
    fn take<'p, T: Send + 'p>(
        &'p self,
        audit: impl FnOnce(Self::Connection) -> T + Send + 'p,
    ) -> Self::Reply<'p, Result<T, Error>>;
}

/// A pool that answers with futures.
#[cfg(any(feature = "deadpool", feature = "bb8"))]
pub trait NonBlockingPool: ConnectionPool<Connection: crate::driver::NonBlocking + Send> {
    /// The future itself.
    #[doc(hidden)]
    fn future<'p, T>(reply: Self::Reply<'p, T>) -> futures_util::future::BoxFuture<'p, T>
    where
        Self: 'p;
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "nobody else implements `ConnectionPool`")]
    pub trait Sealed {}
}

/// A pool that hands out a connection only together with an attribution.
///
/// The attribution lives as long as the [`AuditedConnection`] does: what goes back into the pool is the bare connection,
/// so no attribution reaches another request. Clones share the pool.
///
#[cfg_attr(all(feature = "deadpool", feature = "sqlite"), doc = "```")]
#[cfg_attr(not(all(feature = "deadpool", feature = "sqlite")), doc = "```ignore")]
/// # include!("../doctest_setup.rs");
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
/// #     connection.run_pending_migrations(koherent_diesel::MIGRATIONS).unwrap();
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
pub struct AuditedPool<P> {
    pool: P,
    remembered: Remembered,
    hands_over: bool,
}

impl<P: ConnectionPool> AuditedPool<P> {
    /// A pool of audited connections to the one database that `pool` is connected to.
    #[must_use]
    pub fn new(pool: P) -> Self {
        Self {
            pool,
            remembered: Remembered::nothing(),
            hands_over: false,
        }
    }

    /// The same pool, whose connections let another agent go on with a task that is known here. See
    /// [`AuditedConnection::with_tasks_handed_over`].
    #[must_use]
    pub fn with_tasks_handed_over(self) -> Self {
        Self {
            hands_over: true,
            ..self
        }
    }

    /// A connection whose changes have that attribution.
    ///
    /// # Errors
    ///
    /// [`Error::Pool`] where none can be had.
    pub fn get(
        &self,
        attribution: Attribution,
    ) -> P::Reply<'_, Result<AuditedConnection<P::Connection>, Error>>
    where
        P::Connection: Send,
    {
        let (remembered, hands_over) = (self.remembered.clone(), self.hands_over);
        self.pool.take(move |connection| {
            let audited = AuditedConnection::remembering(connection, attribution, remembered);
            match hands_over {
                true => audited.with_tasks_handed_over(),
                false => audited,
            }
        })
    }

    /// The pool of bare connections: for its settings and its state. What is written through one of its connections is
    /// written past the audit.
    pub const fn bare(&self) -> &P {
        &self.pool
    }
}

impl<P> fmt::Debug for AuditedPool<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedPool").finish_non_exhaustive()
    }
}
