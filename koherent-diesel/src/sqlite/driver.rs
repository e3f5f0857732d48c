//! SQLite connections: plain ones, and those that diesel-async keeps on a blocking thread.

use diesel::connection::AnsiTransactionManager;
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, SqliteConnection};

use super::Work;
use crate::driver::{Blocking, Driver, sealed};
use crate::error::Error;
use crate::reading::Reading;
use crate::transaction::Values;

impl sealed::Sealed for SqliteConnection {}

impl Driver for SqliteConnection {
    type Backend = Sqlite;
    type Closures = Values;
    type Reply<'c, T>
        = T
    where
        T: 'c;

    fn run<R>(
        &mut self,
        work: Result<Work, Error>,
        reading: R,
        _: sealed::Ours,
    ) -> Result<R::Output, Error>
    where
        R: Reading<Sqlite>,
    {
        read(self, work, reading)
    }

    fn run_all(
        &mut self,
        work: Result<Vec<Work>, Error>,
        _: sealed::Ours,
    ) -> Result<Vec<usize>, Error> {
        super::run_all(self, &work?)
    }

    fn begin_with(&mut self, sql: String, _: sealed::Ours) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(self, &sql)
    }
}

impl Blocking for SqliteConnection {
    fn value<'c, T>(reply: T) -> T
    where
        Self: 'c,
    {
        reply
    }
}

fn read<R: Reading<Sqlite>>(
    connection: &mut SqliteConnection,
    work: Result<Work, Error>,
    mut reading: R,
) -> Result<R::Output, Error> {
    let touched = super::run(connection, &work?, &mut |row| reading.row(row))?;
    reading.finish(touched)
}

#[cfg(feature = "async")]
mod non_blocking {
    use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
    use futures_util::future::BoxFuture;

    use super::super::run_all;
    use super::{
        AnsiTransactionManager, Driver, Error, QueryResult, Reading, Sqlite, SqliteConnection,
        Work, read, sealed,
    };
    use crate::driver::NonBlocking;
    use crate::transaction::Futures;

    impl<S> sealed::Sealed for SyncConnectionWrapper<SqliteConnection, S> {}

    impl<S: SpawnBlocking + Send> Driver for SyncConnectionWrapper<SqliteConnection, S> {
        type Backend = Sqlite;
        type Closures = Futures;
        type Reply<'c, T>
            = BoxFuture<'c, T>
        where
            T: 'c,
            S: 'c;

        fn run<'c, R>(
            &'c mut self,
            work: Result<Work, Error>,
            reading: R,
            _: sealed::Ours,
        ) -> BoxFuture<'c, Result<R::Output, Error>>
        where
            R: Reading<Sqlite>,
        {
            // Nothing starts before the future is polled. Dropping it then waits for the job, so that no transaction is
            // left open.
            Box::pin(async move {
                self.spawn_blocking(|connection| Ok(read(connection, work, reading)))
                    .await?
            })
        }

        fn run_all<'c>(
            &'c mut self,
            work: Result<Vec<Work>, Error>,
            _: sealed::Ours,
        ) -> BoxFuture<'c, Result<Vec<usize>, Error>> {
            Box::pin(async move {
                let work = work?;
                self.spawn_blocking(move |connection| Ok(run_all(connection, &work)))
                    .await?
            })
        }

        fn begin_with<'c>(
            &'c mut self,
            sql: String,
            _: sealed::Ours,
        ) -> BoxFuture<'c, QueryResult<()>> {
            self.spawn_blocking(move |connection| {
                AnsiTransactionManager::begin_transaction_sql(connection, &sql)
            })
        }
    }

    impl<S: SpawnBlocking + Send> NonBlocking for SyncConnectionWrapper<SqliteConnection, S> {
        fn future<'c, T>(reply: BoxFuture<'c, T>) -> BoxFuture<'c, T>
        where
            Self: 'c,
        {
            reply
        }
    }
}
