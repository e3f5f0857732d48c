//! bb8.

use ::bb8::{ManageConnection, Pool, PooledConnection as Object, RunError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, PoolableConnection};
use futures_util::future::BoxFuture;

use super::pooled::{Checkout, PooledConnection};
use super::{ConnectionPool, NonBlockingPool, sealed::Sealed};
use crate::driver::{Driver, NonBlocking};
use crate::error::Error;

impl<C: Send> Checkout<C> for Object<'static, AsyncDieselConnectionManager<C>>
where
    AsyncDieselConnectionManager<C>: ManageConnection<Connection = C>,
{
    /// bb8 asks the connection whether it is broken when it comes back, and closes it then.
    fn close(self: Box<Self>) {}
}

impl<C> Sealed for Pool<AsyncDieselConnectionManager<C>> where
    AsyncDieselConnectionManager<C>: ManageConnection
{
}

impl<C> ConnectionPool for Pool<AsyncDieselConnectionManager<C>>
where
    C: Driver + PoolableConnection + 'static,
    AsyncDieselConnectionManager<C>: ManageConnection<Connection = C>,
    RunError<<AsyncDieselConnectionManager<C> as ManageConnection>::Error>:
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
            let connection = self.get_owned().await;
            let connection = connection.map_err(|error| Error::Pool(Box::new(error)))?;
            Ok(audit(PooledConnection::new(connection)))
        })
    }
}

impl<C> NonBlockingPool for Pool<AsyncDieselConnectionManager<C>>
where
    C: NonBlocking + PoolableConnection + 'static,
    AsyncDieselConnectionManager<C>: ManageConnection<Connection = C>,
    RunError<<AsyncDieselConnectionManager<C> as ManageConnection>::Error>:
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
