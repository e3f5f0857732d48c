//! What is remembered of a database: which tasks have their row, and how it numbers types.

use std::sync::Arc;

use koherent_core::{Organization, Task, TaskId, TokenId};
use quick_cache::sync::Cache;

/// How many tasks are remembered. Forgetting one costs a call, nothing else.
const CAPACITY: usize = 10_000;

/// What is remembered of one database. Clones share it.
///
/// Of tasks it remembers those whose rows are committed, so that their insert can be left out. It learns of a task only
/// after the commit of the transaction that wrote or saw its row: if it knew more, there would be entries without their
/// task when the transaction rolls back.
#[derive(Debug, Clone)]
pub(crate) struct Remembered(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    tasks: Cache<(TaskId, TokenId), Known>,
    /// The object ids of the application's own types and of arrays of them, by schema and name.
    #[cfg(feature = "postgres_backend")]
    types: Cache<(Option<String>, String), (u32, u32)>,
    /// Whether the server has `INSERT … RETURNING`.
    #[cfg(feature = "mysql")]
    returning: std::sync::OnceLock<bool>,
    /// What the writers of the database's file wait at, where it is one.
    #[cfg(feature = "sqlite")]
    gate: std::sync::OnceLock<Option<crate::gate::Gate>>,
    /// How often something was committed.
    #[cfg(any(feature = "deadpool", feature = "bb8"))]
    commits: tokio::sync::watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Known {
    task: Arc<Task>,
    organization: Option<Organization>,
}

impl Remembered {
    pub(crate) fn nothing() -> Self {
        Self(Arc::new(Memory {
            tasks: Cache::new(CAPACITY),
            #[cfg(feature = "postgres_backend")]
            types: Cache::new(CAPACITY),
            #[cfg(feature = "mysql")]
            returning: std::sync::OnceLock::new(),
            #[cfg(feature = "sqlite")]
            gate: std::sync::OnceLock::new(),
            #[cfg(any(feature = "deadpool", feature = "bb8"))]
            commits: tokio::sync::watch::Sender::new(0),
        }))
    }

    /// Says to those who watch that something was committed.
    pub(crate) fn committed(&self) {
        #[cfg(any(feature = "deadpool", feature = "bb8"))]
        self.0.commits.send_modify(|commits| *commits += 1);
    }

    /// Changes when something is committed.
    #[cfg(all(feature = "sqlite", any(feature = "deadpool", feature = "bb8")))]
    pub(crate) fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.commits.subscribe()
    }

    /// Whether exactly this task, for this organization, is committed.
    pub(crate) fn knows_task(&self, task: &Arc<Task>, organization: Option<&Organization>) -> bool {
        let key = (task.task_id.clone(), task.token_id.clone());
        self.0.tasks.get(&key).is_some_and(|known| {
            (Arc::ptr_eq(&known.task, task) || known.task == *task)
                && known.organization.as_ref() == organization
        })
    }

    pub(crate) fn learn_task(&self, task: &Arc<Task>, organization: Option<&Organization>) {
        let known = Known {
            task: Arc::clone(task),
            organization: organization.cloned(),
        };
        let key = (task.task_id.clone(), task.token_id.clone());
        self.0.tasks.insert(key, known);
    }

    #[cfg(feature = "postgres_backend")]
    pub(crate) fn type_ids(&self, name: &(Option<String>, String)) -> Option<(u32, u32)> {
        self.0.types.get(name)
    }

    #[cfg(feature = "postgres_backend")]
    pub(crate) fn learn_type(&self, name: (Option<String>, String), ids: (u32, u32)) {
        self.0.types.insert(name, ids);
    }

    #[cfg(feature = "postgres_backend")]
    pub(crate) fn forget_type(&self, name: &(Option<String>, String)) {
        self.0.types.remove(name);
    }

    /// What writers wait at, where that is known; `None` where they need not.
    #[cfg(feature = "sqlite")]
    pub(crate) fn gate(&self) -> Option<Option<crate::gate::Gate>> {
        self.0.gate.get().cloned()
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn learn_gate(&self, gate: Option<crate::gate::Gate>) {
        // Somebody else may have been faster, and has learned the same.
        let _ = self.0.gate.set(gate);
    }

    #[cfg(feature = "mysql")]
    pub(crate) fn has_returning(&self) -> Option<bool> {
        self.0.returning.get().copied()
    }

    #[cfg(feature = "mysql")]
    pub(crate) fn learn_returning(&self, has: bool) {
        // Somebody else may have been faster, and has learned the same.
        let _ = self.0.returning.set(has);
    }
}
