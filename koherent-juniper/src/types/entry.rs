//! `ProvenanceEntry`: one entry of a row's history.

use chrono::{DateTime, Utc};
use juniper::{GraphQLEnum, GraphQLObject, ID};
use koherent_core::{ChangeKind, HistoryEntry};

use super::change::ModelChange;
use super::principal::{Client, Organization, User};
use super::task::Task;

/// What happened to the row.
///
/// ```
/// use koherent_core::ChangeKind;
/// use koherent_juniper::HistoryKind;
/// assert_eq!(HistoryKind::from(ChangeKind::Create), HistoryKind::Create);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, GraphQLEnum)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a row is created, updated or deleted"
)]
pub enum HistoryKind {
    /// The row came to be.
    Create,
    /// At least one audited field changed.
    Update,
    /// The row is gone.
    Delete,
}

impl From<ChangeKind> for HistoryKind {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Create => Self::Create,
            ChangeKind::Update => Self::Update,
            ChangeKind::Delete => Self::Delete,
        }
    }
}

/// Who changed a row, through which client, under which verified task, when, why, and what exactly.
///
/// A service with a loader of its own makes one from any [`HistoryEntry`]:
///
/// ```
/// use koherent_core::{ChangeKind, HistoryEntry};
/// use koherent_juniper::{HistoryKind, ProvenanceEntry};
/// # let date = chrono::DateTime::from_timestamp(0, 0).unwrap();
/// # let entry = HistoryEntry { id: 1, table: "samples", key: 7.into(), kind: ChangeKind::Create, date, user: Some("ann".into()),
/// #     client: None, organization: None, task: None, transaction: Default::default(), reason: None, context: None,
/// #     changes: Vec::new() };
/// let entry = ProvenanceEntry::from(&entry);
/// assert_eq!(entry.kind, HistoryKind::Create);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, GraphQLObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
pub struct ProvenanceEntry {
    /// The entry's id, unique within the history of one table.
    pub id: ID,
    /// What happened.
    pub kind: HistoryKind,
    /// When, by the database.
    pub date: DateTime<Utc>,
    /// Who did it; null for changes of jobs and of nobody.
    pub user: Option<User>,
    /// The OAuth application that was used.
    pub client: Option<Client>,
    /// The organization in which the principal acted.
    pub organization: Option<Organization>,
    /// The verified task; null where the change was made under none.
    pub task: Option<Task>,
    /// Why, where a reason was given.
    pub reason: Option<String>,
    /// Groups the entries of one transaction.
    pub transaction: ID,
    /// The fields that changed, with their old and new values.
    pub effective_changes: Vec<ModelChange>,
}

impl From<&HistoryEntry> for ProvenanceEntry {
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            id: ID::from(entry.id.to_string()),
            kind: entry.kind.into(),
            date: entry.date,
            user: entry.user.as_ref().map(User::from),
            client: entry.client.as_ref().map(Client::from),
            organization: entry.organization.as_ref().map(Organization::from),
            task: entry.task.as_deref().map(Task::from),
            reason: entry.reason.clone(),
            transaction: ID::from(entry.transaction.hyphenated().to_string()),
            effective_changes: entry.changes.iter().map(ModelChange::from).collect(),
        }
    }
}
