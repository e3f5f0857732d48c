//! An audited statement on its connection, about to run.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::deserialize::FromSqlRow;
use diesel::expression::{Expression, NonAggregate, QueryMetadata, SelectableExpression};
use diesel::query_builder::QueryFragment;
use diesel::query_dsl::CompatibleType;
use diesel::row::Row;
use diesel::{QueryResult, Table};

use crate::change::{Audit, Change, Returned};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::reading::{Columns, Count, Loaded, Reading, Whole, first};
use crate::record::Recorder;
use crate::table::{Audited, TrackedTable};

/// An audited statement on its connection: say how it is to run, then run it.
///
/// The change, its history and the task's row are one transaction, and on PostgreSQL one statement. Whatever fails, all
/// of it is rolled back. Inside an open transaction that is a savepoint; on PostgreSQL, as always there, a statement that
/// fails takes the transaction with it, unless it stands in one of its own inside.
///
/// On a blocking connection the results are values; on an async one, futures.
#[must_use = "nothing is changed until it is executed"]
pub struct Pending<'c, C: Driver, T> {
    connection: &'c mut C,
    recorder: Recorder,
    change: Result<Change<PartOf<C>>, Error>,
    record_unchanged: bool,
    table: PhantomData<fn() -> T>,
}

/// A part of a statement for the database of a connection.
type PartOf<C> = <<C as Driver>::Backend as Engine>::Part;

impl<'c, C: Driver, T: Audited> Pending<'c, C, T> {
    pub(crate) const fn new(
        connection: &'c mut C,
        recorder: Recorder,
        change: Result<Change<PartOf<C>>, Error>,
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
        self.run(None, Count)
    }

    /// Makes the change and loads all the rows it touched, as `RETURNING` gives them: as they are afterwards, but for what
    /// triggers change; deleted ones as they were.
    ///
    /// # Errors
    ///
    /// See [`Error`]. Nothing is changed then; on PostgreSQL, though, a row that cannot be read as `U` is noticed when the
    /// statement is done, so outside a transaction the change stays.
    pub fn get_results<U>(self) -> C::Reply<'c, Result<Vec<U>, Error>>
    where
        U: RowOf<T, C::Backend>,
    {
        let loaded: Loaded<U, _, Whole<T>> = Loaded::new(Ok);
        self.run(Some(U::columns()), loaded)
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
    {
        let loaded: Loaded<U, _, Whole<T>> = Loaded::new(first);
        self.run(Some(U::columns()), loaded)
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
        E: Expression + SelectableExpression<T> + NonAggregate + QueryFragment<C::Backend>,
    {
        PendingReturning {
            columns: C::Backend::render(&columns),
            pending: self,
            expression: PhantomData,
        }
    }

    /// What is to be done, written down.
    pub(crate) fn work(
        table: &'static TrackedTable,
        mut recorder: Recorder,
        change: Result<Change<PartOf<C>>, Error>,
        record_unchanged: bool,
        returned: Option<QueryResult<Returned<PartOf<C>>>>,
    ) -> Result<<C::Backend as Engine>::Work, Error> {
        // Known from now on, so that its outcome can be asked for.
        recorder.transaction = Some(recorder.transaction());
        C::Backend::change(Audit {
            table,
            change: change?,
            recorder,
            record_unchanged,
            returned: returned.transpose()?,
        })
    }

    fn run<R>(
        self,
        returned: Option<QueryResult<Returned<PartOf<C>>>>,
        reading: R,
    ) -> C::Reply<'c, Result<R::Output, Error>>
    where
        R: Reading<C::Backend>,
    {
        let Self {
            connection,
            recorder,
            change,
            record_unchanged,
            ..
        } = self;
        let work = Self::work(T::tracked(), recorder, change, record_unchanged, returned);
        connection.run(work, reading, Ours)
    }
}

/// An audited statement that loads some columns of the rows it touches: [`Pending::returning`].
#[must_use = "nothing is changed until it is executed"]
pub struct PendingReturning<'c, C: Driver, T, E> {
    pending: Pending<'c, C, T>,
    columns: QueryResult<PartOf<C>>,
    expression: PhantomData<fn() -> E>,
}

impl<'c, C, T, E> PendingReturning<'c, C, T, E>
where
    C: Driver,
    T: Audited,
    E: Expression,
    E::SqlType: 'static,
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
    /// See [`Error`] and [`Pending::get_results`].
    pub fn get_results<U>(self) -> C::Reply<'c, Result<Vec<U>, Error>>
    where
        U: LoadedFrom<E::SqlType, C::Backend>,
    {
        self.run::<U, _>(Loaded::new(Ok))
    }

    /// Makes the change and loads the columns of the first of the rows it touched. See [`Pending::get_result`].
    ///
    /// # Errors
    ///
    /// See [`Error`]; `NotFound` where no row was touched.
    pub fn get_result<U>(self) -> C::Reply<'c, Result<U, Error>>
    where
        U: LoadedFrom<E::SqlType, C::Backend>,
    {
        self.run::<U, _>(Loaded::new(first))
    }

    fn run<U, R>(self, loaded: Loaded<U, R, Columns<E::SqlType>>) -> C::Reply<'c, Result<R, Error>>
    where
        U: LoadedFrom<E::SqlType, C::Backend>,
        R: Send + 'static,
    {
        let returned = self.columns.map(|columns| Returned {
            columns,
            count: U::column_count(),
        });
        self.pending.run(Some(returned), loaded)
    }
}

impl<C: Driver, T, E> std::fmt::Debug for PendingReturning<'_, C, T, E> {
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
    fn column_count() -> usize;

    #[doc(hidden)]
    fn read<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<ST, DB, U> LoadedFrom<ST, DB> for U
where
    DB: Engine + QueryMetadata<ST>,
    ST: CompatibleType<U, DB>,
    U: FromSqlRow<<ST as CompatibleType<U, DB>>::SqlType, DB> + Send + 'static,
{
    fn column_count() -> usize {
        DB::column_count(<DB as QueryMetadata<ST>>::row_metadata)
    }

    fn read<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self> {
        U::build_from_row(row)
    }
}

impl<C: Driver, T> std::fmt::Debug for Pending<'_, C, T> {
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
pub trait RowOf<T, DB: Engine>: Sized + Send + 'static {
    #[doc(hidden)]
    fn columns() -> QueryResult<Returned<DB::Part>>;

    #[doc(hidden)]
    fn build<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self>;
}

type RowType<T> = <<T as Table>::AllColumns as Expression>::SqlType;

#[diagnostic::do_not_recommend]
impl<T, DB, U> RowOf<T, DB> for U
where
    T: Table,
    DB: Engine + QueryMetadata<RowType<T>>,
    T::AllColumns: QueryFragment<DB>,
    RowType<T>: CompatibleType<U, DB>,
    U: FromSqlRow<<RowType<T> as CompatibleType<U, DB>>::SqlType, DB> + Send + 'static,
{
    fn columns() -> QueryResult<Returned<DB::Part>> {
        Ok(Returned {
            columns: DB::render(&T::all_columns())?,
            count: DB::column_count(<DB as QueryMetadata<RowType<T>>>::row_metadata),
        })
    }

    fn build<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self> {
        U::build_from_row(row)
    }
}
