//! Filters of tasks.

use juniper::{GraphQLInputObject, ID};

use crate::input::DateTime;

/// Which tasks are meant. All that is said must hold.
///
/// ```
/// use koherent_juniper::TaskFilter;
/// let filter = TaskFilter { root_task_id: Some(juniper::ID::new("task-a")), ..Default::default() };
/// assert_eq!(filter.meant(), koherent_diesel::TaskFilter::new().root("task-a"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, GraphQLInputObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL input")]
#[graphql(description = "Which tasks are meant. All that is said must hold.")]
pub struct TaskFilter {
    /// The task with this id.
    pub task_id: Option<ID>,
    /// Tasks that this one caused directly.
    pub parent_task_id: Option<ID>,
    /// Tasks of the causal tree with this root.
    pub root_task_id: Option<ID>,
    /// This task, and all that it caused, directly or through others.
    pub task_tree: Option<ID>,
    /// Executed by this agent.
    pub agent_sub: Option<String>,
    /// Executed by an agent with this OAuth client.
    pub agent_client_id: Option<String>,
    /// Attested by this issuer.
    pub issuer: Option<String>,
    /// With this human at the root of the causal tree.
    pub assigner_sub: Option<String>,
    /// Caused immediately by this principal.
    pub caller_sub: Option<String>,
    /// Of this organization.
    pub organization: Option<String>,
    /// First seen at this time or later.
    pub created_since: Option<DateTime>,
    /// First seen before this time.
    pub created_before: Option<DateTime>,
}

impl TaskFilter {
    /// What it means.
    pub fn meant(&self) -> koherent_diesel::TaskFilter {
        let mut filter = koherent_diesel::TaskFilter::new();
        let text = |id: &ID| id.to_string();
        if let Some(task) = &self.task_id {
            filter = filter.id(text(task));
        }
        if let Some(task) = &self.parent_task_id {
            filter = filter.parent(text(task));
        }
        if let Some(task) = &self.root_task_id {
            filter = filter.root(text(task));
        }
        if let Some(task) = &self.task_tree {
            filter = filter.tree(text(task));
        }
        if let Some(agent) = &self.agent_sub {
            filter = filter.agent(agent.as_str());
        }
        if let Some(client) = &self.agent_client_id {
            filter = filter.agent_client(client.as_str());
        }
        if let Some(issuer) = &self.issuer {
            filter = filter.issuer(issuer.as_str());
        }
        if let Some(assigner) = &self.assigner_sub {
            filter = filter.assigner(assigner.as_str());
        }
        if let Some(caller) = &self.caller_sub {
            filter = filter.caller(caller.as_str());
        }
        if let Some(organization) = &self.organization {
            filter = filter.organization(organization.as_str());
        }
        if let Some(date) = self.created_since {
            filter = filter.since(date.0);
        }
        if let Some(date) = self.created_before {
            filter = filter.before(date.0);
        }
        filter
    }
}
