//! The connections that audited statements run on.

use crate::error::Error;
use crate::record::Recorder;
use diesel::SqliteConnection;

/// A connection that audited statements run on. Sealed: it is implemented for
///
/// - `diesel::SqliteConnection`, where replies are plain values;
/// - `diesel_async::sync_connection_wrapper::SyncConnectionWrapper<SqliteConnection>` (feature `async`), where replies are
///   futures and the whole transaction takes one hop to the blocking thread;
/// - what a `deadpool` pool of the latter hands out (feature `deadpool`);
/// - [`AuditedConnection`](crate::AuditedConnection) around any of these.
#[diagnostic::on_unimplemented(
    message = "audited statements cannot run on `{Self}`",
    note = "use `SqliteConnection` (feature `sqlite`), `SyncConnectionWrapper<SqliteConnection>` (feature `async`), or a \
            connection from `AuditedPool` (feature `deadpool`)"
)]
pub trait Driver: sealed::Sealed {
    /// The database it speaks to.
    type Backend: diesel::backend::Backend;

    /// What the connection stamps on entries by itself, if it does.
    #[doc(hidden)]
    fn recorder(&self, _: sealed::Ours) -> Option<&Recorder> {
        None
    }

    /// What a call answers: the value itself, or a future of it.
    type Reply<'c, T>
    where
        T: 'c,
        Self: 'c;

    /// Runs a job on the SQLite connection, from begin to end.
    #[doc(hidden)]
    fn run<'c, T, J>(&'c mut self, job: J, _: sealed::Ours) -> Self::Reply<'c, Result<T, Error>>
    where
        T: Send + 'static,
        J: FnOnce(&mut SqliteConnection) -> Result<T, Error> + Send + 'static;
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "nobody else implements `Driver`")]
    pub trait Sealed {}

    /// Only this crate has one, so only this crate can ask a driver to run a job past the audit.
    #[derive(Debug, Clone, Copy)]
    #[expect(unnameable_types, reason = "nobody else runs jobs")]
    pub struct Ours;
}

mod blocking {
    use diesel::sqlite::Sqlite;

    use super::{Driver, Error, SqliteConnection, sealed};

    impl sealed::Sealed for SqliteConnection {}

    impl Driver for SqliteConnection {
        type Backend = Sqlite;
        type Reply<'c, T>
            = T
        where
            T: 'c;

        fn run<T, J>(&mut self, job: J, _: sealed::Ours) -> Result<T, Error>
        where
            T: Send + 'static,
            J: FnOnce(&mut SqliteConnection) -> Result<T, Error> + Send + 'static,
        {
            job(self)
        }
    }
}

#[cfg(feature = "async")]
mod non_blocking {
    use diesel::sqlite::Sqlite;
    use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
    use futures_core::future::BoxFuture;

    use super::{Driver, Error, SqliteConnection, sealed};

    impl<S> sealed::Sealed for SyncConnectionWrapper<SqliteConnection, S> {}

    impl<S: SpawnBlocking + Send> Driver for SyncConnectionWrapper<SqliteConnection, S> {
        type Backend = Sqlite;
        type Reply<'c, T>
            = BoxFuture<'c, T>
        where
            T: 'c,
            S: 'c;

        fn run<'c, T, J>(&'c mut self, job: J, _: sealed::Ours) -> BoxFuture<'c, Result<T, Error>>
        where
            T: Send + 'static,
            J: FnOnce(&mut SqliteConnection) -> Result<T, Error> + Send + 'static,
        {
            // Nothing starts before the future is polled. Dropping it then waits for the job, so that no transaction is
            // left open.
            Box::pin(async move {
                self.spawn_blocking(|connection| Ok(job(connection)))
                    .await?
            })
        }
    }
}

#[cfg(feature = "deadpool")]
mod pooled {
    use diesel::sqlite::Sqlite;
    use futures_core::future::BoxFuture;

    use super::{Driver, Error, SqliteConnection, sealed};
    use crate::pool::PooledConnection;

    impl sealed::Sealed for PooledConnection {}

    impl Driver for PooledConnection {
        type Backend = Sqlite;
        type Reply<'c, T>
            = BoxFuture<'c, T>
        where
            T: 'c;

        fn run<'c, T, J>(
            &'c mut self,
            job: J,
            ours: sealed::Ours,
        ) -> BoxFuture<'c, Result<T, Error>>
        where
            T: Send + 'static,
            J: FnOnce(&mut SqliteConnection) -> Result<T, Error> + Send + 'static,
        {
            (**self).run(job, ours)
        }
    }
}
