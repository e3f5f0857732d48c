//! What is stamped on the entries of one change.

use std::sync::Arc;

use koherent_core::{Attribution, Clock, SystemClock, Task};
use uuid::{NoContext, Timestamp, Uuid};

use crate::remembered::Remembered;

/// Everything that an audited change needs to know beside itself: whose it is, the time, the transaction it belongs to,
/// and which tasks need no row any more.
#[derive(Debug, Clone)]
pub struct Recorder {
    pub(crate) attribution: Attribution,
    pub(crate) remembered: Remembered,
    pub(crate) clock: Arc<dyn Clock>,
    /// The id of the open transaction, where somebody opened one through us.
    pub(crate) transaction: Option<Uuid>,
}

impl Recorder {
    pub(crate) fn new(attribution: Attribution, remembered: Remembered) -> Self {
        Self {
            attribution,
            remembered,
            clock: Arc::new(SystemClock),
            transaction: None,
        }
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

    /// Remembers that the task's row is committed.
    pub(crate) fn learn_task(&self) {
        if let Some(task) = self.attribution.task() {
            self.remembered
                .learn_task(task, self.attribution.organization());
        }
    }

    /// A fresh transaction id.
    pub(crate) fn new_transaction(&self) -> Uuid {
        let since_epoch = self.clock.since_epoch();
        let (seconds, nanos) = (since_epoch.as_secs(), since_epoch.subsec_nanos());
        Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos))
    }
}
