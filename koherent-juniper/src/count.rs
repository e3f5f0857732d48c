//! How many there are: lists end at a page, counts say what lies behind.

use std::future::Future;

use koherent_core::{RowKey, TaskId};
use koherent_diesel::{
    Audited, HistoryFilter, HistoryQuery, LinkQuery, LinksTo, TaskQuery, feed, tasks,
};

use crate::alike::alike_groups;
use crate::batch::Batch;
use crate::context::Provenance;
use crate::error::Error;
use crate::input::TaskFilter;
use crate::question::{Ask, Table};

/// A count, or why there is none for this one.
type Counted = Result<u64, Error>;

type Filters = Vec<HistoryFilter>;

/// What is counted together.
#[derive(Debug)]
pub(crate) struct Counts {
    rows: Batch<(Table, RowKey, Filters), Counted>,
    links: Batch<LinkCount, Counted>,
    changes: Batch<(TaskId, Filters), Counted>,
    children: Batch<TaskId, Counted>,
}

impl Counts {
    pub(crate) const fn new() -> Self {
        Self {
            rows: Batch::new(),
            links: Batch::new(),
            changes: Batch::new(),
            children: Batch::new(),
        }
    }
}

/// What is asked of the links of a row.
#[derive(Clone)]
struct LinkCount {
    link: Table,
    rows: Table,
    query: fn(Vec<RowKey>) -> LinkQuery,
    key: RowKey,
    filters: Filters,
}

impl Provenance {
    /// How many entries a row has that match: what a list of them would come to if it had no end. Of what is asked, the part and
    /// the order do not count. Rows that are asked for side by side, in the same way, are one statement.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] where history cannot be read; a refusal where the arguments make no sense.
    pub async fn count_of_row<T: Audited>(
        &self,
        _: T,
        key: impl Into<RowKey>,
        ask: Ask,
    ) -> Result<i32, Error> {
        let question = (Table(T::tracked()), key.into(), ask.filters()?);
        let load = |asked: Vec<(Table, RowKey, Filters)>| async move {
            let counted = counted_alike(
                &asked,
                |one, other| one.0 == other.0 && one.2 == other.2,
                |(_, key, _)| key.to_text(),
                async |questions| {
                    let (table, _, filters) = questions[0];
                    let keys = questions.iter().map(|(_, key, _)| key.clone());
                    let query = HistoryQuery::of_rows(table.0, keys.collect());
                    self.reader().count_each(filtered(query, filters)).await
                },
            );
            Ok(counted.await)
        };
        self.counted(self.counts().rows.ask(question, load)).await
    }

    /// How many entries the links of a row have that match. See [`count_of_row`](Self::count_of_row).
    ///
    /// # Errors
    ///
    /// As [`count_of_row`](Self::count_of_row).
    pub async fn count_of_links<L, T>(
        &self,
        _: L,
        _: T,
        key: impl Into<RowKey>,
        ask: Ask,
    ) -> Result<i32, Error>
    where
        L: LinksTo<T>,
        T: Audited,
    {
        let question = LinkCount {
            link: Table(L::tracked()),
            rows: Table(T::tracked()),
            query: LinkQuery::of_rows::<L, T>,
            key: key.into(),
            filters: ask.filters()?,
        };
        let load = |asked: Vec<LinkCount>| async move {
            let counted = counted_alike(
                &asked,
                |one, other| {
                    (one.link, one.rows) == (other.link, other.rows) && one.filters == other.filters
                },
                |question| question.key.to_text(),
                async |questions| {
                    let one = questions[0];
                    let keys = questions.iter().map(|question| question.key.clone());
                    let query = (one.query)(keys.collect());
                    let query = query.map(|query| filtered(query, &one.filters));
                    self.reader().count_links_of_each(query).await
                },
            );
            Ok(counted.await)
        };
        self.counted(self.counts().links.ask(question, load)).await
    }

    /// How many entries there are of what was done under a task. See [`count_of_row`](Self::count_of_row).
    ///
    /// # Errors
    ///
    /// As [`count_of_row`](Self::count_of_row).
    pub async fn count_of_task(&self, task: &TaskId, ask: Ask) -> Result<i32, Error> {
        let question = (task.clone(), ask.filters()?);
        let load = |asked: Vec<(TaskId, Filters)>| async move {
            let counted = counted_alike(
                &asked,
                |one, other| one.1 == other.1,
                |(task, _)| task.to_string(),
                async |questions| {
                    let tasks = questions.iter().map(|(task, _)| task);
                    let query = HistoryQuery::of_tasks(self.reader().tables(), tasks);
                    let query = filtered(query, &questions[0].1);
                    self.reader().count_each(query).await
                },
            );
            Ok(counted.await)
        };
        self.counted(self.counts().changes.ask(question, load))
            .await
    }

    /// How many tasks this one caused directly. See [`count_of_row`](Self::count_of_row).
    ///
    /// # Errors
    ///
    /// As [`count_of_row`](Self::count_of_row).
    pub async fn count_children(&self, task: &TaskId) -> Result<i32, Error> {
        let load = |asked: Vec<TaskId>| async move {
            let counted = counted_alike(
                &asked,
                |_, _| true,
                TaskId::to_string,
                async |questions| {
                    let query = TaskQuery::children_of(questions);
                    self.reader().count_tasks_of_each(query).await
                },
            );
            Ok(counted.await)
        };
        self.counted(self.counts().children.ask(task.clone(), load))
            .await
    }

    /// How many entries there are that match, in all tables that are read, or in some of them: for a field at the root.
    ///
    /// # Errors
    ///
    /// As [`count_of_row`](Self::count_of_row); a refusal where there is no such table.
    pub async fn count_changes(&self, tables: Option<Vec<String>>, ask: Ask) -> Result<i32, Error> {
        let (tables, filters) = (self.tables_named(tables)?, ask.filters()?);
        let query = filtered(feed(tables.iter().map(|Table(table)| *table)), &filters);
        self.counted(async { Ok(self.reader().count(query).await.map_err(Error::from)) })
            .await
    }

    /// How many tasks there are that match: for a field at the root.
    ///
    /// # Errors
    ///
    /// As [`count_of_row`](Self::count_of_row).
    pub async fn count_tasks(&self, filters: Option<TaskFilter>) -> Result<i32, Error> {
        let filter = filters.map(|filters| filters.meant()).unwrap_or_default();
        let query = tasks().filter(filter);
        self.counted(async { Ok(self.reader().count_tasks(query).await.map_err(Error::from)) })
            .await
    }

    /// Counts a count as one entry, and shows it as GraphQL can.
    async fn counted(
        &self,
        count: impl Future<Output = Result<Counted, Error>>,
    ) -> Result<i32, Error> {
        self.charge(1)?;
        Ok(i32::try_from(count.await??).unwrap_or(i32::MAX))
    }
}

fn filtered(query: HistoryQuery, filters: &[HistoryFilter]) -> HistoryQuery {
    filters.iter().cloned().fold(query, HistoryQuery::filter)
}

/// How many questions are one statement, at most.
const MOST: usize = 1_000;

/// Counts for questions, those that are alike together, each question once.
async fn counted_alike<'q, Q, F>(
    asked: &'q [Q],
    alike: impl Fn(&Q, &Q) -> bool,
    key: impl Fn(&Q) -> String,
    load: impl Fn(Vec<&'q Q>) -> F,
) -> Vec<Counted>
where
    F: Future<Output = Result<Vec<u64>, koherent_diesel::Error>>,
{
    let mut answers: Vec<Counted> = asked.iter().map(|_| Ok(0)).collect();
    for group in alike_groups(asked, |_| MOST, alike, key) {
        let counts = load(group.questions).await.map_err(Error::from);
        for (place, number) in group.places {
            answers[place] = match &counts {
                Ok(counts) => Ok(counts.get(number).copied().unwrap_or(0)),
                Err(error) => Err(error.clone()),
            };
        }
    }
    answers
}
