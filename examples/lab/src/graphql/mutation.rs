//! Changing: each change and its history row are one transaction, under the request's attribution.

use chrono::{DateTime, SubsecRound as _, Utc};
use diesel::prelude::*;
use juniper::{ID, Nullable, graphql_object};
use koherent_core::{Clock, ErrorCode, SystemClock};
use koherent_juniper::Error;

use super::query::number;
use super::{Json, Lab, SampleNode};
use crate::model::{NewSample, Sample, SampleChanges};
use crate::schema::samples;

/// The root of mutations.
#[derive(Debug, Clone, Copy)]
pub struct Mutation;

/// What can be done in the lab.
#[graphql_object(context = Lab)]
impl Mutation {
    /// Registers a sample. Without an owner it belongs to whoever registers it.
    async fn create_sample(
        context: &Lab,
        name: String,
        note: Option<String>,
        owner: Option<String>,
        mass: Option<f64>,
        metadata: Option<Json>,
    ) -> Result<SampleNode, Error> {
        let owner = match (owner, context.attribution.user()) {
            (Some(owner), _) => owner,
            (None, Some(user)) => user.to_string(),
            (None, None) => return Err(UNKNOWN_OWNER),
        };
        let new = NewSample {
            name,
            note,
            owner,
            mass,
            metadata: metadata.map(|json| json.0),
            created_at: DateTime::<Utc>::from(SystemClock.now()).trunc_subsecs(6),
            storage_code: storage_code()?,
        };
        let mut conn = context.connection_for_change().await?;
        let created = conn
            .audited_insert(samples::table, &new)
            .returning(Sample::as_returning())
            .get_result::<Sample>()
            .await?;
        Ok(SampleNode::present(created))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments of the GraphQL field"
    )]
    /// Changes a sample: fields that are given, and no others. Null empties a field that can be empty.
    async fn update_sample(
        context: &Lab,
        id: ID,
        name: Option<String>,
        note: Nullable<String>,
        owner: Option<String>,
        mass: Nullable<f64>,
        metadata: Nullable<Json>,
        reason: Option<String>,
    ) -> Result<SampleNode, Error> {
        let metadata = metadata.map(|json| json.0);
        let (note, mass, metadata) = (note.explicit(), mass.explicit(), metadata.explicit());
        let changes = SampleChanges {
            name,
            note,
            owner,
            mass,
            metadata,
        };
        if changes.is_empty() {
            return Err(NOTHING_TO_CHANGE);
        }
        let id = number(&id).ok_or(diesel::result::Error::NotFound)?;
        let mut conn = context.connection_for_change().await?;
        let mut update = conn.audited_update(samples::table.find(id), changes);
        if let Some(reason) = reason {
            update = update.reason(&reason);
        }
        Ok(SampleNode::present(
            update
                .returning(Sample::as_returning())
                .get_result::<Sample>()
                .await?,
        ))
    }

    /// Deletes a sample, and shows it as it was. Its provenance stays.
    async fn delete_sample(
        context: &Lab,
        id: ID,
        reason: Option<String>,
    ) -> Result<SampleNode, Error> {
        let id = number(&id).ok_or(diesel::result::Error::NotFound)?;
        let mut conn = context.connection_for_change().await?;
        let mut delete = conn.audited_delete(samples::table.find(id));
        if let Some(reason) = reason {
            delete = delete.reason(&reason);
        }
        Ok(SampleNode::gone(
            delete
                .returning(Sample::as_returning())
                .get_result::<Sample>()
                .await?,
        ))
    }
}

const UNKNOWN_OWNER: Error = Error::refused(
    ErrorCode::BadRequest,
    "OWNER_MISSING",
    "Say whose the sample is: give an owner.",
);

const NOTHING_TO_CHANGE: Error = Error::refused(
    ErrorCode::BadRequest,
    "NOTHING_TO_CHANGE",
    "Give at least one field to change.",
);

impl SampleChanges {
    const fn is_empty(&self) -> bool {
        let Self {
            name,
            note,
            owner,
            mass,
            metadata,
        } = self;
        name.is_none() && note.is_none() && owner.is_none() && mass.is_none() && metadata.is_none()
    }
}

/// A fresh place in the store.
fn storage_code() -> Result<String, Error> {
    let mut place = [0; 6];
    getrandom::fill(&mut place).map_err(|_| {
        Error::refused(
            ErrorCode::Unavailable,
            "NO_RANDOMNESS",
            "The service failed: try again.",
        )
    })?;
    Ok(place.iter().map(|byte| format!("{byte:02X}")).collect())
}
