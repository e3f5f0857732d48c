//! The connections that audited statements run on.

use diesel::QueryResult;

use crate::engine::Engine;
use crate::error::Error;
use crate::gate::{Begin, Turn};
use crate::reading::Reading;
use crate::record::Recorder;

/// A connection that audited statements run on. Sealed: it is implemented for
///
/// | feature | connection | replies |
/// | --- | --- | --- |
/// | `sqlite` | `diesel::SqliteConnection` | values |
/// | `sqlite`, `async` | `SyncConnectionWrapper<SqliteConnection>` of diesel-async | futures; each change is one hop to the blocking thread |
/// | `postgres` | `diesel_async::AsyncPgConnection` | futures |
/// | `libpq` | `diesel::PgConnection` | values |
/// | `mysql` | `diesel_async::AsyncMysqlConnection` | futures |
///
/// and for what pools hand out of them (features `deadpool`, `bb8`, `r2d2`), and for
/// [`AuditedConnection`](crate::AuditedConnection) around any of these.
#[diagnostic::on_unimplemented(
    message = "audited statements cannot run on `{Self}`",
    note = "use `SqliteConnection` (feature `sqlite`), `SyncConnectionWrapper<SqliteConnection>` (features `sqlite` and \
            `async`), `AsyncPgConnection` (feature `postgres`), `PgConnection` (feature `libpq`), `AsyncMysqlConnection` \
            (feature `mysql`), or a connection from `AuditedPool`"
)]
pub trait Driver: sealed::Sealed {
    /// The database it speaks to.
    type Backend: Engine;

    /// What transactions are given: [`Values`](crate::Values) or [`Futures`](crate::Futures), as closures return them.
    type Closures;

    /// What a call answers: the value itself, or a future of it.
    type Reply<'c, T>
    where
        T: 'c,
        Self: 'c;

    /// What the connection stamps on entries by itself, if it does.
    #[doc(hidden)]
    fn recorder(&self, _: sealed::Ours) -> Option<&Recorder> {
        None
    }

    /// Does some work, and reads what it returns.
    #[doc(hidden)]
    fn run<'c, R>(
        &'c mut self,
        work: Result<<Self::Backend as Engine>::Work, Error>,
        reading: R,
        _: sealed::Ours,
    ) -> Self::Reply<'c, Result<R::Output, Error>>
    where
        R: Reading<Self::Backend>;

    /// Makes several changes in one transaction, and says how many rows each touched.
    #[doc(hidden)]
    fn run_all<'c>(
        &'c mut self,
        work: Result<Vec<<Self::Backend as Engine>::Work>, Error>,
        _: sealed::Ours,
    ) -> Self::Reply<'c, Result<Vec<usize>, Error>>;

    /// Begins a transaction with a statement of the caller's, when it is its turn.
    #[doc(hidden)]
    fn begin_with<'c>(
        &'c mut self,
        begin: Begin,
        _: sealed::Ours,
    ) -> Self::Reply<'c, QueryResult<Turn>>;
}

/// A connection that answers at once.
pub trait Blocking: Driver {
    /// The value itself.
    #[doc(hidden)]
    fn value<'c, T>(reply: Self::Reply<'c, T>) -> T
    where
        Self: 'c;
}

/// A connection that answers with futures.
#[cfg(feature = "async")]
pub trait NonBlocking: Driver {
    /// The future itself.
    #[doc(hidden)]
    fn future<'c, T>(reply: Self::Reply<'c, T>) -> futures_util::future::BoxFuture<'c, T>
    where
        Self: 'c;
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "nobody else implements `Driver`")]
    pub trait Sealed {}

    /// Only this crate has one, so only this crate can ask a driver to run work past the audit.
    #[derive(Debug, Clone, Copy)]
    #[expect(unnameable_types, reason = "nobody else runs work")]
    pub struct Ours;
}
