//! Reading.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use juniper::{GraphQLInputObject, ID, graphql_object};
use koherent_core::ErrorCode;
use koherent_juniper::Error;

use super::{Lab, SampleNode};
use crate::model::Sample;
use crate::schema::{samples, samples_history};

/// The root of queries.
#[derive(Debug, Clone, Copy)]
pub struct Query;

/// Which part of a list.
#[derive(Debug, Clone, Copy, GraphQLInputObject)]
pub struct OffsetPaginationInput {
    /// How many to skip.
    #[graphql(default = 0)]
    pub offset: i32,
    /// How many to show, 200 at most.
    #[graphql(default = 50)]
    pub limit: i32,
}

const MAX_PAGE: i32 = 200;

/// What the lab knows.
#[graphql_object(context = Lab)]
impl Query {
    /// The sample of that number. One that was deleted is shown as it was last, with its provenance.
    async fn sample(context: &Lab, id: ID) -> Result<Option<SampleNode>, Error> {
        let Some(id) = number(&id) else {
            return Ok(None);
        };
        let mut conn = context.connection().await?;
        let present = samples::table
            .find(id)
            .select(Sample::as_select())
            .first(&mut conn)
            .await
            .optional()?;
        if let Some(sample) = present {
            return Ok(Some(SampleNode::present(sample)));
        }
        let last = samples_history::table
            .filter(
                samples_history::id
                    .eq(id)
                    .and(samples_history::history_kind.eq("-")),
            )
            .order(samples_history::history_id.desc())
            .select((
                samples_history::id,
                samples_history::name,
                samples_history::note,
                samples_history::owner,
                samples_history::mass,
                samples_history::metadata,
                samples_history::created_at,
            ))
            .first::<Sample>(&mut conn)
            .await
            .optional()?;
        Ok(last.map(SampleNode::gone))
    }

    /// The samples, in the order of their numbers.
    async fn samples(
        context: &Lab,
        pagination: Option<OffsetPaginationInput>,
    ) -> Result<Vec<SampleNode>, Error> {
        let OffsetPaginationInput { offset, limit } = pagination.unwrap_or(OffsetPaginationInput {
            offset: 0,
            limit: 50,
        });
        if offset < 0 || !(0..=MAX_PAGE).contains(&limit) {
            return Err(Error::refused(
                ErrorCode::BadRequest,
                "PAGE_INVALID",
                "Ask for an offset of at least 0 and a limit of at most 200.",
            ));
        }
        let mut conn = context.connection().await?;
        let samples = samples::table
            .order(samples::id)
            .offset(offset.into())
            .limit(limit.into())
            .select(Sample::as_select())
            .load(&mut conn)
            .await?;
        Ok(samples.into_iter().map(SampleNode::present).collect())
    }
}

/// The number that an id is, if it is one.
pub(super) fn number(id: &ID) -> Option<i64> {
    id.parse().ok()
}
