//! The schema: samples, measurements and tags, and the provenance of each.

mod context;
mod filter;
mod measurement;
mod mutation;
mod query;
mod sample;
mod subscription;
mod tag;

use juniper::RootNode;

pub use context::Lab;
pub use filter::SampleFilter;
pub use koherent_juniper::Json;
pub use measurement::MeasurementNode;
pub use mutation::Mutation;
pub use query::Query;
pub use sample::SampleNode;
pub use subscription::Subscription;
pub use tag::TagNode;

/// The whole schema.
pub type Schema = RootNode<Query, Mutation, Subscription>;

/// Makes the schema.
#[must_use]
pub fn schema() -> Schema {
    Schema::new(Query, Mutation, Subscription)
}
