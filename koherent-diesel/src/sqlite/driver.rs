//! SQLite connections: plain ones, and those that diesel-async keeps on a blocking thread.

use diesel::connection::AnsiTransactionManager;
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, SqliteConnection};

use super::Work;
use super::transaction::turn_of;
use crate::driver::{Blocking, Driver, sealed};
use crate::error::Error;
use crate::gate::{Begin, Turn};
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
        read(self, work, reading, None)
    }

    fn run_all(
        &mut self,
        work: Result<Vec<Work>, Error>,
        _: sealed::Ours,
    ) -> Result<Vec<usize>, Error> {
        super::run_all(self, &work?, None)
    }

    fn begin_with(&mut self, begin: Begin, _: sealed::Ours) -> QueryResult<Turn> {
        begin_in_turn(self, &begin, None)
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
    turn: Option<Turn>,
) -> Result<R::Output, Error> {
    let touched = super::run(connection, &work?, turn, &mut |row| reading.row(row))?;
    reading.finish(touched)
}

/// Begins a transaction: where it may write, when it is its turn.
fn begin_in_turn(
    connection: &mut SqliteConnection,
    begin: &Begin,
    turn: Option<Turn>,
) -> QueryResult<Turn> {
    let turn = match turn {
        None if begin.writes => turn_of(connection, &begin.remembered)?,
        turn => turn.unwrap_or_default(),
    };
    AnsiTransactionManager::begin_transaction_sql(connection, &begin.sql)?;
    Ok(turn)
}

#[cfg(feature = "async")]
mod non_blocking {
    use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
    use futures_util::future::BoxFuture;

    use diesel_async::{AsyncConnection, TransactionManager};

    use super::super::run_all;
    use super::{
        Begin, Driver, Error, QueryResult, Reading, Sqlite, SqliteConnection, Turn, Work,
        begin_in_turn, read, sealed,
    };
    use crate::driver::NonBlocking;
    use crate::remembered::Remembered;
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
                let turn = match &work {
                    Ok(Work::Change(job)) => turn(self, &job.recorder.remembered).await?,
                    _ => None,
                };
                self.spawn_blocking(|connection| Ok(read(connection, work, reading, turn)))
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
                let turn = match work.first() {
                    Some(Work::Change(job)) => turn(self, &job.recorder.remembered).await?,
                    _ => None,
                };
                self.spawn_blocking(move |connection| Ok(run_all(connection, &work, turn)))
                    .await?
            })
        }

        fn begin_with<'c>(
            &'c mut self,
            begin: Begin,
            _: sealed::Ours,
        ) -> BoxFuture<'c, QueryResult<Turn>> {
            Box::pin(async move {
                let turn = match begin.writes {
                    true => turn(self, &begin.remembered).await?,
                    false => None,
                };
                self.spawn_blocking(move |connection| begin_in_turn(connection, &begin, turn))
                    .await
            })
        }
    }

    /// Waits for the turn to write, where the gate of the file is known, and without a thread. `None`: the job finds the
    /// gate, and waits itself.
    async fn turn<S: SpawnBlocking + Send>(
        connection: &mut SyncConnectionWrapper<SqliteConnection, S>,
        remembered: &Remembered,
    ) -> QueryResult<Option<Turn>> {
        type Manager<S> =
            <SyncConnectionWrapper<SqliteConnection, S> as AsyncConnection>::TransactionManager;
        let Some(gate) = remembered.gate() else {
            return Ok(None);
        };
        let status = Manager::<S>::transaction_manager_status_mut(connection);
        match gate {
            Some(gate) if status.transaction_depth()?.is_none() => gate.turn().await.map(Some),
            _ => Ok(Some(Turn::default())),
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
