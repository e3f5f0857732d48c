//! `Tag`.

use juniper::{ID, graphql_object};
use koherent_juniper::provenance;

use super::Lab;
use super::context::Moment;
use crate::model::Tag;
use crate::schema::tags;

/// A tag as GraphQL shows it.
#[derive(Debug)]
pub struct TagNode(Tag, Moment);

impl TagNode {
    /// A tag, as of a time, or of now.
    pub(super) const fn new(tag: Tag, as_of: Moment) -> Self {
        Self(tag, as_of)
    }
}

/// What samples can be marked with.
#[provenance(tags, key = self.0.id, as_of = self.1)]
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
}
