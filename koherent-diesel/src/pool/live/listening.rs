//! PostgreSQL: histories announce their entries when they are committed, by ids, and what the transaction wrote is loaded.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt as _;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::{Event, LOADED, LiveHistory};
use crate::error::Error;
use crate::history::{HistoryFilter, HistoryOrder, history_of};
use crate::pool::HistoryReader;

/// How long to wait before the first try to connect again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// The same before the next tries, each twice as long as the last, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl LiveHistory {
    /// Entries that are committed to a PostgreSQL database, by whomever, into tables with
    /// [`notify_ddl`](crate::Audited::notify_ddl). `connect` makes a connection that listens, and another when that one is
    /// lost; `reader` says which tables.
    ///
    /// `NOTIFY` makes transactions commit one after the other: put it on tables that are watched.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn listening<F>(connect: F, reader: HistoryReader) -> Self
    where
        F: Fn() -> BoxFuture<'static, diesel::ConnectionResult<AsyncPgConnection>>
            + Send
            + Sync
            + 'static,
    {
        Self::pumped(move |events, _, ready| async move {
            let mut pause = SHORTEST_PAUSE;
            loop {
                if let Err(error) = listen(&connect, &reader, &events, &ready).await {
                    tracing::warn!("histories cannot be watched: {error}");
                }
                if ready.send_replace(None).is_some() {
                    pause = SHORTEST_PAUSE;
                }
                // What was committed meanwhile has been announced to nobody.
                let _ = events.send(Event::Interrupted);
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        })
    }
}

/// Listens as long as the connection lasts.
async fn listen<F>(
    connect: &F,
    reader: &HistoryReader,
    events: &broadcast::Sender<Event>,
    ready: &watch::Sender<Option<u64>>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    F: Fn() -> BoxFuture<'static, diesel::ConnectionResult<AsyncPgConnection>>,
{
    let mut connection = connect().await?;
    connection.batch_execute("LISTEN koherent_entries").await?;
    ready.send_replace(Some(u64::MAX));
    let mut announced = pin!(connection.notifications_stream());
    while let Some(announced) = announced.next().await {
        let payload = announced?.payload;
        if events.receiver_count() == 0 {
            continue;
        }
        match Announced::read(&payload) {
            Some(announced) => load(reader, events, announced).await?,
            None => {
                tracing::warn!("an announcement on `koherent_entries` that is none of Koherent's")
            }
        }
    }
    Ok(())
}

/// Entries of one transaction in one history, from the first to the last.
struct Announced {
    history: String,
    transaction: Uuid,
    first: i64,
    last: i64,
}

impl Announced {
    fn read(payload: &str) -> Option<Self> {
        let announced: serde_json::Value = serde_json::from_str(payload).ok()?;
        Some(Self {
            history: announced["history"].as_str()?.to_owned(),
            transaction: announced["transaction"].as_str()?.parse().ok()?,
            first: announced["first"].as_i64()?,
            last: announced["last"].as_i64()?,
        })
    }
}

async fn load(
    reader: &HistoryReader,
    events: &broadcast::Sender<Event>,
    announced: Announced,
) -> Result<(), Error> {
    let mut tables = reader.tables();
    let Some(table) = tables.find(|table| table.history_name() == announced.history) else {
        return Ok(());
    };
    let own = HistoryFilter::new().transaction(announced.transaction);
    let mut last = announced.first - 1;
    while last < announced.last {
        let query = history_of(table)
            .by_id()
            .beyond(last)
            .until(Some(announced.last));
        let query = query.filter(own.clone()).order(HistoryOrder::OldestFirst);
        let page = reader.entries(query.limit(LOADED)).await?;
        let Some(newest) = page.last() else { break };
        last = newest.id;
        for entry in page {
            let _ = events.send(Event::Entry(Arc::new(entry)));
        }
    }
    Ok(())
}
