//! One attested run of work and its place in the causal tree.

use crate::id::{ClientId, Issuer, Subject, TaskId, TokenId};

/// A task as its provenance token describes it, and as `koherent_task` keeps it.
///
/// This is a description and proves nothing by itself: anyone can build one, and a loader does. That a task was
/// verified is said by a [`VerifiedToken`](crate::VerifiedToken), and only that can go into an
/// [`Attribution`](crate::Attribution).
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
