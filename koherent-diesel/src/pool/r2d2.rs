//! r2d2, for blocking connections. It asks a connection whether a transaction is open when it comes back, and closes it
//! then.

use diesel::QueryResult;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection, R2D2Connection};

use super::{ConnectionPool, sealed::Sealed};
use crate::driver::{Blocking, Driver, sealed};
use crate::engine::Engine;
use crate::error::Error;
use crate::gate::{Begin, Turn};
use crate::reading::Reading;

impl<C: R2D2Connection + 'static> Sealed for Pool<ConnectionManager<C>> {}

impl<C> ConnectionPool for Pool<ConnectionManager<C>>
where
    C: Driver + R2D2Connection + 'static,
{
    type Connection = PooledConnection<ConnectionManager<C>>;
    type Reply<'p, T>
        = T
    where
        T: 'p,
        Self: 'p;

    fn take<'p, T: Send + 'p>(
        &'p self,
        audit: impl FnOnce(Self::Connection) -> T + Send + 'p,
    ) -> Result<T, Error> {
        let connection = self.get();
        let connection = connection.map_err(|error| Error::Pool(Box::new(error)))?;
        Ok(audit(connection))
    }
}

impl<C: R2D2Connection + 'static> sealed::Sealed for PooledConnection<ConnectionManager<C>> {}

impl<C> Driver for PooledConnection<ConnectionManager<C>>
where
    C: Driver + R2D2Connection + 'static,
{
    type Backend = <C as Driver>::Backend;
    type Closures = C::Closures;
    type Reply<'c, T>
        = C::Reply<'c, T>
    where
        T: 'c;

    fn run<'c, R>(
        &'c mut self,
        work: Result<<Self::Backend as Engine>::Work, Error>,
        reading: R,
        ours: sealed::Ours,
    ) -> Self::Reply<'c, Result<R::Output, Error>>
    where
        R: Reading<Self::Backend>,
    {
        (**self).run(work, reading, ours)
    }

    fn run_all<'c>(
        &'c mut self,
        work: Result<Vec<<Self::Backend as Engine>::Work>, Error>,
        ours: sealed::Ours,
    ) -> Self::Reply<'c, Result<Vec<usize>, Error>> {
        (**self).run_all(work, ours)
    }

    fn begin_with<'c>(
        &'c mut self,
        begin: Begin,
        ours: sealed::Ours,
    ) -> Self::Reply<'c, QueryResult<Turn>> {
        (**self).begin_with(begin, ours)
    }
}

impl<C> Blocking for PooledConnection<ConnectionManager<C>>
where
    C: Blocking + R2D2Connection + 'static,
{
    fn value<'c, T>(reply: Self::Reply<'c, T>) -> T
    where
        Self: 'c,
    {
        C::value(reply)
    }
}
