//! An entry as an activity: who did what to which object, and which fields it added, removed and changed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::change::{ChangeKind, FieldValue};
use crate::entry::HistoryEntry;
use crate::id::{Subject, TaskId};
use crate::key::RowKey;

/// An entry in the form of an activity stream: actor, verb, object, and the fields by what happened to them. As in the
/// `activitystream` of django-ansible-base, fields are added and removed with their row alone; a field that gets or loses its value
/// is changed, from or to null.
///
/// ```
/// use koherent_core::{Activity, ChangeKind, FieldChange, FieldValue, HistoryEntry};
/// # let date = chrono::DateTime::from_timestamp(0, 0).unwrap();
/// # let note = FieldChange { field: "note", old: Some(FieldValue::from_json("stained".into())), new: None };
/// # let entry = HistoryEntry { id: 1, table: "samples", label: "Sample", key: 7.into(), kind: ChangeKind::Update, date,
/// #     user: Some("ann".into()), client: None, organization: None, task: None, transaction: uuid::Uuid::nil(),
/// #     reason: None, context: None, changes: vec![note] };
///
/// let activity = Activity::from(&entry); // an update that empties the note
/// assert_eq!((activity.verb, activity.object.1.to_string()), ("update", "7".to_owned()));
/// let (old, new) = &activity.changed_fields["note"];
/// assert_eq!((old.text(), new.json().is_null()), ("stained".to_owned(), true));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[expect(
    clippy::exhaustive_structs,
    reason = "it is a form of an entry, made to be written out"
)]
pub struct Activity {
    /// When.
    pub published: DateTime<Utc>,
    /// Who.
    pub actor: Option<Subject>,
    /// `create`, `update` or `delete`.
    pub verb: &'static str,
    /// Table and key of the row.
    pub object: (&'static str, RowKey),
    /// Under which task.
    pub task: Option<TaskId>,
    /// The fields of a row that came to be, with their values.
    pub added_fields: BTreeMap<&'static str, FieldValue>,
    /// The fields of a row that is gone, with the values they had.
    pub removed_fields: BTreeMap<&'static str, FieldValue>,
    /// Fields with another value than before, with both; null is no value.
    pub changed_fields: BTreeMap<&'static str, (FieldValue, FieldValue)>,
}

impl From<&HistoryEntry> for Activity {
    fn from(entry: &HistoryEntry) -> Self {
        let mut activity = Self {
            published: entry.date,
            actor: entry.user.clone(),
            verb: match entry.kind {
                ChangeKind::Create => "create",
                ChangeKind::Update => "update",
                ChangeKind::Delete => "delete",
            },
            object: (entry.table, entry.key.clone()),
            task: entry.task.as_ref().map(|task| task.task.task_id.clone()),
            added_fields: BTreeMap::new(),
            removed_fields: BTreeMap::new(),
            changed_fields: BTreeMap::new(),
        };
        for change in &entry.changes {
            let null = || FieldValue::from_json(serde_json::Value::Null);
            let (old, new) = (change.old.clone(), change.new.clone());
            match (entry.kind, old, new) {
                (ChangeKind::Create, None, Some(new)) => {
                    activity.added_fields.insert(change.field, new);
                }
                (ChangeKind::Delete, Some(old), None) => {
                    activity.removed_fields.insert(change.field, old);
                }
                (_, old, new) => {
                    let values = (old.unwrap_or_else(null), new.unwrap_or_else(null));
                    activity.changed_fields.insert(change.field, values);
                }
            }
        }
        activity
    }
}
