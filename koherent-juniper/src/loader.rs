//! Loading entries for resolvers.

use diesel::query_dsl::methods::FindDsl;
use koherent_core::RowKey;
use koherent_diesel::{Audited, NonBlocking, entries_of};

use crate::context::{ConnectionOf, ProvenanceContext, connection};
use crate::error::Error;
use crate::types::ProvenanceEntry;

/// What a `provenance` field resolves to.
pub type ProvenanceResult = Result<Vec<ProvenanceEntry>, Error>;

/// The provenance of the row with that key, newest first: one line in the resolvers of a type.
///
/// The row may be gone: its provenance is not.
///
/// ```
/// # mod schema { koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } } }
/// # use schema::samples;
/// # use diesel_async::{pooled_connection::deadpool::Pool, sync_connection_wrapper::SyncConnectionWrapper};
/// # use koherent_diesel::AuditedPool;
/// # struct Lab { pool: AuditedPool<Pool<SyncConnectionWrapper<diesel::SqliteConnection>>> }
/// # impl juniper::Context for Lab {}
/// # impl koherent_juniper::ProvenanceContext for Lab {
/// #     type Pool = Pool<SyncConnectionWrapper<diesel::SqliteConnection>>;
/// #     fn pool(&self) -> &AuditedPool<Self::Pool> { &self.pool }
/// # }
/// use koherent_juniper::{ProvenanceResult, provenance};
///
/// struct Sample { id: i64, name: String }
///
/// #[juniper::graphql_object(context = Lab)]
/// impl Sample {
///     fn name(&self) -> &str { &self.name }
///
///     async fn provenance(&self, context: &Lab) -> ProvenanceResult { provenance(context, samples::table, self.id).await }
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// [`Error::Database`] where history cannot be read.
pub async fn provenance<X, T, K>(context: &X, table: T, key: K) -> ProvenanceResult
where
    X: ProvenanceContext,
    T: Audited + FindDsl<K>,
    K: Into<RowKey>,
{
    let entries = entries_of(table, key);
    let mut conn = connection(context).await?;
    let loading = entries.load(&mut conn);
    let entries = <ConnectionOf<X> as NonBlocking>::future(loading).await?;
    Ok(entries.iter().map(ProvenanceEntry::from).collect())
}
