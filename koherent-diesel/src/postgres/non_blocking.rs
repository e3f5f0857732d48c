//! PostgreSQL through diesel-async.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel_async::{
    AnsiTransactionManager, AsyncConnectionCore, AsyncPgConnection, TransactionManager,
};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;

use super::run::{Look, Query, Session};
use super::work::Work;
use crate::driver::{Driver, NonBlocking, sealed};
use crate::error::Error;
use crate::reading::Reading;

impl Session for AsyncPgConnection {
    type Row = <Self as AsyncConnectionCore>::Row<'static, 'static>;

    fn in_transaction(&mut self) -> QueryResult<bool> {
        let status = AnsiTransactionManager::transaction_manager_status_mut(self);
        Ok(status.transaction_depth()?.is_some())
    }

    async fn begin(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction(self).await
    }

    async fn commit(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::commit_transaction(self).await
    }

    async fn roll_back(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::rollback_transaction(self).await
    }

    async fn load(&mut self, query: Query, look: &mut Look<'_, Self::Row>) -> Result<(), Error> {
        let mut rows = AsyncConnectionCore::load(self, query).await?;
        while let Some(row) = rows.try_next().await? {
            look(&row)?;
        }
        Ok(())
    }
}

impl sealed::Sealed for AsyncPgConnection {}

impl Driver for AsyncPgConnection {
    type Backend = Pg;
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
            let touched = super::run::run(self, work?, &mut |row| reading.row(row)).await?;
            reading.finish(touched)
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
