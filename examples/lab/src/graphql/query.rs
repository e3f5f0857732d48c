//! Reading.

use diesel::dsl::count_star;
use diesel::{OptionalExtension as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;
use juniper::{ID, graphql_object};
use koherent_diesel::deleted;
use koherent_juniper::{
    Ask, DateTime, Error, HistoryOrder, OffsetPaginationInput, ProvenanceEntry, ProvenanceFilter,
    Task, TaskFilter,
};

use super::{Lab, SampleFilter, SampleNode};
use crate::database::Backend;
use crate::model::Sample;
use crate::schema::samples;

/// The root of queries.
#[derive(Debug, Clone, Copy)]
pub struct Query;

/// What the lab knows.
#[graphql_object(context = Lab)]
impl Query {
    /// The sample of that number, as it is, or as it was at a time. One that was deleted is shown as it was last, with its
    /// provenance.
    async fn sample(
        context: &Lab,
        id: ID,
        as_of: Option<DateTime>,
    ) -> Result<Option<SampleNode>, Error> {
        let Some(id) = number(&id) else {
            return Ok(None);
        };
        let query = samples::table.find(id).select(Sample::as_select());
        let mut conn = context.connection().await?;
        if let Some(DateTime(then)) = as_of {
            let was = koherent_diesel::as_of(query.filter(context.may_see()), then);
            let was = was.get_result(&mut conn).await.optional()?;
            return Ok(was.map(|sample| SampleNode::past(sample, then)));
        }
        if let Some(sample) = query.first(&mut conn).await.optional()? {
            return Ok(Some(SampleNode::present(sample)));
        }
        let query = query.filter(context.may_see());
        let last = deleted(query).get_result(&mut conn).await.optional()?;
        Ok(last.map(SampleNode::gone))
    }

    /// The samples, in the order of their numbers, as they are, or as they were at a time.
    async fn samples(
        context: &Lab,
        filters: Option<SampleFilter>,
        pagination: Option<OffsetPaginationInput>,
        as_of: Option<DateTime>,
    ) -> Result<Vec<SampleNode>, Error> {
        let (offset, limit) = pagination
            .unwrap_or_default()
            .checked(context.provenance.page_limit())?;
        let (offset, limit) = (i64::from(offset), i64::from(limit));
        let filters = filters.unwrap_or_default();
        let query = || -> Result<_, Error> {
            let query = samples::table
                .order(samples::id)
                .select(Sample::as_select())
                .into_boxed::<Backend>();
            Ok(match filters.condition(&context.provenance)? {
                Some(condition) => query.filter(condition),
                None => query,
            })
        };
        let mut conn = context.connection().await?;
        if let Some(DateTime(then)) = as_of {
            let query = query()?.filter(context.may_see());
            let query = koherent_diesel::as_of(query.offset(offset).limit(limit), then);
            let found: Vec<Sample> = query.load(&mut conn).await?;
            let past = |sample| SampleNode::past(sample, then);
            return Ok(found.into_iter().map(past).collect());
        }
        if !filters.asks_for_deletions() {
            let found: Vec<Sample> = query()?.offset(offset).limit(limit).load(&mut conn).await?;
            return Ok(found.into_iter().map(SampleNode::present).collect());
        }
        // Those that are gone, and those that came back: a page may have some of both.
        let here: Vec<Sample> = query()?.limit(offset + limit).load(&mut conn).await?;
        let gone: Vec<Sample> = deleted(query()?.limit(offset + limit))
            .load(&mut conn)
            .await?;
        let here = here.into_iter().map(SampleNode::present);
        let mut all: Vec<_> = here.chain(gone.into_iter().map(SampleNode::gone)).collect();
        all.sort_by_key(SampleNode::number);
        let (offset, limit) = (usize::try_from(offset), usize::try_from(limit));
        let page = all.into_iter().skip(offset.unwrap_or(0));
        Ok(page.take(limit.unwrap_or(0)).collect())
    }

    /// How many samples there are, however many of them a list shows.
    async fn samples_count(context: &Lab, filters: Option<SampleFilter>) -> Result<i32, Error> {
        let filters = filters.unwrap_or_default();
        let query = || -> Result<_, Error> {
            let query = samples::table.select(count_star()).into_boxed::<Backend>();
            Ok(match filters.condition(&context.provenance)? {
                Some(condition) => query.filter(condition),
                None => query,
            })
        };
        let mut conn = context.connection().await?;
        let mut count: i64 = query()?.first(&mut conn).await?;
        if filters.asks_for_deletions() {
            let gone: i64 = deleted(query()?).get_result(&mut conn).await?;
            count += gone;
        }
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// A task: null where nothing was changed under it here.
    async fn task(context: &Lab, task_id: ID) -> Result<Option<Task>, Error> {
        context.provenance.task(&task_id).await
    }

    /// The tasks under which something was changed here, newest first.
    async fn tasks(
        context: &Lab,
        filters: Option<TaskFilter>,
        pagination: Option<OffsetPaginationInput>,
        after: Option<String>,
        order: Option<HistoryOrder>,
    ) -> Result<Vec<Task>, Error> {
        let histories = &context.provenance;
        histories.tasks(filters, pagination, after, order).await
    }

    /// How many tasks there are, however many of them a list shows.
    async fn tasks_count(context: &Lab, filters: Option<TaskFilter>) -> Result<i32, Error> {
        context.provenance.count_tasks(filters).await
    }

    /// How much happened in the whole lab, or in some of its tables, however much of it a list shows.
    async fn changes_count(
        context: &Lab,
        tables: Option<Vec<String>>,
        filters: Option<ProvenanceFilter>,
    ) -> Result<i32, Error> {
        let ask = Ask {
            filters,
            ..Ask::default()
        };
        context.provenance.count_changes(tables, ask).await
    }

    /// What happened in the whole lab, or in some of its tables, newest first.
    async fn changes(
        context: &Lab,
        tables: Option<Vec<String>>,
        filters: Option<ProvenanceFilter>,
        pagination: Option<OffsetPaginationInput>,
        after: Option<String>,
        order: Option<HistoryOrder>,
    ) -> Result<Vec<ProvenanceEntry>, Error> {
        let ask = Ask {
            filters,
            pagination,
            after,
            order,
            as_of: None,
        };
        context.provenance.changes(tables, ask).await
    }

    /// Whether a transaction was committed: one whose outcome was not known, by the id in `extensions.transaction` of its error.
    async fn transaction_committed(context: &Lab, id: ID) -> Result<bool, Error> {
        let Ok(transaction) = id.parse() else {
            return Ok(false);
        };
        let mut conn = context.connection().await?;
        let outcome = koherent_diesel::outcome(transaction)
            .load(&mut conn)
            .await?;
        Ok(outcome == koherent_diesel::Outcome::Committed)
    }
}

/// The number that an id is, if it is one.
pub(super) fn number(id: &ID) -> Option<i64> {
    id.parse().ok()
}
