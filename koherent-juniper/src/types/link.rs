//! `LinkKind`, `LinkedRow`: what happened to a row of a join table.

use juniper::{GraphQLEnum, GraphQLObject, ID};
use koherent_core::FieldValue;

/// What happened to a link.
///
/// ```
/// use koherent_juniper::LinkKind;
/// assert_eq!(LinkKind::from(koherent_diesel::LinkKind::Associate), LinkKind::Associate);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, GraphQLEnum)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a row is created, updated or deleted"
)]
#[graphql(description = "What happened to a link between two rows.")]
pub enum LinkKind {
    /// The two were put together.
    Associate,
    /// Something else about the link changed.
    Update,
    /// The two were taken apart.
    Disassociate,
}

impl From<koherent_diesel::LinkKind> for LinkKind {
    fn from(kind: koherent_diesel::LinkKind) -> Self {
        match kind {
            koherent_diesel::LinkKind::Associate => Self::Associate,
            koherent_diesel::LinkKind::Disassociate => Self::Disassociate,
            _ => Self::Update,
        }
    }
}

/// A row that a link points at.
///
/// ```
/// let tag = koherent_juniper::LinkedRow { table: "tags".into(), key: Some("7".to_owned().into()) };
/// assert_eq!(tag.table, "tags");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, GraphQLObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
#[graphql(description = "A row that a link points at.")]
pub struct LinkedRow {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: Option<ID>,
}

impl From<&koherent_diesel::LinkedRow> for LinkedRow {
    fn from(row: &koherent_diesel::LinkedRow) -> Self {
        Self {
            table: row.table.to_owned(),
            key: row.key.as_ref().map(FieldValue::text).map(ID::from),
        }
    }
}
