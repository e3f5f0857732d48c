//! `Task`: one attested run of work.

use chrono::{DateTime, Utc};
use juniper::{GraphQLObject, ID};
use koherent_core::TaskRecord;

use super::principal::{Organization, User};

/// A run of work under which something was changed, as its provenance token attested it.
///
/// ```
/// use koherent_core::TaskRecord;
/// # let issuer = koherent_core::testing::test_issuer("rekuest");
/// # let token = issuer.verifier("lab").verify(&issuer.task("task-a").mint())?;
/// # let (task, created_at) = (token.task().clone(), chrono::DateTime::from_timestamp(0, 0).unwrap());
/// let record = TaskRecord { task, organization: None, created_at };
/// let task = koherent_juniper::Task::from(&record);
/// assert_eq!(*task.task_id, *"task-a");
/// # Ok::<(), koherent_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, GraphQLObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
pub struct Task {
    /// This run of work.
    pub task_id: ID,
    /// The task that caused this one; null at the root.
    pub parent_task_id: Option<ID>,
    /// The task at the root of the causal tree.
    pub root_task_id: ID,
    /// The human at the root of the causal tree.
    pub assigner: User,
    /// The subject of that human.
    pub assigner_sub: String,
    /// The subject of the immediate causer.
    pub caller_sub: String,
    /// The subject of the agent that executes the task.
    pub agent_sub: String,
    /// The OAuth client of that agent.
    pub agent_client_id: String,
    /// Who attests the task.
    pub issuer: String,
    /// The token that introduced the task here.
    pub token_id: ID,
    /// SHA-256 of the canonical arguments of the task.
    pub args_hash: String,
    /// How the arguments were made canonical.
    pub args_hash_algorithm: String,
    /// The organization in which the task first changed something here.
    pub organization: Option<Organization>,
    /// When it first changed something here.
    pub created_at: DateTime<Utc>,
}

impl From<&TaskRecord> for Task {
    fn from(
        TaskRecord {
            task,
            organization,
            created_at,
        }: &TaskRecord,
    ) -> Self {
        let id = |id: &str| ID::from(id.to_owned());
        Self {
            task_id: id(task.task_id.as_str()),
            parent_task_id: task
                .parent_task_id
                .as_ref()
                .map(|parent| id(parent.as_str())),
            root_task_id: id(task.root_task_id.as_str()),
            assigner: User::from(&task.assigner),
            assigner_sub: task.assigner.to_string(),
            caller_sub: task.caller.to_string(),
            agent_sub: task.agent.to_string(),
            agent_client_id: task.agent_client_id.to_string(),
            issuer: task.issuer.to_string(),
            token_id: id(task.token_id.as_str()),
            args_hash: task.args_hash.clone(),
            args_hash_algorithm: task.args_hash_algorithm.clone(),
            organization: organization.as_ref().map(Organization::from),
            created_at: *created_at,
        }
    }
}
