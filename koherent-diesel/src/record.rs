//! What is stamped on the entries of one change.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use koherent_core::{Attribution, Clock, SystemClock};
use uuid::{NoContext, Timestamp, Uuid};

use crate::task_cache::TaskCache;

/// Everything that an audited change needs to know beside itself: whose it is, the time, the transaction it belongs to,
/// and which tasks need no row any more.
#[derive(Debug, Clone)]
pub struct Recorder {
    pub(crate) attribution: Attribution,
    pub(crate) tasks: TaskCache,
    pub(crate) clock: Arc<dyn Clock>,
    /// The id of the open transaction, where somebody opened one through us.
    pub(crate) transaction: Option<Uuid>,
}

impl Recorder {
    pub(crate) fn new(attribution: Attribution, tasks: TaskCache) -> Self {
        Self {
            attribution,
            tasks,
            clock: Arc::new(SystemClock),
            transaction: None,
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now().into()
    }

    /// A fresh transaction id.
    pub(crate) fn new_transaction(&self) -> Uuid {
        let since_epoch = self.clock.since_epoch();
        let (seconds, nanos) = (since_epoch.as_secs(), since_epoch.subsec_nanos());
        Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos))
    }
}
