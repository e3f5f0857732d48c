//! Changing: each change and its history row are one transaction, under the request's attribution.

use chrono::{DateTime, SubsecRound as _, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;
use juniper::{GraphQLInputObject, ID, Nullable, graphql_object};
use koherent_core::{Clock, ErrorCode, SystemClock};
use koherent_juniper::Error;

use super::context::Connection;
use super::query::number;
use super::{Json, Lab, MeasurementNode, SampleNode};
use crate::model::{Measurement, NewMeasurement, NewSample, Sample, SampleChanges};
use crate::schema::{measurements, sample_tags, samples, tags};

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
        let new = NewSample {
            name,
            note,
            owner: owner_or_caller(context, owner)?,
            mass,
            metadata: metadata.map(|json| json.0),
            created_at: now(),
            storage_code: storage_code()?,
        };
        let mut conn = context.mutating().await?;
        let created = conn
            .audited_insert(samples::table, &new)
            .returning(Sample::as_returning())
            .get_result::<Sample>()
            .await?;
        Ok(SampleNode::present(created))
    }

    /// Registers many samples at once: those that are described, or as many as are asked for, called "sample 1" and so
    /// on. At most 10,000.
    async fn create_samples(
        context: &Lab,
        count: Option<i32>,
        inputs: Option<Vec<SampleInput>>,
    ) -> Result<Vec<SampleNode>, Error> {
        let inputs: Vec<_> = match (count, inputs) {
            (None, Some(inputs)) if inputs.len() <= MAX_SAMPLES => inputs,
            (Some(count), None) if usize::try_from(count).is_ok_and(|n| n <= MAX_SAMPLES) => {
                (1..=count).map(SampleInput::numbered).collect()
            }
            (Some(_), None) | (None, Some(_)) => return Err(TOO_MANY_SAMPLES),
            _ => return Err(COUNT_OR_INPUTS),
        };
        let created_at = now();
        let new = inputs
            .into_iter()
            .map(|input| {
                Ok(NewSample {
                    name: input.name,
                    note: input.note,
                    owner: owner_or_caller(context, input.owner)?,
                    mass: input.mass,
                    metadata: input.metadata.map(|json| json.0),
                    created_at,
                    storage_code: storage_code()?,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let mut conn = context.mutating().await?;
        let created = conn
            .audited_insert(samples::table, &new)
            .returning(Sample::as_returning())
            .get_results::<Sample>()
            .await?;
        Ok(created.into_iter().map(SampleNode::present).collect())
    }

    /// Notes what was measured of a sample.
    async fn add_measurement(
        context: &Lab,
        sample_id: ID,
        kind: String,
        value: f64,
        unit: String,
    ) -> Result<MeasurementNode, Error> {
        let new = NewMeasurement {
            sample_id: number(&sample_id).ok_or(diesel::result::Error::NotFound)?,
            kind: &kind,
            value,
            unit: &unit,
        };
        let mut conn = context.mutating().await?;
        let added = conn
            .audited_insert(measurements::table, &new)
            .get_result::<Measurement>()
            .await?;
        Ok(MeasurementNode::new(added, None))
    }

    /// Marks a sample. A tag that nobody used before is made; a sample that has it already stays as it is.
    async fn tag_sample(context: &Lab, id: ID, label: String) -> Result<SampleNode, Error> {
        let id = number(&id).ok_or(diesel::result::Error::NotFound)?;
        let mut conn = context.mutating().await?;
        let transaction = conn.transaction_with_retry();
        transaction
            .run(async |conn| {
                let sample = present(conn, id).await?;
                let tag = tags::label.eq(&label);
                let make = diesel::insert_into(tags::table).values(tag);
                conn.audited_upsert(make.on_conflict_do_nothing())
                    .execute()
                    .await?;
                let find = tags::table.filter(tags::label.eq(&label));
                let tag: i64 = find.select(tags::id).first(conn).await?;
                let link = (sample_tags::sample_id.eq(id), sample_tags::tag_id.eq(tag));
                let link = diesel::insert_into(sample_tags::table).values(link);
                conn.audited_upsert(link.on_conflict_do_nothing())
                    .execute()
                    .await?;
                Ok(SampleNode::present(sample))
            })
            .await
    }

    /// Takes a mark off a sample. The tag itself stays.
    async fn untag_sample(context: &Lab, id: ID, label: String) -> Result<SampleNode, Error> {
        let id = number(&id).ok_or(diesel::result::Error::NotFound)?;
        let mut conn = context.mutating().await?;
        let transaction = conn.transaction_with_retry();
        transaction
            .run(async |conn| {
                let sample = present(conn, id).await?;
                let tag = tags::table.filter(tags::label.eq(&label));
                let links = sample_tags::table
                    .filter(sample_tags::sample_id.eq(id))
                    .filter(sample_tags::tag_id.eq_any(tag.select(tags::id)));
                conn.audited_delete(links).execute().await?;
                Ok(SampleNode::present(sample))
            })
            .await
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
        let mut conn = context.mutating().await?;
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

    /// Deletes a sample with its measurements and marks, and shows it as it was. Their provenance stays.
    async fn delete_sample(
        context: &Lab,
        id: ID,
        reason: Option<String>,
    ) -> Result<SampleNode, Error> {
        let id = number(&id).ok_or(diesel::result::Error::NotFound)?;
        let mut conn = context.mutating().await?;
        let reason = reason.as_deref();
        let transaction = conn.transaction_with_retry();
        transaction
            .run(async |conn| {
                let marks = sample_tags::table.filter(sample_tags::sample_id.eq(id));
                let mut delete = conn.audited_delete(marks);
                if let Some(reason) = reason {
                    delete = delete.reason(reason);
                }
                delete.execute().await?;
                let measured = measurements::table.filter(measurements::sample_id.eq(id));
                let mut delete = conn.audited_delete(measured);
                if let Some(reason) = reason {
                    delete = delete.reason(reason);
                }
                delete.execute().await?;
                let mut delete = conn.audited_delete(samples::table.find(id));
                if let Some(reason) = reason {
                    delete = delete.reason(reason);
                }
                let gone = delete.returning(Sample::as_returning());
                Ok(SampleNode::gone(gone.get_result::<Sample>().await?))
            })
            .await
    }
}

/// A sample to be registered.
#[derive(Debug, GraphQLInputObject)]
pub(crate) struct SampleInput {
    /// What it is called.
    name: String,
    /// What else there is to say.
    note: Option<String>,
    /// Whose it is; without it, it belongs to whoever registers it.
    owner: Option<String>,
    /// In milligrams.
    mass: Option<f64>,
    /// Whatever the instruments say.
    metadata: Option<Json>,
}

impl SampleInput {
    fn numbered(number: i32) -> Self {
        Self {
            name: format!("sample {number}"),
            note: None,
            owner: None,
            mass: None,
            metadata: None,
        }
    }
}

/// How many samples one mutation registers at most.
const MAX_SAMPLES: usize = 10_000;

fn owner_or_caller(context: &Lab, owner: Option<String>) -> Result<String, Error> {
    match (owner, context.attribution.user()) {
        (Some(owner), _) => Ok(owner),
        (None, Some(user)) => Ok(user.to_string()),
        (None, None) => Err(UNKNOWN_OWNER),
    }
}

/// Now, to the microsecond: no database keeps more.
fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemClock.now()).trunc_subsecs(6)
}

/// The sample of that number.
async fn present(conn: &mut Connection, id: i64) -> Result<Sample, Error> {
    let find = samples::table.find(id).select(Sample::as_select());
    Ok(find.first(conn).await?)
}

const COUNT_OR_INPUTS: Error = Error::fixed(
    ErrorCode::BadRequest,
    "COUNT_OR_INPUTS",
    "Say how many samples, or describe them: give `count` or `inputs`.",
);

const TOO_MANY_SAMPLES: Error = Error::fixed(
    ErrorCode::BadRequest,
    "TOO_MANY_SAMPLES",
    "Ask for 0 to 10,000 samples at once.",
);

const UNKNOWN_OWNER: Error = Error::fixed(
    ErrorCode::BadRequest,
    "OWNER_MISSING",
    "Say whose the sample is: give an owner.",
);

const NOTHING_TO_CHANGE: Error = Error::fixed(
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
