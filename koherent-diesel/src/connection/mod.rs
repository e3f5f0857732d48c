//! `AuditedConnection`: a connection that knows whose changes it makes.

mod blocking;
#[cfg(feature = "async")]
mod non_blocking;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use diesel::query_builder::{AsChangeset, InsertStatement, IntoUpdateTarget};
use diesel::{Insertable, QueryResult};
use koherent_core::{Attribution, Clock};

use crate::batch::AuditedBatch;
use crate::driver::Driver;
use crate::driver::sealed::{Ours, Sealed};
use crate::engine::Engine;
use crate::error::Error;
use crate::gate::{Begin, Turn};
use crate::idempotency::{Claim, Idempotency};
use crate::pending::Pending;
use crate::reading::Reading;
use crate::record::{OpenScope, Recorder};
use crate::remembered::Remembered;
use crate::scope::Scope;
use crate::statement::{AuditedStatement, Delete, Insert, InsertWhole, Update, update};
use crate::table::Audited;
use crate::transaction::{ATTEMPTS, Options, TransactionBuilder};

/// A Diesel or diesel-async connection together with the attribution of the changes made through it.
///
/// Reads, transactions, savepoints and migrations go through unchanged; `audited_insert`, `audited_update` and
/// `audited_delete` write a change and its history in one transaction.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let sqlite = connection();
/// use koherent_core::Principal;
/// use koherent_diesel::{AuditedConnection, entries_of};
///
/// let ann = Attribution::of(Principal::new("https://login.example", "ann", "lab-ui"));
/// let mut conn = AuditedConnection::new(sqlite, ann);
///
/// let liver: Sample = conn.audited_insert(samples::table, samples::name.eq("liver")).get_result()?;
/// conn.audited_update(&liver, samples::note.eq("stained")).reason("histology").execute()?;
/// conn.audited_delete(samples::table.find(liver.id)).execute()?;
///
/// let entries = entries_of(samples::table, liver.id).load(&mut conn)?;
/// assert_eq!(entries.len(), 3);
/// assert_eq!(entries[1].user.as_ref().unwrap(), "ann");
/// assert_eq!(entries[1].reason.as_deref(), Some("histology"));
/// # Ok(())
/// # }
/// ```
///
/// Where a statement fails and the database undoes more than the statement (PostgreSQL, or a deadlock on MariaDB), the
/// transaction cannot be committed any more: its commit rolls back and fails, also if the statement's error was swallowed.
///
/// As with every Diesel connection, the future of a transaction that is dropped half-way leaves the transaction open: drop
/// the connection as well. A pool of [`AuditedPool`](crate::AuditedPool) closes such a connection when it comes back.
///
/// The bare connection inside cannot be borrowed:
///
/// ```compile_fail,E0596
/// # include!("../doctest_setup.rs");
/// # fn bypass(mut conn: koherent_diesel::AuditedConnection<SqliteConnection>) {
/// let bare: &mut SqliteConnection = &mut *conn;
/// # }
/// ```
///
/// and a table without a declared history is refused:
///
/// ```compile_fail,E0277
/// # include!("../doctest_setup.rs");
/// diesel::table! { tags (id) { id -> BigInt, } }
/// # fn refused(mut conn: koherent_diesel::AuditedConnection<SqliteConnection>) {
/// conn.audited_delete(tags::table).execute();
/// # }
/// # fn main() {}
/// ```
pub struct AuditedConnection<C> {
    connection: C,
    recorder: Recorder,
    /// The turn of the open transaction, where the database lets one write at a time. It ends after the connection.
    turn: Option<Turn>,
}

impl<C> AuditedConnection<C> {
    /// A connection whose changes have that attribution.
    pub fn new(connection: C, attribution: Attribution) -> Self {
        Self::remembering(connection, attribution, Remembered::nothing())
    }

    pub(crate) fn remembering(
        connection: C,
        attribution: Attribution,
        remembered: Remembered,
    ) -> Self {
        Self {
            connection,
            recorder: Recorder::new(attribution, remembered),
            turn: None,
        }
    }

    /// The same connection, asking another clock for the dates of its entries.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.recorder.clock = clock;
        self
    }

    /// The same connection, whose changes are made once, however often the request comes: see [`Idempotency`].
    #[must_use]
    pub fn with_idempotency(mut self, idempotency: Idempotency) -> Self {
        self.recorder.idempotency = Some(idempotency);
        self
    }

    /// The same connection, which lets another agent go on with a task that is known here: by default that is
    /// [`Error::TaskMismatch`], because a task is one run of work by one agent, and an issuer that gives it to another one by mistake, or
    /// somebody who signs for it, would write under its name. Where tasks are handed over on purpose, say so: the row of the task keeps
    /// the agent that came first, and each entry has the agent of the token under which it was written.
    ///
    /// ```
    /// # include!("../doctest_setup.rs");
    /// # fn main() {
    /// let conn = koherent_diesel::AuditedConnection::new(connection(), Attribution::system("import"));
    /// let _conn = conn.with_tasks_handed_over();
    /// # }
    /// ```
    #[must_use]
    pub const fn with_tasks_handed_over(mut self) -> Self {
        self.recorder.hands_over = true;
        self
    }

    /// As if the server had no `INSERT … RETURNING`: MySQL has none, and the tests have only MariaDB.
    #[cfg(feature = "mysql")]
    #[doc(hidden)]
    #[must_use]
    pub fn without_insert_returning(self) -> Self {
        self.recorder.remembered.learn_returning(false);
        self
    }

    /// Whose changes these are.
    #[must_use]
    pub const fn attribution(&self) -> &Attribution {
        &self.recorder.attribution
    }

    /// Gives the connection back.
    pub fn into_inner(self) -> C {
        self.connection
    }
}

impl<C: Driver> AuditedConnection<C> {
    /// Inserts rows and records them: one insertable value, a slice, a vector or an array of them. No rows are no
    /// statement.
    pub fn audited_insert<T, V>(&mut self, table: T, rows: V) -> Pending<'_, C, T>
    where
        T: Audited,
        V: Insertable<T>,
        Insert<T, V::Values>: AuditedStatement<C::Backend, Table = T>,
    {
        self.pending(Insert::new(table, rows))
    }

    /// Inserts rows or updates those that are there, and records each as what it was. The statement is Diesel's own, with
    /// `on_conflict`. See [`audited_upsert`](crate::audited_upsert) for what each engine can tell.
    pub fn audited_upsert<T, V>(&mut self, statement: InsertStatement<T, V>) -> Pending<'_, C, T>
    where
        T: Audited,
        InsertWhole<T, V>: AuditedStatement<C::Backend, Table = T>,
    {
        self.pending(InsertWhole {
            statement,
            upsert: true,
        })
    }

    /// Inserts what a query selects, and records the rows. The statement is Diesel's own:
    /// `query.insert_into(table).into_columns(columns)`.
    pub fn audited_insert_select<T, V>(
        &mut self,
        statement: InsertStatement<T, V>,
    ) -> Pending<'_, C, T>
    where
        T: Audited,
        InsertWhole<T, V>: AuditedStatement<C::Backend, Table = T>,
    {
        self.pending(InsertWhole {
            statement,
            upsert: false,
        })
    }

    /// Updates rows and records those in which an audited column changes. Target and changes are what `diesel::update`
    /// and `set` take.
    pub fn audited_update<T, V>(&mut self, target: T, changes: V) -> Pending<'_, C, T::Table>
    where
        T: IntoUpdateTarget,
        T::Table: Audited,
        V: AsChangeset<Target = T::Table>,
        Update<T::Table, T::WhereClause, V::Changeset>:
            AuditedStatement<C::Backend, Table = T::Table>,
    {
        self.pending(update(target, changes))
    }

    /// Deletes rows and records their last values. The target is what `diesel::delete` takes.
    pub fn audited_delete<T>(&mut self, target: T) -> Pending<'_, C, T::Table>
    where
        T: IntoUpdateTarget,
        T::Table: Audited,
        Delete<T::Table, T::WhereClause>: AuditedStatement<C::Backend, Table = T::Table>,
    {
        self.pending(Delete {
            target: target.into_update_target(),
        })
    }

    /// Several changes in one transaction, sent together where the driver can.
    pub fn audited_batch(&mut self) -> AuditedBatch<'_, C> {
        AuditedBatch::new(&mut self.connection, self.recorder.clone())
    }

    /// A transaction that is begun otherwise than by default: with an isolation level, read-only, with SQLite's write lock.
    pub const fn build_transaction(&mut self) -> TransactionBuilder<'_, C, C::Closures> {
        TransactionBuilder::new(self)
    }

    /// A transaction that is run again, up to ten times, after serialization failures and deadlocks.
    ///
    /// ```
    /// # include!("../doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let mut conn = koherent_diesel::AuditedConnection::new(connection_with_liver(), Attribution::system("import"));
    /// conn.transaction_with_retry().run(|conn| {
    ///     let liver: Sample = samples::table.find(1).first(conn)?;
    ///     conn.audited_update(&liver, samples::note.eq(liver.name.to_uppercase())).execute()
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn transaction_with_retry(&mut self) -> TransactionBuilder<'_, C, C::Closures> {
        TransactionBuilder::new(self).attempts(ATTEMPTS)
    }

    pub(crate) const fn bare_mut(&mut self) -> &mut C {
        &mut self.connection
    }

    /// A transaction in which guards let everything through: for a data migration that would be too much to record row by
    /// row. It is recorded in `koherent_operation` instead: who, why, and how many rows of which table were created, updated
    /// and deleted. Audited changes are audited as ever.
    ///
    /// ```
    /// # include!("../doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let mut conn = koherent_diesel::AuditedConnection::new(connection_with_liver(), Attribution::system("import"));
    /// conn.audit_paused("labels in lower case").run(|conn| {
    ///     diesel::sql_query("UPDATE samples SET name = lower(name)").execute(conn)
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn audit_paused(&mut self, reason: &str) -> TransactionBuilder<'_, C, C::Closures> {
        TransactionBuilder::new(self).paused(reason.to_owned())
    }

    /// Gives a transaction that was begun by a statement of its own its id, and says what it says to the database.
    pub(crate) fn enter_transaction(
        &mut self,
        turn: Turn,
        scope: &Scope,
        options: Options,
    ) -> Option<String> {
        let transaction = self.recorder.new_transaction();
        self.recorder.transaction = Some(transaction);
        self.turn = Some(turn);
        if let Some([open, close]) = <C::Backend as Engine>::READ_ONLY
            && options.is_read_only()
        {
            self.recorder.scope = Some(OpenScope {
                close,
                close_lost: close,
                admits: false,
            });
            return Some(open.to_owned());
        }
        self.recorder.scope = scope.opened::<C::Backend>();
        scope.open::<C::Backend>(&self.recorder, transaction)
    }

    /// What claims the id of the transaction that has just begun, where it is made under a key.
    pub(crate) fn own_claim(&self) -> Option<(<C::Backend as Engine>::Work, Claim)> {
        self.recorder
            .claim::<C::Backend>(self.recorder.transaction?)
    }

    /// What became of the claim.
    pub(crate) fn claimed(&self, claimed: Result<(), Error>) -> QueryResult<()> {
        if claimed.is_err() {
            self.recorder.settled(&claimed);
        }
        claimed.map_err(Error::into_diesel)
    }

    /// How a transaction with these options begins.
    pub(crate) fn begin(&self, options: Options) -> Begin {
        Begin {
            sql: <C::Backend as Engine>::begin(options),
            writes: !options.is_read_only(),
            remembered: self.recorder.remembered.clone(),
        }
    }

    fn pending<S>(&mut self, statement: S) -> Pending<'_, C, S::Table>
    where
        S: AuditedStatement<C::Backend>,
    {
        Pending::new(
            &mut self.connection,
            self.recorder.clone(),
            statement.into_change(),
        )
    }
}

impl<C: Driver> Sealed for AuditedConnection<C> {}

impl<C: Driver> Driver for AuditedConnection<C> {
    type Backend = C::Backend;
    type Closures = C::Closures;
    type Reply<'c, T>
        = C::Reply<'c, T>
    where
        T: 'c,
        C: 'c;

    fn recorder(&self, _: Ours) -> Option<&Recorder> {
        Some(&self.recorder)
    }

    fn run<'c, R>(
        &'c mut self,
        work: Result<<C::Backend as Engine>::Work, Error>,
        reading: R,
        ours: Ours,
    ) -> Self::Reply<'c, Result<R::Output, Error>>
    where
        R: Reading<C::Backend>,
    {
        self.connection.run(work, reading, ours)
    }

    fn run_all<'c>(
        &'c mut self,
        work: Result<Vec<<Self::Backend as Engine>::Work>, Error>,
        ours: Ours,
    ) -> Self::Reply<'c, Result<Vec<usize>, Error>> {
        self.connection.run_all(work, ours)
    }

    fn begin_with<'c>(
        &'c mut self,
        begin: Begin,
        ours: Ours,
    ) -> Self::Reply<'c, QueryResult<Turn>> {
        self.connection.begin_with(begin, ours)
    }
}

#[cfg(feature = "async")]
impl<C: crate::driver::NonBlocking> crate::driver::NonBlocking for AuditedConnection<C> {
    fn future<'c, T>(reply: Self::Reply<'c, T>) -> futures_util::future::BoxFuture<'c, T>
    where
        Self: 'c,
    {
        C::future(reply)
    }
}

impl<C> fmt::Debug for AuditedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedConnection")
            .field("attribution", &self.recorder.attribution)
            .finish_non_exhaustive()
    }
}

/// The transaction manager of an [`AuditedConnection`]: that of the connection inside, and an id for the entries of each
/// transaction.
#[derive(Debug)]
pub struct AuditedTransactionManager<M>(PhantomData<M>);

const NEEDS_ATTRIBUTION: &str = "an audited connection needs an attribution: establish the connection it wraps, then call AuditedConnection::new";

impl<C> AuditedConnection<C> {
    /// Gives a transaction that has just begun its id; a savepoint shares that of its transaction.
    fn begun(&mut self, status: Status<C>) {
        let outermost = self.depth(status) == 1;
        if outermost {
            self.recorder.scope = None;
        }
        if outermost || self.recorder.transaction.is_none() {
            self.recorder.transaction = Some(self.recorder.new_transaction());
        }
    }

    /// What claims the id of a transaction that has just begun, where it is made under a key.
    fn claim(&mut self, status: Status<C>) -> Option<(<C::Backend as Engine>::Work, Claim)>
    where
        C: Driver,
    {
        let outermost = self.depth(status) == 1;
        let transaction = self.recorder.transaction.filter(|_| outermost)?;
        self.recorder.claim::<C::Backend>(transaction)
    }

    /// Forgets the id of a transaction that has ended.
    fn ended(&mut self, status: Status<C>) {
        if self.depth(status) == 0 {
            self.recorder.doom.lift(1);
            self.recorder.transaction = None;
            self.recorder.scope = None;
            self.turn = None;
        }
    }

    /// Refuses a statement of Diesel's that would write to a table under audit, unless the transaction says otherwise.
    fn refuse_plain<S>(&self) -> QueryResult<()> {
        match crate::plain::refused::<S>() {
            Some(error) if !self.recorder.scope.is_some_and(|scope| scope.admits) => Err(error),
            _ => Ok(()),
        }
    }

    fn depth(&mut self, status: Status<C>) -> u32 {
        let depth = status(&mut self.connection)
            .transaction_depth()
            .ok()
            .flatten();
        depth.map_or(0, std::num::NonZero::get)
    }
}

/// How to ask a connection for its transactions.
type Status<C> = fn(&mut C) -> &mut diesel::connection::TransactionManagerStatus;
