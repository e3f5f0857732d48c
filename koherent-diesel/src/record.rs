//! What is stamped on the entries of one change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use koherent_core::{Attribution, Clock, SystemClock, Task};
use uuid::{NoContext, Timestamp, Uuid};

use crate::idempotency::Idempotency;
use crate::remembered::Remembered;

/// Everything that an audited change needs to know beside itself: whose it is, the time, the transaction it belongs to,
/// and which tasks need no row any more.
#[derive(Debug, Clone)]
pub struct Recorder {
    pub(crate) attribution: Attribution,
    pub(crate) remembered: Remembered,
    pub(crate) clock: Arc<dyn Clock>,
    /// The key under which the client may send the write again.
    pub(crate) idempotency: Option<Idempotency>,
    /// Whether another agent may go on with a task.
    pub(crate) hands_over: bool,
    /// The id of the open transaction, where somebody opened one through us.
    pub(crate) transaction: Option<Uuid>,
    /// What the open transaction has said to the database, where it has.
    pub(crate) scope: Option<OpenScope>,
    /// Whether the open transaction can only be rolled back.
    pub(crate) doom: Doom,
}

/// How to take back what a transaction has said to the database. Empty where the end of the transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenScope {
    /// Before the commit.
    pub(crate) close: &'static str,
    /// After a rollback.
    pub(crate) close_lost: &'static str,
    /// Whether plain writes to tables under audit go through.
    pub(crate) admits: bool,
}

/// Whether the open transaction can only be rolled back: a statement in it failed, and the database has undone more than the
/// statement, or takes no more of them. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doom(Arc<AtomicU64>);

impl Doom {
    /// Says that the transaction or savepoint of that depth can only be rolled back.
    #[cfg(any(feature = "postgres_backend", feature = "mysql"))]
    pub(crate) fn set(&self, depth: u32, retryable: bool) {
        let doom = u64::from(depth) << 1 | u64::from(retryable);
        // The outermost counts, and the first reason for it.
        let outer = |now: u64| (now == 0 || now >> 1 > u64::from(depth)).then_some(doom);
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, outer);
    }

    /// The transaction or savepoint of that depth was rolled back, or there is none.
    pub(crate) fn lift(&self, depth: u32) {
        let inner = |now: u64| (now >> 1 >= u64::from(depth)).then_some(0);
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, inner);
    }

    /// Why the transaction or savepoint of that depth cannot be committed.
    pub(crate) fn verdict(&self, depth: u32) -> Option<DieselError> {
        let doom = self.0.load(Ordering::Relaxed);
        if doom == 0 || doom >> 1 > u64::from(depth) {
            return None;
        }
        let kind = match doom & 1 {
            1 => DatabaseErrorKind::SerializationFailure,
            _ => DatabaseErrorKind::Unknown,
        };
        let message = "an audited statement failed in this transaction, so it was rolled back: return the error, or make \
                       the statement in a transaction of its own inside this one";
        Some(DieselError::DatabaseError(
            kind,
            Box::new(message.to_owned()),
        ))
    }
}

impl Recorder {
    pub(crate) fn new(attribution: Attribution, remembered: Remembered) -> Self {
        Self {
            attribution,
            remembered,
            clock: Arc::new(SystemClock),
            idempotency: None,
            hands_over: false,
            transaction: None,
            scope: None,
            doom: Doom::default(),
        }
    }

    /// Whether the open transaction refuses changes, where the connection was told so.
    #[cfg(feature = "sqlite")]
    pub(crate) fn is_read_only(&self) -> bool {
        self.scope.is_some_and(|scope| !scope.admits)
    }

    /// The present moment.
    #[cfg(feature = "sqlite")]
    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now().into()
    }

    /// The id of the open transaction, or a fresh one.
    pub(crate) fn transaction(&self) -> Uuid {
        self.transaction.unwrap_or_else(|| self.new_transaction())
    }

    /// The task whose row is not known to be committed.
    pub(crate) fn unknown_task(&self) -> Option<&Arc<Task>> {
        let task = self.attribution.task()?;
        let known = self
            .remembered
            .knows_task(task, self.attribution.organization());
        (!known).then_some(task)
    }

    /// What was written is committed: remembers that the task's row is, and tells those who watch.
    pub(crate) fn committed(&self) {
        if let Some(task) = self.attribution.task() {
            self.remembered
                .learn_task(task, self.attribution.organization());
        }
        self.remembered.committed();
    }

    /// The id of the next transaction.
    pub(crate) fn new_transaction(&self) -> Uuid {
        match &self.idempotency {
            Some(idempotency) => idempotency.transaction(&self.attribution),
            None => self.random_id(),
        }
    }

    /// A fresh id.
    pub(crate) fn random_id(&self) -> Uuid {
        let since_epoch = self.clock.since_epoch();
        let (seconds, nanos) = (since_epoch.as_secs(), since_epoch.subsec_nanos());
        Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos))
    }
}
