//! Loading entries for resolvers.

use diesel::dsl::Find;
use diesel::query_builder::{IntoUpdateTarget, QueryFragment};
use diesel::query_dsl::methods::FindDsl;
use diesel::sqlite::Sqlite;
use koherent_core::Attribution;
use koherent_diesel::{Audited, entries_of};

use crate::context::ProvenanceContext;
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
/// # struct Lab { pool: koherent_diesel::AuditedPool }
/// # impl juniper::Context for Lab {}
/// # impl koherent_juniper::ProvenanceContext for Lab { fn pool(&self) -> &koherent_diesel::AuditedPool { &self.pool } }
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
    Find<T, K>: IntoUpdateTarget<Table = T>,
    <Find<T, K> as IntoUpdateTarget>::WhereClause: QueryFragment<Sqlite>,
{
    let entries = entries_of(table, key);
    // Reading stamps nothing; the pool asks whose changes these would be all the same.
    let mut conn = context.pool().get(Attribution::anonymous()).await?;
    let entries = entries.load(&mut conn).await?;
    Ok(entries.iter().map(ProvenanceEntry::from).collect())
}
