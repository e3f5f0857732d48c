//! What resolvers share: the pool, whose request this is, and what they load together.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;
use juniper::FromContext;
use koherent_core::Attribution;
use koherent_diesel::{AuditedConnection, ConnectionPool, HistoryScope, as_of};
use koherent_juniper::{Batch, Error, Provenance};

use crate::database::{Database, LabPool, Pool};
use crate::model::{Measurement, Tag};
use crate::schema::{measurements, sample_tags, tags};

/// The context of one request, or of one operation of a websocket.
#[derive(Debug)]
pub struct Lab {
    pool: LabPool,
    /// Whose request this is, and under which task.
    pub attribution: Attribution,
    /// The histories that they may see: those of their organization.
    pub provenance: Provenance,
    measurements: Batch<(i64, Moment), Vec<Measurement>>,
    tags: Batch<(i64, Moment), Vec<Tag>>,
}

/// The present, or a time in the past.
pub(super) type Moment = Option<DateTime<Utc>>;

impl juniper::Context for Lab {}

impl FromContext<Lab> for Provenance {
    fn from(lab: &Lab) -> &Self {
        &lab.provenance
    }
}

/// A connection of the pool that knows whose changes it makes.
pub(super) type Connection = AuditedConnection<<Pool as ConnectionPool>::Connection>;

impl Lab {
    /// The context of somebody's request.
    #[must_use]
    pub fn new(database: &Database, attribution: Attribution) -> Self {
        let own = database.histories.within(HistoryScope::own(&attribution));
        Self {
            pool: database.pool.clone(),
            attribution,
            provenance: Provenance::new(own).with_live(database.live.clone()),
            measurements: Batch::new(),
            tags: Batch::new(),
        }
    }

    /// A connection whose changes have this request's attribution.
    pub(super) async fn connection(&self) -> Result<Connection, Error> {
        Ok(self.pool.get(self.attribution.clone()).await?)
    }

    /// What was measured of a sample, in the order of the measurements' numbers.
    pub(super) async fn measurements(
        &self,
        sample: i64,
        moment: Moment,
    ) -> Result<Vec<Measurement>, Error> {
        let load = |asked: Vec<(i64, Moment)>| async move {
            let query = |samples: Vec<i64>| {
                measurements::table
                    .filter(measurements::sample_id.eq_any(samples))
                    .order(measurements::id)
                    .select((measurements::sample_id, Measurement::as_select()))
            };
            let mut conn = self.connection().await?;
            let mut found = Vec::new();
            for (moment, samples) in by_moment(&asked) {
                let rows: Vec<(i64, Measurement)> = match moment {
                    None => query(samples).load(&mut conn).await?,
                    Some(then) => as_of(query(samples), then).load(&mut conn).await?,
                };
                found.push((moment, rows));
            }
            Ok(in_order(&asked, found))
        };
        self.measurements.ask((sample, moment), load).await
    }

    /// What a sample is marked with, in alphabetical order.
    pub(super) async fn tags(&self, sample: i64, moment: Moment) -> Result<Vec<Tag>, Error> {
        let load = |asked: Vec<(i64, Moment)>| async move {
            let query = |samples: Vec<i64>| {
                sample_tags::table
                    .inner_join(tags::table)
                    .filter(sample_tags::sample_id.eq_any(samples))
                    .order(tags::label)
                    .select((sample_tags::sample_id, Tag::as_select()))
            };
            let mut conn = self.connection().await?;
            let mut found = Vec::new();
            for (moment, samples) in by_moment(&asked) {
                let rows: Vec<(i64, Tag)> = match moment {
                    None => query(samples).load(&mut conn).await?,
                    Some(then) => as_of(query(samples), then).load(&mut conn).await?,
                };
                found.push((moment, rows));
            }
            Ok(in_order(&asked, found))
        };
        self.tags.ask((sample, moment), load).await
    }
}

/// What is asked for of the same moment is one statement.
fn by_moment(asked: &[(i64, Moment)]) -> HashMap<Moment, Vec<i64>> {
    let mut samples: HashMap<Moment, Vec<i64>> = HashMap::new();
    for (sample, moment) in asked {
        samples.entry(*moment).or_default().push(*sample);
    }
    samples
}

/// What was found, in the order of the questions.
fn in_order<T: Clone>(asked: &[(i64, Moment)], found: Vec<(Moment, Vec<(i64, T)>)>) -> Vec<Vec<T>> {
    let mut of: HashMap<(i64, Moment), Vec<T>> = HashMap::new();
    for (moment, rows) in found {
        for (sample, row) in rows {
            of.entry((sample, moment)).or_default().push(row);
        }
    }
    asked
        .iter()
        .map(|question| of.get(question).cloned().unwrap_or_default())
        .collect()
}
