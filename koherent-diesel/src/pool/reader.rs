//! `HistoryReader`: histories through a pool, for resolvers and handlers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use koherent_core::{Attribution, HistoryEntry, TaskRecord};
use tracing::Instrument as _;

use super::{AuditedPool, NonBlockingPool};
use crate::connection::AuditedConnection;
use crate::driver::NonBlocking;
use crate::error::Error;
use crate::history::{
    Blame, BlameQuery, HistoryFilter, HistoryQuery, HistoryScope, LinkEntry, LinkQuery,
    ResourceChange, ResourceChangeQuery, TaskFilter, TaskQuery,
};
use crate::outcome::{Outcome, OutcomeQuery};
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
    /// answered with [`Error::TimedOut`], or with [`Error::Pool`] where there was no connection in that time.
    ///
    /// The database does not know that nobody waits any more, and the connection is busy until it is done. Where it can, tell it
    /// as well, when a connection is made: `SET statement_timeout = '30s'` (PostgreSQL), `SET SESSION max_statement_time = 30`
    /// (MariaDB).
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Asks in a task of its own, and waits as long as it may take. A question that nobody waits for any more comes to its end
    /// all the same, so that its connection goes back to the pool with nothing under way.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Arc<dyn Source>, Begun) -> Loading<T>,
    ) -> Result<T, Error> {
        let (limit, begun) = (self.timeout, Begun::default());
        let loading = question(Arc::clone(&self.source), begun.clone());
        let loading = tokio::spawn(loading.in_current_span());
        match tokio::time::timeout(limit, loading).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(Error::Pool(error.into())),
            },
            Err(_) if begun.is_so() => Err(Error::TimedOut { limit }),
            Err(waited) => Err(Error::Pool(waited.into())),
        }
    }

    /// The same reader for somebody who may see less. What it sees is what both scopes allow.
    #[must_use]
    pub fn within(&self, scope: HistoryScope) -> Self {
        let scope = self.scope.and(scope);
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
        let query = self.scoped(query);
        self.ask(|source, begun| source.entries(query, begun)).await
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
        let query = self.scoped(query);
        self.ask(|source, begun| source.entries_of_each(query, begun))
            .await
    }

    /// See [`HistoryQuery::count`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn count(&self, query: HistoryQuery) -> Result<u64, Error> {
        let query = self.scoped(query);
        self.ask(|source, begun| source.count(query, begun)).await
    }

    /// See [`HistoryQuery::count_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn count_each(&self, query: HistoryQuery) -> Result<Vec<u64>, Error> {
        let query = self.scoped(query);
        self.ask(|source, begun| source.count_each(query, begun))
            .await
    }

    /// See [`TaskQuery::count`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn count_tasks(&self, query: TaskQuery) -> Result<u64, Error> {
        let query = self.scoped_tasks(query);
        self.ask(|source, begun| source.count_tasks(query, begun))
            .await
    }

    /// See [`TaskQuery::count_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn count_tasks_of_each(&self, query: TaskQuery) -> Result<Vec<u64>, Error> {
        let query = self.scoped_tasks(query);
        self.ask(|source, begun| source.count_tasks_of_each(query, begun))
            .await
    }

    /// See [`TaskQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskRecord>, Error> {
        let query = self.scoped_tasks(query);
        self.ask(|source, begun| source.tasks(query, begun)).await
    }

    /// See [`TaskQuery::load_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn tasks_of_each(&self, query: TaskQuery) -> Result<Vec<Vec<TaskRecord>>, Error> {
        let query = self.scoped_tasks(query);
        self.ask(|source, begun| source.tasks_of_each(query, begun))
            .await
    }

    /// See [`BlameQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn blame(&self, query: BlameQuery) -> Result<Vec<Blame>, Error> {
        let query = query.within(&self.scope);
        self.ask(|source, begun| source.blame(query, begun)).await
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
        self.ask(|source, begun| source.resource_changes(query, begun))
            .await
    }

    /// See [`ResourceChangeQuery::count`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn count_changes(&self, query: ResourceChangeQuery) -> Result<u64, Error> {
        let query = query.filter(HistoryFilter::new().within(&self.scope));
        self.ask(|source, begun| source.count_changes(query, begun))
            .await
    }

    /// See [`OutcomeQuery::load`]. Whoever was told the id of a transaction may ask, whatever the scope is: nobody guesses one.
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn outcome(&self, query: OutcomeQuery) -> Result<Outcome, Error> {
        self.ask(|source, begun| source.outcome(query, begun)).await
    }

    /// See [`LinkQuery::load`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn links(&self, query: LinkQuery) -> Result<Vec<LinkEntry>, Error> {
        let query = query.filter(HistoryFilter::new().within(&self.scope));
        self.ask(|source, begun| source.links(query, begun)).await
    }

    /// See [`LinkQuery::count_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn count_links_of_each(&self, query: LinkQuery) -> Result<Vec<u64>, Error> {
        let query = query.filter(HistoryFilter::new().within(&self.scope));
        self.ask(|source, begun| source.count_links_of_each(query, begun))
            .await
    }

    /// See [`LinkQuery::load_each`].
    ///
    /// # Errors
    ///
    /// As there; [`Error::Pool`] where no connection can be had.
    pub async fn links_of_each(&self, query: LinkQuery) -> Result<Vec<Vec<LinkEntry>>, Error> {
        let query = query.filter(HistoryFilter::new().within(&self.scope));
        self.ask(|source, begun| source.links_of_each(query, begun))
            .await
    }
}

impl fmt::Debug for HistoryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryReader")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Whether a connection was to be had.
#[derive(Clone, Default)]
struct Begun(Arc<AtomicBool>);

impl Begun {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

type Loading<T> = BoxFuture<'static, Result<T, Error>>;

macro_rules! questions {
    ($($name:ident($query:ty) -> $answer:ty = $load:ident;)+) => {
        /// A pool, whatever the database is.
        trait Source: Send + Sync {
            $(fn $name(self: Arc<Self>, query: $query, begun: Begun) -> Loading<$answer>;)+
        }

        impl<P> Source for AuditedPool<P>
        where
            P: NonBlockingPool + Send + Sync + 'static,
        {
            $(
                fn $name(self: Arc<Self>, query: $query, begun: Begun) -> Loading<$answer> {
                    Box::pin(async move {
                        // Reading stamps nothing; the pool asks whose changes these would be all the same.
                        let connection = P::future(self.get(Attribution::anonymous())).await;
                        let mut connection = connection?;
                        begun.set();
                        let loading = query.$load(&mut connection);
                        <AuditedConnection<P::Connection> as NonBlocking>::future(loading).await
                    })
                }
            )+
        }
    };
}

questions! {
    entries(HistoryQuery) -> Vec<HistoryEntry> = load;
    entries_of_each(HistoryQuery) -> Vec<Vec<HistoryEntry>> = load_each;
    tasks(TaskQuery) -> Vec<TaskRecord> = load;
    tasks_of_each(TaskQuery) -> Vec<Vec<TaskRecord>> = load_each;
    blame(BlameQuery) -> Vec<Blame> = load;
    resource_changes(ResourceChangeQuery) -> Vec<ResourceChange> = load;
    links(LinkQuery) -> Vec<LinkEntry> = load;
    links_of_each(LinkQuery) -> Vec<Vec<LinkEntry>> = load_each;
    count(HistoryQuery) -> u64 = count;
    count_changes(ResourceChangeQuery) -> u64 = count;
    count_each(HistoryQuery) -> Vec<u64> = count_each;
    count_tasks(TaskQuery) -> u64 = count;
    count_tasks_of_each(TaskQuery) -> Vec<u64> = count_each;
    count_links_of_each(LinkQuery) -> Vec<u64> = count_each;
    outcome(OutcomeQuery) -> Outcome = load;
}
