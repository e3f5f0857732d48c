//! An audited statement on its connection, about to run.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::deserialize::FromSqlRow;
use diesel::expression::Expression;
use diesel::query_builder::QueryFragment;
use diesel::query_dsl::CompatibleType;
use diesel::row::Row;
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, Table};

use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::error::Error;
use crate::record::Recorder;
use crate::sqlite::{self, Change, Returning};

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
        self.load(|rows| {
            rows.into_iter()
                .next()
                .ok_or(Error::Diesel(diesel::result::Error::NotFound))
        })
    }

    fn load<U, R>(self, finish: fn(Vec<U>) -> Result<R, Error>) -> C::Reply<'c, Result<R, Error>>
    where
        U: RowOf<T, Sqlite>,
        R: Send + 'static,
        C: Driver<Backend = Sqlite>,
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
                    rows.push(U::build(row).map_err(diesel::result::Error::DeserializationError)?);
                    Ok(())
                };
                let returning = Returning {
                    columns: &U::columns()?,
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
    fn columns() -> QueryResult<String>;

    #[doc(hidden)]
    fn build<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self>;
}

type RowType<T> = <<T as Table>::AllColumns as Expression>::SqlType;

#[diagnostic::do_not_recommend]
impl<T, DB, U> RowOf<T, DB> for U
where
    DB: Backend + Default,
    DB::QueryBuilder: Default,
    T: Table,
    T::AllColumns: QueryFragment<DB>,
    RowType<T>: CompatibleType<U, DB>,
    U: FromSqlRow<<RowType<T> as CompatibleType<U, DB>>::SqlType, DB> + Send + 'static,
{
    fn columns() -> QueryResult<String> {
        use diesel::query_builder::QueryBuilder as _;
        let mut out = DB::QueryBuilder::default();
        T::all_columns().to_sql(&mut out, &DB::default())?;
        Ok(out.finish())
    }

    fn build<'a>(row: &impl Row<'a, DB>) -> diesel::deserialize::Result<Self> {
        U::build_from_row(row)
    }
}
