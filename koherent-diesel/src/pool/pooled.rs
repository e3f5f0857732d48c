//! What pools of diesel-async hand out.

use std::fmt;
use std::ops::{Deref, DerefMut};

use diesel::QueryResult;
use diesel_async::pooled_connection::PoolableConnection;

use crate::driver::{Driver, NonBlocking, sealed};
use crate::engine::Engine;
use crate::error::Error;
use crate::gate::{Begin, Turn};
use crate::reading::Reading;

/// What a pool gave, and takes back when it is dropped.
pub(super) trait Checkout<C>: DerefMut<Target = C> + Send {
    /// Closes the connection instead of giving it back.
    fn close(self: Box<Self>);
}

/// A connection that goes back into its pool, unless a transaction is open on it: then it is closed, so that it holds no
/// lock while it waits for the next request.
pub struct PooledConnection<C: PoolableConnection>(Option<Box<dyn Checkout<C>>>);

impl<C: PoolableConnection> PooledConnection<C> {
    pub(super) fn new(connection: impl Checkout<C> + 'static) -> Self {
        Self(Some(Box::new(connection)))
    }
}

impl<C: PoolableConnection> Deref for PooledConnection<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<C: PoolableConnection> DerefMut for PooledConnection<C> {
    fn deref_mut(&mut self) -> &mut C {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl<C: PoolableConnection> Drop for PooledConnection<C> {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        // While a panic unwinds, a job may still use the connection: it cannot be asked, so it does not go back either.
        if std::thread::panicking() || connection.is_broken() {
            tracing::warn!(
                "a connection came back broken or with an open transaction, and was closed"
            );
            connection.close();
        }
    }
}

impl<C: PoolableConnection> fmt::Debug for PooledConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PooledConnection(..)")
    }
}

impl<C: PoolableConnection> sealed::Sealed for PooledConnection<C> {}

impl<C: Driver + PoolableConnection> Driver for PooledConnection<C> {
    type Backend = <C as Driver>::Backend;
    type Closures = C::Closures;
    type Reply<'c, T>
        = C::Reply<'c, T>
    where
        T: 'c,
        C: 'c;

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

impl<C: NonBlocking + PoolableConnection> NonBlocking for PooledConnection<C> {
    fn future<'c, T>(reply: Self::Reply<'c, T>) -> futures_util::future::BoxFuture<'c, T>
    where
        Self: 'c,
    {
        C::future(reply)
    }
}
