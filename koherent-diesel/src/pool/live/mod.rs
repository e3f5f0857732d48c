//! `LiveHistory`: entries as they are committed.
//!
//! Somebody must say that something was committed, and one task per process then loads what is new and hands it to all who
//! watch:
//!
//! | database | who says it | what comes from elsewhere |
//! | --- | --- | --- |
//! | SQLite | commits through the pool, in the process | is looked for once a second |
//! | PostgreSQL | the history table's trigger ([`Audited::notify_ddl`](crate::Audited::notify_ddl)), with `NOTIFY`: ids, and nothing else | is announced like the rest |
//!
//! The first is in `in_process.rs`, the second in `listening.rs`; what watches is the same.

#[cfg(feature = "sqlite")]
mod in_process;
#[cfg(feature = "postgres")]
mod listening;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use koherent_core::{HistoryEntry, RowKey, TaskId};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use super::HistoryReader;
use crate::error::Error;
use crate::history::{Cursor, HistoryFilter, HistoryOrder, HistoryQuery, feed, is_same_key};
use crate::table::TrackedTable;

/// Hands out entries as they are committed. One per process; clones share it, and it ends with the last of them.
///
#[cfg_attr(all(feature = "deadpool", feature = "sqlite"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "deadpool", feature = "sqlite")), doc = "```ignore")]
/// # type LabPool = diesel_async::pooled_connection::deadpool::Pool<
/// #     diesel_async::sync_connection_wrapper::SyncConnectionWrapper<diesel::SqliteConnection>>;
/// use futures_util::StreamExt as _;
/// use koherent_diesel::{AuditedPool, HistoryReader, LiveHistory, Watch, audited_tables};
///
/// # async fn show(pool: AuditedPool<LabPool>) -> Result<(), koherent_diesel::Error> {
/// let reader = HistoryReader::new(pool.clone(), audited_tables());
/// let live = LiveHistory::in_process(&pool, reader.clone());
/// let mut entries = live.watch(&reader, Watch::new().task("task-a")).await?;
/// while let Some(entry) = entries.next().await {
///     println!("{} of {}", entry?.kind, "task-a");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LiveHistory {
    events: broadcast::Sender<Event>,
    /// How many have asked to watch.
    calls: watch::Sender<u64>,
    /// How many of these are told everything that comes; `None` where nobody is.
    ready: watch::Receiver<Option<u64>>,
    _pump: Arc<Pump>,
}

#[derive(Debug, Clone)]
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "nothing is announced")
)]
enum Event {
    Entry(Arc<HistoryEntry>),
    /// Something may have been missed.
    Interrupted,
}

/// The task that loads what is new.
struct Pump(AbortHandle);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for LiveHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveHistory").finish_non_exhaustive()
    }
}

/// How many entries wait for a watcher that is slow. One that is slower must resume.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const WAITING: usize = 4_096;

/// How many entries are loaded at once.
const LOADED: u32 = 500;

/// How long to wait until something is announced at all.
const PATIENCE: Duration = Duration::from_secs(10);

impl LiveHistory {
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn pumped<F>(
        pump: impl FnOnce(
            broadcast::Sender<Event>,
            watch::Receiver<u64>,
            watch::Sender<Option<u64>>,
        ) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (events, _) = broadcast::channel(WAITING);
        let (calls, asked) = watch::channel(0);
        let (is_ready, ready) = watch::channel(None);
        let pump = tokio::spawn(pump(events.clone(), asked, is_ready));
        Self {
            events,
            calls,
            ready,
            _pump: Arc::new(Pump(pump.abort_handle())),
        }
    }

    /// Entries from now on, or from a place on, as far as the reader's scope allows. Those of one row come in their order; what
    /// was rolled back never comes.
    ///
    /// Where a watcher is too slow, or the database was gone, the stream ends with [`Error::Interrupted`]: watch again, after
    /// the last entry that came. Of one row nothing is missed then. Over several rows on PostgreSQL, an entry with a lower
    /// place can be committed later than one with a higher; that one is in its history, but not in the stream. And one that is
    /// announced late, or committed while more than 16,384 are caught up with, can come twice.
    ///
    /// # Errors
    ///
    /// Where what lies behind the place cannot be read; [`Error::Interrupted`] where the database does not announce anything
    /// within ten seconds.
    pub async fn watch(
        &self,
        reader: &HistoryReader,
        watch: Watch,
    ) -> Result<BoxStream<'static, Result<Arc<HistoryEntry>, Error>>, Error> {
        // First the ear, then the eye: what is committed in between comes twice, and is said once.
        let mut watcher = Watcher::new(reader, watch, self.events.subscribe());
        self.listened(&mut watcher).await?;
        watcher.learn_key().await?;
        watcher.turn_page().await?;
        let said = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            let said = watcher.next().await?;
            let goes_on = said.is_ok();
            Some((said, goes_on.then_some(watcher)))
        });
        Ok(said.boxed())
    }

    /// Waits until a watcher is told everything that comes.
    async fn listened(&self, watcher: &mut Watcher) -> Result<(), Error> {
        let mut call = 0;
        self.calls.send_modify(|calls| {
            *calls += 1;
            call = *calls;
        });
        let mut ready = self.ready.clone();
        let is_told = |told: &Option<u64>| told.is_some_and(|calls| calls >= call);
        let listened = async {
            loop {
                ready.wait_for(is_told).await.ok()?;
                watcher.hear()?;
                if is_told(&ready.borrow()) {
                    return Some(());
                }
            }
        };
        let listened = tokio::time::timeout(PATIENCE, listened).await;
        listened.ok().flatten().ok_or(Error::Interrupted)
    }
}

/// Somebody who watches: first what was missed, page by page, then what is announced.
struct Watcher {
    reader: HistoryReader,
    tables: Vec<&'static TrackedTable>,
    watch: Watch,
    events: broadcast::Receiver<Event>,
    /// What was announced before anything was said.
    early: VecDeque<Arc<HistoryEntry>>,
    /// Behind which place there is more that was missed.
    missed: Option<Cursor>,
    page: std::vec::IntoIter<HistoryEntry>,
    seen: Seen,
}

impl Watcher {
    fn new(reader: &HistoryReader, watch: Watch, events: broadcast::Receiver<Event>) -> Self {
        let mut seen = Seen::default();
        if let Some(after) = &watch.after
            && let Some(table) = reader.table(&after.table)
        {
            seen.remember((table.name(), after.id));
        }
        Self {
            tables: watch.tables(reader),
            reader: reader.clone(),
            missed: watch.after.clone(),
            watch,
            events,
            early: VecDeque::new(),
            page: Vec::new().into_iter(),
            seen,
        }
    }

    /// Takes what has been announced. An interruption from before this is no affair of this watcher's; `None` where something
    /// is lost.
    fn hear(&mut self) -> Option<()> {
        loop {
            match self.events.try_recv() {
                Ok(Event::Entry(entry)) => self.early.push_back(entry),
                Ok(Event::Interrupted) => self.early.clear(),
                Err(TryRecvError::Empty) => return Some(()),
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return None,
            }
        }
    }

    async fn next(&mut self) -> Option<Result<Arc<HistoryEntry>, Error>> {
        loop {
            if let Some(entry) = self.page.next() {
                self.seen.remember((entry.table, entry.id));
                return Some(Ok(Arc::new(entry)));
            }
            if self.missed.is_none() {
                return self.announced().await;
            }
            if let Err(error) = self.turn_page().await {
                return Some(Err(error));
            }
        }
    }

    /// Learns how the key is written in the history, where the row has one: a client may write `07` for 7.
    async fn learn_key(&mut self) -> Result<(), Error> {
        if let ([table], Some(key)) = (&self.tables[..], &self.watch.key) {
            let query = HistoryQuery::of_rows(table, vec![key.clone()]);
            if let Some(newest) = self.reader.entries(query.limit(1)).await?.pop() {
                self.watch.key = Some(newest.key);
            }
        }
        Ok(())
    }

    /// Loads the next page of what was missed: of one row, in the order of its ids.
    async fn turn_page(&mut self) -> Result<(), Error> {
        let Some(after) = self.missed.take() else {
            return Ok(());
        };
        let query = match (&self.tables[..], &self.watch.key) {
            ([table], Some(key)) => HistoryQuery::of_rows(table, vec![key.clone()]),
            (tables, _) => feed(tables.iter().copied()),
        };
        let query = query.filter(self.watch.filter()).after(after);
        let query = query.order(HistoryOrder::OldestFirst).limit(LOADED);
        let page = self.reader.entries(query).await?;
        let is_last = page.len() < LOADED as usize;
        self.missed = page.last().map(Cursor::of).filter(|_| !is_last);
        self.page = page.into_iter();
        Ok(())
    }

    async fn announced(&mut self) -> Option<Result<Arc<HistoryEntry>, Error>> {
        while let Some(entry) = self.early.pop_front() {
            if self.is_meant(&entry) {
                return Some(Ok(entry));
            }
        }
        loop {
            match self.events.recv().await {
                Ok(Event::Entry(entry)) if self.is_meant(&entry) => return Some(Ok(entry)),
                Ok(Event::Entry(_)) => {}
                Ok(Event::Interrupted) | Err(RecvError::Lagged(_)) => {
                    return Some(Err(Error::Interrupted));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Whether an entry is one of those that are watched, and new.
    fn is_meant(&self, entry: &HistoryEntry) -> bool {
        let mut tables = self.tables.iter();
        let Some(table) = tables.find(|table| table.name() == entry.table) else {
            return false;
        };
        let is_key = |key: &RowKey| is_same_key(table, key, &entry.key);
        // Of one row, ids are the order.
        let is_behind = |after: &Cursor| {
            self.watch.key.is_none() || after.table != entry.table || entry.id > after.id
        };
        let task = entry.task.as_ref().map(|task| &task.task.task_id);
        self.reader.scope().shows(Some(entry))
            && self.watch.key.as_ref().is_none_or(is_key)
            && self.watch.task.as_ref().is_none_or(|own| Some(own) == task)
            && self.watch.after.as_ref().is_none_or(is_behind)
            && !self.seen.contains((entry.table, entry.id))
    }
}

/// What was missed and has been said: it may be announced as well. The last of it, so that it does not grow for ever.
#[derive(Default)]
struct Seen {
    entries: HashSet<(&'static str, i64)>,
    order: VecDeque<(&'static str, i64)>,
}

/// How many entries are remembered.
const REMEMBERED: usize = 16_384;

impl Seen {
    fn remember(&mut self, entry: (&'static str, i64)) {
        if self.entries.insert(entry) {
            self.order.push_back(entry);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    fn contains(&self, entry: (&'static str, i64)) -> bool {
        self.entries.contains(&entry)
    }
}

/// Which entries are watched. All, unless a method says otherwise; all that is said must hold.
///
/// ```
/// use koherent_diesel::Watch;
/// let row = Watch::new().table("samples").key(7);
/// # let _ = row;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Watch {
    table: Option<String>,
    key: Option<RowKey>,
    task: Option<TaskId>,
    after: Option<Cursor>,
}

impl Watch {
    /// All entries, from now on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of that table.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// Of the row with that key.
    pub fn key(mut self, key: impl Into<RowKey>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Made under that task.
    pub fn task(mut self, task: impl Into<TaskId>) -> Self {
        self.task = Some(task.into());
        self
    }

    /// First those that lie behind that place, then new ones.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    fn tables(&self, reader: &HistoryReader) -> Vec<&'static TrackedTable> {
        let is_meant = |table: &&'static TrackedTable| {
            self.table.as_ref().is_none_or(|name| name == table.name())
        };
        reader.tables().filter(is_meant).collect()
    }

    fn filter(&self) -> HistoryFilter {
        let mut filter = HistoryFilter::new();
        if let Some(key) = &self.key {
            filter = filter.key(key.clone());
        }
        if let Some(task) = &self.task {
            filter = filter.task(task.clone());
        }
        filter
    }
}
