//! deadpool.

use deadpool::managed::{Manager, Object, Pool, PoolError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, PoolableConnection};
use futures_util::future::BoxFuture;

use super::pooled::{Checkout, PooledConnection};
use super::{ConnectionPool, NonBlockingPool, sealed::Sealed};
use crate::driver::{Driver, NonBlocking};
use crate::error::Error;

impl<C: Send> Checkout<C> for Object<AsyncDieselConnectionManager<C>>
where
    AsyncDieselConnectionManager<C>: Manager<Type = C>,
{
    fn close(self: Box<Self>) {
        drop(Self::take(*self));
    }
}

impl<C> Sealed for Pool<AsyncDieselConnectionManager<C>> where
    AsyncDieselConnectionManager<C>: Manager
{
}

impl<C> ConnectionPool for Pool<AsyncDieselConnectionManager<C>>
where
    C: Driver + PoolableConnection + 'static,
    AsyncDieselConnectionManager<C>: Manager<Type = C>,
    PoolError<<AsyncDieselConnectionManager<C> as Manager>::Error>:
        std::error::Error + Send + Sync + 'static,
    Self: Sync,
{
    type Connection = PooledConnection<C>;
    type Reply<'p, T>
        = BoxFuture<'p, T>
    where
        T: 'p,
        Self: 'p;

    fn take<'p, T: Send + 'p>(
        &'p self,
        audit: impl FnOnce(PooledConnection<C>) -> T + Send + 'p,
    ) -> BoxFuture<'p, Result<T, Error>> {
        Box::pin(async move {
            let connection = self.get().await;
            let connection = connection.map_err(|error| Error::Pool(Box::new(error)))?;
            Ok(audit(PooledConnection::new(connection)))
        })
    }
}

impl<C> NonBlockingPool for Pool<AsyncDieselConnectionManager<C>>
where
    C: NonBlocking + PoolableConnection + 'static,
    AsyncDieselConnectionManager<C>: Manager<Type = C>,
    PoolError<<AsyncDieselConnectionManager<C> as Manager>::Error>:
        std::error::Error + Send + Sync + 'static,
    Self: Sync,
{
    fn future<'p, T>(reply: BoxFuture<'p, T>) -> BoxFuture<'p, T>
    where
        Self: 'p,
    {
        reply
    }
}
