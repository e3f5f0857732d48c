//! `HistoryKind`: what happened to a row.

use juniper::GraphQLEnum;
use koherent_core::ChangeKind;

/// What happened to the row.
///
/// ```
/// use koherent_core::ChangeKind;
/// use koherent_juniper::HistoryKind;
/// assert_eq!(HistoryKind::from(ChangeKind::Create), HistoryKind::Create);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, GraphQLEnum)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a row is created, updated or deleted"
)]
#[graphql(description = "What happened to the row.")]
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

impl From<HistoryKind> for ChangeKind {
    fn from(kind: HistoryKind) -> Self {
        match kind {
            HistoryKind::Create => Self::Create,
            HistoryKind::Update => Self::Update,
            HistoryKind::Delete => Self::Delete,
        }
    }
}
