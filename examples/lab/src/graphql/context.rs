//! What resolvers share: the pool, whose request this is, and what they load together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use diesel::dsl::{self, not};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, SelectableHelper as _,
};
use diesel_async::RunQueryDsl as _;
use juniper::FromContext;
use koherent_core::{Attribution, ChangeKind};
use koherent_diesel::{
    AuditedConnection, Changed, ConnectionPool, HistoryFilter, HistoryScope, Idempotency, as_of,
    changed,
};
use koherent_juniper::{Batch, Error, Provenance};

use crate::database::{Database, LabPool, Pool};
use crate::model::{Measurement, Tag};
use crate::schema::{measurements, sample_tags, samples, tags};

/// The context of one request, or of one operation of a websocket.
#[derive(Debug)]
pub struct Lab {
    pool: LabPool,
    /// Whose request this is, and under which task.
    pub attribution: Attribution,
    /// The histories that they may see: those of their organization.
    pub provenance: Provenance,
    idempotency: Option<Idempotency>,
    /// How many mutations have begun: they run one after the other, in the order of the document.
    mutations: AtomicUsize,
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

/// Loads what belongs to samples: one statement for the present, and one for each time in the past that is asked for.
macro_rules! load_by_sample {
    ($lab:expr, $asked:expr, |$samples:ident| $query:expr) => {{
        let mut conn = $lab.connection().await?;
        let mut found = Vec::new();
        for (moment, $samples) in by_moment(&$asked) {
            let rows = match moment {
                None => $query.load(&mut conn).await?,
                Some(then) => as_of($query, then).load(&mut conn).await?,
            };
            found.push((moment, rows));
        }
        Ok(in_order(&$asked, found))
    }};
}

impl Lab {
    /// The context of somebody's request.
    #[must_use]
    pub fn new(database: &Database, attribution: Attribution) -> Self {
        let own = database.histories.within(HistoryScope::own(&attribution));
        Self {
            pool: database.pool.clone(),
            attribution,
            provenance: Provenance::new(own).with_live(database.live.clone()),
            idempotency: None,
            mutations: AtomicUsize::new(0),
            measurements: Batch::new(),
            tags: Batch::new(),
        }
    }

    /// The same context, of a request that came with an idempotency key.
    #[must_use]
    pub fn with_idempotency(self, idempotency: Option<Idempotency>) -> Self {
        Self {
            idempotency,
            ..self
        }
    }

    /// A connection for a mutation: what it changes is changed once, where the request came with a key.
    pub(super) async fn mutating(&self) -> Result<Connection, Error> {
        let mutation = self.mutations.fetch_add(1, Ordering::Relaxed);
        let conn = self.connection().await?;
        Ok(match &self.idempotency {
            Some(key) => conn.with_idempotency(key.part(&mutation.to_string())),
            None => conn,
        })
    }

    /// A connection whose changes have this request's attribution.
    pub(super) async fn connection(&self) -> Result<Connection, Error> {
        Ok(self.pool.get(self.attribution.clone()).await?)
    }

    /// The samples that are shown although they are gone: it may have been somebody else's, so those whose deletion this
    /// request may see.
    pub(super) fn may_see(&self) -> dsl::Or<not<Changed<samples::table>>, Changed<samples::table>> {
        let deleted = || HistoryFilter::new().kind(ChangeKind::Delete);
        let own = deleted().within(self.provenance.reader().scope());
        let is_there = not(changed(samples::table, deleted()));
        is_there.or(changed(samples::table, own))
    }

    /// What was measured of a sample, in the order of the measurements' numbers.
    pub(super) async fn measurements(
        &self,
        sample: i64,
        moment: Moment,
    ) -> Result<Vec<Measurement>, Error> {
        let load = async |asked: Vec<(i64, Moment)>| {
            load_by_sample!(self, asked, |samples| measurements::table
                .filter(measurements::sample_id.eq_any(samples))
                .order(measurements::id)
                .select((measurements::sample_id, Measurement::as_select())))
        };
        self.measurements.ask((sample, moment), load).await
    }

    /// What a sample is marked with, in alphabetical order.
    pub(super) async fn tags(&self, sample: i64, moment: Moment) -> Result<Vec<Tag>, Error> {
        let load = async |asked: Vec<(i64, Moment)>| {
            load_by_sample!(self, asked, |samples| sample_tags::table
                .inner_join(tags::table)
                .filter(sample_tags::sample_id.eq_any(samples))
                .order(tags::label)
                .select((sample_tags::sample_id, Tag::as_select())))
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
