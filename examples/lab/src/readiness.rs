//! Whether the lab can do its work: the tables, histories and guards are what was declared.
//!
//! The answer is a few seconds old at most. One look is under way at a time, so that a database that does not answer costs one
//! connection, however often it is asked.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use koherent_diesel::Difference;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::database::Database;
use crate::server::App;

/// How long an answer is given again.
const FRESH: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
const WAITED: Duration = Duration::from_secs(2);

/// What the latest look at the database found.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    check: Arc<Mutex<CheckState>>,
    found: watch::Sender<Option<Found>>,
}

#[derive(Debug, Default)]
struct CheckState {
    is_under_way: bool,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    is_ready: bool,
    at: Instant,
}

impl Found {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH
    }
}

impl Readiness {
    pub(crate) fn new() -> Self {
        Self {
            check: Arc::default(),
            found: watch::Sender::new(None),
        }
    }

    /// Whether the latest look found everything; waits for it, for a while.
    async fn is_ready(&self, database: &Database) -> bool {
        let mut found = self.found.subscribe();
        self.look(database).await;
        let fresh = found.wait_for(|found| found.as_ref().is_some_and(Found::is_fresh));
        match timeout(WAITED, fresh).await {
            Ok(Ok(found)) => found.is_some_and(|found| found.is_ready),
            _ => {
                tracing::error!("not ready: the database has not answered within {WAITED:?}");
                false
            }
        }
    }

    /// Begins to look, unless somebody does, or has just done so.
    async fn look(&self, database: &Database) {
        let mut check = self.check.lock().await;
        let is_fresh = self.found.borrow().as_ref().is_some_and(Found::is_fresh);
        if check.is_under_way || is_fresh {
            return;
        }
        check.is_under_way = true;
        let (readiness, database) = (self.clone(), database.clone());
        tokio::spawn(async move {
            // On its own, so that a panic is an answer as well.
            let look = tokio::spawn(async move { is_as_declared(&database).await });
            let is_ready = look.await.unwrap_or(false);
            let at = Instant::now();
            // Before the look is over, so that nobody begins another one in between.
            let mut check = readiness.check.lock().await;
            readiness.found.send_replace(Some(Found { is_ready, at }));
            check.is_under_way = false;
        });
    }
}

/// Asks the database; what it lacks goes to the log.
async fn is_as_declared(database: &Database) -> bool {
    match database.differences().await {
        Ok(differences) if differences.is_empty() => true,
        Ok(differences) => {
            let lines: Vec<_> = differences.iter().map(Difference::to_string).collect();
            tracing::error!("not ready: {}", lines.join("; "));
            false
        }
        Err(error) => {
            tracing::error!("not ready: {error}");
            false
        }
    }
}

/// Answers a probe.
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.readiness.is_ready(&app.database).await {
        true => (StatusCode::OK, "ready\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the log says why\n",
        ),
    }
}
