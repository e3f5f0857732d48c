//! `Sample`.

use chrono::{DateTime, Utc};
use juniper::{ID, graphql_object};
use koherent_juniper::{
    Ask, Error, FieldBlame, HistoryOrder, LinkEntry, OffsetPaginationInput, ProvenanceFilter,
    provenance,
};

use super::context::Moment;
use super::{Json, Lab, MeasurementNode, TagNode};
use crate::model::Sample;
use crate::schema::{sample_tags, samples};

/// A sample as GraphQL shows it.
#[derive(Debug)]
pub struct SampleNode {
    sample: Sample,
    deleted: bool,
    /// As of when it is shown.
    as_of: Moment,
}

impl SampleNode {
    /// A sample that is there.
    pub(crate) const fn present(sample: Sample) -> Self {
        Self {
            sample,
            deleted: false,
            as_of: None,
        }
    }

    /// A sample as it was.
    pub(crate) const fn past(sample: Sample, then: DateTime<Utc>) -> Self {
        Self {
            sample,
            deleted: false,
            as_of: Some(then),
        }
    }

    /// Its number.
    pub(crate) const fn number(&self) -> i64 {
        self.sample.id
    }

    /// A sample that is gone, as it was last.
    pub(crate) const fn gone(sample: Sample) -> Self {
        Self {
            sample,
            deleted: true,
            as_of: None,
        }
    }
}

/// Something that was taken, prepared and looked at.
#[provenance(samples, key = self.sample.id, as_of = self.as_of)]
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
        let found = context.measurements(self.sample.id, self.as_of).await?;
        let node = |measurement| MeasurementNode::new(measurement, self.as_of);
        Ok(found.into_iter().map(node).collect())
    }

    /// What it is marked with, in alphabetical order.
    async fn tags(&self, context: &Lab) -> Result<Vec<TagNode>, Error> {
        let found = context.tags(self.sample.id, self.as_of).await?;
        let node = |tag| TagNode::new(tag, self.as_of);
        Ok(found.into_iter().map(node).collect())
    }

    /// Where the present value of each field comes from; nothing where it is gone.
    async fn blame(&self, context: &Lab) -> Result<Vec<FieldBlame>, Error> {
        let id = self.sample.id;
        context.provenance.blame(samples::table, id).await
    }

    /// When it was marked with what, and when it was not any more; newest first.
    async fn tag_history(
        &self,
        context: &Lab,
        filters: Option<ProvenanceFilter>,
        pagination: Option<OffsetPaginationInput>,
        after: Option<String>,
        order: Option<HistoryOrder>,
    ) -> Result<Vec<LinkEntry>, Error> {
        let ask = Ask {
            filters,
            pagination,
            after,
            order,
            as_of: self.as_of,
        };
        let (link, id) = (sample_tags::table, self.sample.id);
        context
            .provenance
            .links_of(link, samples::table, id, ask)
            .await
    }

    /// How often it was marked with something, or not any more, however much of it a list shows.
    async fn tag_history_count(
        &self,
        context: &Lab,
        filters: Option<ProvenanceFilter>,
    ) -> Result<i32, Error> {
        let ask = Ask {
            filters,
            as_of: self.as_of,
            ..Ask::default()
        };
        let (link, id) = (sample_tags::table, self.sample.id);
        context
            .provenance
            .count_of_links(link, samples::table, id, ask)
            .await
    }
}
