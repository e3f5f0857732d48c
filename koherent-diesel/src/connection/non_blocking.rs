//! diesel-async's connection traits, by delegation.

use std::pin::Pin;
use std::task::{Context, Poll};

use diesel::connection::{CacheSize, Instrumentation, TransactionManagerStatus};
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::{
    AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection, TransactionManager,
};

use super::{AuditedConnection, AuditedTransactionManager};
use crate::driver::NonBlocking;
use crate::driver::sealed::Ours;
use crate::error::Error;
use crate::failure::{Failure, lost};
use crate::transaction::Options;

impl<C: SimpleAsyncConnection + Send> SimpleAsyncConnection for AuditedConnection<C> {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.connection.batch_execute(query).await
    }
}

impl<C: AsyncConnectionCore> AsyncConnectionCore for AuditedConnection<C> {
    type ExecuteFuture<'conn, 'query> = OrRefused<C::ExecuteFuture<'conn, 'query>>;
    type LoadFuture<'conn, 'query> = OrRefused<C::LoadFuture<'conn, 'query>>;
    type Stream<'conn, 'query> = C::Stream<'conn, 'query>;
    type Row<'conn, 'query> = C::Row<'conn, 'query>;
    type Backend = C::Backend;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Self::Backend> + QueryId + 'query,
    {
        let refused = self.refuse_plain::<T::Query>();
        OrRefused::unless(refused, || self.connection.load(source))
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Self::Backend> + QueryId + 'query,
    {
        let refused = self.refuse_plain::<T>();
        OrRefused::unless(refused, || self.connection.execute_returning_count(source))
    }
}

impl<C: AsyncConnection + NonBlocking> AsyncConnection for AuditedConnection<C> {
    type TransactionManager = AuditedTransactionManager<C::TransactionManager>;

    async fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection(
            super::NEEDS_ATTRIBUTION.to_owned(),
        ))
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <Self::TransactionManager as TransactionManager<Self>>::TransactionStateData {
        self.connection.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.connection.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.connection.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.connection.set_prepared_statement_cache_size(size);
    }
}

impl<C, M> TransactionManager<AuditedConnection<C>> for AuditedTransactionManager<M>
where
    C: AsyncConnection<TransactionManager = M> + NonBlocking,
    M: TransactionManager<C> + Send,
{
    type TransactionStateData = M::TransactionStateData;

    async fn begin_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        if conn.depth(M::transaction_manager_status_mut) == 0 {
            let begin = conn.begin(Options::default());
            conn.turn = Some(C::future(conn.connection.begin_with(begin, Ours)).await?);
        } else {
            M::begin_transaction(&mut conn.connection).await?;
        }
        conn.begun(M::transaction_manager_status_mut);
        let claim = conn.claim(M::transaction_manager_status_mut);
        if let Some((work, claim)) = claim {
            let claimed = C::future(conn.connection.run(Ok(work), claim, Ours)).await;
            if claimed.is_err() {
                conn.recorder.settled(&claimed);
                let _ = Self::rollback_transaction(conn).await;
            }
            return claimed.map_err(Error::into_diesel);
        }
        Ok(())
    }

    async fn rollback_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        let depth = conn.depth(M::transaction_manager_status_mut);
        let ended = M::rollback_transaction(&mut conn.connection).await;
        conn.recorder.doom.lift(depth);
        if let Some(scope) = conn.recorder.scope
            && depth == 1
            && !scope.close_lost.is_empty()
        {
            // Where this fails, the connection is lost, and with it what it was told.
            let _ = conn.connection.batch_execute(scope.close_lost).await;
        }
        conn.ended(M::transaction_manager_status_mut);
        ended
    }

    async fn commit_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        let depth = conn.depth(M::transaction_manager_status_mut);
        if let Some(error) = conn.recorder.doom.verdict(depth) {
            // Where this fails too, the connection is broken, and says so.
            let _ = Self::rollback_transaction(conn).await;
            return Err(error);
        }
        if let Some(scope) = conn.recorder.scope
            && depth == 1
            && !scope.close.is_empty()
            && let Err(error) = conn.connection.batch_execute(scope.close).await
        {
            let _ = Self::rollback_transaction(conn).await;
            return Err(error);
        }
        let ended = match M::commit_transaction(&mut conn.connection).await {
            Err(error) if depth == 1 => {
                let answers = Failure::of(&error).is_some()
                    || !conn
                        .connection
                        .batch_execute("SELECT 1")
                        .await
                        .is_err_and(|error| Failure::of(&error) == Some(Failure::Lost));
                let error = if answers { error } else { lost(error) };
                let done = Err(Error::of_commit(error, conn.recorder.transaction));
                conn.recorder.settled::<()>(&done);
                done.map_err(Error::into_diesel)
            }
            ended => {
                if ended.is_ok() && depth == 1 {
                    conn.recorder.settled::<()>(&Ok(()));
                }
                ended
            }
        };
        conn.ended(M::transaction_manager_status_mut);
        if ended.is_ok() && depth == 1 {
            conn.recorder.remembered.committed();
        }
        ended
    }

    fn transaction_manager_status_mut(
        conn: &mut AuditedConnection<C>,
    ) -> &mut TransactionManagerStatus {
        M::transaction_manager_status_mut(&mut conn.connection)
    }
}

pin_project_lite::pin_project! {
    /// What becomes of a statement: it runs, unless it is refused.
    #[project = Projected]
    #[derive(Debug)]
    #[non_exhaustive]
    pub enum OrRefused<F> {
        #[doc(hidden)]
        Runs {
            #[pin]
            future: F,
        },
        #[doc(hidden)]
        Refused {
            error: Option<DieselError>,
        },
    }
}

impl<F> OrRefused<F> {
    fn unless(refused: QueryResult<()>, run: impl FnOnce() -> F) -> Self {
        match refused {
            Ok(()) => Self::Runs { future: run() },
            Err(error) => Self::Refused { error: Some(error) },
        }
    }
}

impl<T, F: Future<Output = QueryResult<T>>> Future for OrRefused<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Runs { future } => future.poll(context),
            // Polled again, it has nothing more to say.
            Projected::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or(DieselError::NotFound)))
            }
        }
    }
}
