//! Which tasks are known to be in the database.

use std::sync::Arc;

use koherent_core::{Organization, Task, TaskId, TokenId};
use quick_cache::sync::Cache;

/// How many tasks are remembered. Forgetting one costs a statement, nothing else.
const CAPACITY: usize = 10_000;

/// Tasks whose rows are committed, so that their insert can be left out.
///
/// It learns of a task only after the commit of the transaction that wrote or saw its row: a cache that knew more would
/// leave entries without their task when the transaction rolls back. It belongs to one database.
#[derive(Debug, Clone)]
pub(crate) struct TaskCache(Arc<Cache<(TaskId, TokenId), Known>>);

#[derive(Debug, Clone)]
struct Known {
    task: Arc<Task>,
    organization: Option<Organization>,
}

impl TaskCache {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Cache::new(CAPACITY)))
    }

    /// Whether exactly this task, for this organization, is committed.
    pub(crate) fn knows(&self, task: &Arc<Task>, organization: Option<&Organization>) -> bool {
        let known = self.0.get(&(task.task_id.clone(), task.token_id.clone()));
        known.is_some_and(|known| {
            (Arc::ptr_eq(&known.task, task) || known.task == *task)
                && known.organization.as_ref() == organization
        })
    }

    pub(crate) fn learn(&self, task: &Arc<Task>, organization: Option<&Organization>) {
        let known = Known {
            task: Arc::clone(task),
            organization: organization.cloned(),
        };
        self.0
            .insert((task.task_id.clone(), task.token_id.clone()), known);
    }
}
