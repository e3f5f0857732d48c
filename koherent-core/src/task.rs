//! One attested run of work and its place in the causal tree.

use chrono::{DateTime, Utc};

use crate::id::{ClientId, Issuer, Organization, Subject, TaskId, TokenId};

/// A task as its provenance token describes it, and as `koherent_task` keeps it.
///
/// This is a description and proves nothing by itself: anyone can build one, and a loader does. That a task was
/// verified is said by a [`VerifiedToken`](crate::VerifiedToken), and only that goes into an
/// [`Attribution`](crate::Attribution) in this process; one that was deserialised says that its task was verified elsewhere
/// ([`TaskOrigin`](crate::TaskOrigin)).
///
/// ```
/// use koherent_core::Task;
/// # use koherent_core::testing::test_issuer;
/// # let issuer = test_issuer("rekuest");
/// # let token = issuer.task("task-b").parent("task-a", "task-a").mint();
/// let token = issuer.verifier("lab").verify(&token)?;
/// let task: &Task = token.task();
/// assert_eq!(task.parent_task_id.as_ref().unwrap(), "task-a");
/// assert!(!task.is_root());
/// # Ok::<(), koherent_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Task {
    /// This run of work (`tsk`).
    pub task_id: TaskId,
    /// The task that caused this one (`ptk`); `None` at the root.
    pub parent_task_id: Option<TaskId>,
    /// The task at the root of the causal tree (`rtk`); the task itself at the root.
    pub root_task_id: TaskId,
    /// The human at the root of the causal tree (`rcb`).
    pub assigner: Subject,
    /// The immediate causer (`sub`).
    pub caller: Subject,
    /// The agent that executes the task (`act.sub`; RFC 8693 §4.1).
    pub agent: Subject,
    /// The OAuth client of that agent (`act.cid`).
    pub agent_client_id: ClientId,
    /// Who attests the task (`iss`).
    pub issuer: Issuer,
    /// The token that introduced the task here (`jti`).
    pub token_id: TokenId,
    /// SHA-256 of the canonical arguments, 64 hex digits (`ahs`).
    pub args_hash: String,
    /// How the arguments were made canonical (`aha`).
    pub args_hash_algorithm: String,
}

impl Task {
    /// Whether this task is the root of its causal tree.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.parent_task_id.is_none()
    }
}

/// A task as `koherent_task` holds it: what its token said, for which organization it first changed something, and when.
///
/// ```
/// use koherent_core::{Task, TaskRecord};
/// # let issuer = koherent_core::testing::test_issuer("rekuest");
/// # let token = issuer.verifier("lab").verify(&issuer.task("task-a").mint())?;
/// # let (task, created_at) = (token.task().clone(), chrono::DateTime::from_timestamp(0, 0).unwrap());
/// let record = TaskRecord { task, organization: Some("bio-lab".into()), created_at };
/// assert_eq!(record.task.task_id, "task-a");
/// # Ok::<(), koherent_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::exhaustive_structs,
    reason = "it is a row: loaders build it, readers take it apart"
)]
pub struct TaskRecord {
    /// What the token said.
    pub task: Task,
    /// The organization in which the task first changed something here.
    pub organization: Option<Organization>,
    /// When it first changed something here.
    pub created_at: DateTime<Utc>,
}
