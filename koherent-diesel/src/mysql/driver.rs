//! MariaDB and MySQL through diesel-async.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel_async::{AnsiTransactionManager, AsyncMysqlConnection};
use futures_util::future::BoxFuture;

use super::work::Work;
use crate::driver::{Driver, NonBlocking, sealed};
use crate::error::Error;
use crate::gate::{Begin, Turn};
use crate::reading::Reading;
use crate::transaction::{Futures, Retryable as _};

impl sealed::Sealed for AsyncMysqlConnection {}

impl Driver for AsyncMysqlConnection {
    type Backend = Mysql;
    type Closures = Futures;
    type Reply<'c, T>
        = BoxFuture<'c, T>
    where
        T: 'c;

    fn run<'c, R>(
        &'c mut self,
        work: Result<Work, Error>,
        mut reading: R,
        _: sealed::Ours,
    ) -> BoxFuture<'c, Result<R::Output, Error>>
    where
        R: Reading<Mysql>,
    {
        Box::pin(async move {
            let work = work?;
            let mut left = super::run::attempts(self, std::slice::from_ref(&work))?;
            loop {
                left -= 1;
                match super::run::run(self, &work, &mut |row| reading.row(row)).await {
                    Ok(touched) => return reading.finish(touched),
                    Err(error) if left > 0 && error.is_retryable() => reading.again(),
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn run_all<'c>(
        &'c mut self,
        work: Result<Vec<Work>, Error>,
        _: sealed::Ours,
    ) -> BoxFuture<'c, Result<Vec<usize>, Error>> {
        Box::pin(async move {
            let work = work?;
            let mut left = super::run::attempts(self, &work)?;
            loop {
                left -= 1;
                match super::run::run_all(self, &work).await {
                    Err(error) if left > 0 && error.is_retryable() => {}
                    done => return done,
                }
            }
        })
    }

    fn begin_with<'c>(
        &'c mut self,
        begin: Begin,
        _: sealed::Ours,
    ) -> BoxFuture<'c, QueryResult<Turn>> {
        Box::pin(async move {
            AnsiTransactionManager::begin_transaction_sql(self, &begin.sql).await?;
            Ok(Turn::default())
        })
    }
}

impl NonBlocking for AsyncMysqlConnection {
    fn future<'c, T>(reply: BoxFuture<'c, T>) -> BoxFuture<'c, T>
    where
        Self: 'c,
    {
        reply
    }
}
