//! MariaDB and MySQL through diesel-async.

use diesel::mysql::Mysql;
use diesel_async::AsyncMysqlConnection;
use futures_util::future::BoxFuture;

use super::work::Work;
use crate::driver::{Driver, NonBlocking, sealed};
use crate::error::Error;
use crate::reading::Reading;

impl sealed::Sealed for AsyncMysqlConnection {}

impl Driver for AsyncMysqlConnection {
    type Backend = Mysql;
    type Reply<'c, T>
        = BoxFuture<'c, T>
    where
        T: 'c;

    fn run<'c, R>(
        &'c mut self,
        work: Result<Work, Error>,
        mut reading: R,
        _: sealed::Ours,
    ) -> BoxFuture<'c, Result<R::Output, Error>>
    where
        R: Reading<Mysql>,
    {
        Box::pin(async move {
            let touched = super::run::run(self, &work?, &mut |row| reading.row(row)).await?;
            reading.finish(touched)
        })
    }
}

impl NonBlocking for AsyncMysqlConnection {
    fn future<'c, T>(reply: BoxFuture<'c, T>) -> BoxFuture<'c, T>
    where
        Self: 'c,
    {
        reply
    }
}
