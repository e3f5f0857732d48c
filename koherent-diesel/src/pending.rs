//! An audited statement on its connection, about to run.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::deserialize::FromSqlRow;
use diesel::expression::{Expression, NonAggregate, SelectableExpression};
use diesel::query_builder::QueryFragment;
use diesel::query_dsl::CompatibleType;
use diesel::row::Row;
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, Table};

use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::error::Error;
use crate::record::Recorder;
use crate::sqlite::{self, Change, Returning, Sql};

/// An audited statement on its connection: say how it is to run, then run it.
///
/// The change, its history and the task's row are one transaction; inside an open transaction, one savepoint. Whatever
/// fails, all of it is rolled back.
///
/// On a blocking connection the results are values; on an async one, futures.
#[must_use = "nothing is changed until it is executed"]
pub struct Pending<'c, C, T> {
    connection: &'c mut C,
    recorder: Recorder,
    change: QueryResult<Change>,
    record_unchanged: bool,
    table: PhantomData<T>,
}

impl<'c, C: Driver, T> Pending<'c, C, T> {
    pub(crate) const fn new(
        connection: &'c mut C,
        recorder: Recorder,
        change: QueryResult<Change>,
    ) -> Self {
        Self {
            connection,
            recorder,
            change,
            record_unchanged: false,
            table: PhantomData,
        }
    }

    /// Says why.
    pub fn reason(mut self, reason: &str) -> Self {
        self.recorder.attribution = self.recorder.attribution.with_reason(reason);
        self
    }

    /// Writes an entry also for rows of which no audited column changes. By default an update that changes nothing
    /// that is audited leaves no entry.
    pub const fn record_unchanged(mut self) -> Self {
        self.record_unchanged = true;
        self
    }

    /// Makes the change and says how many rows it touched, unchanged ones included, as Diesel's `execute` does.
    ///
    /// # Errors
    ///
    /// See [`Error`]. Nothing is changed then.
    pub fn execute(self) -> C::Reply<'c, Result<usize, Error>> {
        let Self {
            connection,
            recorder,
            change,
            record_unchanged,
            ..
        } = self;
        connection.run(
            move |sqlite| sqlite::record(sqlite, &recorder, &change?, record_unchanged, None),
            Ours,
        )
    }

    /// Makes the change and loads all the rows it touched, as `RETURNING` gives them: as they are afterwards, but for what
    /// triggers change; deleted ones as they were.
    ///
    /// # Errors
    ///
    /// See [`Error`]. Nothing is changed then, also where a row cannot be read as `U`.
    pub fn get_results<U>(self) -> C::Reply<'c, Result<Vec<U>, Error>>
    where
        U: RowOf<T, C::Backend>,
        C: Driver<Backend = Sqlite>,
    {
        self.load(Ok)
    }

    /// Makes the change and loads the first of the rows it touched.
    ///
    /// # Errors
    ///
    /// See [`Error`]; `NotFound` where no row was touched. [`optional`](crate::OptionalExtension::optional) turns that
    /// into `None`.
    pub fn get_result<U>(self) -> C::Reply<'c, Result<U, Error>>
    where
        U: RowOf<T, C::Backend>,
        C: Driver<Backend = Sqlite>,
    {
        self.load(first)
    }

    /// Loads these columns of the rows it touches, rather than all: one, or a tuple, or whatever Diesel can return.
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let mut conn = koherent_diesel::AuditedConnection::new(connection(), Attribution::system("import"));
    /// let id: i64 = conn
    ///     .audited_insert(samples::table, samples::name.eq("liver"))
    ///     .returning(samples::id)
    ///     .get_result()?;
    /// let renamed: Vec<(i64, String)> = conn
    ///     .audited_update(samples::table.find(id), samples::name.eq("heart"))
    ///     .returning((samples::id, samples::name))
    ///     .get_results()?;
    /// assert_eq!(renamed, [(1, "heart".to_owned())]);
    /// # Ok(())
    /// # }
    /// ```
    #[expect(
        clippy::needless_pass_by_value,
        reason = "columns are given as Diesel's own `returning` takes them"
    )]
    pub fn returning<E>(self, columns: E) -> PendingReturning<'c, C, T, E>
    where
        E: Expression + SelectableExpression<T> + NonAggregate + QueryFragment<Sqlite>,
        C: Driver<Backend = Sqlite>,
    {
        PendingReturning {
            columns: Sql::render(&columns),
            pending: self,
            expression: PhantomData,
        }
    }

    fn load<U, R>(self, finish: fn(Vec<U>) -> Result<R, Error>) -> C::Reply<'c, Result<R, Error>>
    where
        U: RowOf<T, Sqlite>,
        R: Send + 'static,
        C: Driver<Backend = Sqlite>,
    {
        let read = |row: &sqlite::PartialRow<'_, '_, '_>| U::build(row);
        self.load_columns(U::columns(), read, finish)
    }

    fn load_columns<U, R>(
        self,
        columns: QueryResult<Sql>,
        read: impl Fn(&sqlite::PartialRow<'_, '_, '_>) -> diesel::deserialize::Result<U>
        + Send
        + 'static,
        finish: fn(Vec<U>) -> Result<R, Error>,
    ) -> C::Reply<'c, Result<R, Error>>
    where
        U: Send + 'static,
        R: Send + 'static,
    {
        let Self {
            connection,
            recorder,
            change,
            record_unchanged,
            ..
        } = self;
        connection.run(
            move |sqlite| {
                let mut rows = Vec::new();
                let mut keep = |row: &sqlite::PartialRow<'_, '_, '_>| {
                    rows.push(read(row).map_err(diesel::result::Error::DeserializationError)?);
                    Ok(())
                };
                let returning = Returning {
                    columns: &columns?,
                    row: &mut keep,
                };
                sqlite::record(
                    sqlite,
                    &recorder,
                    &change?,
                    record_unchanged,
                    Some(returning),
                )?;
                finish(rows)
            },
            Ours,
        )
    }
}

/// The first row, where one is wanted.
fn first<U>(rows: Vec<U>) -> Result<U, Error> {
    let first = rows.into_iter().next();
    first.ok_or(Error::Diesel(diesel::result::Error::NotFound))
}

/// An audited statement that loads some columns of the rows it touches: [`Pending::returning`].
#[must_use = "nothing is changed until it is executed"]
pub struct PendingReturning<'c, C, T, E> {
    pending: Pending<'c, C, T>,
    columns: QueryResult<Sql>,
    expression: PhantomData<E>,
}

impl<'c, C, T, E> PendingReturning<'c, C, T, E>
where
    C: Driver<Backend = Sqlite>,
    E: Expression,
{
    /// Says why.
    pub fn reason(mut self, reason: &str) -> Self {
        self.pending = self.pending.reason(reason);
        self
    }

    /// Writes an entry also for rows of which no audited column changes.
    pub fn record_unchanged(mut self) -> Self {
        self.pending = self.pending.record_unchanged();
        self
    }

    /// Makes the change and loads the columns of all the rows it touched. See [`Pending::get_results`].
    ///
    /// # Errors
    ///
    /// See [`Error`]. Nothing is changed then, also where a row cannot be read as `U`.
    pub fn get_results<U>(self) -> C::Reply<'c, Result<Vec<U>, Error>>
    where
        U: LoadedFrom<E::SqlType, Sqlite>,
    {
        let read = |row: &sqlite::PartialRow<'_, '_, '_>| U::read(row);
        self.pending.load_columns(self.columns, read, Ok)
    }

    /// Makes the change and loads the columns of the first of the rows it touched. See [`Pending::get_result`].
    ///
    /// # Errors
    ///
    /// See [`Error`]; `NotFound` where no row was touched.
    pub fn get_result<U>(self) -> C::Reply<'c, Result<U, Error>>
    where
        U: LoadedFrom<E::SqlType, Sqlite>,
    {
        let read = |row: &sqlite::PartialRow<'_, '_, '_>| U::read(row);
        self.pending.load_columns(self.columns, read, first)
    }
}

impl<C, T, E> std::fmt::Debug for PendingReturning<'_, C, T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PendingReturning")
            .field(&self.pending)
            .finish()
    }
}

/// A type that columns of that SQL type can be loaded as.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be loaded from the columns that are returned",
    note = "load a tuple with one Rust type per returned column, in their order"
)]
pub trait LoadedFrom<ST, DB: Backend>: Sized + Send + 'static {
    #[doc(hidden)]
    fn read<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<ST, DB, U> LoadedFrom<ST, DB> for U
where
    DB: Backend,
    ST: CompatibleType<U, DB>,
    U: FromSqlRow<<ST as CompatibleType<U, DB>>::SqlType, DB> + Send + 'static,
{
    fn read<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self> {
        U::build_from_row(row)
    }
}

impl<C, T> std::fmt::Debug for Pending<'_, C, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("recorder", &self.recorder)
            .finish_non_exhaustive()
    }
}

/// A type that a whole row of a table can be loaded as: whatever Diesel loads from all of its columns, in their order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be loaded from all columns of `{T}`",
    note = "derive `diesel::Queryable` with one field per column of the table, in the table's order"
)]
pub trait RowOf<T, DB: Backend>: Sized + Send + 'static {
    #[doc(hidden)]
    fn columns() -> QueryResult<Sql>;

    #[doc(hidden)]
    fn build<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self>;
}

type RowType<T> = <<T as Table>::AllColumns as Expression>::SqlType;

#[diagnostic::do_not_recommend]
impl<T, U> RowOf<T, Sqlite> for U
where
    T: Table,
    T::AllColumns: QueryFragment<Sqlite>,
    RowType<T>: CompatibleType<U, Sqlite>,
    U: FromSqlRow<<RowType<T> as CompatibleType<U, Sqlite>>::SqlType, Sqlite> + Send + 'static,
{
    fn columns() -> QueryResult<Sql> {
        Sql::render(&T::all_columns())
    }

    fn build<'a>(row: &impl Row<'a, Sqlite>) -> diesel::deserialize::Result<Self> {
        U::build_from_row(row)
    }
}
