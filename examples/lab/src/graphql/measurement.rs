//! `Measurement`.

use juniper::{ID, graphql_object};
use koherent_juniper::provenance;

use super::Lab;
use super::context::Moment;
use crate::model::Measurement;
use crate::schema::measurements;

/// A measurement as GraphQL shows it.
#[derive(Debug)]
pub struct MeasurementNode(Measurement, Moment);

impl MeasurementNode {
    /// A measurement, as of a time, or of now.
    pub(super) const fn new(measurement: Measurement, as_of: Moment) -> Self {
        Self(measurement, as_of)
    }
}

/// What was measured of a sample.
#[provenance(measurements, key = self.0.id, as_of = self.1)]
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
}
