//! `HistoryReader`: histories through a pool, for resolvers and handlers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use koherent_core::{Attribution, HistoryEntry, TaskRecord};

use super::{AuditedPool, NonBlockingPool};
use crate::connection::AuditedConnection;
use crate::driver::NonBlocking;
use crate::error::Error;
use crate::history::{
    Blame, BlameQuery, HistoryFilter, HistoryQuery, HistoryScope, LinkEntry, LinkQuery,
    ResourceChange, ResourceChangeQuery, TaskFilter, TaskQuery,
};
use crate::table::TrackedTable;

/// Reads histories through a pool, as far as a scope allows.
///
/// It is one type whatever the database is, so what is built on it (a GraphQL schema, a REST router) is compiled once. Clones
/// share the pool; [`within`](Self::within) makes one that sees less.
///
#[cfg_attr(all(feature = "deadpool", feature = "sqlite"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "deadpool", feature = "sqlite")), doc = "```ignore")]
/// # type LabPool = diesel_async::pooled_connection::deadpool::Pool<
/// #     diesel_async::sync_connection_wrapper::SyncConnectionWrapper<diesel::SqliteConnection>>;
/// use koherent_diesel::{AuditedPool, HistoryFilter, HistoryReader, HistoryScope, audited_tables, feed};
///
/// # async fn show(pool: AuditedPool<LabPool>) -> Result<(), koherent_diesel::Error> {
/// let all = HistoryReader::new(pool, audited_tables());
/// let reader = all.within(HistoryScope::organization("bio-lab"));
/// let query = feed(reader.tables()).filter(HistoryFilter::new().task("task-a")).limit(50);
/// for entry in reader.entries(query).await? {
///     println!("{} {} of {} {}", entry.date, entry.kind, entry.table, entry.key);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HistoryReader {
    source: Arc<dyn Source>,
    tables: Arc<[&'static TrackedTable]>,
    scope: HistoryScope,
    timeout: Duration,
}

/// How long a question may take, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(30);

impl HistoryReader {
    /// Reads the histories of these tables, without a limit.
    pub fn new<P>(
        pool: AuditedPool<P>,
        tables: impl IntoIterator<Item = &'static TrackedTable>,
    ) -> Self
    where
        P: NonBlockingPool + Send + Sync + 'static,
    {
        Self {
            source: Arc::new(pool),
            tables: tables.into_iter().collect(),
            scope: HistoryScope::All,
            timeout: TIMEOUT,
        }
    }

    /// The same reader, which waits no longer than this for the database: 30 s unless this says otherwise. Whoever asked is
    /// answered with [`Error::TimedOut`].
    ///
    /// The database does not know that nobody waits any more. Where it can, tell it as well, when a connection is made:
    /// `SET statement_timeout = '30s'` (PostgreSQL), `SET SESSION max_statement_time = 30` (MariaDB).
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Waits as long as it may take.
    async fn wait<T>(&self, loading: Loading<'_, T>) -> Result<T, Error> {
        let limit = self.timeout;
        let waited = tokio::time::timeout(limit, loading).await;
        waited.unwrap_or(Err(Error::TimedOut { limit }))
    }

    /// The same reader for somebody who may see less. What it sees is what both scopes allow.
    #[must_use]
    pub fn within(&self, scope: HistoryScope) -> Self {
        let scope = match (&self.scope, scope) {
            (HistoryScope::All, scope) => scope,
            (own, HistoryScope::All) => own.clone(),
            (own, scope) if *own == scope => scope,
            _ => HistoryScope::Nothing,
        };
        Self {
            scope,
            ..self.clone()
        }
    }

    /// What it may see.
    #[must_use]
    pub const fn scope(&self) -> &HistoryScope {
        &self.scope
    }

    /// The tables whose histories it reads. Tables are told by their names: where schemas have tables of one name, make a
    /// reader for each.
    pub fn tables(&self) -> impl Iterator<Item = &'static TrackedTable> + '_ {
        self.tables.iter().copied()
    }

    /// The table of that name, if it is one of these.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&'static TrackedTable> {
        self.tables().find(|table| table.name() == name)
    }

    fn scoped(&self, query: HistoryQuery) -> HistoryQuery {
        match self.scope {
            HistoryScope::All => query,
            _ => query.filter(HistoryFilter::new().within(&self.scope)),
        }
    }

    fn scoped_tasks(&self, query: TaskQuery) -> TaskQuery {
        query.filter(TaskFilter::new().within(&self.scope))
    }

    /// See [`HistoryQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn entries(&self, query: HistoryQuery) -> Result<Vec<HistoryEntry>, Error> {
        self.wait(self.source.entries(self.scoped(query))).await
    }

    /// See [`HistoryQuery::load_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn entries_of_each(
        &self,
        query: HistoryQuery,
    ) -> Result<Vec<Vec<HistoryEntry>>, Error> {
        self.wait(self.source.entries_of_each(self.scoped(query)))
            .await
    }

    /// See [`TaskQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskRecord>, Error> {
        self.wait(self.source.tasks(self.scoped_tasks(query))).await
    }

    /// See [`TaskQuery::load_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn tasks_of_each(&self, query: TaskQuery) -> Result<Vec<Vec<TaskRecord>>, Error> {
        self.wait(self.source.tasks_of_each(self.scoped_tasks(query)))
            .await
    }

    /// See [`BlameQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn blame(&self, query: BlameQuery) -> Result<Vec<Blame>, Error> {
        self.wait(self.source.blame(query.within(&self.scope)))
            .await
    }

    /// See [`ResourceChangeQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn resource_changes(
        &self,
        query: ResourceChangeQuery,
    ) -> Result<Vec<ResourceChange>, Error> {
        let query = query.filter(HistoryFilter::new().within(&self.scope));
        self.wait(self.source.resource_changes(query)).await
    }

    /// See [`LinkQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn links(&self, query: LinkQuery) -> Result<Vec<LinkEntry>, Error> {
        let query = query.filter(HistoryFilter::new().within(&self.scope));
        self.wait(self.source.links(query)).await
    }

    /// See [`LinkQuery::load_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn links_of_each(&self, query: LinkQuery) -> Result<Vec<Vec<LinkEntry>>, Error> {
        let query = query.filter(HistoryFilter::new().within(&self.scope));
        self.wait(self.source.links_of_each(query)).await
    }
}

impl fmt::Debug for HistoryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryReader")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// A pool, whatever the database is.
trait Source: Send + Sync {
    fn entries(&self, query: HistoryQuery) -> Loading<'_, Vec<HistoryEntry>>;
    fn entries_of_each(&self, query: HistoryQuery) -> Loading<'_, Vec<Vec<HistoryEntry>>>;
    fn tasks(&self, query: TaskQuery) -> Loading<'_, Vec<TaskRecord>>;
    fn tasks_of_each(&self, query: TaskQuery) -> Loading<'_, Vec<Vec<TaskRecord>>>;
    fn blame(&self, query: BlameQuery) -> Loading<'_, Vec<Blame>>;
    fn resource_changes(&self, query: ResourceChangeQuery) -> Loading<'_, Vec<ResourceChange>>;
    fn links(&self, query: LinkQuery) -> Loading<'_, Vec<LinkEntry>>;
    fn links_of_each(&self, query: LinkQuery) -> Loading<'_, Vec<Vec<LinkEntry>>>;
}

type Loading<'s, T> = BoxFuture<'s, Result<T, Error>>;

macro_rules! load {
    ($($name:ident($query:ty) -> $answer:ty = $load:ident;)+) => {
        $(
            fn $name(&self, query: $query) -> Loading<'_, $answer> {
                Box::pin(async move {
                    // Reading stamps nothing; the pool asks whose changes these would be all the same.
                    let connection = P::future(self.get(Attribution::anonymous())).await;
                    let mut connection = connection?;
                    <AuditedConnection<P::Connection> as NonBlocking>::future(query.$load(&mut connection)).await
                })
            }
        )+
    };
}

impl<P> Source for AuditedPool<P>
where
    P: NonBlockingPool + Send + Sync + 'static,
{
    load! {
        entries(HistoryQuery) -> Vec<HistoryEntry> = load;
        entries_of_each(HistoryQuery) -> Vec<Vec<HistoryEntry>> = load_each;
        tasks(TaskQuery) -> Vec<TaskRecord> = load;
        tasks_of_each(TaskQuery) -> Vec<Vec<TaskRecord>> = load_each;
        blame(BlameQuery) -> Vec<Blame> = load;
        resource_changes(ResourceChangeQuery) -> Vec<ResourceChange> = load;
        links(LinkQuery) -> Vec<LinkEntry> = load;
        links_of_each(LinkQuery) -> Vec<Vec<LinkEntry>> = load_each;
    }
}
