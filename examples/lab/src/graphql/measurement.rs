//! `Measurement`.

use juniper::{ID, graphql_object};
use koherent_juniper::{ProvenanceResult, provenance};

use super::Lab;
use crate::model::Measurement;
use crate::schema::measurements;

/// A measurement as GraphQL shows it.
#[derive(Debug)]
pub struct MeasurementNode(pub(super) Measurement);

/// What was measured of a sample.
#[graphql_object(name = "Measurement", context = Lab)]
impl MeasurementNode {
    /// Its number.
    fn id(&self) -> ID {
        ID::from(self.0.id.to_string())
    }

    /// What was measured.
    fn kind(&self) -> &str {
        &self.0.kind
    }

    /// How much.
    fn value(&self) -> f64 {
        self.0.value
    }

    /// Of what.
    fn unit(&self) -> &str {
        &self.0.unit
    }

    /// Who changed it, through which client, under which task, and what exactly; newest first.
    async fn provenance(&self, context: &Lab) -> ProvenanceResult {
        provenance(context, measurements::table, self.0.id).await
    }
}
