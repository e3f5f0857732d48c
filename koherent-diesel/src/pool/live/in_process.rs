//! SQLite: commits of this process are told, those of others looked for.
//!
//! SQLite writes one transaction at a time, so the order of ids is the order of commits, and what is new is what has a higher
//! id than the last.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::broadcast;

use super::{Event, LOADED, LiveHistory};
use crate::driver::Driver;
use crate::error::Error;
use crate::history::{HistoryOrder, history_of};
use crate::pool::{AuditedPool, HistoryReader, NonBlockingPool};
use crate::table::TrackedTable;

/// How long what comes from other processes may go unseen.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl LiveHistory {
    /// Entries that are committed through a pool to a SQLite database, in this process; and those of others, with a delay of a
    /// second. `reader` says which tables.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn in_process<P>(pool: &AuditedPool<P>, reader: HistoryReader) -> Self
    where
        P: NonBlockingPool<Connection: Driver<Backend = diesel::sqlite::Sqlite>>
            + Send
            + Sync
            + 'static,
    {
        let mut commits = pool.remembered.commits();
        Self::pumped(move |events, mut asked, ready| async move {
            // Where nobody watches, nothing is loaded, and what is there when somebody comes is not new.
            let mut announced = None;
            loop {
                let calls = *asked.borrow_and_update();
                match bring_up(&reader, &events, &mut announced).await {
                    Ok(()) => drop(ready.send_replace(Some(calls))),
                    Err(error) => tracing::warn!("new entries cannot be read: {error}"),
                }
                let is_over = {
                    let commit = pin!(commits.changed());
                    let call = pin!(asked.changed());
                    let pause = pin!(tokio::time::sleep(LOOK_EVERY));
                    match select(select(commit, call), pause).await {
                        Either::Left((
                            Either::Left((changed, _)) | Either::Right((changed, _)),
                            _,
                        )) => changed.is_err(),
                        Either::Right(_) => false,
                    }
                };
                if is_over {
                    return;
                }
            }
        })
    }
}

/// The last id that has been announced, of each history.
type Announced = Vec<(&'static TrackedTable, i64)>;

/// Announces what is new to those who watch, if anybody does.
async fn bring_up(
    reader: &HistoryReader,
    events: &broadcast::Sender<Event>,
    announced: &mut Option<Announced>,
) -> Result<(), Error> {
    if events.receiver_count() == 0 {
        *announced = None;
        return Ok(());
    }
    let Some(last_ids) = announced else {
        *announced = Some(newest(reader).await?);
        return Ok(());
    };
    let mut all = Ok(());
    for (table, last) in last_ids {
        let mut beyond = announce_beyond(reader, events, table, last, None).await;
        if let Err(Error::UnreadableEntry { id, .. }) = beyond {
            // It stays so. What lies before it is announced, and what comes behind it will be.
            let before = announce_beyond(reader, events, table, last, Some(id - 1)).await;
            *last = id.max(*last);
            beyond = before.and(beyond);
        }
        if beyond.is_err() {
            // Whoever watches must look for themselves.
            let _ = events.send(Event::Interrupted);
            all = all.and(beyond);
        }
    }
    all
}

/// The highest id in each history.
async fn newest(reader: &HistoryReader) -> Result<Announced, Error> {
    let mut newest = Vec::new();
    for table in reader.tables() {
        let query = history_of(table).by_id().limit(1);
        let last = match reader.entries(query).await {
            Err(Error::UnreadableEntry { id, .. }) => id,
            last => last?.first().map_or(0, |entry| entry.id),
        };
        newest.push((table, last));
    }
    Ok(newest)
}

/// Announces what has a higher id than the last, up to that one.
async fn announce_beyond(
    reader: &HistoryReader,
    events: &broadcast::Sender<Event>,
    table: &'static TrackedTable,
    last: &mut i64,
    until: Option<i64>,
) -> Result<(), Error> {
    loop {
        let query = history_of(table).by_id().beyond(*last).until(until);
        let query = query.order(HistoryOrder::OldestFirst).limit(LOADED);
        let page = reader.entries(query).await?;
        let is_last = page.len() < LOADED as usize;
        for entry in page {
            *last = entry.id;
            // Nobody may be watching.
            let _ = events.send(Event::Entry(Arc::new(entry)));
        }
        if is_last {
            return Ok(());
        }
    }
}
