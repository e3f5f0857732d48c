//! Audited statements: what is to be changed, before and after somebody said whose change it is.
//!
//! ```text
//! audited_update(target, changes)    Unattributed   has no `execute`
//!     .by(&attribution)              Attributed     .execute(&mut conn), .get_result(&mut conn), …
//! conn.audited_update(target, …)     Pending        the connection knows whose change it is
//! ```

use std::marker::PhantomData;

use diesel::expression::{Expression, NonAggregate, SelectableExpression};
use diesel::query_builder::{
    AsChangeset, InsertStatement, IntoUpdateTarget, QueryFragment, UpdateTarget,
};
use diesel::{Insertable, QuerySource};
use koherent_core::Attribution;

use crate::change::{Change, Rows, assigns_key, conflict_clause, render_rows};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::pending::{LoadedFrom, Pending, RowOf};
use crate::record::Recorder;
use crate::remembered::Remembered;
use crate::table::Audited;

/// A statement that can be recorded on the engines that its parts can be written for.
#[diagnostic::on_unimplemented(
    message = "this cannot run as an audited statement",
    label = "a part of it cannot be written for this database",
    note = "targets, changes and rows are what Diesel's own `update`, `delete` and `insert_into` take on this database"
)]
pub trait AuditedStatement<DB: Engine> {
    /// The tracked table.
    type Table: Audited;

    #[doc(hidden)]
    fn into_change(self) -> Result<Change<DB::Part>, Error>;
}

impl<DB, T, V> AuditedStatement<DB> for Insert<T, V>
where
    DB: Engine,
    T: Audited,
    V: Rows<DB>,
{
    type Table = T;

    fn into_change(self) -> Result<Change<DB::Part>, Error> {
        Ok(render_rows(&self.records)?)
    }
}

impl<DB, T, V> AuditedStatement<DB> for InsertWhole<T, V>
where
    DB: Engine,
    T: Audited,
    InsertStatement<T, V>: QueryFragment<DB>,
{
    type Table = T;

    fn into_change(self) -> Result<Change<DB::Part>, Error> {
        let statement = DB::render(&self.statement)?;
        let text = DB::text_in(&statement);
        // So Diesel renders an insert of no rows.
        if text.starts_with("SELECT 1 FROM") {
            return Ok(Change::Insert {
                parts: Vec::new(),
                one_row_each: false,
            });
        }
        let clause = conflict_clause(&text);
        if clause.is_some_and(|clause| assigns_key(clause, T::tracked())) {
            return Err(Error::KeyChanged {
                table: T::tracked().name(),
            });
        }
        // Whatever it was called: a statement that provides for conflicts may update.
        let upsert = self.upsert || clause.is_some();
        Ok(Change::Statement { statement, upsert })
    }
}

impl<DB, T, W, V> AuditedStatement<DB> for Update<T, W, V>
where
    DB: Engine,
    T: Audited,
    W: QueryFragment<DB>,
    V: QueryFragment<DB>,
{
    type Table = T;

    fn into_change(self) -> Result<Change<DB::Part>, Error> {
        let changes = DB::render(&self.changes)?;
        if DB::is_empty(&changes) {
            return Err(Error::nothing_to_change());
        }
        let filter = DB::render(&self.target.where_clause)?;
        Ok(Change::Update { changes, filter })
    }
}

impl<DB, T, W> AuditedStatement<DB> for Delete<T, W>
where
    DB: Engine,
    T: Audited,
    W: QueryFragment<DB>,
{
    type Table = T;

    fn into_change(self) -> Result<Change<DB::Part>, Error> {
        let filter = DB::render(&self.target.where_clause)?;
        Ok(Change::Delete { filter })
    }
}

/// Rows to be inserted.
#[derive(Debug)]
#[must_use = "nothing is inserted until it is executed"]
pub struct Insert<T, V> {
    pub(crate) records: V,
    table: PhantomData<T>,
}

/// A whole insert of Diesel's: an upsert, or `INSERT … SELECT`.
#[expect(
    missing_debug_implementations,
    reason = "Diesel's statements have none without a backend"
)]
#[must_use = "nothing is inserted until it is executed"]
pub struct InsertWhole<T: QuerySource, V> {
    pub(crate) statement: InsertStatement<T, V>,
    pub(crate) upsert: bool,
}

/// Rows to be updated, and how.
#[derive(Debug)]
#[must_use = "nothing is updated until it is executed"]
pub struct Update<T: QuerySource, W, V> {
    pub(crate) target: UpdateTarget<T, W>,
    pub(crate) changes: V,
}

/// Rows to be deleted.
#[derive(Debug)]
#[must_use = "nothing is deleted until it is executed"]
pub struct Delete<T: QuerySource, W> {
    pub(crate) target: UpdateTarget<T, W>,
}

impl<T, V> Insert<T, V> {
    /// The table is there for its type alone.
    pub(crate) fn new<R: Insertable<T, Values = V>>(_: T, rows: R) -> Self {
        Self {
            records: rows.values(),
            table: PhantomData,
        }
    }
}

/// Inserts rows, once [`Unattributed::by`] said whose change it is: one, a slice, a vector, an array.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection();
/// use koherent_diesel::audited_insert;
///
/// let nightly = Attribution::system("nightly-import");
/// let rows = vec![samples::name.eq("liver"), samples::name.eq("heart")];
/// assert_eq!(audited_insert(samples::table, rows).by(&nightly).execute(conn)?, 2);
/// # Ok(())
/// # }
/// ```
///
/// A row of defaults alone is `diesel::query_builder::DefaultValues`.
///
/// Without `by` it does not compile:
///
/// ```compile_fail,E0277
/// # include!("doctest_setup.rs");
/// # fn main() {
/// # let conn = &mut connection();
/// koherent_diesel::audited_insert(samples::table, samples::name.eq("liver")).execute(conn);
/// # }
/// ```
pub fn audited_insert<T, V>(table: T, rows: V) -> Unattributed<Insert<T, V::Values>>
where
    T: Audited,
    V: Insertable<T>,
{
    Unattributed::new(Insert::new(table, rows))
}

/// Inserts rows or updates those that are there, once [`Unattributed::by`] said whose change it is. The statement is
/// Diesel's own, with `on_conflict`.
///
/// Rows that come to be get a `+` entry, rows that are there a `~` entry. Rows that `do_nothing` leaves alone get none.
/// What is set on a conflict must not be the key: that is [`Error::KeyChanged`].
///
/// | engine | how created and updated are told apart | an update that changes nothing |
/// | --- | --- | --- |
/// | PostgreSQL | by the row itself (`xmax = 0`) | gets an entry: `RETURNING` does not tell what a row was before |
/// | SQLite, MariaDB | the statement is tried first, to see which rows it meets | gets none |
/// | MySQL | refused with [`Error::Unsupported`]: it does not say which rows an insert met | |
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::audited_upsert;
///
/// let nightly = Attribution::system("nightly-import");
/// let upsert = diesel::insert_into(samples::table)
///     .values((samples::id.eq(1), samples::name.eq("heart")))
///     .on_conflict(samples::id)
///     .do_update()
///     .set(samples::name.eq("heart"));
/// let heart: Sample = audited_upsert(upsert).by(&nightly).get_result(conn)?;
/// assert_eq!(heart.name, "heart");
/// # Ok(())
/// # }
/// ```
pub const fn audited_upsert<T, V>(
    statement: InsertStatement<T, V>,
) -> Unattributed<InsertWhole<T, V>>
where
    T: Audited,
{
    Unattributed::new(InsertWhole {
        statement,
        upsert: true,
    })
}

/// Inserts what a query selects, once [`Unattributed::by`] said whose change it is. The statement is Diesel's own:
/// `query.insert_into(table).into_columns(columns)`.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::audited_insert_select;
///
/// let nightly = Attribution::system("nightly-import");
/// let copies = samples::table
///     .select((samples::name, samples::note))
///     .insert_into(samples::table)
///     .into_columns((samples::name, samples::note));
/// assert_eq!(audited_insert_select(copies).by(&nightly).execute(conn)?, 1);
/// # Ok(())
/// # }
/// ```
pub const fn audited_insert_select<T, V>(
    statement: InsertStatement<T, V>,
) -> Unattributed<InsertWhole<T, V>>
where
    T: Audited,
{
    Unattributed::new(InsertWhole {
        statement,
        upsert: false,
    })
}

/// Updates rows, once [`Unattributed::by`] said whose change it is. Target and changes are what `diesel::update` takes.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::audited_update;
///
/// let nightly = Attribution::system("nightly-import");
/// let renamed: Sample = audited_update(samples::table.find(1), samples::name.eq("heart"))
///     .by(&nightly)
///     .reason("the tube was mislabelled")
///     .get_result(conn)?;
/// assert_eq!(renamed.name, "heart");
/// # Ok(())
/// # }
/// ```
pub fn audited_update<T, V>(
    target: T,
    changes: V,
) -> Unattributed<Update<T::Table, T::WhereClause, V::Changeset>>
where
    T: IntoUpdateTarget,
    T::Table: Audited,
    V: AsChangeset<Target = T::Table>,
{
    Unattributed::new(update(target, changes))
}

/// Deletes rows, once [`Unattributed::by`] said whose change it is. The target is what `diesel::delete` takes.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::audited_delete;
///
/// let nightly = Attribution::system("nightly-import");
/// let old = samples::table.filter(samples::name.eq("liver"));
/// assert_eq!(audited_delete(old).by(&nightly).execute(conn)?, 1);
/// # Ok(())
/// # }
/// ```
pub fn audited_delete<T>(target: T) -> Unattributed<Delete<T::Table, T::WhereClause>>
where
    T: IntoUpdateTarget,
    T::Table: Audited,
{
    Unattributed::new(Delete {
        target: target.into_update_target(),
    })
}

pub(crate) fn update<T, V>(target: T, changes: V) -> Update<T::Table, T::WhereClause, V::Changeset>
where
    T: IntoUpdateTarget,
    V: AsChangeset<Target = T::Table>,
{
    Update {
        target: target.into_update_target(),
        changes: changes.as_changeset(),
    }
}

/// A statement of which nobody has said whose change it is. It cannot run.
#[derive(Debug)]
#[must_use = "say whose change it is: `.by(&attribution)`"]
pub struct Unattributed<S> {
    statement: S,
}

impl<S> Unattributed<S> {
    const fn new(statement: S) -> Self {
        Self { statement }
    }

    /// Says whose change it is.
    pub fn by(self, attribution: &Attribution) -> Attributed<S> {
        let attribution = attribution.clone();
        Attributed {
            statement: self.statement,
            attribution,
            record_unchanged: false,
        }
    }
}

/// What a statement lacks that nobody attributed: there to say so in the compiler's words. Nothing implements it.
#[diagnostic::on_unimplemented(
    message = "nobody said whose change this is",
    label = "put `.by(&attribution)` before this",
    note = "make the attribution at the edge of the request or job: `Attribution::of(principal)`, \
            `Attribution::system(\"nightly-import\")`, or, by name, `Attribution::anonymous()`"
)]
#[doc(hidden)]
pub trait HasAttribution<C> {}

/// These stand here for their message alone; see [`HasAttribution`].
#[doc(hidden)]
impl<S> Unattributed<S> {
    pub fn execute<C>(self, _: &mut C) -> Result<usize, Error>
    where
        Self: HasAttribution<C>,
    {
        unreachable!("nothing implements `HasAttribution`")
    }

    pub fn get_result<U, C>(self, _: &mut C) -> Result<U, Error>
    where
        Self: HasAttribution<C>,
    {
        unreachable!("nothing implements `HasAttribution`")
    }

    pub fn get_results<U, C>(self, _: &mut C) -> Result<Vec<U>, Error>
    where
        Self: HasAttribution<C>,
    {
        unreachable!("nothing implements `HasAttribution`")
    }
}

/// A statement that knows whose change it is, and runs on a connection that does not.
///
/// Each runs in a transaction of its own, or as part of the one that is open. On a bare connection each has a transaction
/// id of its own; an [`AuditedConnection`](crate::AuditedConnection) gives those of one transaction the same.
#[derive(Debug)]
#[must_use = "nothing is changed until it is executed"]
pub struct Attributed<S> {
    statement: S,
    attribution: Attribution,
    record_unchanged: bool,
}

impl<S> Attributed<S> {
    /// Says why.
    pub fn reason(mut self, reason: &str) -> Self {
        self.attribution = self.attribution.with_reason(reason);
        self
    }

    /// Writes an entry also for rows of which no audited column changes.
    pub const fn record_unchanged(mut self) -> Self {
        self.record_unchanged = true;
        self
    }
}

impl<S> Attributed<S> {
    fn on<C>(self, connection: &mut C) -> Pending<'_, C, S::Table>
    where
        C: Driver,
        S: AuditedStatement<C::Backend>,
    {
        let recorder = match connection.recorder(Ours) {
            Some(own) => Recorder {
                attribution: self.attribution,
                ..own.clone()
            },
            None => Recorder::new(self.attribution, Remembered::nothing()),
        };
        let pending = Pending::new(connection, recorder, self.statement.into_change());
        if self.record_unchanged {
            pending.record_unchanged()
        } else {
            pending
        }
    }

    /// Makes the change and says how many rows it touched. See [`Pending::execute`].
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn execute<C>(self, connection: &mut C) -> C::Reply<'_, Result<usize, Error>>
    where
        C: Driver,
        S: AuditedStatement<C::Backend>,
    {
        self.on(connection).execute()
    }

    /// Makes the change and loads the first row. See [`Pending::get_result`].
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn get_result<'c, U, C>(self, connection: &'c mut C) -> C::Reply<'c, Result<U, Error>>
    where
        C: Driver,
        S: AuditedStatement<C::Backend>,
        U: RowOf<S::Table, C::Backend>,
    {
        self.on(connection).get_result()
    }

    /// Makes the change and loads all rows. See [`Pending::get_results`].
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn get_results<'c, U, C>(self, connection: &'c mut C) -> C::Reply<'c, Result<Vec<U>, Error>>
    where
        C: Driver,
        S: AuditedStatement<C::Backend>,
        U: RowOf<S::Table, C::Backend>,
    {
        self.on(connection).get_results()
    }

    /// Loads these columns of the rows it touches, rather than all. See [`Pending::returning`].
    pub const fn returning<E>(self, columns: E) -> AttributedReturning<S, E>
    where
        E: Expression + NonAggregate,
    {
        AttributedReturning {
            attributed: self,
            columns,
        }
    }
}

/// A statement that knows whose change it is, and loads some columns of the rows it touches: [`Attributed::returning`].
#[derive(Debug)]
#[must_use = "nothing is changed until it is executed"]
pub struct AttributedReturning<S, E> {
    attributed: Attributed<S>,
    columns: E,
}

impl<S, E> AttributedReturning<S, E>
where
    E: Expression + NonAggregate,
    E::SqlType: 'static,
{
    /// Says why.
    pub fn reason(mut self, reason: &str) -> Self {
        self.attributed = self.attributed.reason(reason);
        self
    }

    /// Writes an entry also for rows of which no audited column changes.
    pub fn record_unchanged(mut self) -> Self {
        self.attributed = self.attributed.record_unchanged();
        self
    }

    /// Makes the change and loads the columns of the first row. See [`Pending::get_result`].
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn get_result<'c, U, C>(self, connection: &'c mut C) -> C::Reply<'c, Result<U, Error>>
    where
        C: Driver,
        S: AuditedStatement<C::Backend>,
        E: SelectableExpression<S::Table> + QueryFragment<C::Backend>,
        U: LoadedFrom<E::SqlType, C::Backend>,
    {
        let pending = self.attributed.on(connection);
        pending.returning(self.columns).get_result()
    }

    /// Makes the change and loads the columns of all rows. See [`Pending::get_results`].
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn get_results<'c, U, C>(self, connection: &'c mut C) -> C::Reply<'c, Result<Vec<U>, Error>>
    where
        C: Driver,
        S: AuditedStatement<C::Backend>,
        E: SelectableExpression<S::Table> + QueryFragment<C::Backend>,
        U: LoadedFrom<E::SqlType, C::Backend>,
    {
        let pending = self.attributed.on(connection);
        pending.returning(self.columns).get_results()
    }
}
