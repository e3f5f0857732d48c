//! `Sample`.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;
use juniper::{ID, graphql_object};
use koherent_juniper::{Error, ProvenanceResult, provenance};

use super::{Json, Lab, MeasurementNode, TagNode};
use crate::model::{Measurement, Sample, Tag};
use crate::schema::{measurements, sample_tags, samples, tags};

/// A sample as GraphQL shows it.
#[derive(Debug)]
pub struct SampleNode {
    sample: Sample,
    deleted: bool,
}

impl SampleNode {
    /// A sample that is there.
    pub(crate) const fn present(sample: Sample) -> Self {
        Self {
            sample,
            deleted: false,
        }
    }

    /// A sample that is gone, as it was last.
    pub(crate) const fn gone(sample: Sample) -> Self {
        Self {
            sample,
            deleted: true,
        }
    }
}

/// Something that was taken, prepared and looked at.
#[graphql_object(name = "Sample", context = Lab)]
impl SampleNode {
    /// Its number.
    fn id(&self) -> ID {
        ID::from(self.sample.id.to_string())
    }

    /// What it is called.
    fn name(&self) -> &str {
        &self.sample.name
    }

    /// What else there is to say.
    fn note(&self) -> Option<&str> {
        self.sample.note.as_deref()
    }

    /// Whose it is.
    fn owner(&self) -> &str {
        &self.sample.owner
    }

    /// In milligrams.
    fn mass(&self) -> Option<f64> {
        self.sample.mass
    }

    /// Whatever the instruments say.
    fn metadata(&self) -> Option<Json> {
        self.sample.metadata.clone().map(Json)
    }

    /// When it was registered.
    fn created_at(&self) -> DateTime<Utc> {
        self.sample.created_at
    }

    /// Whether it is gone; the fields of its own are then what they were last.
    fn deleted(&self) -> bool {
        self.deleted
    }

    /// What was measured of it, in the order of the measurements' numbers.
    async fn measurements(&self, context: &Lab) -> Result<Vec<MeasurementNode>, Error> {
        let mut conn = context.connection().await?;
        let found = measurements::table
            .filter(measurements::sample_id.eq(self.sample.id))
            .order(measurements::id)
            .select(Measurement::as_select())
            .load(&mut conn)
            .await?;
        Ok(found.into_iter().map(MeasurementNode).collect())
    }

    /// What it is marked with, in alphabetical order.
    async fn tags(&self, context: &Lab) -> Result<Vec<TagNode>, Error> {
        let mut conn = context.connection().await?;
        let found = sample_tags::table
            .inner_join(tags::table)
            .filter(sample_tags::sample_id.eq(self.sample.id))
            .order(tags::label)
            .select(Tag::as_select())
            .load(&mut conn)
            .await?;
        Ok(found.into_iter().map(TagNode).collect())
    }

    /// Who changed it, through which client, under which task, and what exactly; newest first.
    async fn provenance(&self, context: &Lab) -> ProvenanceResult {
        provenance(context, samples::table, self.sample.id).await
    }
}
