//! What becomes of the rows that a statement returns.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::row::Row;

use crate::engine::Engine;
use crate::error::Error;
use crate::pending::{LoadedFrom, RowOf};

/// Looks at the rows of a result one by one, and says what they come to.
#[expect(
    unnameable_types,
    reason = "connections hand rows over; nobody else reads them"
)]
pub trait Reading<DB: Backend>: Send + 'static {
    /// What they come to.
    type Output: Send + 'static;

    /// Looks at a row.
    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error>;

    /// Forgets the rows: the statement is run again.
    fn again(&mut self) {}

    /// Says what they came to; so many rows were touched.
    fn finish(self, touched: usize) -> Result<Self::Output, Error>;
}

/// How many rows were touched.
pub(crate) struct Count;

impl<DB: Backend> Reading<DB> for Count {
    type Output = usize;

    fn row<'a>(&mut self, _: &impl Row<'a, DB>) -> Result<(), Error> {
        Ok(())
    }

    fn finish(self, touched: usize) -> Result<usize, Error> {
        Ok(touched)
    }
}

/// Whole rows of a table.
pub(crate) struct Whole<T>(PhantomData<fn() -> T>);

/// Columns of these types.
pub(crate) struct Columns<ST>(PhantomData<fn() -> ST>);

/// All rows; `finish` makes the answer of them.
pub(crate) struct Loaded<U, R, K> {
    rows: Vec<U>,
    finish: fn(Vec<U>) -> Result<R, Error>,
    kind: PhantomData<fn() -> K>,
}

impl<U, R, K> Loaded<U, R, K> {
    pub(crate) const fn new(finish: fn(Vec<U>) -> Result<R, Error>) -> Self {
        Self {
            rows: Vec::new(),
            finish,
            kind: PhantomData,
        }
    }

    fn keep(&mut self, row: diesel::deserialize::Result<U>) -> Result<(), Error> {
        self.rows
            .push(row.map_err(diesel::result::Error::DeserializationError)?);
        Ok(())
    }
}

impl<DB, U, R, T> Reading<DB> for Loaded<U, R, Whole<T>>
where
    DB: Engine,
    U: RowOf<T, DB>,
    R: Send + 'static,
    T: 'static,
{
    type Output = R;

    fn again(&mut self) {
        self.rows.clear();
    }

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        self.keep(U::build(row))
    }

    fn finish(self, _: usize) -> Result<R, Error> {
        (self.finish)(self.rows)
    }
}

impl<DB, U, R, ST> Reading<DB> for Loaded<U, R, Columns<ST>>
where
    DB: Backend,
    U: LoadedFrom<ST, DB>,
    R: Send + 'static,
    ST: 'static,
{
    type Output = R;

    fn again(&mut self) {
        self.rows.clear();
    }

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        self.keep(U::read(row))
    }

    fn finish(self, _: usize) -> Result<R, Error> {
        (self.finish)(self.rows)
    }
}

/// The first of them.
pub(crate) fn first<U>(rows: Vec<U>) -> Result<U, Error> {
    let first = rows.into_iter().next();
    first.ok_or(Error::Diesel(diesel::result::Error::NotFound))
}
