//! What a history entry says happened: its kind and, per column, the old and the new value.

use std::fmt;

use serde_json::Value;

/// What happened to the row. The codes are those of django-simple-history.
///
/// ```
/// use koherent_core::ChangeKind;
/// assert_eq!(ChangeKind::Update.code(), "~");
/// assert_eq!(ChangeKind::from_code("-"), Some(ChangeKind::Delete));
/// assert_eq!(ChangeKind::from_code("x"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::exhaustive_enums,
    reason = "a row is created, updated or deleted; there is nothing else"
)]
pub enum ChangeKind {
    /// The row came to be.
    Create,
    /// At least one audited column changed.
    Update,
    /// The row is gone; the entry keeps its last values.
    Delete,
}

impl ChangeKind {
    /// The code in `history_kind`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Delete => "-",
        }
    }

    /// The kind of a `history_kind`, if it is one.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "+" => Some(Self::Create),
            "~" => Some(Self::Update),
            "-" => Some(Self::Delete),
            _ => None,
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}

/// The value of one column in one entry; SQL `NULL` is the absence of one.
///
/// ```
/// use koherent_core::FieldValue;
/// let name = FieldValue::from_json("liver".into());
/// assert_eq!(name.text(), "liver");
/// assert_eq!(name.json(), &serde_json::json!("liver"));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct FieldValue(Value);

impl FieldValue {
    /// A value from its typed form.
    #[must_use]
    pub const fn from_json(value: Value) -> Self {
        Self(value)
    }

    /// The typed form: numbers are numbers, text is a string, JSON columns stand as they are.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.0
    }

    /// The form for people: text without quotes, everything else as JSON.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.0 {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// One column's old and new value.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FieldChange {
    /// The column's name in the database.
    pub field: &'static str,
    /// The value before; `None` is `NULL`, and every field of a row that did not exist yet.
    pub old: Option<FieldValue>,
    /// The value after; `None` is `NULL`, and every field of a row that is gone.
    pub new: Option<FieldValue>,
}

/// What an entry changed: the effective changes between its values and those of the entry before it.
///
/// A create lists every field as null → value, a delete as value → null, an update the fields that differ. Of an update
/// without an entry before it (the row is older than its history) nothing is known, so nothing is claimed. Fields that
/// are null on both sides are left out.
///
/// `fields`, `before` and `after` are parallel.
///
/// ```
/// use koherent_core::{ChangeKind, FieldValue, delta};
///
/// let (liver, heart) = (FieldValue::from_json("liver".into()), FieldValue::from_json("heart".into()));
/// let changes = delta(ChangeKind::Update, &["name", "note"], Some(&[Some(liver), None]), &[Some(heart), None]);
/// assert_eq!(changes.len(), 1);
/// assert_eq!(changes[0].field, "name");
/// assert_eq!(changes[0].new.as_ref().unwrap().text(), "heart");
/// ```
#[must_use]
pub fn delta(
    kind: ChangeKind,
    fields: &[&'static str],
    before: Option<&[Option<FieldValue>]>,
    after: &[Option<FieldValue>],
) -> Vec<FieldChange> {
    debug_assert_eq!(fields.len(), after.len(), "fields and values are parallel");
    let change = |at: usize| {
        let value = after.get(at).cloned().flatten();
        let (old, new) = match kind {
            ChangeKind::Create => (None, value),
            ChangeKind::Delete => (value, None),
            ChangeKind::Update => (before?.get(at).cloned().flatten(), value),
        };
        (old != new).then(|| FieldChange {
            field: fields[at],
            old,
            new,
        })
    };
    (0..fields.len()).filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<FieldValue> {
        Some(FieldValue::from_json(text.into()))
    }

    #[test]
    fn create_lists_what_is_there_and_delete_what_was_there() {
        let values = [value("liver"), None];
        let created = delta(ChangeKind::Create, &["name", "note"], None, &values);
        assert_eq!(
            created,
            [FieldChange {
                field: "name",
                old: None,
                new: value("liver")
            }]
        );
        let deleted = delta(
            ChangeKind::Delete,
            &["name", "note"],
            Some(&values),
            &values,
        );
        assert_eq!(
            deleted,
            [FieldChange {
                field: "name",
                old: value("liver"),
                new: None
            }]
        );
    }

    #[test]
    fn update_without_an_entry_before_it_claims_nothing() {
        assert_eq!(
            delta(ChangeKind::Update, &["name"], None, &[value("liver")]),
            []
        );
    }
}
