//! PostgreSQL through diesel-async.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::result::Error as DieselError;
use diesel_async::{
    AnsiTransactionManager, AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection as _,
    TransactionManager,
};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::run::{Counts, Look, Query, Session, attempts};
use super::work::Work;
use crate::driver::{Driver, NonBlocking, sealed};
use crate::error::Error;
use crate::failure::Failure;
use crate::gate::{Begin, Turn};
use crate::reading::Reading;
use crate::transaction::{Futures, Retryable as _};

impl Session for AsyncPgConnection {
    type Row = <Self as AsyncConnectionCore>::Row<'static, 'static>;

    fn depth(&mut self) -> QueryResult<u32> {
        let status = AnsiTransactionManager::transaction_manager_status_mut(self);
        Ok(status
            .transaction_depth()?
            .map_or(0, std::num::NonZero::get))
    }

    async fn begin(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction(self).await
    }

    async fn commit(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::commit_transaction(self).await
    }

    async fn answers(&mut self) -> bool {
        let asked = self.batch_execute("SELECT 1").await;
        !asked.is_err_and(|error| Failure::of(&error) == Some(Failure::Lost))
    }

    async fn roll_back(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::rollback_transaction(self).await
    }

    async fn load_counts(
        &mut self,
        queries: Vec<Query>,
    ) -> Result<Vec<Counts>, (usize, DieselError)> {
        let shared = &*self;
        let mut counts = Vec::with_capacity(queries.len());
        let mut queries = queries.into_iter();
        loop {
            // Futures that are polled in turn are sent in turn, and the server answers in turn.
            let some: FuturesOrdered<_> = queries
                .by_ref()
                .take(PIPELINE)
                .map(|query| one_row(shared, query))
                .collect();
            if some.is_empty() {
                return Ok(counts);
            }
            let mut answers = std::pin::pin!(some);
            while let Some(answer) = answers.next().await {
                counts.push(answer.map_err(|error| (counts.len(), error))?);
            }
        }
    }

    async fn load(&mut self, query: Query, look: &mut Look<'_, Self::Row>) -> Result<(), Error> {
        let mut rows = AsyncConnectionCore::load(self, query).await?;
        while let Some(row) = rows.try_next().await? {
            look(&row)?;
        }
        Ok(())
    }
}

/// How many statements are under way at once.
const PIPELINE: usize = 64;

/// Runs a statement that returns one row of counts.
async fn one_row(mut connection: &AsyncPgConnection, query: Query) -> QueryResult<Counts> {
    let mut rows = AsyncConnectionCore::load(&mut connection, query).await?;
    let mut counts = Counts::default();
    while let Some(row) = rows.try_next().await? {
        counts = Counts::read(&row)?;
    }
    Ok(counts)
}

impl sealed::Sealed for AsyncPgConnection {}

impl Driver for AsyncPgConnection {
    type Backend = Pg;
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
        R: Reading<Pg>,
    {
        Box::pin(async move {
            let work = work?;
            let mut left = attempts(self, std::slice::from_ref(&work))?;
            loop {
                left -= 1;
                match super::run::run(self, work.clone(), &mut |row| reading.row(row)).await {
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
            let mut left = attempts(self, &work)?;
            loop {
                left -= 1;
                match super::run::run_all(self, work.clone()).await {
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

impl NonBlocking for AsyncPgConnection {
    fn future<'c, T>(reply: BoxFuture<'c, T>) -> BoxFuture<'c, T>
    where
        Self: 'c,
    {
        reply
    }
}
