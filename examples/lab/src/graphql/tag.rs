//! `Tag`.

use juniper::{ID, graphql_object};
use koherent_juniper::{ProvenanceResult, provenance};

use super::Lab;
use crate::model::Tag;
use crate::schema::tags;

/// A tag as GraphQL shows it.
#[derive(Debug)]
pub struct TagNode(pub(super) Tag);

/// What samples can be marked with.
#[graphql_object(name = "Tag", context = Lab)]
impl TagNode {
    /// Its number.
    fn id(&self) -> ID {
        ID::from(self.0.id.to_string())
    }

    /// What it says.
    fn label(&self) -> &str {
        &self.0.label
    }

    /// Who changed it, through which client, under which task, and what exactly; newest first.
    async fn provenance(&self, context: &Lab) -> ProvenanceResult {
        provenance(context, tags::table, self.0.id).await
    }
}
