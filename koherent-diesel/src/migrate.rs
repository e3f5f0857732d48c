//! Running migrations: one process at a time, however many start at once.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::backend::Backend;
use diesel::connection::{Connection, TransactionManager as _};
use diesel::migration::{Migration, MigrationSource, Result};
use diesel::query_builder::{QueryFragment, SqlQuery};
use diesel::query_dsl::methods::ExecuteDsl;
use diesel::result::Error as DieselError;
use diesel_migrations::MigrationHarness;

use crate::engine::Engine;
use crate::error::Error;
use crate::failure::Failure;

/// Runs the migrations that have not been run yet, and says which; whoever else migrates the database with this call waits, and
/// finds nothing left to do. Services may start at once, on an empty database too.
///
/// ```
/// use diesel::{Connection, SqliteConnection};
///
/// let mut connection = SqliteConnection::establish(":memory:")?;
/// let done = koherent_diesel::migrate(&mut connection, koherent_diesel::MIGRATIONS).expect("an empty database");
/// assert_eq!(done[0], "20261120000000");
/// let again = koherent_diesel::migrate(&mut connection, koherent_diesel::MIGRATIONS).expect("the same database");
/// assert!(again.is_empty());
/// # Ok::<(), diesel::ConnectionError>(())
/// ```
///
/// The lock is an advisory lock of the session on PostgreSQL, `GET_LOCK` on MariaDB and MySQL (a connection through a pooler must
/// keep its session, therefore), and on SQLite the write lock: all migrations are one transaction there, unless one of them says
/// `run_in_transaction = false`; then each is its own.
///
/// # Errors
///
/// Where a migration fails, and where the lock cannot be had within [`PATIENCE`].
#[expect(
    clippy::needless_pass_by_value,
    reason = "a source is given as Diesel's own harness takes it"
)]
pub fn migrate<C, S>(connection: &mut C, source: S) -> Result<Vec<String>>
where
    C: Connection<Backend: Engine> + MigrationHarness<<C as Connection>::Backend>,
    SqlQuery: QueryFragment<<C as Connection>::Backend> + ExecuteDsl<C>,
    S: MigrationSource<<C as Connection>::Backend>,
{
    let migrations = source.migrations()?;
    let mut alone = migrations
        .iter()
        .filter(|migration| !migration.metadata().run_in_transaction());
    let one_transaction = !matches!(C::Backend::MIGRATION_LOCK, MigrationLock::Transaction(_))
        || alone.next().is_none();
    if !one_transaction {
        return one_by_one(connection, &source);
    }
    again_while_busy(|| {
        with_migration_lock(connection, |connection| {
            let done = connection.run_pending_migrations(Borrowed(&source))?;
            Ok(done.iter().map(ToString::to_string).collect())
        })
    })
}

/// The same, on a connection of diesel-async, which comes back. It needs a runtime of Tokio.
///
/// # Errors
///
/// See [`migrate`].
#[cfg(feature = "async")]
pub async fn migrate_async<C, S>(connection: C, source: S) -> Result<C>
where
    C: diesel_async::AsyncConnection + 'static,
    S: MigrationSource<<Blocked<C> as Connection>::Backend> + Send + 'static,
    Blocked<C>: Connection<Backend: Engine> + MigrationHarness<<Blocked<C> as Connection>::Backend>,
    SqlQuery: QueryFragment<<Blocked<C> as Connection>::Backend> + ExecuteDsl<Blocked<C>>,
{
    let migrating = tokio::task::spawn_blocking(move || {
        let mut connection = Blocked::<C>::from(connection);
        migrate(&mut connection, source)?;
        Ok(connection.into_inner())
    });
    migrating.await?
}

/// A connection of diesel-async, as migrations take it.
#[cfg(feature = "async")]
type Blocked<C> = diesel_async::async_connection_wrapper::AsyncConnectionWrapper<C>;

/// Does something while nobody else migrates the database: with a migration harness of another kind than Diesel's own, for
/// instance.
///
/// ```
/// use diesel::{Connection, SqliteConnection};
/// use diesel_migrations::MigrationHarness;
///
/// let mut connection = SqliteConnection::establish(":memory:")?;
/// let pending = koherent_diesel::with_migration_lock(&mut connection, |connection| {
///     Ok(connection.pending_migrations(koherent_diesel::MIGRATIONS)?.len())
/// });
/// assert!(pending.expect("nobody else is there") > 0);
/// # Ok::<(), diesel::ConnectionError>(())
/// ```
///
/// # Errors
///
/// What `work` returns, and where the lock cannot be had within [`PATIENCE`].
pub fn with_migration_lock<C, T>(
    connection: &mut C,
    work: impl FnOnce(&mut C) -> Result<T>,
) -> Result<T>
where
    C: Connection<Backend: Engine>,
    SqlQuery: QueryFragment<<C as Connection>::Backend> + ExecuteDsl<C>,
{
    match C::Backend::MIGRATION_LOCK {
        MigrationLock::Session { take, release } => {
            wait(|| Ok(diesel::sql_query(take).execute(connection)? > 0))?;
            let done = work(connection);
            // Where this fails, the connection is lost, and its locks with it.
            let _ = connection.batch_execute(release);
            done
        }
        MigrationLock::Named { take, release } => {
            connection.batch_execute(take)?;
            let done = work(connection);
            let _ = connection.batch_execute(release);
            done
        }
        MigrationLock::Transaction(take) => {
            begin(connection, take)?;
            match work(connection) {
                Ok(done) => {
                    C::TransactionManager::commit_transaction(connection)?;
                    Ok(done)
                }
                Err(error) => {
                    // The first error says what happened.
                    let _ = C::TransactionManager::rollback_transaction(connection);
                    Err(error)
                }
            }
        }
    }
}

/// How long whoever migrates waits for others who do.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How an engine keeps others from migrating.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
#[non_exhaustive]
pub enum MigrationLock {
    /// A lock of the session; taking it returns a row, or none. It is asked for again and again: a statement that waits would
    /// keep `CREATE INDEX CONCURRENTLY` waiting for it.
    Session {
        take: &'static str,
        release: &'static str,
    },
    /// A lock of the session, whose statement waits.
    Named {
        take: &'static str,
        release: &'static str,
    },
    /// The lock that a transaction has which wrote something.
    Transaction(&'static str),
}

/// Each migration in a transaction of its own, and those that say so in none.
fn one_by_one<C, S>(connection: &mut C, source: &S) -> Result<Vec<String>>
where
    C: Connection<Backend: Engine> + MigrationHarness<<C as Connection>::Backend>,
    SqlQuery: QueryFragment<<C as Connection>::Backend> + ExecuteDsl<C>,
    S: MigrationSource<<C as Connection>::Backend>,
{
    let mut done = Vec::new();
    loop {
        let next = again_while_busy(|| {
            with_migration_lock(connection, |connection| {
                let pending = connection.pending_migrations(Borrowed(source))?;
                let Some(next) = pending.into_iter().next() else {
                    return Ok(None);
                };
                if next.metadata().run_in_transaction() {
                    let version = connection.run_migration(&*next)?.to_string();
                    return Ok(Some((version, None)));
                }
                Ok(Some((next.name().version().to_string(), Some(next))))
            })
        })?;
        match next {
            None => return Ok(done),
            Some((version, alone)) => {
                if let Some(alone) = alone {
                    connection.run_migration(&*alone)?;
                }
                done.push(version);
            }
        }
    }
}

/// Does it again where a commit failed because somebody read meanwhile, as SQLite's do without a write-ahead log and without a
/// `busy_timeout`: everything was rolled back.
fn again_while_busy<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_busy(&*error) && since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}

fn is_busy(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<DieselError>();
    error.and_then(Failure::of) == Some(Failure::Collision)
}

/// A source that is asked more than once.
struct Borrowed<'s, S>(&'s S);

impl<DB: Backend, S: MigrationSource<DB>> MigrationSource<DB> for Borrowed<'_, S> {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        self.0.migrations()
    }
}

/// Begins a transaction that holds the write lock.
fn begin<C: Connection>(connection: &mut C, take: &str) -> Result<()> {
    wait(|| {
        C::TransactionManager::begin_transaction(connection)?;
        match connection.batch_execute(take) {
            Ok(()) => Ok(true),
            Err(error) => {
                C::TransactionManager::rollback_transaction(connection)?;
                match Error::from(error) {
                    busy if busy.reason() == "DATABASE_BUSY" => Ok(false),
                    Error::Diesel(error) => Err(error),
                    _ => Ok(false),
                }
            }
        }
    })
}

fn wait(mut attempt: impl FnMut() -> std::result::Result<bool, DieselError>) -> Result<()> {
    let since = Instant::now();
    while !attempt()? {
        if since.elapsed() > PATIENCE {
            return Err("somebody else has been migrating the database for ten minutes".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
