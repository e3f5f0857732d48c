//! What the loaders need from a schema's context.

use koherent_core::Attribution;
use koherent_diesel::{AuditedConnection, AuditedPool, ConnectionPool, Driver, NonBlockingPool};

/// A Juniper context whose schema shows provenance. It says where history is.
///
/// ```
/// use diesel::SqliteConnection;
/// use diesel_async::pooled_connection::deadpool::Pool;
/// use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
/// use koherent_diesel::AuditedPool;
/// use koherent_juniper::ProvenanceContext;
///
/// type LabPool = Pool<SyncConnectionWrapper<SqliteConnection>>; // or Pool<AsyncPgConnection>
///
/// struct Lab { pool: AuditedPool<LabPool> }
///
/// impl juniper::Context for Lab {}
///
/// impl ProvenanceContext for Lab {
///     type Pool = LabPool;
///
///     fn pool(&self) -> &AuditedPool<LabPool> {
///         &self.pool
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the context `{Self}` does not say where history is",
    note = "implement `koherent_juniper::ProvenanceContext` for it"
)]
pub trait ProvenanceContext: Sync {
    /// The pool that its [`AuditedPool`] stands on.
    type Pool: NonBlockingPool;

    /// The pool of the database that holds the history tables.
    fn pool(&self) -> &AuditedPool<Self::Pool>;
}

/// What a context's pool hands out.
pub(crate) type ConnectionOf<X> =
    AuditedConnection<<<X as ProvenanceContext>::Pool as ConnectionPool>::Connection>;

/// A connection to read with. Reading stamps nothing; the pool asks whose changes these would be all the same.
pub(crate) async fn connection<X: ProvenanceContext>(
    context: &X,
) -> Result<ConnectionOf<X>, koherent_diesel::Error> {
    <X::Pool as NonBlockingPool>::future(context.pool().get(Attribution::anonymous())).await
}
