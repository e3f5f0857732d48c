//! One row of a history table, read back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::change::{ChangeKind, FieldChange};
use crate::id::{ClientId, Organization, Subject};
use crate::key::RowKey;
use crate::task::TaskRecord;

/// One history entry: what happened to a row, when, and to whom it is attributed.
///
/// ```
/// use koherent_core::{ChangeKind, HistoryEntry};
///
/// fn headline(entry: &HistoryEntry) -> String {
///     let who = entry.user.as_ref().map_or("nobody", |user| user.as_str());
///     format!("{} by {who} on {}", entry.kind, entry.date.date_naive())
/// }
/// # let date = chrono::DateTime::from_timestamp(0, 0).unwrap();
/// # let entry = HistoryEntry { id: 1, table: "samples", label: "Sample", key: 7.into(), kind: ChangeKind::Create, date, user: Some("ann".into()),
/// #     client: None, organization: None, task: None, transaction: uuid::Uuid::nil(), reason: None, context: None,
/// #     changes: Vec::new() };
/// assert_eq!(headline(&entry), "create by ann on 1970-01-01");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HistoryEntry {
    /// `history_id`: the order of the entries of one row.
    pub id: i64,
    /// The tracked table, as the database calls it.
    pub table: &'static str,
    /// What one of its rows is called, for people; the table's name, unless its declaration says otherwise.
    pub label: &'static str,
    /// Which of its rows.
    pub key: RowKey,
    /// What happened.
    pub kind: ChangeKind,
    /// When, by the clock of whoever held the row's lock, to the microsecond.
    pub date: DateTime<Utc>,
    /// The principal's `sub`.
    pub user: Option<Subject>,
    /// The OAuth client it used.
    pub client: Option<ClientId>,
    /// The organization it acted in.
    pub organization: Option<Organization>,
    /// The verified task, where the change was made under one.
    pub task: Option<Arc<TaskRecord>>,
    /// Groups the entries of one transaction (UUID version 7, RFC 9562 §5.7).
    pub transaction: Uuid,
    /// Why, where a reason was given.
    pub reason: Option<String>,
    /// What else the attribution said: an object, see [`Attribution::context`](crate::Attribution::context).
    pub context: Option<Value>,
    /// The effective changes, in the order of the declared columns.
    pub changes: Vec<FieldChange>,
}

impl HistoryEntry {
    /// The kind of statement that went past the audit and was captured by the database, `INSERT`, `UPDATE`, `DELETE` or
    /// `TRUNCATE`; `None` where the change was audited.
    #[must_use]
    pub fn captured(&self) -> Option<&str> {
        self.context.as_ref()?.get("captured")?.as_str()
    }

    /// The database role whose statement was captured, where it was and the database has roles.
    #[must_use]
    pub fn database_role(&self) -> Option<&str> {
        self.context.as_ref()?.get("database_role")?.as_str()
    }
}
