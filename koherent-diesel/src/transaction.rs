//! Transactions that are begun otherwise than by default, or run again when the database says so.

use std::marker::PhantomData;

use diesel::connection::{Connection, TransactionManager as _};
use diesel::result::Error as DieselError;

use crate::connection::AuditedConnection;
#[cfg(feature = "async")]
use crate::driver::NonBlocking;
use crate::driver::sealed::Ours;
use crate::driver::{Blocking, Driver};
use crate::engine::Engine;
use crate::error::Error;
use crate::failure::Failure;
use crate::scope::Scope;

/// How often a transaction is run, at most, unless [`TransactionBuilder::attempts`] says otherwise.
pub(crate) const ATTEMPTS: u32 = 10;

/// How often a change outside of a transaction is made, at most: of those that collide one gets through each time.
#[cfg(any(feature = "postgres_backend", feature = "mysql"))]
pub(crate) const LONE_ATTEMPTS: u32 = 100;

/// A failure after which the whole transaction may be run again: a serialization failure or a deadlock. The database has
/// undone everything, and says that it would work at another time.
///
/// Implement it for the error type that your transactions return, by asking the error inside:
///
/// ```
/// use koherent_diesel::Retryable;
///
/// #[derive(Debug)]
/// enum LabError { Database(koherent_diesel::Error), NoSuchSample }
///
/// impl Retryable for LabError {
///     fn is_retryable(&self) -> bool {
///         matches!(self, Self::Database(error) if error.is_retryable())
///     }
/// }
/// # impl From<diesel::result::Error> for LabError { fn from(error: diesel::result::Error) -> Self { Self::Database(error.into()) } }
/// assert!(!LabError::NoSuchSample.is_retryable());
/// ```
pub trait Retryable {
    /// Whether it is one.
    fn is_retryable(&self) -> bool;
}

impl Retryable for DieselError {
    fn is_retryable(&self) -> bool {
        Failure::of(self) == Some(Failure::Collision)
    }
}

impl Retryable for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Diesel(error)
            | Self::TaskNotWritten(error)
            | Self::GuardNotArmed(error)
            | Self::HistoryNotWritten { source: error, .. }
            | Self::HistoryNotRead { source: error, .. } => error.is_retryable(),
            _ => false,
        }
    }
}

/// How a transaction sees what others do meanwhile (SQL:2016 part 2, §4.41.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// What is asked of a transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    isolation: Option<Isolation>,
    read_only: bool,
    #[cfg(feature = "postgres_backend")]
    deferrable: bool,
    #[cfg(feature = "sqlite")]
    lock: Option<&'static str>,
}

impl Options {
    /// Whether it refuses changes.
    pub(crate) const fn is_read_only(self) -> bool {
        self.read_only
    }

    /// What stands behind `ISOLATION LEVEL`.
    #[cfg(any(feature = "postgres_backend", feature = "mysql"))]
    fn level(self) -> Option<&'static str> {
        self.isolation.map(|isolation| match isolation {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        })
    }

    /// `BEGIN` as SQLite has it.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite(self) -> String {
        let lock = match self.lock {
            Some(lock) => lock,
            // What reads first and writes then would have to wait for a lock that it may not wait for (SQLITE_BUSY_SNAPSHOT).
            None if self.read_only => "DEFERRED",
            None => "IMMEDIATE",
        };
        format!("BEGIN {lock}")
    }

    /// `BEGIN` as PostgreSQL has it.
    #[cfg(feature = "postgres_backend")]
    pub(crate) fn postgres(self) -> String {
        let mut sql = String::from("BEGIN TRANSACTION");
        if let Some(level) = self.level() {
            sql.push_str(" ISOLATION LEVEL ");
            sql.push_str(level);
        }
        if self.read_only {
            sql.push_str(" READ ONLY");
        }
        if self.deferrable {
            sql.push_str(" DEFERRABLE");
        }
        sql
    }

    /// `BEGIN` as MariaDB and MySQL have it.
    #[cfg(feature = "mysql")]
    pub(crate) fn mysql(self) -> String {
        // What the server says of failures is told by its words; plain statements show nothing else.
        let mut sql = String::from("SET lc_messages = 'en_US'; ");
        if let Some(level) = self.level() {
            sql.push_str("SET TRANSACTION ISOLATION LEVEL ");
            sql.push_str(level);
            sql.push_str("; ");
        }
        sql.push_str("START TRANSACTION");
        if self.read_only {
            sql.push_str(" READ ONLY");
        }
        sql
    }
}

/// An engine with isolation levels: PostgreSQL, MariaDB and MySQL. SQLite's transactions are always serializable.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no isolation levels",
    note = "SQLite's transactions are always serializable; it has `immediate()` and `exclusive()`"
)]
pub trait IsolationLevels: Engine {}

#[cfg(feature = "postgres_backend")]
impl IsolationLevels for diesel::pg::Pg {}
#[cfg(feature = "mysql")]
impl IsolationLevels for diesel::mysql::Mysql {}

/// Closures that return values.
#[derive(Debug)]
#[non_exhaustive]
pub struct Values;

/// Closures that return futures.
#[derive(Debug)]
#[non_exhaustive]
pub struct Futures;

/// A transaction that is about to be run: [`AuditedConnection::build_transaction`].
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let mut conn = koherent_diesel::AuditedConnection::new(connection_with_liver(), Attribution::system("import"));
/// let names = conn.build_transaction().immediate().attempts(3).run(|conn| {
///     let names: Vec<String> = samples::table.select(samples::name).load(conn)?;
///     conn.audited_update(samples::table, samples::note.eq("seen")).execute()?;
///     Ok::<_, koherent_diesel::Error>(names)
/// })?;
/// assert_eq!(names, ["liver"]);
/// # Ok(())
/// # }
/// ```
///
/// With diesel-async the closure is async: `conn.build_transaction().serializable().run(async |conn| …).await?`.
#[must_use = "nothing happens until it is run"]
#[derive(Debug)]
pub struct TransactionBuilder<'c, C, M> {
    connection: &'c mut AuditedConnection<C>,
    options: Options,
    scope: Scope,
    attempts: u32,
    closures: PhantomData<M>,
}

impl<'c, C: Driver, M> TransactionBuilder<'c, C, M> {
    pub(crate) const fn new(connection: &'c mut AuditedConnection<C>) -> Self {
        Self {
            connection,
            options: Options {
                isolation: None,
                read_only: false,
                #[cfg(feature = "postgres_backend")]
                deferrable: false,
                #[cfg(feature = "sqlite")]
                lock: None,
            },
            scope: Scope::Plain,
            attempts: 1,
            closures: PhantomData,
        }
    }

    /// Tells the database whose transaction it is, so that guards which capture plain writes ([`Policy::Capture`]) record
    /// them with its user and its task. Plain writes of Diesel's then go through this connection.
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use diesel::connection::SimpleConnection;
    /// use diesel::sqlite::Sqlite;
    /// use koherent_core::Principal;
    /// use koherent_diesel::{Audited, AuditedConnection, Guard, entries_of};
    ///
    /// # let mut sqlite = connection();
    /// sqlite.batch_execute(&samples::table::guard_ddl::<Sqlite>(&Guard::capture()))?;
    /// let ann = Attribution::of(Principal::new("https://login.example", "ann", "lab-ui"));
    /// let mut conn = AuditedConnection::new(sqlite, ann);
    /// conn.build_transaction().attributed().run(|conn| {
    ///     diesel::sql_query("INSERT INTO samples (id, name) VALUES (1, 'liver')").execute(conn)
    /// })?;
    ///
    /// let entries = entries_of(samples::table, 1).load(&mut conn)?;
    /// assert_eq!(entries[0].user.as_ref().unwrap(), "ann");
    /// assert_eq!(entries[0].captured(), Some("INSERT"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`Policy::Capture`]: crate::Policy::Capture
    pub fn attributed(mut self) -> Self {
        if self.scope == Scope::Plain {
            self.scope = Scope::Attributed;
        }
        self
    }

    pub(crate) fn paused(mut self, reason: String) -> Self {
        self.scope = Scope::Paused(reason);
        self
    }

    /// Runs it up to so many times: again, at once, after each [`Retryable`] failure, until it commits or fails otherwise.
    /// Of transactions that collide one gets through, so as many attempts as there are writers of the same rows are
    /// enough. By default it is run once.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }
}

impl<C: Driver, M> TransactionBuilder<'_, C, M> {
    /// Each statement sees what was committed before it.
    pub const fn read_committed(mut self) -> Self
    where
        C::Backend: IsolationLevels,
    {
        self.options.isolation = Some(Isolation::ReadCommitted);
        self
    }

    /// All statements see what was committed before the first.
    pub const fn repeatable_read(mut self) -> Self
    where
        C::Backend: IsolationLevels,
    {
        self.options.isolation = Some(Isolation::RepeatableRead);
        self
    }

    /// As if transactions ran one after the other. Give it some [`attempts`](Self::attempts).
    pub const fn serializable(mut self) -> Self
    where
        C::Backend: IsolationLevels,
    {
        self.options.isolation = Some(Isolation::Serializable);
        self
    }

    /// Refuses changes. On SQLite, where every other transaction takes the write lock at its begin, this one waits for no
    /// writer and keeps none out.
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let mut conn = koherent_diesel::AuditedConnection::new(connection_with_liver(), Attribution::system("import"));
    /// let read = conn.build_transaction().read_only().run(|conn| {
    ///     let name: String = samples::table.select(samples::name).first(conn)?;
    ///     let refused = conn.audited_update(samples::table, samples::name.eq("heart")).execute();
    ///     assert!(refused.is_err());
    ///     Ok::<_, koherent_diesel::Error>(name)
    /// })?;
    /// assert_eq!(read, "liver");
    /// # Ok(())
    /// # }
    /// ```
    pub const fn read_only(mut self) -> Self {
        self.options.read_only = true;
        self
    }
}

#[cfg(feature = "postgres_backend")]
impl<C: Driver<Backend = diesel::pg::Pg>, M> TransactionBuilder<'_, C, M> {
    /// Waits until it can run without ever failing to serialize, where it is serializable and read-only.
    pub const fn deferrable(mut self) -> Self {
        self.options.deferrable = true;
        self
    }
}

#[cfg(feature = "sqlite")]
impl<C: Driver<Backend = diesel::sqlite::Sqlite>, M> TransactionBuilder<'_, C, M> {
    /// Takes the write lock at once, so that no later statement has to wait for it, or fails because somebody else wrote
    /// in between. That is what every transaction does that is not [`read_only`](Self::read_only).
    pub const fn immediate(mut self) -> Self {
        self.options.lock = Some("IMMEDIATE");
        self
    }

    /// Takes the write lock at once, and keeps readers out as well.
    pub const fn exclusive(mut self) -> Self {
        self.options.lock = Some("EXCLUSIVE");
        self
    }
}

impl<C> TransactionBuilder<'_, C, Values>
where
    C: Blocking<Closures = Values> + Connection,
{
    /// Runs it: begins, calls the closure, and commits, or rolls back where the closure fails.
    ///
    /// # Errors
    ///
    /// What the closure returns, or what the database says of the transaction itself; `AlreadyInTransaction` inside
    /// another one.
    pub fn run<R, E>(
        self,
        mut closure: impl FnMut(&mut AuditedConnection<C>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<DieselError> + Retryable,
    {
        type Manager<C> = <AuditedConnection<C> as Connection>::TransactionManager;
        let Self {
            connection,
            options,
            scope,
            attempts,
            ..
        } = self;
        let begin = connection.begin(options);
        let mut left = attempts;
        loop {
            left = left.saturating_sub(1);
            let begun = C::value(connection.bare_mut().begin_with(begin.clone(), Ours));
            let turn = match begun {
                Ok(turn) => turn,
                Err(error) if error.is_retryable() && left > 0 => continue,
                Err(error) => return Err(error.into()),
            };
            let result = match connection.enter_transaction(turn, &scope, options) {
                Some(open) => connection.bare_mut().batch_execute(&open).map_err(E::from),
                None => Ok(()),
            };
            let claim = connection.own_claim().filter(|_| !options.is_read_only());
            let result = match (result, claim) {
                (Ok(()), Some((work, claim))) => {
                    let claimed = C::value(connection.bare_mut().run(Ok(work), claim, Ours));
                    connection.claimed(claimed).map_err(E::from)
                }
                (result, _) => result,
            };
            let result = match result {
                Ok(()) => closure(connection),
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(result) => match Manager::<C>::commit_transaction(connection) {
                    Ok(()) => return Ok(result),
                    Err(error) => E::from(error),
                },
                Err(error) => {
                    // Where this fails too, the next begin does; and the first error says what happened, unless it cannot know.
                    match Manager::<C>::rollback_transaction(connection) {
                        Err(lost @ DieselError::DatabaseError(..))
                            if Failure::of(&lost) == Some(Failure::Lost) =>
                        {
                            E::from(lost)
                        }
                        _ => error,
                    }
                }
            };
            if left == 0 || !error.is_retryable() {
                return Err(error);
            }
        }
    }
}

#[cfg(feature = "async")]
impl<C> TransactionBuilder<'_, C, Futures>
where
    C: NonBlocking<Closures = Futures> + diesel_async::AsyncConnection,
{
    /// Runs it: begins, calls the closure, and commits, or rolls back where the closure fails. Each attempt has a clone of
    /// the closure: what it moves in must be `Clone`; what it borrows is.
    ///
    /// # Errors
    ///
    /// What the closure returns, or what the database says of the transaction itself; `AlreadyInTransaction` inside
    /// another one.
    pub async fn run<'a, R, E, F>(self, closure: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut AuditedConnection<C>) -> Result<R, E>
            + SendAsync<&'r mut AuditedConnection<C>, Result<R, E>, Future: Send>
            + Clone
            + Send
            + 'a,
        E: From<DieselError> + Retryable + Send,
        R: Send,
    {
        use diesel_async::TransactionManager as _;
        type Manager<C> =
            <AuditedConnection<C> as diesel_async::AsyncConnection>::TransactionManager;
        let Self {
            connection,
            options,
            scope,
            attempts,
            ..
        } = self;
        let begin = connection.begin(options);
        let mut left = attempts;
        loop {
            left = left.saturating_sub(1);
            let begun = C::future(connection.bare_mut().begin_with(begin.clone(), Ours)).await;
            let turn = match begun {
                Ok(turn) => turn,
                Err(error) if error.is_retryable() && left > 0 => continue,
                Err(error) => return Err(error.into()),
            };
            let result = match connection.enter_transaction(turn, &scope, options) {
                Some(open) => connection
                    .bare_mut()
                    .batch_execute(&open)
                    .await
                    .map_err(E::from),
                None => Ok(()),
            };
            let claim = connection.own_claim().filter(|_| !options.is_read_only());
            let result = match (result, claim) {
                (Ok(()), Some((work, claim))) => {
                    let claimed = C::future(connection.bare_mut().run(Ok(work), claim, Ours)).await;
                    connection.claimed(claimed).map_err(E::from)
                }
                (result, _) => result,
            };
            let result = match result {
                Ok(()) => closure.clone()(connection).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(result) => match Manager::<C>::commit_transaction(connection).await {
                    Ok(()) => return Ok(result),
                    Err(error) => E::from(error),
                },
                Err(error) => {
                    // Where this fails too, the next begin does; and the first error says what happened, unless it cannot know.
                    match Manager::<C>::rollback_transaction(connection).await {
                        Err(lost @ DieselError::DatabaseError(..))
                            if Failure::of(&lost) == Some(Failure::Lost) =>
                        {
                            E::from(lost)
                        }
                        _ => error,
                    }
                }
            };
            if left == 0 || !error.is_retryable() {
                return Err(error);
            }
        }
    }
}

/// An async closure whose future can be told to be `Send`. Stable Rust cannot say that of an `AsyncFnOnce`.
#[cfg(feature = "async")]
#[doc(hidden)]
pub trait SendAsync<T, R>:
    AsyncFnOnce(T) -> R + FnOnce(T) -> <Self as SendAsync<T, R>>::Future
{
    type Future: Future<Output = R>;
}

#[cfg(feature = "async")]
impl<F, T, R, Fut> SendAsync<T, R> for F
where
    F: AsyncFnOnce(T) -> R + FnOnce(T) -> Fut,
    Fut: Future<Output = R>,
{
    type Future = Fut;
}
