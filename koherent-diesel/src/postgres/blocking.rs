//! PostgreSQL through libpq.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::connection::{
    Connection, DefaultLoadingMode, LoadConnection, SimpleConnection as _, TransactionManager,
};
use diesel::pg::Pg;
use diesel::result::Error as DieselError;
use diesel::{PgConnection, QueryResult};

use super::run::{Counts, Look, Query, Session, attempts};
use super::work::Work;
use crate::driver::{Blocking, Driver, sealed};
use crate::error::Error;
use crate::failure::Failure;
use crate::gate::{Begin, Turn};
use crate::reading::Reading;
use crate::transaction::{Retryable as _, Values};

type Manager = <PgConnection as Connection>::TransactionManager;

impl Session for PgConnection {
    type Row = <Self as LoadConnection>::Row<'static, 'static>;

    fn depth(&mut self) -> QueryResult<u32> {
        let status = <Manager as TransactionManager<Self>>::transaction_manager_status_mut(self);
        Ok(status
            .transaction_depth()?
            .map_or(0, std::num::NonZero::get))
    }

    async fn begin(&mut self) -> QueryResult<()> {
        Manager::begin_transaction(self)
    }

    async fn commit(&mut self) -> QueryResult<()> {
        Manager::commit_transaction(self)
    }

    async fn answers(&mut self) -> bool {
        let asked = self.batch_execute("SELECT 1");
        !asked.is_err_and(|error| Failure::of(&error) == Some(Failure::Lost))
    }

    async fn roll_back(&mut self) -> QueryResult<()> {
        Manager::rollback_transaction(self)
    }

    async fn load_counts(
        &mut self,
        queries: Vec<Query>,
    ) -> Result<Vec<Counts>, (usize, DieselError)> {
        let one = |(at, query)| one_row(self, query).map_err(|error| (at, error));
        queries.into_iter().enumerate().map(one).collect()
    }

    async fn load(&mut self, query: Query, look: &mut Look<'_, Self::Row>) -> Result<(), Error> {
        for row in LoadConnection::<DefaultLoadingMode>::load(self, query)? {
            look(&row?)?;
        }
        Ok(())
    }
}

/// Runs a statement that returns one row of counts.
fn one_row(connection: &mut PgConnection, query: Query) -> QueryResult<Counts> {
    let mut counts = Counts::default();
    for row in LoadConnection::<DefaultLoadingMode>::load(connection, query)? {
        counts = Counts::read(&row?)?;
    }
    Ok(counts)
}

impl sealed::Sealed for PgConnection {}

impl Driver for PgConnection {
    type Backend = Pg;
    type Closures = Values;
    type Reply<'c, T>
        = T
    where
        T: 'c;

    fn run<R>(
        &mut self,
        work: Result<Work, Error>,
        mut reading: R,
        _: sealed::Ours,
    ) -> Result<R::Output, Error>
    where
        R: Reading<Pg>,
    {
        let work = work?;
        let mut left = attempts(self, std::slice::from_ref(&work))?;
        loop {
            left -= 1;
            match now(super::run::run(self, work.clone(), &mut |row| {
                reading.row(row)
            })) {
                Ok(touched) => return reading.finish(touched),
                Err(error) if left > 0 && error.is_retryable() => reading.again(),
                Err(error) => return Err(error),
            }
        }
    }

    fn run_all(
        &mut self,
        work: Result<Vec<Work>, Error>,
        _: sealed::Ours,
    ) -> Result<Vec<usize>, Error> {
        let work = work?;
        let mut left = attempts(self, &work)?;
        loop {
            left -= 1;
            match now(super::run::run_all(self, work.clone())) {
                Err(error) if left > 0 && error.is_retryable() => {}
                done => return done,
            }
        }
    }

    fn begin_with(&mut self, begin: Begin, _: sealed::Ours) -> QueryResult<Turn> {
        Manager::begin_transaction_sql(self, &begin.sql)?;
        Ok(Turn::default())
    }
}

/// The result of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("a blocking session answers at once"),
    }
}

impl Blocking for PgConnection {
    fn value<'c, T>(reply: T) -> T
    where
        Self: 'c,
    {
        reply
    }
}
