//! What is answered: entries, activities and changes, as JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use koherent_core::{ChangeKind, FieldChange, FieldValue, HistoryEntry, RowKey, TaskRecord};
use koherent_diesel::{Cursor, LinkEnd, LinkKind, ResourceChange, TrackedTable};
use serde::Serialize;
use utoipa::ToSchema;

/// A value in its typed form: numbers are numbers, text is text, bytes are base64.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct Value(serde_json::Value);

impl Value {
    /// Text without quotes, everything else as JSON.
    pub(crate) fn text(&self) -> String {
        FieldValue::from(self.clone()).text()
    }
}

impl From<Value> for FieldValue {
    fn from(value: Value) -> Self {
        Self::from_json(value.0)
    }
}

impl From<FieldValue> for Value {
    fn from(value: FieldValue) -> Self {
        Self(value.json().clone())
    }
}

/// A page of what was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// What to give as `after` for the next page; null where this one is the last. The header `Link` has it too.
    pub next: Option<String>,
}

/// One entry of a row's history.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Entry {
    /// The entry's number in the history of its table.
    pub id: i64,
    /// Its place in a list, for `after`.
    pub cursor: String,
    /// The table of the row.
    pub table: &'static str,
    /// What a row of the table is called, for people.
    pub label: &'static str,
    /// The values of the row's key.
    pub key: Vec<Value>,
    /// `create`, `update` or `delete`.
    pub kind: &'static str,
    /// When.
    pub date: DateTime<Utc>,
    /// Who (`sub`).
    pub user: Option<String>,
    /// Through which OAuth client.
    pub client: Option<String>,
    /// For which organization.
    pub organization: Option<String>,
    /// Under which verified task.
    pub task: Option<Task>,
    /// Why, where a reason was given.
    pub reason: Option<String>,
    /// Groups the entries of one transaction.
    pub transaction: String,
    /// What else the attribution said: the issuer of the principal, `impersonator`, `system`, `correlation_id`; or, of what
    /// went past the audit and was recorded by the database, `captured` and `database_role`.
    pub context: Option<Value>,
    /// What happened between which rows, where the table is a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// The fields that changed. Not there where changes come one by one, each with its entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
}

/// What happened to a link.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Link {
    /// `associate`, `update` or `disassociate`.
    pub kind: &'static str,
    /// The two rows, in the order of the declaration.
    pub ends: Vec<LinkedRow>,
}

/// A row that a link points at.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct LinkedRow {
    /// Its table.
    pub table: &'static str,
    /// The value of its key; null where the entry does not say it.
    pub key: Option<Value>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Counted {
    /// How many.
    pub count: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct TransactionOutcome {
    /// Its id.
    pub transaction: String,
    /// Whether it was committed: where not, it will not be, and may be made again.
    pub committed: bool,
}

/// A change of one field.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Change {
    /// The column's name in the database.
    pub field: &'static str,
    /// The value before.
    pub old: Option<Value>,
    /// The value after.
    pub new: Option<Value>,
    /// Of which entry, where changes come one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub entry: Option<Box<Entry>>,
}

/// A run of work, as its provenance token attested it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Task {
    /// This run of work.
    pub task_id: String,
    /// The task that caused it.
    pub parent_task_id: Option<String>,
    /// The task at the root of the causal tree.
    pub root_task_id: String,
    /// The human at that root.
    pub assigner: String,
    /// The immediate causer.
    pub caller: String,
    /// The agent that executes it.
    pub agent: String,
    /// The agent's OAuth client.
    pub agent_client_id: String,
    /// Who attests it.
    pub issuer: String,
}

/// An entry as an activity.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Activity {
    /// When.
    pub published: DateTime<Utc>,
    /// Who.
    pub actor: Option<String>,
    /// `create`, `update`, `delete`, `associate` or `disassociate`.
    pub verb: &'static str,
    /// The table of the row; of a link, that of its first end.
    pub table: &'static str,
    /// The values of the row's key.
    pub key: Vec<Value>,
    /// The row that it was put together with, or taken apart from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<LinkedRow>,
    /// Under which task.
    pub task: Option<String>,
    /// The fields of a row that came to be, as far as they have values.
    pub added_fields: BTreeMap<&'static str, Value>,
    /// The fields of a row that is gone, as far as they had values.
    pub removed_fields: BTreeMap<&'static str, Value>,
    /// Fields of a row with another value than before: the old one and the new one, null where there is none.
    pub changed_fields: BTreeMap<&'static str, Vec<Value>>,
}

fn key(key: &RowKey) -> Vec<Value> {
    key.values().iter().cloned().map(Value::from).collect()
}

const fn verb(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Create => "create",
        ChangeKind::Update => "update",
        ChangeKind::Delete => "delete",
    }
}

impl Entry {
    /// An entry of that table.
    pub(crate) fn of(entry: &HistoryEntry, table: Option<&TrackedTable>) -> Self {
        let changes = entry.changes.iter().map(Change::from).collect();
        Self {
            changes: Some(changes),
            link: Link::of(entry, table),
            ..Self::without_changes(entry)
        }
    }

    fn without_changes(entry: &HistoryEntry) -> Self {
        Self {
            id: entry.id,
            cursor: Cursor::of(entry).to_string(),
            table: entry.table,
            label: entry.label,
            key: key(&entry.key),
            kind: verb(entry.kind),
            date: entry.date,
            user: entry.user.as_ref().map(ToString::to_string),
            client: entry.client.as_ref().map(ToString::to_string),
            organization: entry.organization.as_ref().map(ToString::to_string),
            task: entry.task.as_deref().map(Task::from),
            reason: entry.reason.clone(),
            transaction: entry.transaction.hyphenated().to_string(),
            context: entry.context.clone().map(Value),
            link: None,
            changes: None,
        }
    }
}

impl Link {
    /// What the entry says, where the table is a link.
    fn of(entry: &HistoryEntry, table: Option<&TrackedTable>) -> Option<Self> {
        let table = table?;
        let row = |end: LinkEnd| LinkedRow {
            table: end.table().name(),
            key: value_in(entry, table, end.column()),
        };
        Some(Self {
            ends: table.link_ends()?.map(row).into(),
            kind: match LinkKind::of(entry.kind) {
                LinkKind::Associate => "associate",
                LinkKind::Disassociate => "disassociate",
                _ => "update",
            },
        })
    }
}

/// What the row has in that column, as far as the entry says it: in its key, or in what changed.
fn value_in(entry: &HistoryEntry, table: &TrackedTable, column: &str) -> Option<Value> {
    let at = table.key().iter().position(|key| *key == column);
    let in_key = at.and_then(|at| entry.key.values().get(at));
    let mut changes = entry.changes.iter();
    let change = changes.find(|change| change.field == column);
    let changed = change.and_then(|change| change.new.as_ref().or(change.old.as_ref()));
    in_key.or(changed).cloned().map(Value::from)
}

impl From<&FieldChange> for Change {
    fn from(change: &FieldChange) -> Self {
        Self {
            field: change.field,
            old: change.old.clone().map(Value::from),
            new: change.new.clone().map(Value::from),
            entry: None,
        }
    }
}

impl From<&ResourceChange> for Change {
    fn from(change: &ResourceChange) -> Self {
        Self {
            entry: Some(Box::new(Entry::without_changes(&change.entry))),
            ..Self::from(&change.change)
        }
    }
}

impl From<&TaskRecord> for Task {
    fn from(TaskRecord { task, .. }: &TaskRecord) -> Self {
        Self {
            task_id: task.task_id.to_string(),
            parent_task_id: task.parent_task_id.as_ref().map(ToString::to_string),
            root_task_id: task.root_task_id.to_string(),
            assigner: task.assigner.to_string(),
            caller: task.caller.to_string(),
            agent: task.agent.to_string(),
            agent_client_id: task.agent_client_id.to_string(),
            issuer: task.issuer.to_string(),
        }
    }
}

impl Activity {
    /// An entry of that table.
    pub(crate) fn of(entry: &HistoryEntry, table: Option<&TrackedTable>) -> Self {
        if let Some(link) = Link::of(entry, table).filter(|link| link.kind != "update") {
            return Self::of_link(entry, link);
        }
        let activity = koherent_core::Activity::from(entry);
        let values = |fields: BTreeMap<&'static str, FieldValue>| {
            let fields = fields.into_iter();
            fields.map(|(field, value)| (field, value.into())).collect()
        };
        let (table, row) = activity.object;
        let changed = activity.changed_fields.into_iter();
        Self {
            published: activity.published,
            actor: activity.actor.map(|actor| actor.to_string()),
            verb: activity.verb,
            table,
            key: key(&row),
            related: None,
            task: activity.task.map(|task| task.to_string()),
            added_fields: values(activity.added_fields),
            removed_fields: values(activity.removed_fields),
            changed_fields: changed
                .map(|(field, (old, new))| (field, vec![old.into(), new.into()]))
                .collect(),
        }
    }

    /// Two rows that were put together, or taken apart.
    fn of_link(entry: &HistoryEntry, link: Link) -> Self {
        let mut ends = link.ends.into_iter();
        let (object, related) = (ends.next(), ends.next());
        let task = entry.task.as_deref();
        Self {
            published: entry.date,
            actor: entry.user.as_ref().map(ToString::to_string),
            verb: link.kind,
            table: object.as_ref().map_or(entry.table, |row| row.table),
            key: object.and_then(|row| row.key).into_iter().collect(),
            related,
            task: task.map(|task| task.task.task_id.to_string()),
            added_fields: BTreeMap::new(),
            removed_fields: BTreeMap::new(),
            changed_fields: BTreeMap::new(),
        }
    }
}
