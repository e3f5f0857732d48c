//! Filters, by the names of the original koherent and with fields of our own.

use chrono::{DateTime, Utc};
use juniper::{GraphQLInputObject, ID};
use koherent_core::{ErrorCode, RowKey};
use koherent_diesel::HistoryFilter;

use crate::error::Error;
use crate::limits::exceeded;
use crate::types::HistoryKind;

/// Which entries of histories are meant. All that is said must hold, of one and the same entry.
///
/// Put it into a filter input of your own: `provenance: Option<ProvenanceFilter>`, and
/// [`Provenance::changed`](crate::Provenance::changed) makes a condition of it.
///
/// ```
/// use koherent_core::ChangeKind;
/// use koherent_diesel::HistoryFilter;
/// use koherent_juniper::{HistoryKind, ProvenanceFilter};
///
/// let filter = ProvenanceFilter { task_id: Some(juniper::ID::new("task-a")), kind: Some(HistoryKind::Create), ..Default::default() };
/// assert_eq!(filter.checked()?, HistoryFilter::new().task("task-a").kind(ChangeKind::Create));
/// # Ok::<(), koherent_juniper::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, GraphQLInputObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL input")]
#[graphql(
    description = "Which entries of histories are meant. All that is said must hold, of one and the same entry."
)]
pub struct ProvenanceFilter {
    /// Made under this task.
    pub task_id: Option<ID>,
    /// Made under this task, or one that it caused, directly or through others.
    pub task_tree: Option<ID>,
    /// Made under a task of the causal tree with this root.
    pub root_task_id: Option<ID>,
    /// Made under a task that an agent with this OAuth client executed.
    pub agent_client_id: Option<String>,
    /// Made under a task that this issuer attested.
    pub issuer: Option<String>,
    /// Made by the principal with this `sub`.
    pub changed_by: Option<String>,
    /// Made through this OAuth client.
    pub client_id: Option<String>,
    /// Made for this organization.
    pub organization: Option<String>,
    /// Of this kind.
    pub kind: Option<HistoryKind>,
    /// Made at this time or later.
    pub changed_since: Option<DateTime<Utc>>,
    /// Made before this time.
    pub changed_before: Option<DateTime<Utc>>,
    /// In which one of these fields changed.
    pub fields: Option<Vec<String>>,
    /// Of one of the rows with these keys. A key of several columns is a JSON array of texts.
    pub keys: Option<Vec<ID>>,
    /// Made in this transaction.
    pub transaction: Option<ID>,
    /// Made for this reason, in these words.
    pub reason: Option<String>,
}

impl ProvenanceFilter {
    /// What it means.
    ///
    /// # Errors
    ///
    /// A refusal where the transaction is no UUID, with the reason `FILTER_INVALID`, or where there are more than 200 keys or
    /// fields, with `FILTER_TOO_LONG`.
    pub fn checked(&self) -> Result<HistoryFilter, Error> {
        let lists = [
            ("fields", self.fields.as_ref().map(Vec::len)),
            ("keys", self.keys.as_ref().map(Vec::len)),
        ];
        for (name, length) in lists {
            if let Some(length) = length.filter(|length| *length > MOST_ALTERNATIVES) {
                return Err(exceeded("FILTER_TOO_LONG", name, length, MOST_ALTERNATIVES));
            }
        }
        let mut filter = HistoryFilter::new();
        let text = |id: &ID| id.to_string();
        if let Some(task) = &self.task_id {
            filter = filter.task(text(task));
        }
        if let Some(task) = &self.task_tree {
            filter = filter.task_tree(text(task));
        }
        if let Some(task) = &self.root_task_id {
            filter = filter.root_task(text(task));
        }
        if let Some(client) = &self.agent_client_id {
            filter = filter.agent_client(client.as_str());
        }
        if let Some(issuer) = &self.issuer {
            filter = filter.issuer(issuer.as_str());
        }
        if let Some(user) = &self.changed_by {
            filter = filter.user(user.as_str());
        }
        if let Some(client) = &self.client_id {
            filter = filter.client(client.as_str());
        }
        if let Some(organization) = &self.organization {
            filter = filter.organization(organization.as_str());
        }
        if let Some(kind) = self.kind {
            filter = filter.kind(kind.into());
        }
        if let Some(date) = self.changed_since {
            filter = filter.since(date);
        }
        if let Some(date) = self.changed_before {
            filter = filter.before(date);
        }
        for field in self.fields.iter().flatten() {
            filter = filter.field(field);
        }
        for key in self.keys.iter().flatten() {
            filter = filter.key(RowKey::from_text(key));
        }
        if let Some(transaction) = &self.transaction {
            filter = filter.transaction(transaction.parse().map_err(|_| NOT_A_UUID)?);
        }
        if let Some(reason) = &self.reason {
            filter = filter.reason(reason);
        }
        Ok(filter)
    }
}

/// How many keys or fields a filter may name.
const MOST_ALTERNATIVES: usize = 200;

const NOT_A_UUID: Error = Error::fixed(
    ErrorCode::BadRequest,
    "FILTER_INVALID",
    "The transaction of the filter is no UUID: give one that came with an entry, unchanged.",
);

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
    pub created_since: Option<DateTime<Utc>>,
    /// First seen before this time.
    pub created_before: Option<DateTime<Utc>>,
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
            filter = filter.since(date);
        }
        if let Some(date) = self.created_before {
            filter = filter.before(date);
        }
        filter
    }
}
