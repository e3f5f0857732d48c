//! SQLite connections: plain ones, and those that diesel-async keeps on a blocking thread.

use diesel::SqliteConnection;
use diesel::sqlite::Sqlite;

use super::Work;
use crate::driver::{Driver, sealed};
use crate::error::Error;
use crate::reading::Reading;

impl sealed::Sealed for SqliteConnection {}

impl Driver for SqliteConnection {
    type Backend = Sqlite;
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

    use super::{Driver, Error, Reading, Sqlite, SqliteConnection, Work, read, sealed};
    use crate::driver::NonBlocking;

    impl<S> sealed::Sealed for SyncConnectionWrapper<SqliteConnection, S> {}

    impl<S: SpawnBlocking + Send> Driver for SyncConnectionWrapper<SqliteConnection, S> {
        type Backend = Sqlite;
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
