//! PostgreSQL through libpq.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::connection::{Connection, DefaultLoadingMode, LoadConnection, TransactionManager};
use diesel::pg::Pg;
use diesel::{PgConnection, QueryResult};

use super::run::{Look, Query, Session};
use super::work::Work;
use crate::driver::{Driver, sealed};
use crate::error::Error;
use crate::reading::Reading;

type Manager = <PgConnection as Connection>::TransactionManager;

impl Session for PgConnection {
    type Row = <Self as LoadConnection>::Row<'static, 'static>;

    fn in_transaction(&mut self) -> QueryResult<bool> {
        let status = <Manager as TransactionManager<Self>>::transaction_manager_status_mut(self);
        Ok(status.transaction_depth()?.is_some())
    }

    async fn begin(&mut self) -> QueryResult<()> {
        Manager::begin_transaction(self)
    }

    async fn commit(&mut self) -> QueryResult<()> {
        Manager::commit_transaction(self)
    }

    async fn roll_back(&mut self) -> QueryResult<()> {
        Manager::rollback_transaction(self)
    }

    async fn load(&mut self, query: Query, look: &mut Look<'_, Self::Row>) -> Result<(), Error> {
        for row in LoadConnection::<DefaultLoadingMode>::load(self, query)? {
            look(&row?)?;
        }
        Ok(())
    }
}

impl sealed::Sealed for PgConnection {}

impl Driver for PgConnection {
    type Backend = Pg;
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
        let touched = now(super::run::run(self, work?, &mut |row| reading.row(row)))?;
        reading.finish(touched)
    }
}

/// The result of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("a blocking session answers at once"),
    }
}
