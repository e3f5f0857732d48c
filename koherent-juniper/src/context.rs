//! `Provenance`: what resolvers ask for history. It is the context of the provenance types.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use juniper::{FieldError, ID, IntoFieldError as _};
use koherent_core::{ErrorCode, HistoryEntry, RowKey, TaskId, TaskRecord};
use koherent_diesel::{
    Audited, Blame, BlameQuery, Changed, HistoryQuery, HistoryReader, LinkEntry, LinkQuery,
    LinksTo, LiveHistory, TaskQuery, TrackedTable, Watch, changed, feed, tasks,
};

use crate::alike::{alike_groups, count, each_once};
use crate::batch::Batch;
use crate::count::Counts;
use crate::error::Error;
use crate::input::{HistoryOrder, OffsetPaginationInput, ProvenanceFilter, TaskFilter};
use crate::question::{
    Ask, Asked, BAD_CURSOR, Family, LinkQuestion, Listed, RowQuestion, Table, TaskQuestion, behind,
    cursor,
};
use crate::user::{ProvenanceUser, UserId};

/// The histories of one request: what it may see, and what its resolvers ask for together.
///
/// Make one per request, from one [`HistoryReader`] for all, and keep it in the context of the schema. The provenance
/// types have it as their context; the one line that leads there is
///
/// ```
/// use koherent_juniper::Provenance;
///
/// struct Lab { provenance: Provenance /* , pool, attribution, … */ }
/// impl juniper::Context for Lab {}
///
/// impl juniper::FromContext<Lab> for Provenance { fn from(lab: &Lab) -> &Provenance { &lab.provenance } }
/// ```
#[derive(Debug)]
pub struct Provenance {
    reader: HistoryReader,
    live: Option<LiveHistory>,
    page: u32,
    most: u32,
    shown: Arc<AtomicU32>,
    rows: Batch<RowQuestion, Listed<HistoryEntry>>,
    changes: Batch<(TaskId, Asked), Listed<HistoryEntry>>,
    tasks: Batch<TaskId, Option<Arc<TaskRecord>>>,
    children: Batch<Family, Listed<TaskRecord>>,
    feeds: Batch<(Vec<Table>, Asked), Listed<HistoryEntry>>,
    task_lists: Batch<TaskQuestion, Listed<TaskRecord>>,
    links: Batch<LinkQuestion, Listed<LinkEntry>>,
    blamed: Batch<(Table, RowKey), Result<Vec<Blame>, Error>>,
    counts: Counts,
    /// A batch for each type of users.
    users: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl juniper::Context for Provenance {}

/// Entries of one page, unless another limit is set.
const PAGE: u32 = 200;

/// Entries and tasks of one request, unless another limit is set.
const MOST: u32 = 20_000;

impl Provenance {
    /// The histories that this reader reads. Scope it to who is asking: [`HistoryReader::within`].
    #[must_use]
    pub fn new(reader: HistoryReader) -> Self {
        Self {
            reader,
            live: None,
            page: PAGE,
            most: MOST,
            shown: Arc::default(),
            rows: Batch::new(),
            changes: Batch::new(),
            tasks: Batch::new(),
            children: Batch::new(),
            feeds: Batch::new(),
            task_lists: Batch::new(),
            links: Batch::new(),
            blamed: Batch::new(),
            counts: Counts::new(),
            users: Mutex::default(),
        }
    }

    /// With what hands out entries as they are committed: for [`watch`](Self::watch).
    #[must_use]
    pub fn with_live(mut self, live: LiveHistory) -> Self {
        self.live = Some(live);
        self
    }

    /// How many entries, or tasks, one list may have at most: 200 unless this says otherwise. A list without a `limit` has as
    /// many.
    #[must_use]
    pub fn with_page_limit(mut self, limit: u32) -> Self {
        self.page = limit;
        self
    }

    /// How many entries, tasks and fields with their blame one request may show, over all its lists: 20,000 unless this says
    /// otherwise; of a subscription, each event. What an `offset` leaves out counts as well. Lists stand in lists, so their
    /// pages alone do not limit what is answered.
    #[must_use]
    pub fn with_entry_limit(mut self, limit: u32) -> Self {
        self.most = limit;
        self
    }

    /// Counts what is shown.
    fn show<V, E: From<V>>(&self, found: Vec<V>) -> Result<Vec<E>, Error> {
        self.charge(count(&found))?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    /// Counts so many more.
    pub(crate) fn charge(&self, more: u32) -> Result<(), Error> {
        let before = self.shown.fetch_add(more, Ordering::Relaxed);
        self.allow(before.saturating_add(more))
    }

    /// Whether so many may be shown.
    fn allow(&self, shown: u32) -> Result<(), Error> {
        if shown <= self.most {
            return Ok(());
        }
        let most = self.most;
        let text = format!(
            "The limit `entries` is exceeded: one request shows at most {most} entries and tasks."
        );
        Err(Error::refused(
            ErrorCode::BadRequest,
            "ANSWER_TOO_LONG",
            text,
        ))
    }

    /// Loads lists for questions, those that are alike together: no more at once than a page of rows with a page of entries
    /// each, or than the request may show, and no more after that. `weight` says how many a question may load.
    async fn load_alike<'q, Q, V, F>(
        &self,
        asked: &'q [Q],
        alike: impl Fn(&Q, &Q) -> bool,
        key: impl Fn(&Q) -> String,
        weight: impl Fn(&Q) -> u32,
        load: impl Fn(Vec<&'q Q>) -> F,
    ) -> Vec<Listed<V>>
    where
        F: Future<Output = Result<Vec<Vec<V>>, koherent_diesel::Error>>,
    {
        let mut answers: Vec<Listed<V>> = asked.iter().map(|_| Ok(Vec::new())).collect();
        let most = self.page.saturating_mul(self.page).max(self.most);
        let room = |question: &Q| (most / weight(question).max(1)).max(1) as usize;
        let mut loaded = self.shown.load(Ordering::Relaxed);
        for group in alike_groups(asked, room, alike, key) {
            let found = match self.allow(loaded) {
                Err(refusal) => Err(refusal),
                Ok(()) => load(group.questions.clone()).await.map_err(Error::from),
            };
            let found: Result<Vec<Vec<Arc<V>>>, Error> = found.map(|found| {
                let shared = |one: Vec<V>| one.into_iter().map(Arc::new).collect();
                found.into_iter().map(shared).collect()
            });
            for found in found.iter().flatten() {
                loaded = loaded.saturating_add(count(found));
            }
            for (place, number) in group.places {
                answers[place] = match &found {
                    Ok(found) => Ok(found.get(number).cloned().unwrap_or_default()),
                    Err(error) => Err(error.clone()),
                };
            }
        }
        answers
    }

    /// How many entries one list may have at most.
    #[must_use]
    pub const fn page_limit(&self) -> u32 {
        self.page
    }

    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What it reads with.
    #[must_use]
    pub const fn reader(&self) -> &HistoryReader {
        &self.reader
    }

    /// The entries of a row, newest first unless they are asked for otherwise. Rows that are asked for side by side, in the
    /// same way, are one statement.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] where history cannot be read; a refusal where the arguments make no sense.
    pub async fn of_row<T: Audited, E: From<Arc<HistoryEntry>>>(
        &self,
        _: T,
        key: impl Into<RowKey>,
        ask: Ask,
    ) -> Result<Vec<E>, Error> {
        let question = RowQuestion {
            table: Table(T::tracked()),
            key: key.into(),
            asked: self.checked(&ask)?,
        };
        self.charge(question.asked.part.0)?;
        let load = |asked: Vec<RowQuestion>| async move { Ok(self.load_rows(&asked).await) };
        self.show(self.rows.ask(question, load).await??)
    }

    async fn load_rows(&self, asked: &[RowQuestion]) -> Vec<Listed<HistoryEntry>> {
        self.load_alike(
            asked,
            |one, other| one.table == other.table && one.asked == other.asked,
            |question| question.key.to_text(),
            |question| question.asked.weight(),
            async |questions| {
                let one = questions[0];
                let keys = questions.iter().map(|question| question.key.clone());
                let query = HistoryQuery::of_rows(one.table.0, keys.collect());
                self.reader.entries_of_each(one.asked.of(query)).await
            },
        )
        .await
    }

    /// What a row was put together with, and taken apart from, by a join table that is declared with `audited_link!`. Rows
    /// that are asked for side by side, in the same way, are one statement.
    ///
    /// # Errors
    ///
    /// As [`of_row`](Self::of_row).
    pub async fn links_of<L, T, E>(
        &self,
        _: L,
        _: T,
        key: impl Into<RowKey>,
        ask: Ask,
    ) -> Result<Vec<E>, Error>
    where
        L: LinksTo<T>,
        T: Audited,
        E: From<Arc<LinkEntry>>,
    {
        let question = LinkQuestion {
            link: Table(L::tracked()),
            rows: Table(T::tracked()),
            query: LinkQuery::of_rows::<L, T>,
            key: key.into(),
            asked: self.checked(&ask)?,
        };
        self.charge(question.asked.part.0)?;
        let load = |asked: Vec<LinkQuestion>| async move { Ok(self.load_links(&asked).await) };
        self.show(self.links.ask(question, load).await??)
    }

    async fn load_links(&self, asked: &[LinkQuestion]) -> Vec<Listed<LinkEntry>> {
        self.load_alike(
            asked,
            |one, other| {
                (one.link, one.rows) == (other.link, other.rows) && one.asked == other.asked
            },
            |question| question.key.to_text(),
            |question| question.asked.weight(),
            async |questions| {
                let one = questions[0];
                let keys = questions.iter().map(|question| question.key.clone());
                let query = one.asked.of_links((one.query)(keys.collect()));
                self.reader.links_of_each(query).await
            },
        )
        .await
    }

    /// What was done under a task, in all tables that are read.
    ///
    /// # Errors
    ///
    /// As [`of_row`](Self::of_row).
    pub async fn of_task<E: From<Arc<HistoryEntry>>>(
        &self,
        task: &TaskId,
        ask: Ask,
    ) -> Result<Vec<E>, Error> {
        let question = (task.clone(), self.checked(&ask)?);
        self.charge(question.1.part.0.saturating_mul(self.tables()))?;
        let load = |asked: Vec<_>| async move { Ok(self.load_changes(&asked).await) };
        self.show(self.changes.ask(question, load).await??)
    }

    async fn load_changes(&self, asked: &[(TaskId, Asked)]) -> Vec<Listed<HistoryEntry>> {
        self.load_alike(
            asked,
            |(_, one), (_, other)| one == other,
            |(task, _)| task.to_string(),
            |(_, asked)| asked.weight().saturating_mul(self.tables()),
            async |questions| {
                let tasks = questions.iter().map(|(task, _)| task);
                let query = HistoryQuery::of_tasks(self.reader.tables(), tasks);
                self.reader.entries_of_each(questions[0].1.of(query)).await
            },
        )
        .await
    }

    /// What happened in all tables that are read, or in some of them, newest first: for a field at the root.
    ///
    /// # Errors
    ///
    /// As [`of_row`](Self::of_row); a refusal where there is no such table.
    pub async fn changes<E: From<Arc<HistoryEntry>>>(
        &self,
        tables: Option<Vec<String>>,
        ask: Ask,
    ) -> Result<Vec<E>, Error> {
        let tables = self.tables_named(tables)?;
        let question = (tables, self.checked(&ask)?);
        let of_all = u32::try_from(question.0.len()).unwrap_or(u32::MAX);
        self.charge(question.1.part.0.saturating_mul(of_all))?;
        let load = |asked: Vec<(Vec<Table>, Asked)>| async move {
            Ok(each_once(&asked, async |(tables, asked)| {
                let query = asked.of(feed(tables.iter().map(|Table(table)| *table)));
                self.reader.entries(query).await
            })
            .await)
        };
        self.show(self.feeds.ask(question, load).await??)
    }

    /// The tables of these names, each once; all, where none is named.
    pub(crate) fn tables_named(&self, names: Option<Vec<String>>) -> Result<Vec<Table>, Error> {
        let Some(names) = names else {
            return Ok(self.reader.tables().map(Table).collect());
        };
        let mut tables = Vec::new();
        for name in &names {
            let table = Table(self.table(name)?);
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        Ok(tables)
    }

    /// How many tables there are.
    fn tables(&self) -> u32 {
        u32::try_from(self.reader.tables().count()).unwrap_or(u32::MAX)
    }

    /// The table of that name.
    fn table(&self, name: &str) -> Result<&'static TrackedTable, Error> {
        self.reader.table(name).ok_or_else(|| {
            let names: Vec<_> = self.reader.tables().map(TrackedTable::name).collect();
            let text = format!("There is no such table. There are: {}.", names.join(", "));
            Error::refused(ErrorCode::BadRequest, "TABLE_UNKNOWN", text)
        })
    }

    /// The task with that id: `None` where nothing was changed under it here, or not for whoever asks.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] where it cannot be read.
    pub async fn task<T: From<Arc<TaskRecord>>>(&self, id: &str) -> Result<Option<T>, Error> {
        let found = self
            .tasks
            .ask(id.into(), |asked| self.load_tasks(asked))
            .await?;
        Ok(found.map(Into::into))
    }

    async fn load_tasks(&self, asked: Vec<TaskId>) -> Result<Vec<Option<Arc<TaskRecord>>>, Error> {
        let ids = asked
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter();
        let filter = ids.fold(koherent_diesel::TaskFilter::new(), |filter, id| {
            filter.id(id.clone())
        });
        let found = self.reader.tasks(tasks().filter(filter)).await?;
        let found: HashMap<_, _> = found
            .into_iter()
            .map(|task| (task.task.task_id.clone(), Arc::new(task)))
            .collect();
        Ok(asked.iter().map(|id| found.get(id).cloned()).collect())
    }

    /// The tasks that this one caused directly, newest first.
    ///
    /// # Errors
    ///
    /// As [`task`](Self::task); a refusal where the page is too long.
    pub async fn children<T: From<Arc<TaskRecord>>>(
        &self,
        task: &TaskId,
        pagination: Option<OffsetPaginationInput>,
        after: Option<String>,
    ) -> Result<Vec<T>, Error> {
        let part = pagination.unwrap_or_default().checked(self.page)?;
        let after = cursor(after.as_deref())?;
        self.charge(part.0)?;
        let question = Family {
            parent: task.clone(),
            part,
            after,
        };
        let load = |asked: Vec<_>| async move { Ok(self.load_children(&asked).await) };
        self.show(self.children.ask(question, load).await??)
    }

    async fn load_children(&self, asked: &[Family]) -> Vec<Listed<TaskRecord>> {
        self.load_alike(
            asked,
            |one, other| (one.part, &one.after) == (other.part, &other.after),
            |family| family.parent.to_string(),
            |family| family.part.0.saturating_add(family.part.1),
            async |questions| {
                let (one, (offset, limit)) = (questions[0], questions[0].part);
                let query = TaskQuery::children_of(questions.iter().map(|family| &family.parent));
                let query = behind(query.offset(offset).limit(limit), one.after.as_ref());
                self.reader.tasks_of_each(query).await
            },
        )
        .await
    }

    /// The tasks under which something was changed here, newest first: for a field at the root.
    ///
    /// # Errors
    ///
    /// As [`children`](Self::children).
    pub async fn tasks<T: From<Arc<TaskRecord>>>(
        &self,
        filters: Option<TaskFilter>,
        pagination: Option<OffsetPaginationInput>,
        after: Option<String>,
        order: Option<HistoryOrder>,
    ) -> Result<Vec<T>, Error> {
        let part = pagination.unwrap_or_default().checked(self.page)?;
        let filter = filters.map(|filters| filters.meant()).unwrap_or_default();
        let question = (
            filter,
            part,
            cursor(after.as_deref())?,
            order.unwrap_or_default(),
        );
        self.charge(part.0)?;
        let load = |asked: Vec<TaskQuestion>| async move {
            Ok(
                each_once(&asked, async |(filter, (offset, limit), after, order)| {
                    let query = tasks().filter(filter.clone()).order((*order).into());
                    let query = query.offset(*offset).limit(*limit);
                    self.reader.tasks(behind(query, after.as_ref())).await
                })
                .await,
            )
        };
        self.show(self.task_lists.ask(question, load).await??)
    }

    /// Entries as they are committed, of a table, a row or a task, first those behind the entry with the cursor `after`: for a
    /// field of subscriptions. Those of one row come in their order; what was rolled back never comes.
    ///
    /// # Errors
    ///
    /// None: where there is no such table or cursor, or nothing hands out entries ([`with_live`](Self::with_live)), the stream
    /// says so and ends.
    pub async fn watch<E: From<Arc<HistoryEntry>> + 'static>(
        &self,
        table: Option<String>,
        key: Option<ID>,
        task_id: Option<ID>,
        after: Option<String>,
    ) -> Result<BoxStream<'static, Result<E, FieldError>>, FieldError> {
        let watched = match self.watched(table, key, task_id, after).await {
            Ok(watched) => watched,
            // An error of the field itself would end in a panic of Juniper's, where the field stands in a fragment.
            Err(error) => {
                let refusals = stream::iter([error.into_field_error()]);
                return Ok(refusals.map(Err).boxed());
            }
        };
        let count = Arc::clone(&self.shown);
        let shown = move |entry: Result<Arc<HistoryEntry>, koherent_diesel::Error>| {
            // What each event shows is counted anew.
            count.store(0, Ordering::Relaxed);
            let entry = entry.map_err(|error| Error::from(error).into_field_error());
            entry.map(E::from)
        };
        Ok(watched.map(shown).boxed())
    }

    async fn watched(
        &self,
        table: Option<String>,
        key: Option<ID>,
        task_id: Option<ID>,
        after: Option<String>,
    ) -> Result<BoxStream<'static, Result<Arc<HistoryEntry>, koherent_diesel::Error>>, Error> {
        let mut watch = Watch::new();
        if let Some(table) = table {
            watch = watch.table(self.table(&table)?.name());
        }
        if let Some(key) = key {
            watch = watch.key(RowKey::from_text(&key));
        }
        if let Some(task) = task_id {
            watch = watch.task(task.to_string());
        }
        if let Some(cursor) = after {
            watch = watch.after(cursor.parse().map_err(|_| BAD_CURSOR)?);
        }
        let live = self.live.as_ref().ok_or(NOT_LIVE)?;
        Ok(live.watch(&self.reader, watch).await?)
    }

    /// For each field of a row: its value, and the entry that gave it that value. Each row is a statement of its own, and
    /// rows that are asked for twice are asked for once.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] where history cannot be read.
    pub async fn blame<T: Audited, B: From<Blame>>(
        &self,
        _: T,
        key: impl Into<RowKey>,
    ) -> Result<Vec<B>, Error> {
        let question = (Table(T::tracked()), key.into());
        let load = |asked: Vec<(Table, RowKey)>| async move { Ok(self.load_blame(&asked).await) };
        self.show(self.blamed.ask(question, load).await??)
    }

    async fn load_blame(&self, asked: &[(Table, RowKey)]) -> Vec<Result<Vec<Blame>, Error>> {
        let mut answers: Vec<Result<Vec<Blame>, Error>> = Vec::with_capacity(asked.len());
        let mut known: HashMap<(usize, String), usize> = HashMap::new();
        let mut loaded = self.shown.load(Ordering::Relaxed);
        for (at, (Table(table), key)) in asked.iter().enumerate() {
            let first = *known
                .entry((std::ptr::from_ref(*table).addr(), key.to_text()))
                .or_insert(at);
            let answer = match self.allow(loaded) {
                _ if first < at => answers[first].clone(),
                Err(refusal) => Err(refusal),
                Ok(()) => {
                    let query = BlameQuery::of_row(table, key.clone());
                    self.reader.blame(query).await.map_err(Error::from)
                }
            };
            loaded = loaded.saturating_add(answer.as_ref().map_or(0, |fields| count(fields)));
            answers.push(answer);
        }
        answers
    }

    /// The rows that have such an entry, as far as whoever asks may see it: a condition for a query of Diesel's. Of a `NOT`, the
    /// rows that have none: see [`ProvenanceFilter::rows`].
    ///
    /// ```
    /// # mod schema { koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } } }
    /// use diesel::prelude::*;
    /// use koherent_juniper::{Error, Provenance, ProvenanceFilter};
    /// use schema::samples;
    ///
    /// fn names(provenance: &Provenance, filters: Option<ProvenanceFilter>) -> Result<(), Error> {
    ///     let mut query = samples::table.select(samples::name).into_boxed::<diesel::sqlite::Sqlite>();
    ///     if let Some(filter) = filters {
    ///         query = query.filter(provenance.changed(samples::table, &filter)?);
    ///     }
    /// #   Ok(())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// A refusal where the filter makes no sense.
    pub fn changed<T: Audited>(
        &self,
        table: T,
        filter: &ProvenanceFilter,
    ) -> Result<Changed<T>, Error> {
        let rows = filter.rows()?.within(self.reader.scope());
        Ok(changed(table, rows))
    }

    /// What the arguments of a field mean.
    fn checked(&self, ask: &Ask) -> Result<Asked, Error> {
        Asked::checked(ask, self.page)
    }

    /// The user with that id: those that are asked for side by side are loaded together.
    ///
    /// # Errors
    ///
    /// What [`ProvenanceUser::load`] fails with.
    pub async fn user<U, X>(&self, context: &X, id: Option<UserId>) -> Result<Option<U>, Error>
    where
        U: ProvenanceUser<X>,
        X: Sync,
    {
        let Some(id) = id else {
            return Ok(None);
        };
        let load = |asked: Vec<UserId>| async move {
            let mut ids = asked.clone();
            ids.sort_unstable();
            ids.dedup();
            let found = U::load(context, ids).await?;
            Ok(asked.iter().map(|id| found.get(id).cloned()).collect())
        };
        self.users_of::<U>().ask(id, load).await
    }

    /// The batch for users of that type.
    fn users_of<U: Clone + Send + Sync + 'static>(&self) -> Arc<Batch<UserId, Option<U>>> {
        let mut batches = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = batches
            .entry(TypeId::of::<U>())
            .or_insert_with(|| Arc::new(Batch::<UserId, Option<U>>::new()));
        let batch = Arc::clone(batch).downcast();
        batch.unwrap_or_else(|_| Arc::new(Batch::new()))
    }
}

const NOT_LIVE: Error = Error::fixed(
    ErrorCode::NotFound,
    "NOT_LIVE",
    "This service does not announce changes: ask for them.",
);
