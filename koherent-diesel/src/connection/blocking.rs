//! Diesel's connection traits, by delegation.

use diesel::connection::{
    CacheSize, Connection, ConnectionSealed, Instrumentation, LoadConnection, SimpleConnection,
    TransactionManager, TransactionManagerStatus,
};
use diesel::expression::QueryMetadata;
use diesel::migration::MigrationConnection;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::{ConnectionError, ConnectionResult, QueryResult};

use super::{AuditedConnection, AuditedTransactionManager};
use crate::driver::Blocking;
use crate::driver::sealed::Ours;
use crate::error::Error;
use crate::failure::{Failure, lost};
use crate::transaction::Options;

impl<C: SimpleConnection> SimpleConnection for AuditedConnection<C> {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.connection.batch_execute(query)
    }
}

impl<C: ConnectionSealed> ConnectionSealed for AuditedConnection<C> {}

impl<C: Connection + Blocking> Connection for AuditedConnection<C> {
    type Backend = <C as Connection>::Backend;
    type TransactionManager = AuditedTransactionManager<C::TransactionManager>;

    fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection(
            super::NEEDS_ATTRIBUTION.to_owned(),
        ))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Self::Backend> + QueryId,
    {
        self.refuse_plain::<T>()?;
        self.connection.execute_returning_count(source)
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

impl<C: LoadConnection<B> + Blocking, B> LoadConnection<B> for AuditedConnection<C> {
    type Cursor<'conn, 'query>
        = C::Cursor<'conn, 'query>
    where
        Self: 'conn;
    type Row<'conn, 'query>
        = C::Row<'conn, 'query>
    where
        Self: 'conn;

    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Self::Backend> + QueryId + 'query,
        Self::Backend: QueryMetadata<T::SqlType>,
    {
        self.refuse_plain::<T>()?;
        self.connection.load(source)
    }
}

impl<C: MigrationConnection + Blocking> MigrationConnection for AuditedConnection<C> {
    fn setup(&mut self) -> QueryResult<usize> {
        self.connection.setup()
    }
}

impl<C, M> TransactionManager<AuditedConnection<C>> for AuditedTransactionManager<M>
where
    C: Connection<TransactionManager = M> + Blocking,
    M: TransactionManager<C>,
{
    type TransactionStateData = M::TransactionStateData;

    fn begin_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        if conn.depth(M::transaction_manager_status_mut) == 0 {
            let begin = conn.begin(Options::default());
            conn.turn = Some(C::value(conn.connection.begin_with(begin, Ours))?);
        } else {
            M::begin_transaction(&mut conn.connection)?;
        }
        conn.begun(M::transaction_manager_status_mut);
        let claim = conn.claim(M::transaction_manager_status_mut);
        if let Some((work, claim)) = claim {
            let claimed = C::value(conn.connection.run(Ok(work), claim, Ours));
            if claimed.is_err() {
                conn.recorder.settled(&claimed);
                let _ = Self::rollback_transaction(conn);
            }
            return claimed.map_err(Error::into_diesel);
        }
        Ok(())
    }

    fn rollback_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        let depth = conn.depth(M::transaction_manager_status_mut);
        let ended = M::rollback_transaction(&mut conn.connection);
        conn.recorder.doom.lift(depth);
        if let Some(scope) = conn.recorder.scope
            && depth == 1
            && !scope.close_lost.is_empty()
        {
            // Where this fails, the connection is lost, and with it what it was told.
            let _ = conn.connection.batch_execute(scope.close_lost);
        }
        conn.ended(M::transaction_manager_status_mut);
        ended
    }

    fn commit_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        let depth = conn.depth(M::transaction_manager_status_mut);
        if let Some(error) = conn.recorder.doom.verdict(depth) {
            // Where this fails too, the connection is broken, and says so.
            let _ = Self::rollback_transaction(conn);
            return Err(error);
        }
        if let Some(scope) = conn.recorder.scope
            && depth == 1
            && !scope.close.is_empty()
            && let Err(error) = conn.connection.batch_execute(scope.close)
        {
            let _ = Self::rollback_transaction(conn);
            return Err(error);
        }
        let ended = match M::commit_transaction(&mut conn.connection) {
            Err(error) if depth == 1 => {
                let answers = Failure::of(&error).is_some()
                    || !conn
                        .connection
                        .batch_execute("SELECT 1")
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
        ended
    }

    fn transaction_manager_status_mut(
        conn: &mut AuditedConnection<C>,
    ) -> &mut TransactionManagerStatus {
        M::transaction_manager_status_mut(&mut conn.connection)
    }
}
