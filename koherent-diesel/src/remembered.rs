//! What is remembered of a database: which tasks have their row, how it numbers types, which inserts it has prepared.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use koherent_core::{Organization, Task, TaskId, TokenId};
use quick_cache::sync::Cache;

/// How many tasks are remembered. Forgetting one costs a call, nothing else.
const CAPACITY: usize = 10_000;

/// How many texts of each kind are kept as prepared statements beyond what Diesel keeps.
const MOST_TEXTS: usize = 256;

/// How long a text may be for that, in bytes.
const LONGEST_TEXT: usize = 16 * 1024;

/// What is remembered of one database. Clones share it.
///
/// Of tasks it remembers those whose rows are committed, so that their insert can be left out. It learns of a task only
/// after the commit of the transaction that wrote or saw its row: if it knew more, there would be entries without their
/// task when the transaction rolls back.
#[derive(Debug, Clone)]
pub(crate) struct Remembered(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    /// The texts of inserts and of upserts that are kept as prepared statements. Where they are not there, none is.
    kept: Option<[Mutex<HashSet<u64>>; 2]>,
    hasher: RandomState,
    tasks: Cache<(TaskId, TokenId), Known>,
    /// The object ids of the application's own types and of arrays of them, by schema and name.
    #[cfg(feature = "postgres_backend")]
    types: Cache<(Option<String>, String), (u32, u32)>,
    /// Whether the server has `INSERT … RETURNING`.
    #[cfg(feature = "mysql")]
    returning: std::sync::OnceLock<bool>,
}

#[derive(Debug, Clone)]
struct Known {
    task: Arc<Task>,
    organization: Option<Organization>,
}

impl Remembered {
    /// Of a database that nobody comes back to.
    pub(crate) fn nothing() -> Self {
        Self::with(None)
    }

    /// Of a database that connections come back to.
    pub(crate) fn new() -> Self {
        Self::with(Some(Default::default()))
    }

    fn with(kept: Option<[Mutex<HashSet<u64>>; 2]>) -> Self {
        Self(Arc::new(Memory {
            kept,
            hasher: RandomState::new(),
            tasks: Cache::new(CAPACITY),
            #[cfg(feature = "postgres_backend")]
            types: Cache::new(CAPACITY),
            #[cfg(feature = "mysql")]
            returning: std::sync::OnceLock::new(),
        }))
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

    /// Whether an insert of one row is worth keeping as a prepared statement. Diesel keeps none that can leave out columns,
    /// since each choice of columns is a text of its own; most applications make few choices, so the first of them are
    /// kept, and no request can make the server keep more.
    pub(crate) fn keeps_insert(&self, text: &str) -> bool {
        self.keeps(0, text)
    }

    /// The same of upserts, of which Diesel keeps none.
    pub(crate) fn keeps_upsert(&self, text: &str) -> bool {
        self.keeps(1, text)
    }

    fn keeps(&self, kind: usize, text: &str) -> bool {
        let Some(kept) = &self.0.kept else {
            return false;
        };
        if text.len() > LONGEST_TEXT {
            return false;
        }
        let hash = self.0.hasher.hash_one(text);
        let mut kept = kept[kind].lock().unwrap_or_else(PoisonError::into_inner);
        kept.contains(&hash) || (kept.len() < MOST_TEXTS && kept.insert(hash))
    }

    #[cfg(feature = "postgres_backend")]
    pub(crate) fn type_ids(&self, name: &(Option<String>, String)) -> Option<(u32, u32)> {
        self.0.types.get(name)
    }

    #[cfg(feature = "postgres_backend")]
    pub(crate) fn learn_type(&self, name: (Option<String>, String), ids: (u32, u32)) {
        self.0.types.insert(name, ids);
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
