//! `ModelChange`: one field's old and new value.

use juniper::GraphQLObject;
use koherent_core::{FieldChange, FieldValue};

use super::json::Json;

/// What happened to one field.
///
/// ```
/// use koherent_core::{FieldChange, FieldValue};
/// use koherent_juniper::ModelChange;
///
/// let change = FieldChange { field: "mass", old: None, new: Some(FieldValue::from_json(1.5.into())) };
/// let change = ModelChange::from(&change);
/// assert_eq!(change.new_value.as_deref(), Some("1.5"));
/// ```
#[derive(Debug, Clone, PartialEq, GraphQLObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
#[graphql(description = "What happened to one field.")]
pub struct ModelChange {
    /// The column's name in the database.
    pub field: String,
    /// The value before, as text; null where there was none.
    pub old_value: Option<String>,
    /// The value after, as text; null where there is none.
    pub new_value: Option<String>,
    /// The value before, as JSON: numbers are numbers.
    pub old_value_json: Option<Json>,
    /// The value after, as JSON: numbers are numbers.
    pub new_value_json: Option<Json>,
}

impl From<&FieldChange> for ModelChange {
    fn from(change: &FieldChange) -> Self {
        let json = |value: &FieldValue| Json(value.json().clone());
        Self {
            field: change.field.to_owned(),
            old_value: change.old.as_ref().map(FieldValue::text),
            new_value: change.new.as_ref().map(FieldValue::text),
            old_value_json: change.old.as_ref().map(json),
            new_value_json: change.new.as_ref().map(json),
        }
    }
}
