//! What happens, as it happens.

use futures_util::stream::BoxStream;
use juniper::{FieldError, ID, graphql_subscription};
use koherent_juniper::ProvenanceEntry;

use super::Lab;

/// The root of subscriptions.
#[derive(Debug, Clone, Copy)]
pub struct Subscription;

type Entries = BoxStream<'static, Result<ProvenanceEntry, FieldError>>;

/// What can be watched in the lab.
#[graphql_subscription(context = Lab)]
impl Subscription {
    /// Changes as they are committed: of a table, of the row with a key, under a task; first those behind the entry with the
    /// cursor `after`.
    async fn provenance(
        context: &Lab,
        table: Option<String>,
        key: Option<ID>,
        task_id: Option<ID>,
        after: Option<String>,
    ) -> Result<Entries, FieldError> {
        context.provenance.watch(table, key, task_id, after).await
    }
}
